package vault

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// An Opened describes the keys of one purpose that a [Vault] has opened. It holds no
// keys.
type Opened struct {
	// Purpose is the purpose of the keys.
	Purpose purpose.Purpose
	// Handle is "scope" for the keys of scopes and collectors, "lookup" or "reader". Each
	// of these asks the key service for itself.
	Handle string
	// Granted is when the key service was last asked and agreed to the keys.
	Granted time.Time
	// Lapses is when the keys fail unless the key service has agreed anew. See
	// [Options.KeyLifetime].
	Lapses time.Time
	// Looked is when the store was last asked and answered. See [Options.Refresh].
	Looked time.Time
	// Stops is when reveals, hints, indexes and extensions fail unless the store has
	// answered anew. See [Options.SuspendLifetime].
	Stops time.Time
	// Suspended holds the suspensions in force, as of Looked. See [Admin.Suspend].
	Suspended []Suspension
	// RefreshErr tells why the store was last asked in vain for the current keys. It is
	// nil once the store has answered. RenewErr is the same for the key service. Both
	// are one of the errors of this package as they are, without the text of a client.
	RefreshErr, RenewErr error
	// Generation is the number of changes of the keys.
	Generation uint64
	// Primary holds the keys that seal, index or collect now, by role. Compare their
	// Created with the age at which keys are to be rotated. Seals is as of the last
	// time that this vault wrote its own seals to the store, with its seals since then.
	Primary []Key
	// Erasing reports whether an erasure was under way when the store was last asked.
	// One that stays so was left behind by a process that ended: erase the person
	// again. It is always false for a lookup, which can't tell.
	Erasing bool
}

// Status describes the keys that v has opened, sorted by purpose and handle. It asks
// neither the store nor the key service. It is empty for a nil or zero Vault, for a vault
// that has opened no keys, and after Close.
//
// Times follow the wall clock, to within 10 milliseconds. A vault asks while its keys are
// in use, so in an idle vault Looked and Granted can be of long ago without any error.
func (v *Vault) Status() []Opened {
	if !v.valid() {
		return nil
	}
	var opened []Opened
	for _, pk := range v.opened.all() {
		if o, ok := pk.status(); ok {
			opened = append(opened, o)
		}
	}
	slices.SortFunc(opened, func(a, b Opened) int {
		return cmp.Or(cmp.Compare(a.Purpose.String(), b.Purpose.String()), cmp.Compare(a.Handle, b.Handle))
	})
	return opened
}

// status describes pk. It returns false if the vault is closed.
func (pk *purposeKeys) status() (Opened, bool) {
	k := pk.current.Load()
	if k == nil {
		return Opened{}, false
	}
	now, at := time.Now().Round(0), pk.backend.clock.exact()
	wall := func(m moment) time.Time { return now.Add(time.Duration(m - at)) }
	o := Opened{
		Purpose:    pk.id.purpose,
		Handle:     map[subset]string{allKeys: "scope", indexKeys: "lookup", readKeys: "reader"}[pk.id.subset],
		Lapses:     wall(pk.lapse.Load()),
		Looked:     wall(pk.looked.Load()),
		Stops:      wall(pk.unsure.Load()),
		Suspended:  k.suspended.inForce(now),
		RefreshErr: bareError(pk.lookErr.Load()),
		RenewErr:   bareError(pk.renewErr.Load()),
		Generation: k.generation,
		Erasing:    pk.id.subset != indexKeys && pk.erasing.Load(),
	}
	o.Granted = o.Lapses.Add(-pk.backend.early(pk.backend.opts.KeyLifetime))
	for _, key := range asOf(k.described, now) {
		if key.Status == Primary && pk.id.subset.has(key.Role) {
			if key.Role == RoleSeal {
				key.Seals = pk.backend.sealCounts(pk.id.purpose).total(key.ID)
			}
			o.Primary = append(o.Primary, key)
		}
	}
	return o, true
}

// has reports whether a handle with these keys has keys of the role.
func (s subset) has(r Role) bool {
	switch s {
	case indexKeys:
		return r == RoleIndex
	case readKeys:
		return r != RoleIndex
	}
	return true
}

// bareError returns the error of this package that *err is, without its text.
func bareError(err *error) error {
	if err == nil {
		return nil
	}
	for _, sentinel := range []error{
		ErrCorrupt, ErrAccessDenied, ErrNoKeys, context.DeadlineExceeded, ErrUnavailable, ErrConflict, ErrInvalid,
	} {
		if !errors.Is(*err, sentinel) {
			continue
		}
		if sentinel == context.DeadlineExceeded {
			return errLate
		}
		return sentinel
	}
	return ErrUnavailable
}
