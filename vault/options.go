package vault

import (
	"fmt"
	"maps"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// What holds where [Options] says nothing else.
const (
	DefaultTimeout         = 30 * time.Second
	DefaultRefresh         = 5 * time.Minute
	DefaultKeyLifetime     = 24 * time.Hour
	DefaultSubjectLifetime = time.Minute
	DefaultSubjectCache    = 16384
)

// maxDuration keeps sums of durations from overflowing.
const maxDuration = 365 * 24 * time.Hour

// Options are the optional settings of a [Vault]. In each field zero stands for
// the default; less than zero, and more than a year, is [ErrInvalid].
type Options struct {
	// Audit is given every use of a scope on a value and every operation on keys,
	// allowed or not. By default nothing is recorded.
	Audit Auditor

	// Timeout bounds how long one call waits for the store and the key service,
	// whatever its context says. It is [DefaultTimeout] by default.
	Timeout time.Duration

	// Refresh is how long a vault uses the keys of a purpose before it looks
	// whether the store has newer ones, which it does while they are in use and
	// without holding anybody up. A key that another process destroys is so used
	// for this long at most, if the store answers. It is [DefaultRefresh] by
	// default.
	Refresh time.Duration

	// KeyLifetime is how long a vault uses the keys of a purpose without the key
	// service having said yes to them anew: so long can a process work while the key
	// service is down, and so long do keys outlive a grant that was withdrawn. When
	// half of it is over, the key service is asked along with the next refresh. It
	// counts from the question, however long the answer takes, and is
	// [DefaultKeyLifetime] by default.
	KeyLifetime time.Duration

	// SubjectLifetime is how long a vault believes what the store said of one
	// subject. A subject that another process erases is erased in this one when it
	// is over. It is [DefaultSubjectLifetime] by default.
	SubjectLifetime time.Duration

	// SubjectCache is about how many subjects' keys of one purpose a vault keeps, at
	// some 1.5 kB each, in steps of 64. It is [DefaultSubjectCache] by default.
	SubjectCache int

	// Pins are the generations, by purpose, that the key store has to have reached
	// (see [Vault.Generation]). Purposes whose keys are older are [ErrCorrupt]:
	// somebody put back an old copy of the store, and with it keys that were
	// destroyed and people who were erased.
	Pins map[purpose.Purpose]uint64
}

// withDefaults returns a copy of o, which may be nil, without zeros.
func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	for _, d := range []time.Duration{out.Timeout, out.Refresh, out.KeyLifetime, out.SubjectLifetime} {
		if d < 0 || d > maxDuration {
			return out, fmt.Errorf("option out of bounds: %w", ErrInvalid)
		}
	}
	if out.SubjectCache < 0 {
		return out, fmt.Errorf("option out of bounds: %w", ErrInvalid)
	}
	if out.Timeout == 0 {
		out.Timeout = DefaultTimeout
	}
	if out.Refresh == 0 {
		out.Refresh = DefaultRefresh
	}
	if out.KeyLifetime == 0 {
		out.KeyLifetime = DefaultKeyLifetime
	}
	if out.SubjectLifetime == 0 {
		out.SubjectLifetime = DefaultSubjectLifetime
	}
	if out.SubjectCache == 0 {
		out.SubjectCache = DefaultSubjectCache
	}
	out.Pins = maps.Clone(out.Pins)
	return out, nil
}
