package vault

import (
	"context"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// The defaults of [Options].
const (
	defaultTimeout         = 30 * time.Second
	defaultRefresh         = 5 * time.Minute
	defaultKeyLifetime     = 24 * time.Hour
	defaultSuspendLifetime = time.Hour
	defaultSubjectLifetime = time.Minute
	defaultSubjectCache    = 16384
	defaultDestroyAfter    = 30 * 24 * time.Hour
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
	// for newer ones, by the wall clock. While the keys are in use, the vault asks in
	// the background after half of this time, and no caller waits. Keys that were not
	// in use for this long, as on a machine that was suspended, are read again before
	// they seal, index or wrap; the caller waits. A key that another process replaces
	// is therefore used for at most this long, if the store answers. If it does not,
	// the vault goes on with the keys that it has, asks once a second while they are
	// in use, and writes no record of a subject. A key that [Admin.Rotate] publishes becomes
	// primary after this time and a tenth of it, so all vaults with keys in one store
	// need the same Refresh. The default is 5 minutes.
	Refresh time.Duration

	// KeyLifetime is how long a vault uses the keys of a purpose before the key
	// service has to unwrap them again, by the wall clock. A process can work for this
	// long while the key service is down, and keys outlive a withdrawn grant by this
	// long. After half of this time the vault asks the key service along with the next
	// refresh. The time counts from the question, no matter how long the answer takes.
	// Each vault shortens it by a fraction of its own, up to a tenth, so that processes
	// which were started together do not ask, or end, together. The default is 24
	// hours.
	KeyLifetime time.Duration

	// SuspendLifetime is how long a vault reveals, hints, indexes and extends without an
	// answer of the store, by the wall clock: after that time it can't know whether these
	// actions were suspended, and refuses them with [ErrUnavailable] until the store answers.
	// Sealing and [Reseal] go on. So it is the time after which a process that is cut off
	// heeds [Admin.Suspend], and the time for which an outage of the store harms nobody, if
	// it is shorter than KeyLifetime. Each vault shortens it by the fraction of KeyLifetime.
	// If it is shorter than Refresh, the vault asks the store that often. The default is
	// 1 hour.
	SuspendLifetime time.Duration

	// SubjectLifetime is how long a vault relies on one answer of the store about a
	// subject. A subject that another process erases is erased in this process after
	// this time. The default is one minute.
	SubjectLifetime time.Duration

	// SubjectGrace is how much longer than SubjectLifetime a vault relies on the last
	// answer about a subject while the store does not answer. The vault asks the store
	// once a second meanwhile. A subject that another process erases is then erased in
	// this process after the sum of both times at the latest. The default is none:
	// values of subjects fail one SubjectLifetime after the store failed.
	SubjectGrace time.Duration

	// SubjectCache is the approximate number of subjects whose keys a vault keeps for
	// each purpose, in steps of 64. Each takes some 1 kB. The default is
	// 16384.
	SubjectCache int

	// ExactTimes makes this vault, and the collectors that it returns, write times to
	// the second. Without it, the time of collection is the day in UTC, and a retention
	// of a day or more ends with the day in which it runs out. Anybody who sees two
	// tables can link rows by rare times: at one sign-up a second, half of all people
	// are alone in their second. The times in records about subjects follow it too.
	ExactTimes bool

	// Collectors is the mechanism of the key pairs that [Admin.Generate] and
	// [Admin.Rotate] make for collectors. The default is [XWing]. Anything but XWing
	// and [X25519] is [ErrInvalid].
	Collectors CollectorKEM

	// DestroyAfter is how long a key has to be retired before [Admin.Destroy] destroys
	// it, in whole seconds: the time in which somebody notices that data still needs the
	// key, such as a backup. Under one second a key can be destroyed at once. The
	// default is 30 days.
	DestroyAfter time.Duration

	// Budget bounds how many values and texts this vault reveals, hints, indexes and
	// extends for a purpose, through all of its scopes, lookups and readers together. Each
	// value counts, also one that does not open. Beyond the budget they are [ErrBudget],
	// which is [ErrUnavailable]. The first refusal in a row makes an event of
	// [audit.Budget]; the next such event comes after the budget was whole again. Sealing
	// and [Reseal] cost nothing. A job that opens a whole table runs with a vault without
	// budget. By default, and for a purpose that is not in the map, there is none. A budget
	// out of bounds is [ErrInvalid].
	Budget map[purpose.Purpose]Budget

	// Pin returns the state that the key store must have reached for a purpose: see
	// [Admin.Pin] and [FixedPins]. It is called whenever keys are opened, read again or
	// changed, and read for an erasure, so it may read the pin from a log. It should
	// return when ctx is done. A purpose whose keys or erasures are older than the pin,
	// or did not come from it, is [ErrCorrupt]: somebody restored an old copy of the
	// store, and with it keys that were destroyed and people who were erased. The zero
	// Pin pins nothing. A pin of another purpose is [ErrInvalid]. An error that is no
	// sentinel of this package is [ErrUnavailable], and its text is not repeated. By
	// default nothing is pinned.
	Pin func(ctx context.Context, p purpose.Purpose) (Pin, error)
}

// withDefaults returns a copy of o with defaults in place of zeros. o may be nil.
func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	for _, d := range []struct {
		option   string
		value    *time.Duration
		fallback time.Duration
	}{
		{"Timeout", &out.Timeout, defaultTimeout},
		{"Refresh", &out.Refresh, defaultRefresh},
		{"KeyLifetime", &out.KeyLifetime, defaultKeyLifetime},
		{"SuspendLifetime", &out.SuspendLifetime, defaultSuspendLifetime},
		{"SubjectLifetime", &out.SubjectLifetime, defaultSubjectLifetime},
		{"SubjectGrace", &out.SubjectGrace, 0},
		{"DestroyAfter", &out.DestroyAfter, defaultDestroyAfter},
	} {
		switch {
		case *d.value < 0 || *d.value > maxDuration:
			return out, fmt.Errorf("option %s is negative or longer than a year: %w", d.option, ErrInvalid)
		case *d.value == 0:
			*d.value = d.fallback
		}
	}
	switch {
	case out.SubjectCache < 0:
		return out, fmt.Errorf("option SubjectCache is negative: %w", ErrInvalid)
	case out.SubjectCache == 0:
		out.SubjectCache = defaultSubjectCache
	}
	for p, b := range out.Budget {
		if err := b.check(); err != nil {
			return out, fmt.Errorf("option Budget, %s: %w", p, err)
		}
	}
	out.Audit = comparableAuditor(out.Audit)
	switch out.Collectors {
	case "":
		out.Collectors = XWing
	case XWing, X25519:
	default:
		return out, fmt.Errorf("option Collectors is no mechanism that there is: %w", ErrInvalid)
	}
	return out, nil
}
