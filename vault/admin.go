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

// A Role is the function of a key within its purpose.
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
	Retired Status = "retired" // is out of use, and can be reinstated or destroyed
)

// A Key describes one key of a purpose. It does not hold the key itself.
type Key struct {
	// ID is unique among the keys of the purpose.
	ID uint32
	// Role is the function of the key.
	Role Role
	// Status tells how the key may still be used.
	Status Status
	// Created is the time at which the key was made, in UTC and whole seconds.
	Created time.Time
}

// An Admin changes the keys of purposes. It can do all that a [Vault] can, and is
// for the tools and start-up code that operate a service; code that serves
// requests gets a [Vault], which changes no keys. Its methods may be called from
// many goroutines at once. A zero Admin is [ErrInvalid] everywhere: see [OpenAdmin]. So
// is a nil Admin, except that the methods that it has from Vault panic.
type Admin struct{ *base }

// base is embedded under a name that other packages can't write, so that nobody
// makes an Admin of a Vault.
type base = Vault

// OpenAdmin returns the Admin over store and kek, as [Open] returns the Vault.
func OpenAdmin(ctx context.Context, store Store, kek KEK, opts *Options) (*Admin, error) {
	v, err := Open(ctx, store, kek, opts)
	if err != nil {
		return nil, err
	}
	return &Admin{v}, nil
}

// Vault returns the vault of a, which shares its opened keys and can't change
// them. It is nil for a nil or zero Admin.
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

// Generate makes keys for each of the given purposes that has none yet. It leaves
// existing keys untouched. If a purpose fails, the purposes before it stay done, and
// another call completes the rest. If two processes generate at once, the keys of one
// are kept and both use them.
//
// A KEK that ignores associated data is refused with [ErrNoKeys] before
// anything is stored. A zero purpose is [ErrInvalid].
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

// Keys returns the keys of p, by role and age. It reads the store and asks the key
// service. It returns the errors of [Vault.Scope].
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
		return nil, err // the call may still write to found, if it was left early
	}
	return found, nil
}

// Generation returns a number that grows with every change of the keys of p and with
// every erasure under p. Keep the number outside the key store and pass it in
// [Options.Pins]: an older copy of the store then does not open. Generation returns the
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
		return 0, err // the call may still write to generation, if it was left early
	}
	return generation, nil
}

// Rotate makes a new key of the given role, which is used for everything new from
// then on. Older keys go on opening and matching until they are retired. Other
// processes take up the new key within [Options.Refresh], or at the first value
// that is sealed with it.
//
// After a rotation of [RoleSeal], [Reseal] moves values to the new key and
// [Admin.RewrapSubjects] the keys of subjects. Rotating in time keeps each key
// below 2^32 seals.
//
// After a rotation of [RoleIndex], look for all of [Scope.Indexes] until the index
// columns are computed anew. A unique constraint on a column does not see that an
// old and a new index are of one person: until the column is done, look before
// inserting.
//
// After a rotation of [RoleCollect], [Vault.Collector] returns collectors of the
// new key pair. Earlier ones go on sealing for theirs, which opens until it is
// retired. A purpose whose keys were made on a platform without X25519 gets its
// first pair in this way.
//
// The key of pseudonyms, [RoleSubject], can't be rotated, which is [ErrInvalid], as
// is an unknown role. [ErrConflict] says that another process changed the keys of
// the purpose at the same time; nothing was changed then. Other errors are those
// of [Vault.Scope].
func (a *Admin) Rotate(ctx context.Context, p purpose.Purpose, role Role) error {
	e := audit.Event{Action: audit.Rotate, Purpose: p}
	switch role { // an event has no text of the caller's
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
// it computed no longer match. After rotating, wait for [Options.Refresh], because other
// processes still use the key during that time. Then move values, subject keys and
// indexes, and retire the key last. [Admin.Reinstate] undoes Retire.
//
// Only an active key can be retired: a primary key, the key of pseudonyms, and an id
// that is no key of p are [ErrInvalid]. Other errors are the errors of [Admin.Rotate].
func (a *Admin) Retire(ctx context.Context, p purpose.Purpose, id uint32) error {
	return a.changeKeys(ctx, audit.Event{Action: audit.Retire, Purpose: p}, func(r *keyRecord) error {
		return r.edit(id, Active, func(m *keyset.Manager) error { return m.Disable(id) })
	})
}

// Reinstate makes a retired key active again. An id that is no retired key of p is
// [ErrInvalid]; other errors are the errors of [Admin.Rotate].
func (a *Admin) Reinstate(ctx context.Context, p purpose.Purpose, id uint32) error {
	return a.changeKeys(ctx, audit.Event{Action: audit.Reinstate, Purpose: p}, func(r *keyRecord) error {
		return r.edit(id, Retired, func(m *keyset.Manager) error { return m.Enable(id) })
	})
}

// Destroy removes a retired key for good: values that it sealed are lost. An id that is
// no retired key of p is [ErrInvalid]; other errors are the errors of [Admin.Rotate].
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
	// Keys that can't be read back, or that open under another purpose, are worth
	// less than the keys in the store: find out before they are stored.
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
		return nil, Record{}, fmt.Errorf("malformed key record: %w", ErrCorrupt)
	}
	erasures, err := decodeErasures(k, p, records[1].Data)
	switch {
	case err != nil:
		return nil, Record{}, err
	case r.Generation+erasures < a.opts.Pins[p]:
		return nil, Record{}, errPin
	case r.Generation < at || erasures < seen:
		return nil, Record{}, errRollback // a change would make it look newer
	}
	return r, records[0], nil
}
