package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A Role tells the use of a key within its purpose.
type Role string

// The roles.
const (
	RoleSeal    Role = "seal"    // seals values, and wraps the keys of subjects
	RoleIndex   Role = "index"   // computes blind indexes
	RoleSubject Role = "subject" // computes the pseudonyms of subjects; never rotated
	RoleCollect Role = "collect" // opens values that collectors sealed
)

// A Status tells how a key may still be used.
type Status string

// The statuses.
const (
	Primary Status = "primary" // seals or indexes new values
	Active  Status = "active"  // opens and matches old values
	Retired Status = "retired" // out of use; can be reinstated or destroyed
)

// A Key describes one key of a purpose. It does not hold the key itself.
type Key struct {
	// ID is unique among the keys of the purpose.
	ID uint32
	// Role tells the use of the key.
	Role Role
	// Status tells how the key may still be used.
	Status Status
	// Created is the time at which the key was made, in UTC and whole seconds.
	Created time.Time
}

// An Admin is a [Vault] that can also change the keys of purposes. It is for tools and
// start-up code. Code that serves requests gets the Vault, which changes no keys.
// [OpenAdmin] makes an Admin. A zero Admin is [ErrInvalid] everywhere, and so is a nil
// Admin, except that the methods that it has from Vault panic. Its methods may be called
// from many goroutines at once.
type Admin struct{ *base }

// base is a name that other packages can't write, so they can't make an Admin from a
// Vault.
type base = Vault

// OpenAdmin returns an Admin with the keys in store, wrapped by kek. It takes the
// arguments of [Open] and returns its errors.
func OpenAdmin(ctx context.Context, store Store, kek KEK, opts *Options) (*Admin, error) {
	v, err := Open(ctx, store, kek, opts)
	if err != nil {
		return nil, err
	}
	return &Admin{v}, nil
}

// Vault returns a's Vault, for code that must not change keys. Both share the opened
// keys. It is nil for a nil or zero Admin.
func (a *Admin) Vault() *Vault {
	if a == nil {
		return nil
	}
	return a.base
}

// operate is the method of the Vault, for an Admin that may be nil.
func (a *Admin) operate(ctx context.Context, e audit.Event, f func(context.Context) error) error {
	return a.Vault().operate(ctx, e, f)
}

// String returns "vault.Admin".
func (a *Admin) String() string { return "vault.Admin" }

// Format implements [fmt.Formatter]: every verb prints "vault.Admin".
func (a *Admin) Format(f fmt.State, verb rune) { printLabel(f, verb, a.String()) }

// Generate makes keys for each of the given purposes that has none. It leaves existing
// keys untouched. If it fails for a purpose, the purposes before it have their keys, and
// another call makes the rest. If two processes generate at once, both use the keys of
// the one that stored them first.
//
// A KEK that ignores associated data is [ErrNoKeys], and then nothing is stored. A zero
// purpose is [ErrInvalid].
func (a *Admin) Generate(ctx context.Context, purposes ...purpose.Purpose) error {
	for _, p := range purposes {
		err := a.operate(ctx, audit.Event{Action: audit.Generate, Purpose: p}, func(ctx context.Context) error {
			return a.generate(ctx, p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Admin) generate(ctx context.Context, p purpose.Purpose) error {
	records, err := a.get(ctx, keyRecordName(p))
	if err != nil || records[0].Revision != 0 {
		return err
	}
	kek := a.kekOf(p)
	if err := generateKEK(ctx, kek, p); err != nil {
		return err
	}
	r, err := newKeyRecord(p)
	if err != nil {
		return fmt.Errorf("generating keysets: %w", ErrUnavailable)
	}
	err = a.put(ctx, kek, p, r, 0)
	if errors.Is(err, ErrConflict) {
		// Another process was first. If its keys are there, the purpose has them.
		if records, getErr := a.get(ctx, keyRecordName(p)); getErr == nil && records[0].Revision != 0 {
			return nil
		}
	}
	return err
}

// Keys returns the keys of p, sorted by role and age. It reads the store and calls the
// key service each time. Its errors are the errors of [Vault.Scope].
func (a *Admin) Keys(ctx context.Context, p purpose.Purpose) ([]Key, error) {
	var found []Key
	err := a.operate(ctx, audit.Event{Action: audit.List, Purpose: p}, func(ctx context.Context) error {
		r, _, err := a.readKeyRecord(ctx, p)
		if err != nil {
			return err
		}
		found, err = r.describe()
		return err
	})
	if err != nil {
		return nil, err // not found: a call that was left early may still write to it
	}
	return found, nil
}

// Generation returns a number that grows with every change of the keys of p and with
// every erasure under p. Keep the number outside the key store and pass it in
// [Options.Pins]: an older copy of the store then does not open. Its errors are the
// errors of [Vault.Scope].
func (a *Admin) Generation(ctx context.Context, p purpose.Purpose) (uint64, error) {
	var generation uint64
	err := a.operate(ctx, audit.Event{Action: audit.List, Purpose: p}, func(ctx context.Context) error {
		at, seen := a.state(p)
		k, erasures, err := a.load(ctx, keysID{purpose: p}, &keys{}, 0)
		switch {
		case err != nil:
			return err
		case k.generation < at || erasures < seen:
			return errRollback
		}
		generation = k.generation + erasures
		return nil
	})
	if err != nil {
		return 0, err // not generation: a call that was left early may still write to it
	}
	return generation, nil
}

// Rotate makes a new key of the given role, and makes it the primary key. Older keys
// still open and match until they are retired. Other processes use the new key within
// [Options.Refresh], or from the first value that they meet under it.
//
// After a rotation of [RoleSeal], [Reseal] moves values to the new key, and
// [Admin.RewrapSubjects] moves the keys of subjects. Rotate before a key has sealed
// 2^32 times.
//
// After a rotation of [RoleIndex], search for all of [Scope.Indexes] until the index
// columns are computed anew. Until then a unique constraint does not see that an old and
// a new index belong to one person, so search before you insert.
//
// After a rotation of [RoleCollect], [Vault.Collector] returns collectors with the new
// public key. Earlier collectors seal with their old public key. Its private key opens
// their values until it is retired. A purpose whose keys were made on a platform without
// X25519 gets its first key pair from Rotate.
//
// [RoleSubject] can't be rotated: it is [ErrInvalid], and so is an unknown role.
// [ErrConflict] reports that another process changed the keys of p at the same time, and
// that this call changed nothing. Other errors are the errors of [Vault.Scope].
func (a *Admin) Rotate(ctx context.Context, p purpose.Purpose, role Role) error {
	e := audit.Event{Action: audit.Rotate, Purpose: p}
	switch role { // an event never repeats a caller's unknown text
	case RoleSeal, RoleIndex, RoleCollect, RoleSubject:
		e.Role = string(role)
	}
	return a.changeKeys(ctx, e, func(r *keyRecord) error {
		switch role {
		case RoleSeal:
			return r.add(&r.Seal, role)
		case RoleIndex:
			return r.add(&r.Index, role)
		case RoleCollect:
			collect := r.Collect
			if collect == nil {
				collect = &keysetRecord{}
			}
			if err := r.add(collect, role); err != nil {
				return err
			}
			r.Collect = collect
			return nil
		case RoleSubject:
			return errPseudonymKey
		}
		return fmt.Errorf("no such role: %w", ErrInvalid)
	})
}

// Retire puts a key out of use: values that it sealed no longer open, and indexes that
// it computed no longer match. After a rotation, wait for [Options.Refresh], because
// other processes use the old key until then. Then move values, subject keys and
// indexes to the new key, and retire the old key last. [Admin.Reinstate] undoes Retire.
//
// Only an active key can be retired. A primary key, the key of [RoleSubject] and an id
// that is no key of p are [ErrInvalid]. Other errors are the errors of [Admin.Rotate].
func (a *Admin) Retire(ctx context.Context, p purpose.Purpose, id uint32) error {
	return a.changeKeys(ctx, audit.Event{Action: audit.Retire, Purpose: p}, func(r *keyRecord) error {
		return r.edit(id, Active, func(m *keyset.Manager) error { return m.Disable(id) })
	})
}

// Reinstate makes a retired key active again. An id that is no retired key of p is
// [ErrInvalid]. Other errors are the errors of [Admin.Rotate].
func (a *Admin) Reinstate(ctx context.Context, p purpose.Purpose, id uint32) error {
	return a.changeKeys(ctx, audit.Event{Action: audit.Reinstate, Purpose: p}, func(r *keyRecord) error {
		return r.edit(id, Retired, func(m *keyset.Manager) error { return m.Enable(id) })
	})
}

// Destroy deletes a retired key for good: values that it sealed are lost. An id that is
// no retired key of p is [ErrInvalid]. Other errors are the errors of [Admin.Rotate].
func (a *Admin) Destroy(ctx context.Context, p purpose.Purpose, id uint32) error {
	return a.changeKeys(ctx, audit.Event{Action: audit.Destroy, Purpose: p}, func(r *keyRecord) error {
		return r.edit(id, Retired, func(m *keyset.Manager) error { return m.Delete(id) })
	})
}

// changeKeys edits the key record of p in one compare-and-swap.
func (a *Admin) changeKeys(ctx context.Context, e audit.Event, edit func(*keyRecord) error) error {
	p := e.Purpose
	return a.operate(ctx, e, func(ctx context.Context) error {
		r, old, err := a.readKeyRecord(ctx, p)
		if err != nil {
			return err
		}
		if err := edit(r); err != nil {
			return err
		}
		r.Generation++
		return a.put(ctx, a.kekOf(p), p, r, old.Revision)
	})
}

// put wraps r, stores it in place of the given revision, and installs its keys in the
// scopes of p.
func (a *Admin) put(ctx context.Context, kek KEK, p purpose.Purpose, r *keyRecord, revision int64) error {
	w, err := newKEKClient(ctx, kek, p)
	if err != nil {
		return err
	}
	data, err := wrap(w, p, r)
	if err != nil {
		return err
	}
	// Test before storing: keys that can't be read back, or that open under another
	// purpose, must not replace the keys in the store.
	wrapped, _, _ := cutKeyRecord(data)
	if err := w.selfTest(p, wrapped); err != nil {
		return err
	}
	k, err := a.unwrap(w, p, Record{Data: data})
	if err != nil {
		return err
	}
	k.revision, err = a.store.Put(ctx, Record{Name: keyRecordName(p), Data: data, Revision: revision})
	if err != nil {
		return storeError(err)
	}
	for _, pk := range a.findAll(p) {
		if err := pk.install(k.restrict(pk.id.subset)); err != nil {
			return err
		}
	}
	return nil
}

// readKeyRecord reads and unwraps the key record of p, so that it can be changed.
func (a *Admin) readKeyRecord(ctx context.Context, p purpose.Purpose) (*keyRecord, Record, error) {
	return a.readKeyRecordWith(ctx, a.kekOf(p), p)
}

func (a *Admin) readKeyRecordWith(ctx context.Context, kek KEK, p purpose.Purpose) (*keyRecord, Record, error) {
	at, seen := a.state(p)
	records, err := a.get(ctx, keyRecordName(p), erasuresName(p))
	if err != nil {
		return nil, Record{}, err
	}
	if records[0].Revision == 0 {
		return nil, Record{}, errNone
	}
	w, err := newKEKClient(ctx, kek, p)
	if err != nil {
		return nil, Record{}, err
	}
	r, err := unwrap(w, p, records[0].Data)
	if err != nil {
		return nil, Record{}, err
	}
	k, err := r.open()
	if err != nil {
		return nil, Record{}, errKeyRecord
	}
	erasures, err := decodeErasures(k, p, records[1].Data)
	switch {
	case err != nil:
		return nil, Record{}, err
	case r.Generation+erasures < a.opts.Pins[p]:
		return nil, Record{}, errPin
	case r.Generation < at || erasures < seen:
		return nil, Record{}, errRollback // a change would make the old record look newer
	}
	return r, records[0], nil
}
