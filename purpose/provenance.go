package purpose

import "time"

// A Provenance is the record of why, when and under which notice a value was
// collected for one purpose. It travels in the value. The zero Provenance says
// nothing.
type Provenance struct {
	// Collected is the time of collection, in UTC and whole seconds: the time of
	// sealing, or an earlier time if Stated is true.
	Collected time.Time
	// Stated reports that Collected is the time that [Basis.Collected] stated. The
	// program that sealed the value vouches for it; no clock observed it.
	Stated bool
	// Legal is the legal ground, [Unstated] if none was stated.
	Legal Legal
	// Notice is the id of the notice that the person was shown, or "".
	Notice string
	// Consent refers to the record of the person's consent, or is "".
	Consent string
	// Expires is the end of retention, in UTC and whole seconds; the zero time
	// if there is no limit.
	Expires time.Time
	// From is the purpose from which the value was extended to this one, with the
	// person's consent; the zero Purpose if it was collected for this one.
	From Purpose
}
