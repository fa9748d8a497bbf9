package vault

import (
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Provenance is the record of why, when and under which notice a value was
// collected for one purpose. It travels in the value.
type Provenance struct {
	// Collected is when the value was sealed, in UTC and whole seconds.
	Collected time.Time
	// Legal is the legal ground, [purpose.Unstated] if none was stated.
	Legal purpose.Legal
	// Notice is the id of the notice that the person was shown, or "".
	Notice string
	// Consent refers to the record of the person's consent, or is "".
	Consent string
	// Expires is when the value may no longer be used, in UTC and whole
	// seconds; the zero time if there is no limit.
	Expires time.Time
	// From is the purpose from which the value was extended to this one, with the
	// person's consent; the zero Purpose if it was collected for this one.
	From purpose.Purpose
}

// provenanceNow returns the record of a collection at the time now.
func provenanceNow(now time.Time, basis purpose.Basis) Provenance {
	if now.Unix() < 0 { // an unset clock, for which the format has no seconds
		now = time.Unix(0, 0)
	}
	p := Provenance{Collected: now, Legal: basis.Legal, Notice: basis.Notice, Consent: basis.Consent}
	if basis.Retain > 0 {
		p.Expires = now.Add(basis.Retain)
	}
	return p
}
