package vault

import (
	"fmt"
	"maps"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// The defaults of [Options].
const (
	defaultTimeout         = 30 * time.Second
	defaultRefresh         = 5 * time.Minute
	defaultKeyLifetime     = 24 * time.Hour
	defaultSubjectLifetime = time.Minute
	defaultSubjectCache    = 16384
)

// maxDuration is the longest duration of an option. It keeps sums of durations from
// overflowing.
const maxDuration = 365 * 24 * time.Hour

// Options are the optional settings of a [Vault]. In each field zero means the
// default. A negative value, and a duration of more than a year, is [ErrInvalid].
type Options struct {
	// Audit records every use of a scope on a value and every operation on keys,
	// allowed or not. By default nothing is recorded.
	Audit audit.Auditor

	// Timeout bounds how long one call waits for the store and the key service,
	// even if its context allows more. The default is 30 seconds.
	Timeout time.Duration

	// Refresh is how long a vault uses the keys of a purpose before it asks the store
	// for newer ones. It asks in the background, only while the keys are in use, and
	// no caller waits. A key that another process destroys is therefore used for at
	// most this long, if the store answers. The default is 5 minutes.
	Refresh time.Duration

	// KeyLifetime is how long a vault uses the keys of a purpose before the key
	// service has to unwrap them again. A process can work for this long while the
	// key service is down, and keys outlive a withdrawn grant by this long. After
	// half of this time the vault asks the key service along with the next refresh.
	// The time counts from the question, no matter how long the answer takes. The
	// default is 24 hours.
	KeyLifetime time.Duration

	// SubjectLifetime is how long a vault relies on one answer of the store about a
	// subject. A subject that another process erases is erased in this process after
	// this time. The default is one minute.
	SubjectLifetime time.Duration

	// SubjectCache is the approximate number of subjects whose keys a vault keeps for
	// each purpose, in steps of 64. Each takes some 1.5 kB. The default is
	// 16384.
	SubjectCache int

	// Pins are the generations that the key store must have reached, by purpose (see
	// [Admin.Generation]). A purpose whose keys are older is [ErrCorrupt]: somebody
	// restored an old copy of the store, and with it keys that were destroyed and
	// people who were erased.
	Pins map[purpose.Purpose]uint64
}

// withDefaults returns a copy of o with defaults in place of zeros. o may be nil.
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
		out.Timeout = defaultTimeout
	}
	if out.Refresh == 0 {
		out.Refresh = defaultRefresh
	}
	if out.KeyLifetime == 0 {
		out.KeyLifetime = defaultKeyLifetime
	}
	if out.SubjectLifetime == 0 {
		out.SubjectLifetime = defaultSubjectLifetime
	}
	if out.SubjectCache == 0 {
		out.SubjectCache = defaultSubjectCache
	}
	out.Pins = maps.Clone(out.Pins)
	return out, nil
}
