package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
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
	// Seals is the number of times that a key of [RoleSeal] has sealed, in all
	// processes. A process adds its seals once in [Options.Refresh] and when its vault
	// is closed, so the number can be late by that, and lacks the last seals of a
	// process that was killed. Rotate before it comes to 2^32. It is 0 for keys of other
	// roles.
	Seals uint64
	// KEM is the mechanism of a key of RoleCollect, "" for other roles.
	KEM CollectorKEM
	// PrimaryAt is the time at which a key that is published becomes the primary key, in
	// UTC and whole seconds. It is zero for any other key.
	PrimaryAt time.Time
	// Retired is the time at which the key was retired, in UTC and whole seconds. It is
	// zero for a key that is in use.
	Retired time.Time
}

// A CollectorKEM is the key encapsulation mechanism of the keys of collectors, by
// which HPKE (RFC 9180) encrypts for a public key. The rest of the suite is
// HKDF-SHA256 and AES-256-GCM. A purpose can have keys of both mechanisms, and opens
// values of both.
type CollectorKEM string

// The mechanisms. Options.Collectors chooses among them for new keys.
const (
	// XWing is ML-KEM-768 and X25519 together (draft-connolly-cfrg-xwing-kem). It
	// withstands a large quantum computer as long as ML-KEM does, and any other
	// attacker as long as one of the two does. A collected value of one purpose has
	// some 1,700 bytes of text until [Reseal] takes it in, and a collector's text has
	// 1,650.
	XWing CollectorKEM = "X-Wing"

	// X25519 is DHKEM(X25519, HKDF-SHA256). A collected value of one purpose has some
	// 230 bytes of text. An attacker who keeps copies of values that were collected
	// with it opens them once there is a large quantum computer. Under
	// GODEBUG=fips140=only the platform lacks it.
	X25519 CollectorKEM = "X25519"
)

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
func (a *Admin) operate(ctx context.Context, e audit.Event, f func(context.Context, *pendingEvent) error) error {
	return a.Vault().operate(ctx, e, f)
}

// String returns "vault.Admin".
func (a *Admin) String() string { return "vault.Admin" }

// Format implements [fmt.Formatter]: every verb prints "vault.Admin".
func (a *Admin) Format(f fmt.State, verb rune) { printLabel(f, verb, a.String()) }

// Generate makes keys for each of the given purposes that never had any. It leaves
// existing keys untouched. If it fails for a purpose, the purposes before it have their
// keys, and another call makes the rest. If two processes generate at once, both use the
// keys of the one that stored them first. The [audit.Event.Reason] is "made" or "exists".
//
// Generate is a step of the deployment and not of every start: keys that were lost must
// be restored, and new keys in their place would lose every value. A purpose without keys
// that has a pin, that this vault has opened, or that has any other record in the store,
// is therefore [ErrCorrupt]. So is a store with records and without the id of its vault,
// and one with another vault's keys.
//
// A KEK that ignores associated data is [ErrNoKeys], and then nothing is stored. A zero
// purpose is [ErrInvalid].
func (a *Admin) Generate(ctx context.Context, purposes ...purpose.Purpose) error {
	for _, p := range purposes {
		if err := a.generateAudited(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// generateAudited makes keys for p, and records an event that says whether there were
// some.
func (a *Admin) generateAudited(ctx context.Context, p purpose.Purpose) error {
	return a.operate(ctx, audit.Event{Action: audit.Generate, Purpose: p}, func(ctx context.Context, e *pendingEvent) error {
		reason, made, err := a.generate(ctx, p)
		if err == nil {
			e.add(func(e *audit.Event) { e.Reason = reason })
		}
		if err == nil && reason == reasonMade {
			e.at(1, made)
		}
		return err
	})
}

// The reasons of events about [audit.Generate].
const (
	reasonMade   = "made"   // this call made the keys
	reasonExists = "exists" // there were keys, and they were left alone
)

// errLost reports a purpose that had keys and has none now.
var errLost = fmt.Errorf("keys of this purpose were lost: %w", ErrCorrupt)

// generate makes keys for p unless there are some, and returns the reason of its event and
// the digest of the record that it made.
// It makes keys for a purpose that never had any: new keys in the place of lost ones
// would make the loss final.
func (a *Admin) generate(ctx context.Context, p purpose.Purpose) (reason string, made recordDigest, err error) {
	var lost error     // the conflict of the last try with another process
	lostFresh := false // whether that try was to make the vault's id too
	for {
		if ctx.Err() != nil {
			return "", made, ctxError(ctx)
		}
		records, err := a.get(ctx, keyRecordName(p), vaultRecordName)
		if err != nil {
			return "", made, err
		}
		id, fresh := newVaultID(), false
		switch {
		case records[1].Revision != 0:
			if id, err = a.checkVaultID(records[1]); err != nil {
				return "", made, err
			}
		case a.vault.Load() != nil || records[0].Revision != 0:
			return "", made, errNoVaultID
		default:
			fresh = true
		}
		if records[0].Revision != 0 {
			_, _, err := cutKeyRecord(records[0].Data, id)
			return reasonExists, made, err
		}
		if lost != nil && fresh == lostFresh {
			return "", made, lost // there is nothing that the other process wrote
		}
		pin, err := a.pin(ctx, p)
		if err != nil {
			return "", made, err
		}
		if !pin.IsZero() || len(a.findAll(p)) > 0 {
			return "", made, errLost
		}
		// Another process may write meanwhile: records that were not there above are
		// lost keys only if the keys are not there now.
		prefix, expected := p.String()+"/", keyRecordName(p)
		if fresh {
			prefix, expected = "", vaultRecordName
		}
		switch empty, err := a.isEmpty(ctx, prefix); {
		case err != nil:
			return "", made, err
		case !empty:
			found, err := a.get(ctx, expected)
			if err != nil {
				return "", made, err
			}
			if found[0].Revision != 0 {
				continue
			}
			if fresh {
				return "", made, errNoVaultID
			}
			return "", made, errLost
		}
		made, err = a.makeKeys(ctx, p, id, fresh)
		if !errors.Is(err, ErrConflict) {
			return reasonMade, made, err
		}
		lost, lostFresh = err, fresh
	}
}

// makeKeys makes the first keys of p, and returns the digest of their record. If fresh is
// set, it also makes the vault's record, once the keys have proven that they open.
func (a *Admin) makeKeys(ctx context.Context, p purpose.Purpose, id format.VaultID, fresh bool) (made recordDigest, err error) {
	kek := a.kekOf(p)
	if err := generateKEK(ctx, kek, p); err != nil {
		return made, err
	}
	r, err := newKeyRecord(p, id, a.opts.Collectors)
	if err != nil {
		return made, fmt.Errorf("generating keysets: %w", ErrUnavailable)
	}
	data, k, err := a.prepare(ctx, kek, p, r)
	if err != nil {
		return made, err
	}
	if fresh {
		if _, err := a.store.Put(ctx, Record{Name: vaultRecordName, Data: encodeVaultID(id)}); err != nil {
			return made, storeError(err)
		}
	}
	return k.digest, a.putPrepared(ctx, p, data, k, 0)
}

// Keys returns the keys of p, sorted by role and age. It reads the store and calls the
// key service each time. Its errors are the errors of [Vault.Scope].
func (a *Admin) Keys(ctx context.Context, p purpose.Purpose) ([]Key, error) {
	var found []Key
	err := a.operate(ctx, audit.Event{Action: audit.List, Purpose: p}, func(ctx context.Context, e *pendingEvent) error {
		r, record, err := a.readKeyRecord(ctx, p)
		if err != nil {
			return err
		}
		e.at(r.Generation, newRecordDigest(record.Data))
		if found, err = r.describe(); err != nil {
			return err
		}
		return a.addSeals(ctx, p, r, found)
	})
	if err != nil {
		return nil, err // not found: a call that was left early may still write to it
	}
	return found, nil
}

// addSeals adds the counts of seals to the keys of r.
func (a *Admin) addSeals(ctx context.Context, p purpose.Purpose, r *keyRecord, all []Key) error {
	k, err := r.open()
	if err != nil {
		return errKeyRecord
	}
	records, err := a.get(ctx, sealsName(p))
	if err != nil {
		return err
	}
	counts, err := a.sealed(k, p, records[0].Data)
	for i := range all {
		all[i].Seals = counts[all[i].ID]
	}
	return err
}

// changeKeys edits the key record of p in one compare-and-swap. If edit returns
// errUnchanged, the record stays as it is.
func (a *Admin) changeKeys(ctx context.Context, e audit.Event, edit func(*keyRecord, *pendingEvent) error) error {
	return a.operate(ctx, e, func(ctx context.Context, pending *pendingEvent) error {
		err := a.change(ctx, e.Purpose, pending, func(r *keyRecord) error { return edit(r, pending) })
		if err == errUnchanged {
			return nil
		}
		return err
	})
}

// change is changeKeys within an operation. It returns errUnchanged too.
func (a *Admin) change(ctx context.Context, p purpose.Purpose, e *pendingEvent, edit func(*keyRecord) error) error {
	r, old, err := a.readKeyRecord(ctx, p)
	if err != nil {
		return err
	}
	e.at(r.Generation, newRecordDigest(old.Data))
	if err := edit(r); err != nil {
		return err
	}
	r.advance(old.Data)
	digest, err := a.put(ctx, a.kekOf(p), p, r, old.Revision)
	if err != nil {
		return err
	}
	e.at(r.Generation, digest)
	return nil
}

// put wraps r, stores it in place of the given revision, and installs its keys in the
// scopes of p. It returns the digest of the record.
func (a *Admin) put(ctx context.Context, kek KEK, p purpose.Purpose, r *keyRecord, revision int64) (recordDigest, error) {
	data, k, err := a.prepare(ctx, kek, p, r)
	if err != nil {
		return recordDigest{}, err
	}
	return k.digest, a.putPrepared(ctx, p, data, k, revision)
}

// prepare wraps r and opens the record again. Keys that can't be read back, or that open
// under another purpose, must not replace the keys in the store.
func (a *Admin) prepare(ctx context.Context, kek KEK, p purpose.Purpose, r *keyRecord) (data []byte, k *keys, err error) {
	w, err := a.kekClient(ctx, kek, p)
	if err != nil {
		return nil, nil, err
	}
	if data, err = wrap(w, p, r); err != nil {
		return nil, nil, err
	}
	id := format.VaultID(r.Vault)
	h, _, err := cutKeyRecord(data, id)
	if err != nil {
		return nil, nil, err
	}
	if err := w.selfTest(p, h); err != nil {
		return nil, nil, err
	}
	k, err = a.unwrap(w, p, id, Record{Data: data})
	return data, k, err
}

// putPrepared stores a record of prepare in place of the given revision, and installs its
// keys in the scopes of p.
func (a *Admin) putPrepared(ctx context.Context, p purpose.Purpose, data []byte, k *keys, revision int64) (err error) {
	k.revision, err = a.store.Put(ctx, Record{Name: keyRecordName(p), Data: data, Revision: revision})
	if err != nil {
		return storeError(err)
	}
	if err := a.noteVaultID(k.vault); err != nil {
		return err
	}
	for _, pk := range a.findAll(p) {
		if err := pk.install(k.restrict(pk.id.subset)); err != nil {
			return err
		}
		pk.hasten()
	}
	return nil
}

// readKeyRecord reads and unwraps the key record of p, so that it can be changed.
// Promotions that have passed are permanent in the record that it returns.
func (a *Admin) readKeyRecord(ctx context.Context, p purpose.Purpose) (*keyRecord, Record, error) {
	return a.readKeyRecordWith(ctx, a.kekOf(p), p)
}

func (a *Admin) readKeyRecordWith(ctx context.Context, kek KEK, p purpose.Purpose) (*keyRecord, Record, error) {
	at := a.state(p)
	records, err := a.readPurpose(ctx, p, at)
	if err != nil {
		return nil, Record{}, err
	}
	w, err := a.kekClient(ctx, kek, p)
	if err != nil {
		return nil, Record{}, err
	}
	r, err := unwrap(w, p, records.vault, records.keys.Data)
	if err != nil {
		return nil, Record{}, err
	}
	k, err := r.open()
	if err != nil {
		return nil, Record{}, errKeyRecord
	}
	k.digest = newRecordDigest(records.keys.Data)
	if _, err := a.checkPurpose(ctx, p, records, k, at); err != nil {
		return nil, Record{}, err // a change would make the old record look newer
	}
	if err := r.fold(time.Now()); err != nil {
		return nil, Record{}, errKeyRecord
	}
	return r, records.keys, a.noteVaultID(records.vault)
}
