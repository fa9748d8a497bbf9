package purpose

import (
	"errors"
	"fmt"
	"time"
)

// MaxReference is the greatest length of a notice id or consent reference, in
// bytes.
const MaxReference = 64

// MaxRetain is the longest time that a [Basis] may ask to retain a value for:
// a hundred years of 365 days.
const MaxRetain = 100 * 365 * 24 * time.Hour

// ErrBasis reports a [Basis] that [Basis.Validate] refuses. The errors that
// are ErrBasis name the field at fault and never repeat its content.
var ErrBasis = errors.New("not a valid basis")

// ErrNoConsent reports an attempt to extend a value to a further purpose without
// a basis that refers to the person's consent. Ask the person.
var ErrNoConsent = errors.New("no consent on record")

// Legal is the legal ground on which personal data is processed: one of the
// six grounds of Article 6(1) of the GDPR, or none stated.
type Legal uint8

// The legal grounds, in the order of Article 6(1)(a) to (f). The numbers are
// part of the sealed format and never change.
const (
	Unstated            Legal = iota // the zero value: no ground was recorded
	Consent                          // (a) the person agreed
	Contract                         // (b) needed for a contract with the person
	LegalObligation                  // (c) a law demands it
	VitalInterests                   // (d) it protects somebody's life
	PublicTask                       // (e) a task in the public interest
	LegitimateInterests              // (f) an interest that outweighs the person's
)

var legalNames = [...]string{
	"unstated", "consent", "contract", "legal-obligation", "vital-interests", "public-task", "legitimate-interests",
}

// String returns the ground in lower case with hyphens, such as
// "legal-obligation", and "unstated" for the zero value.
func (l Legal) String() string {
	if !l.valid() {
		return "invalid"
	}
	return legalNames[l]
}

// MarshalText returns the text of [Legal.String]. A number that is no ground is
// [ErrBasis]. It implements [encoding.TextMarshaler].
func (l Legal) MarshalText() ([]byte, error) {
	if !l.valid() {
		return nil, fmt.Errorf("unknown legal ground: %w", ErrBasis)
	}
	return []byte(legalNames[l]), nil
}

// UnmarshalText reads the text that [Legal.MarshalText] writes. Any other text is
// [ErrBasis] and leaves l as it was. It implements [encoding.TextUnmarshaler].
func (l *Legal) UnmarshalText(text []byte) error {
	for i, name := range legalNames {
		if string(text) == name {
			*l = Legal(i)
			return nil
		}
	}
	return fmt.Errorf("unknown legal ground: %w", ErrBasis)
}

func (l Legal) valid() bool { return int(l) < len(legalNames) }

// A Basis states the legal ground and the notice of a collection, the consent that
// the person gave, how long the value may be kept and, if the collection took place
// before the sealing, when. It
// becomes part of every value sealed under it. Anybody can read it there, and
// nobody can change it.
//
// Its references point to records elsewhere and must not describe the person.
// Their grammar has no room for an e-mail address, nor for a phone number as
// people write it: 1 to [MaxReference] ASCII letters, digits, ".", "_" and "-".
// The first is a letter or digit, and at least one is a letter.
//
// The zero Basis states nothing, and is valid.
type Basis struct {
	// Legal is the legal ground.
	Legal Legal
	// Notice is the id of the notice that the person saw at the moment of
	// collection, such as "2fa-prompt-v3". It is empty if none was shown.
	Notice string
	// Consent refers to the record of the person's consent, such as
	// "consent-2026-81f3". It is empty if there is none.
	Consent string
	// Retain is how long the value may be used, counted from the moment of
	// sealing or, if Collected is set, from Collected. It is in whole seconds and at
	// most [MaxRetain]; 0 sets no limit.
	Retain time.Duration
	// Collected is the time of a collection that took place before the sealing, as
	// in a migration of old rows. The value keeps its day, and says that the time is
	// stated and was not observed: see [Provenance.Stated]. The zero Time states
	// nothing, and the value was collected when it is sealed.
	//
	// It is from 1970-01-02, since a column without a time often reads as
	// 1970-01-01, to now. Five minutes more are allowed for clocks that differ, and
	// count as now.
	Collected time.Time `json:",omitzero"`
}

// maxLead is how far a stated time may be ahead of this clock.
const maxLead = 5 * time.Minute

// The earliest and the latest time that a basis can state, in seconds since 1970.
const (
	firstStated = 24 * 60 * 60
	lastStated  = 253402300799 // 9999-12-31T23:59:59Z, the last one of the sealed format
)

// Validate returns nil if every field is within its documented bounds, and
// [ErrBasis] otherwise.
func (b Basis) Validate() error {
	switch {
	case !b.Legal.valid():
		return fmt.Errorf("unknown legal ground: %w", ErrBasis)
	case b.Notice != "" && !ValidReference(b.Notice):
		return fmt.Errorf("malformed notice id: %w", ErrBasis)
	case b.Consent != "" && !ValidReference(b.Consent):
		return fmt.Errorf("malformed consent reference: %w", ErrBasis)
	case b.Retain < 0:
		return fmt.Errorf("negative retention: %w", ErrBasis)
	case b.Retain > MaxRetain:
		return fmt.Errorf("retention beyond 100 years: %w", ErrBasis)
	case b.Retain%time.Second != 0:
		return fmt.Errorf("retention is not in whole seconds: %w", ErrBasis)
	}
	if b.Collected.IsZero() {
		return nil
	}
	switch seconds := b.Collected.Unix(); {
	case seconds < firstStated:
		return fmt.Errorf("collection stated before 1970-01-02: %w", ErrBasis)
	case seconds > lastStated:
		return fmt.Errorf("collection stated after the year 9999: %w", ErrBasis)
	case b.Collected.After(time.Now().Add(maxLead)):
		return fmt.Errorf("collection stated in the future: %w", ErrBasis)
	}
	return nil
}

// ValidReference reports whether s follows the grammar of notice ids and consent
// references that [Basis] documents.
func ValidReference(s string) bool {
	if len(s) > MaxReference {
		return false
	}
	letter := false // as in the empty string
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letter = true
		case c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return letter
}
