package vault

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Role is the function of a key within its purpose.
type Role string

// The roles.
const (
	RoleSeal    Role = "seal"    // seals values, and wraps the keys of subjects
	RoleIndex   Role = "index"   // computes blind indexes
	RoleSubject Role = "subject" // computes the pseudonyms of subjects; never rotated
	RoleCollect Role = "collect" // opens values that collectors sealed
	RoleImport  Role = "import"  // opens ciphertexts that were made elsewhere, for Adopt
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

// Keys returns the keys of p, by role and age. It reads the store and asks the key
// service. It returns the errors of [Vault.Scope].
func (v *Vault) Keys(ctx context.Context, p purpose.Purpose) ([]Key, error) {
	var found []Key
	err := v.operate(ctx, ActionKeys, p, func(ctx context.Context) error {
		r, _, err := v.readKeyRecord(ctx, p)
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
func (v *Vault) Generation(ctx context.Context, p purpose.Purpose) (uint64, error) {
	var generation uint64
	err := v.operate(ctx, ActionKeys, p, func(ctx context.Context) error {
		at, seen := v.state(p)
		k, erasures, err := v.load(ctx, keysID{purpose: p}, &keys{}, 0)
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

// Rotate makes a new key for p, and values are sealed with it from then on. Older values
// open as before. [Reseal] moves values to the new key, and [Vault.RewrapSubjects] moves
// the keys of subjects. Other processes start to use the new key after [Options.Refresh],
// or when they open the first value that is sealed with it.
//
// Rotate in time to keep each key below 2^32 seals. [ErrConflict] says that another
// process changed the keys of the purpose at the same time, and that this call changed
// nothing. Other errors are the errors of [Vault.Scope].
func (v *Vault) Rotate(ctx context.Context, p purpose.Purpose) error {
	return v.changeKeys(ctx, ActionRotate, p, func(r *keyRecord) error { return r.add(&r.Seal, RoleSeal) })
}

// RotateIndex makes a new key for p, and indexes are computed with it from then on.
// Until the index columns are computed anew, search for all of [Scope.Indexes]. A unique
// constraint on a column does not see that an old and a new index belong to one person:
// until the column is done, search before inserting. RotateIndex returns the errors of
// [Vault.Rotate].
func (v *Vault) RotateIndex(ctx context.Context, p purpose.Purpose) error {
	return v.changeKeys(ctx, ActionRotateIndex, p, func(r *keyRecord) error { return r.add(&r.Index, RoleIndex) })
}

// RotateCollector makes a new key pair for p, and [Vault.Collector] returns collectors
// that seal for it from then on. Earlier collectors go on sealing for their own key
// pair, whose values open until it is retired. A purpose whose keys were made on a
// platform without X25519 gets its first key pair this way. RotateCollector returns the
// errors of [Vault.Rotate].
func (v *Vault) RotateCollector(ctx context.Context, p purpose.Purpose) error {
	return v.changeKeys(ctx, ActionRotateCollector, p, func(r *keyRecord) error {
		collect := r.Collect
		if collect == nil {
			collect = &keysetRecord{}
		}
		if err := r.add(collect, RoleCollect); err != nil {
			return err
		}
		r.Collect = collect
		return nil
	})
}

// Retire puts a key out of use: values that it sealed no longer open, and indexes that
// it computed no longer match. After rotating, wait for [Options.Refresh], because other
// processes still use the key during that time. Then move values, subject keys and
// indexes, and retire the key last. [Vault.Reinstate] undoes Retire.
//
// Only an active key can be retired: a primary key, the key of pseudonyms, and an id
// that is no key of p are [ErrInvalid]. Other errors are the errors of [Vault.Rotate].
func (v *Vault) Retire(ctx context.Context, p purpose.Purpose, id uint32) error {
	return v.changeKeys(ctx, ActionRetire, p, func(r *keyRecord) error {
		return r.edit(id, Active, func(m *keyset.Manager) error { return m.Disable(id) })
	})
}

// Reinstate makes a retired key active again. An id that is no retired key of p is
// [ErrInvalid]; other errors are the errors of [Vault.Rotate].
func (v *Vault) Reinstate(ctx context.Context, p purpose.Purpose, id uint32) error {
	return v.changeKeys(ctx, ActionReinstate, p, func(r *keyRecord) error {
		return r.edit(id, Retired, func(m *keyset.Manager) error { return m.Enable(id) })
	})
}

// Destroy removes a retired key for good: values that it sealed are lost. An id that is
// no retired key of p is [ErrInvalid]; other errors are the errors of [Vault.Rotate].
func (v *Vault) Destroy(ctx context.Context, p purpose.Purpose, id uint32) error {
	return v.changeKeys(ctx, ActionDestroy, p, func(r *keyRecord) error {
		return r.edit(id, Retired, func(m *keyset.Manager) error { return m.Delete(id) })
	})
}

// operate runs an operation on the keys of p, and audits it.
func (v *Vault) operate(ctx context.Context, a Action, p purpose.Purpose, f func(context.Context) error) error {
	var err error
	switch {
	case p.IsZero():
		err = errNoPurpose
	case ctx.Err() != nil:
		err = ctxError(ctx)
	default:
		err = v.exclusive(ctx, a, p, f)
	}
	if err = v.audit(ctx, Event{Action: a, Purpose: p}, err); err != nil {
		return keysError(a, p, err)
	}
	return nil
}

// changeKeys edits the key record of p in one compare-and-swap.
func (v *Vault) changeKeys(ctx context.Context, a Action, p purpose.Purpose, edit func(*keyRecord) error) error {
	return v.operate(ctx, a, p, func(ctx context.Context) error {
		r, old, err := v.readKeyRecord(ctx, p)
		if err != nil {
			return err
		}
		if err := edit(r); err != nil {
			return err
		}
		r.Generation++
		return v.put(ctx, v.kekOf(p), p, r, old.Revision)
	})
}

// put wraps r, stores it in place of the given revision, and installs its keys in the
// scopes of p.
func (v *Vault) put(ctx context.Context, kek KEK, p purpose.Purpose, r *keyRecord, revision int64) error {
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
	k, err := v.unwrap(w, p, Record{Data: data})
	if err != nil {
		return err
	}
	k.revision, err = v.store.Put(ctx, Record{Name: keyRecordName(p), Data: data, Revision: revision})
	if err != nil {
		return storeError(err)
	}
	for _, pk := range v.findAll(p) {
		if err := pk.install(k.restrict(pk.id.subset)); err != nil {
			return err
		}
	}
	return nil
}

// add puts a fresh key into one of the record's keysets. Its id is unique among the keys
// of the purpose, in all roles.
func (r *keyRecord) add(to *keysetRecord, role Role) error {
	known, err := r.describe()
	if err != nil {
		return err
	}
	ids := make(map[uint32]bool)
	for _, k := range known {
		ids[k.ID] = true
	}
	for {
		next := *to
		if err := next.add(role); err != nil {
			return fmt.Errorf("no such key can be made here: %w", ErrUnavailable)
		}
		fresh := false
		for id := range next.Created {
			fresh = fresh || !ids[id]
		}
		if fresh {
			*to = next
			return nil
		}
	}
}

// edit applies f to the keyset of the key with the given id. The key must have the given
// status, and must not be the key of pseudonyms.
func (r *keyRecord) edit(id uint32, status Status, f func(*keyset.Manager) error) error {
	known, err := r.describe()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(known, func(k Key) bool { return k.ID == id })
	switch {
	case i < 0:
		return fmt.Errorf("no key of that id: %w", ErrInvalid)
	case known[i].Status != status:
		return fmt.Errorf("key is %s, not %s: %w", known[i].Status, status, ErrInvalid)
	case known[i].Role == RoleSubject:
		return fmt.Errorf("key of pseudonyms: %w", ErrInvalid)
	}
	for _, of := range r.keysets() {
		if of.role != known[i].Role {
			continue
		}
		h, err := of.handle()
		if err != nil {
			return errKeyset
		}
		m := keyset.NewManagerFromHandle(h)
		if err := f(m); err != nil {
			return errKeyset
		}
		if err := of.set(m); err != nil {
			return errKeyset
		}
	}
	return nil
}

// describe returns the keys of all keysets.
func (r *keyRecord) describe() ([]Key, error) {
	var all []Key
	for _, set := range r.keysets() {
		h, err := set.handle()
		if err != nil && set.role == RoleCollect {
			continue // a platform without X25519 can't read the keyset, and leaves it as it is
		}
		if err != nil {
			return nil, fmt.Errorf("malformed key record: %w", ErrCorrupt)
		}
		start := len(all)
		for i := range h.Len() {
			e, err := h.Entry(i)
			if err != nil {
				return nil, fmt.Errorf("malformed key record: %w", ErrCorrupt)
			}
			k := Key{ID: e.KeyID(), Role: set.role, Status: Active, Created: time.Unix(set.Created[e.KeyID()], 0).UTC()}
			switch {
			case e.IsPrimary():
				k.Status = Primary
			case e.KeyStatus() != keyset.Enabled:
				k.Status = Retired
			}
			all = append(all, k)
		}
		slices.SortStableFunc(all[start:], func(a, b Key) int { return cmp.Compare(a.Created.Unix(), b.Created.Unix()) })
	}
	return all, nil
}
