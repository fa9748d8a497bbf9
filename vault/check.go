package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// ErrGranted reports keys that this process can open and should not be able to open. See
// [Vault.CheckDenied].
var ErrGranted = errors.New("this process can open keys that it must not have")

// CheckDenied returns nil if it proves that this process can't open the keys of any of
// the given purposes. Call it at start with the purposes of other processes, so that a
// process with one grant too many refuses to run.
//
//	if err := v.CheckDenied(ctx, purposes.Security); err != nil {
//		log.Fatal(err)
//	}
//
// The keys to try come from the key store: it must be one that this process shares with the
// processes of the purposes, or hold a copy of their wrapped keys. A [Dir] that only this
// process uses holds none of them.
//
// Keys that open are [ErrGranted]. A missing proof is an error too. It is [ErrNoKeys] if
// the store holds no keys of the purpose to try: that is no denial. It is [ErrUnavailable] if the key
// service is down, or refuses for another reason than a missing grant: a key that is
// disabled today, a KEK that is not configured here, a key file that is missing, or a key
// file that [LocalKEK] refuses because others could read it too. The KEK must therefore be
// configured for the purposes. Both KEKs of an [EitherKEK] have to refuse. No purpose at
// all, and a zero purpose, is [ErrInvalid].
//
// The one proof is [ErrAccessDenied] of the KEK: the key exists, and this process was
// refused it. Any other error proves nothing. If the AEAD of the KEK is a [KeyNamer], or
// if the keys were wrapped by one, the names must be equal too: a key service denies a
// mistyped key like a key that is not granted, and such a denial is ErrUnavailable.
//
// CheckDenied tries each purpose as [Vault.Scope] would open it, with one call of the
// key service. Key services log the call as an attempt.
func (v *Vault) CheckDenied(ctx context.Context, purposes ...purpose.Purpose) error {
	if len(purposes) == 0 {
		return keysError(audit.CheckDenied, purpose.Purpose{}, v.audit(ctx, audit.Event{Action: audit.CheckDenied}, errNoPurpose))
	}
	for _, p := range purposes {
		err := v.operate(ctx, audit.Event{Action: audit.CheckDenied, Purpose: p}, func(ctx context.Context, e *pendingEvent) error {
			err := v.checkDenied(ctx, p)
			if err == nil {
				e.add(func(e *audit.Event) { e.Reason = reasonDenied })
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const reasonDenied = "denied" // of an event about a proof of CheckDenied

func (v *Vault) checkDenied(ctx context.Context, p purpose.Purpose) error {
	if len(v.findAll(p)) > 0 {
		return ErrGranted
	}
	_, h, err := v.wrappedKeys(ctx, p)
	if err == errNone {
		return errNothingToTry
	}
	if err != nil {
		return err
	}
	err = v.tryKEK(ctx, p, h)
	switch {
	case err == nil:
		return ErrGranted
	case !errors.Is(err, ErrNoKeys):
		return err // errOtherKey is among them
	}
	if !deniedBy(err) {
		return errOtherRefusal
	}
	return nil
}

// deniedBy reports whether an error of a KEK proves that the key exists and that this
// process was refused it.
func deniedBy(err error) bool {
	var either *joinedError
	if errors.As(err, &either) { // every KEK has to refuse
		return !slices.ContainsFunc(either.errs, func(err error) bool { return !deniedBy(err) })
	}
	// A key file that is refused because it is not private can be read nevertheless.
	for _, other := range []error{
		ErrUnavailable, context.DeadlineExceeded, context.Canceled, privatefile.ErrRefused, errors.ErrUnsupported,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return errors.Is(err, ErrAccessDenied)
}

var errOtherRefusal = fmt.Errorf("refused for another reason than a missing grant: %w", ErrUnavailable)

// errNothingToTry reports a key store without keys of the purpose, such as a [Dir] of this
// process alone.
var errNothingToTry = fmt.Errorf("nothing to try and so no proof: the check needs a key store shared with that purpose's processes, "+
	"or a copy of its wrapped keys: %w", ErrNoKeys)

// CheckKEK tests that the KEK of each purpose binds associated data. Every write of keys
// makes this test too; CheckKEK is for a process that makes it at start. It costs two
// calls of the key service for each purpose. A KEK that does not bind associated data is
// [ErrNoKeys]. Other errors are the errors of [Vault.Scope], and no purpose at all is
// [ErrInvalid].
func (v *Vault) CheckKEK(ctx context.Context, purposes ...purpose.Purpose) error {
	if len(purposes) == 0 {
		return keysError(audit.CheckKEK, purpose.Purpose{}, v.audit(ctx, audit.Event{Action: audit.CheckKEK}, errNoPurpose))
	}
	for _, p := range purposes {
		err := v.operate(ctx, audit.Event{Action: audit.CheckKEK, Purpose: p}, func(ctx context.Context, e *pendingEvent) error {
			record, h, err := v.wrappedKeys(ctx, p)
			if err != nil {
				return err
			}
			w, err := v.kekClient(ctx, v.kekOf(p), p)
			if err != nil {
				return err
			}
			if err := w.selfTest(p, h); err != nil {
				return err
			}
			k, err := v.unwrap(w, p, h.vault, record)
			if err == nil {
				e.at(k.generation, k.digest)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// wrappedKeys returns the key record of p, still wrapped, and its header. It is an error
// if p has none, or if the record is of another vault.
func (v *Vault) wrappedKeys(ctx context.Context, p purpose.Purpose) (Record, keyRecordHeader, error) {
	records, err := v.get(ctx, keyRecordName(p), vaultRecordName)
	if err != nil {
		return Record{}, keyRecordHeader{}, err
	}
	if records[0].Revision == 0 {
		return Record{}, keyRecordHeader{}, errNone
	}
	id, err := v.checkVaultID(records[1])
	if err != nil {
		return Record{}, keyRecordHeader{}, err
	}
	h, _, err := cutKeyRecord(records[0].Data, id)
	return records[0], h, err
}

// tryKEK unwraps the keys of p with the KEK, and drops them.
func (v *Vault) tryKEK(ctx context.Context, p purpose.Purpose, h keyRecordHeader) error {
	w, err := v.kekClient(ctx, v.kekOf(p), p)
	if err != nil {
		return err
	}
	dek, err := w.decrypt(h.wrapped, format.KEKAAD(p.String(), h.vault))
	clear(dek)
	if errors.Is(err, ErrAccessDenied) && !w.mayBeNamed(h.kek) {
		return errOtherKey
	}
	return err
}

// errOtherKey reports the denial of a key that did not wrap the keys of the purpose. Key
// services deny a mistyped key as they deny a key that is not granted.
var errOtherKey = fmt.Errorf("refused a key of another name than the one that wraps the keys: %w", ErrUnavailable)

// mayBeNamed reports whether the key with that name is among the keys of w. A key of an
// [EitherKEK] that was refused before there was an AEAD has no name to compare.
func (w kekClient) mayBeNamed(name string) bool {
	either, ok := w.aead.(*eitherAEAD)
	if !ok {
		own, err := w.keyName()
		return err == nil && own == name
	}
	for _, w := range either.keks {
		if w.aead == nil || w.mayBeNamed(name) {
			return true
		}
	}
	return false
}
