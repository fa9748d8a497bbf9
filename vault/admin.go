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

// A Role is what a key is for.
type Role string

// The roles.
const (
	RoleSeal    Role = "seal"    // seals values, and wraps the keys of subjects
	RoleIndex   Role = "index"   // computes blind indexes
	RoleSubject Role = "subject" // computes the pseudonyms of subjects; never rotated
	RoleCollect Role = "collect" // opens what collectors sealed
	RoleImport  Role = "import"  // opens what was encrypted elsewhere, for Adopt
)

// A Status is what a key may still be used for.
type Status string

// The statuses.
const (
	Primary Status = "primary" // seals or indexes what is new
	Active  Status = "active"  // opens and matches what is old
	Retired Status = "retired" // does nothing, and can be brought back or destroyed
)

// A Key describes one key of a purpose. The key itself is not in it.
type Key struct {
	// ID is unlike that of any other key of the purpose.
	ID uint32
	// Role is what the key is for.
	Role Role
	// Status is what it may still be used for.
	Status Status
	// Created is when it was made, in UTC and whole seconds.
	Created time.Time
}

// Keys returns the keys of p, by role and age. It reads the store and asks the
// key service. Errors are those of [Vault.Scope].
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
		return nil, err // found may still be written to, if we left early
	}
	return found, nil
}

// Generation returns a number that grows with every change of the keys of p and
// with every erasure under p. Kept outside the key store and given to
// [Options.Pins], it makes an older copy of the store refuse to open.
// Errors are those of [Vault.Scope].
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
		return 0, err // as above
	}
	return generation, nil
}

// Rotate makes a new key the one that values of p are sealed with. Older
// values open as before; [Reseal] moves them, and [Vault.RewrapSubjects] the
// keys of subjects. Other processes take up the new key when [Options.Refresh]
// says, or at the first value that is sealed with it.
//
// Rotating in time keeps each key below 2^32 seals. [ErrConflict] says that
// somebody else changed the purpose's keys at the same time; nothing was changed
// then. Other errors are those of [Vault.Scope].
func (v *Vault) Rotate(ctx context.Context, p purpose.Purpose) error {
	return v.changeKeys(ctx, ActionRotate, p, func(r *keyRecord) error { return r.add(&r.Seal, RoleSeal) })
}

// RotateIndex makes a new key the one that indexes of p are computed with.
// Until the index columns are computed anew, look for all of [Scope.Indexes].
// A unique constraint on a column does not see that an old and a new index are
// the same person's: until the column is done, look before inserting. Errors
// are those of [Vault.Rotate].
func (v *Vault) RotateIndex(ctx context.Context, p purpose.Purpose) error {
	return v.changeKeys(ctx, ActionRotateIndex, p, func(r *keyRecord) error { return r.add(&r.Index, RoleIndex) })
}

// RotateCollector makes a new key pair the one that collectors of p seal for.
// [Vault.Collector] hands out the new one; those handed out before go on sealing
// for theirs, which opens until it is retired. A purpose whose keys were made
// where there is no X25519 gets its first pair so. Errors are those of
// [Vault.Rotate].
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

// Retire puts a key out of use: what it sealed no longer opens, and what it
// indexed no longer matches. After rotating wait for [Options.Refresh], during
// which other processes still use the key, and then move values, subject keys
// and indexes before retiring it. [Vault.Reinstate] takes it back.
//
// A primary key can't be retired and nor can the key of pseudonyms, which is
// [ErrInvalid], as is an id that is no key of p. Other errors are those of
// [Vault.Rotate].
func (v *Vault) Retire(ctx context.Context, p purpose.Purpose, id uint32) error {
	return v.changeKeys(ctx, ActionRetire, p, func(r *keyRecord) error {
		return r.edit(id, Active, func(m *keyset.Manager) error { return m.Disable(id) })
	})
}

// Reinstate makes a retired key active again. An id that is no retired key of p
// is [ErrInvalid]; other errors are those of [Vault.Rotate].
func (v *Vault) Reinstate(ctx context.Context, p purpose.Purpose, id uint32) error {
	return v.changeKeys(ctx, ActionReinstate, p, func(r *keyRecord) error {
		return r.edit(id, Retired, func(m *keyset.Manager) error { return m.Enable(id) })
	})
}

// Destroy removes a retired key for good: what it sealed is lost. An id that
// is no retired key of p is [ErrInvalid]; other errors are those of
// [Vault.Rotate].
func (v *Vault) Destroy(ctx context.Context, p purpose.Purpose, id uint32) error {
	return v.changeKeys(ctx, ActionDestroy, p, func(r *keyRecord) error {
		return r.edit(id, Retired, func(m *keyset.Manager) error { return m.Delete(id) })
	})
}

// administer runs an operation on the keys of p, and records it.
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

// change edits the key record of p in one compare-and-swap.
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

// put wraps and stores r in place of the given revision, and has the purpose's
// scopes use what it holds.
func (v *Vault) put(ctx context.Context, kek KEK, p purpose.Purpose, r *keyRecord, revision int64) error {
	w, err := newKEKClient(ctx, kek, p)
	if err != nil {
		return err
	}
	data, err := wrap(w, p, r)
	if err != nil {
		return err
	}
	// Keys that can't be read back, or can be under another purpose, are worth
	// less than those that are there: find out before they are stored.
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

// add puts a fresh key into one of the record's keysets. Its id is unlike that
// of any other key of the purpose, whatever its role.
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

// edit changes the keyset of the key with that id, if it has that status.
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

// describe lists the keys of all keysets.
func (r *keyRecord) describe() ([]Key, error) {
	var all []Key
	for _, set := range r.keysets() {
		h, err := set.handle()
		if err != nil && set.role == RoleCollect {
			continue // which a platform without X25519 can't read, and leaves as it is
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
