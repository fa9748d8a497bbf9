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

// Rotate makes a new key of the given role and publishes it: the key is active at once,
// and becomes the primary key after [Options.Refresh] and a tenth of it. By then every
// process has read the store, so that all open and match with the new key before the
// first of them seals or indexes with it. Each process tells the time by its own clock.
// [Key.PrimaryAt] is the time, and [Admin.Promote] does not wait for it. The first key of
// a role is primary at once. Older keys still open and match until they are retired.
//
// After a rotation of [RoleSeal], [Reseal] moves values to the new key, and
// [Admin.RewrapSubjects] moves the keys of subjects. Both come after [Key.PrimaryAt].
// Rotate before a key has sealed 2^32 times.
//
// After a rotation of [RoleIndex], search for all of [Scope.Indexes] until the index
// columns are computed anew. Until then a unique constraint does not see that an old and
// a new index belong to one person, so search before you insert, and hold a lock on each
// of the indexes meanwhile.
//
// After a rotation of [RoleCollect], [Vault.Collector] returns collectors with the new
// public key from [Key.PrimaryAt] on, which is of the mechanism that
// [Options.Collectors] names. Earlier collectors seal with their old public key. Its
// private key opens their values until it is retired. A purpose whose keys were made
// on a platform without that mechanism gets its first key pair from Rotate.
//
// [RoleSubject] can't be rotated: it is [ErrInvalid], and so is an unknown role.
// [ErrConflict] reports that another process changed the keys of p at the same time, and
// that this call changed nothing. Other errors are the errors of [Vault.Scope].
func (a *Admin) Rotate(ctx context.Context, p purpose.Purpose, role Role) error {
	return a.changeKeys(ctx, rotation(p, role), func(r *keyRecord, e *pendingEvent) error { return a.publish(r, role, e) })
}

// RotateIfOlder is [Admin.Rotate] if no key of the role is younger than age, and
// otherwise changes nothing. It reports whether it rotated. Of many processes that call
// it at once, one rotates. Retired keys do not count. An age that is not positive is
// [ErrInvalid]. Other errors are the errors of [Admin.Rotate]; if the answer of the store
// was lost, the next call finds the new key and reports false.
func (a *Admin) RotateIfOlder(ctx context.Context, p purpose.Purpose, role Role, age time.Duration) (rotated bool, err error) {
	e := &pendingEvent{event: rotation(p, role)}
	young := false
	event := func() audit.Event {
		event := e.taken()
		if young {
			event.Action = audit.List
		}
		return event
	}
	err = a.Vault().audited(ctx, event, func() error {
		err := a.rotateIfOlder(ctx, p, role, age, e)
		if young = err == errUnchanged; young {
			return nil
		}
		return err
	})
	if err != nil {
		return false, keysError(audit.Rotate, p, err)
	}
	return !young, nil
}

// rotateIfOlder is RotateIfOlder without its audit. If a key is younger, it is errUnchanged.
func (a *Admin) rotateIfOlder(ctx context.Context, p purpose.Purpose, role Role, age time.Duration, e *pendingEvent) error {
	return a.Vault().run(ctx, audit.Rotate, p, func(ctx context.Context) error {
		if age <= 0 {
			return fmt.Errorf("age is not positive: %w", ErrInvalid)
		}
		if err := rotatable(role); err != nil {
			return err
		}
		var err error
		for range maxRotations {
			err = a.change(ctx, p, e, func(r *keyRecord) error {
				young, err := r.hasYounger(role, time.Now().Add(-age))
				if err == nil && young {
					err = errUnchanged
				}
				if err != nil {
					return err
				}
				return a.publish(r, role, e)
			})
			if !errors.Is(err, ErrConflict) || ctx.Err() != nil {
				return err
			}
		}
		return err
	})
}

// maxRotations is how often RotateIfOlder tries when other processes change keys at the
// same time. One of them has rotated, so the second time is usually the last.
const maxRotations = 3

// rotation returns the event of a rotation. An event never repeats a caller's unknown
// text.
func rotation(p purpose.Purpose, role Role) audit.Event {
	e := audit.Event{Action: audit.Rotate, Purpose: p}
	switch role {
	case RoleSeal, RoleIndex, RoleCollect, RoleSubject:
		e.Role = string(role)
	}
	return e
}

// publish adds a key of the role to r.
func (a *Admin) publish(r *keyRecord, role Role, e *pendingEvent) error {
	if err := rotatable(role); err != nil {
		return err
	}
	to := map[Role]*keysetRecord{RoleSeal: &r.Seal, RoleIndex: &r.Index, RoleCollect: r.Collect}[role]
	if to == nil {
		to = &keysetRecord{} // the first key of its role
	}
	id, err := r.add(to, role, a.opts.Collectors, a.opts.publication(time.Now()))
	if err != nil {
		return err
	}
	e.of(role, id)
	if role == RoleCollect {
		r.Collect = to
	}
	return nil
}

// rotatable is [ErrInvalid] for a role whose keys can't be rotated.
func rotatable(role Role) error {
	switch role {
	case RoleSeal, RoleIndex, RoleCollect:
		return nil
	case RoleSubject:
		return errPseudonymKey
	}
	return fmt.Errorf("no such role: %w", ErrInvalid)
}

// Promote makes a published key the primary key now, before its [Key.PrimaryAt]. Keys
// that were to become primary before it stay active. Promote is for a primary key that
// may have leaked: use it, and accept that other processes seal and index with the old
// key until they look at the store again. In that time a unique constraint on indexes
// does not hold.
//
// Promoting the primary key changes nothing. A key that is neither published nor primary,
// and an id that is no key of p, is [ErrInvalid]. Other errors are the errors of
// [Admin.Rotate].
func (a *Admin) Promote(ctx context.Context, p purpose.Purpose, id uint32) error {
	return a.changeKeys(ctx, audit.Event{Action: audit.Promote, Purpose: p, KeyID: id}, func(r *keyRecord, e *pendingEvent) error {
		if k, err := r.find(id, Primary); err == nil {
			e.of(k.Role, id)
			return errUnchanged
		}
		k, err := r.find(id, Active)
		e.of(k.Role, id)
		switch {
		case err != nil:
			return err
		case k.PrimaryAt.IsZero():
			return fmt.Errorf("key is not published: %w", ErrInvalid)
		}
		for _, set := range r.keysets() {
			if set.role == k.Role {
				return set.promote(id)
			}
		}
		return errKeyRecord
	})
}

// Retire puts a key out of use: values that it sealed no longer open, and indexes that
// it computed no longer match. After a rotation, wait for [Key.PrimaryAt] and for
// [Options.Refresh], because other processes use the old key until then. Then move
// values, subject keys and indexes to the new key, and retire the old key last. Data
// under it is [ErrRetired] from then on. [Admin.Reinstate] undoes Retire.
//
// Only an active key can be retired. A primary key, a key that is still to become
// primary, the key of [RoleSubject] and an id that is no key of p are [ErrInvalid]. Other
// errors are the errors of [Admin.Rotate].
func (a *Admin) Retire(ctx context.Context, p purpose.Purpose, id uint32) error {
	return a.changeKeys(ctx, audit.Event{Action: audit.Retire, Purpose: p, KeyID: id}, func(r *keyRecord, e *pendingEvent) error {
		k, err := r.find(id, Active)
		e.of(k.Role, id)
		switch {
		case err != nil:
			return err
		case !k.PrimaryAt.IsZero():
			return fmt.Errorf("key becomes primary at %s: %w", k.PrimaryAt.Format(time.RFC3339), ErrInvalid)
		}
		return r.edit(k.Role, func(m *keyset.Manager) error { return m.Disable(id) })
	})
}

// Reinstate makes a retired key active again. An id that is no retired key of p is
// [ErrInvalid]. Other errors are the errors of [Admin.Rotate].
func (a *Admin) Reinstate(ctx context.Context, p purpose.Purpose, id uint32) error {
	return a.changeKeys(ctx, audit.Event{Action: audit.Reinstate, Purpose: p, KeyID: id}, func(r *keyRecord, e *pendingEvent) error {
		k, err := r.find(id, Retired)
		e.of(k.Role, id)
		if err != nil {
			return err
		}
		return r.edit(k.Role, func(m *keyset.Manager) error { return m.Enable(id) })
	})
}

// Destroy deletes a retired key for good: values that it sealed are lost, in every table
// of every database and in every backup of one. A key that has not been retired for
// [Options.DestroyAfter] is [ErrInvalid], with the date from which on it can be
// destroyed, and so is an id that is no retired key of p. Other errors are the errors of
// [Admin.Rotate].
func (a *Admin) Destroy(ctx context.Context, p purpose.Purpose, id uint32) error {
	return a.changeKeys(ctx, audit.Event{Action: audit.Destroy, Purpose: p, KeyID: id}, func(r *keyRecord, e *pendingEvent) error {
		k, err := r.find(id, Retired)
		e.of(k.Role, id)
		if err != nil {
			return err
		}
		if from := k.Retired.Add(a.opts.DestroyAfter.Truncate(time.Second)); time.Now().Before(from) {
			return fmt.Errorf("key can be destroyed from %s on: %w", from.Format(time.RFC3339), ErrInvalid)
		}
		r.Destroyed = cloneOrMake(r.Destroyed)
		r.Destroyed[id] = unixNow()
		return r.edit(k.Role, func(m *keyset.Manager) error { return m.Delete(id) })
	})
}
