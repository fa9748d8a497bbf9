package vault

import (
	"context"
	"errors"
	"fmt"

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
// Keys that open are [ErrGranted]. A missing proof is an error too. It is [ErrNoKeys] if
// the store holds no keys of the purpose to try. It is [ErrUnavailable] if the key
// service is down, or refuses for another reason than a missing grant, such as a key
// that is disabled today, a KEK that is not configured here, or a file that [LocalKEK]
// refuses because others could read it too. The KEK must therefore be configured for the
// purposes. Both KEKs of an [EitherKEK] have to refuse. No purpose at all, and a zero
// purpose, is [ErrInvalid].
//
// A KEK proves a missing grant with [ErrAccessDenied]. Any other error of this package
// proves nothing. An error of another package counts only if the KEK opens the keys of
// another purpose immediately afterwards; the vault must have a scope of that purpose.
// Such a proof covers one key service alone. It fails if the key store was tampered
// with, because a damaged record opens for nobody. A KEK that returns ErrAccessDenied is
// better.
//
// CheckDenied tries each purpose as [Vault.Scope] would open it, with one call of the
// key service. Key services log the call as an attempt.
func (v *Vault) CheckDenied(ctx context.Context, purposes ...purpose.Purpose) error {
	if len(purposes) == 0 {
		return keysError(audit.Check, purpose.Purpose{}, errNoPurpose)
	}
	for _, p := range purposes {
		err := v.operate(ctx, audit.Event{Action: audit.Check, Purpose: p}, func(ctx context.Context) error { return v.checkDenied(ctx, p) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *Vault) checkDenied(ctx context.Context, p purpose.Purpose) error {
	if len(v.findAll(p)) > 0 {
		return ErrGranted
	}
	record, err := v.wrappedKeys(ctx, p)
	if err != nil {
		return err
	}
	err = v.tryKEK(ctx, p, record)
	switch {
	case err == nil:
		return ErrGranted
	case !errors.Is(err, ErrNoKeys):
		return err
	}
	switch denialOf(err) {
	case accessDenied:
		return nil
	case undecided:
		return errOtherRefusal
	}
	// A client that can't reach its service refuses everything. A refusal without a
	// reason counts only if the KEK opens the keys of a purpose that is granted.
	for _, own := range v.openedPurposes() {
		record, err := v.wrappedKeys(ctx, own)
		if err == nil && v.tryKEK(ctx, own, record) == nil {
			return nil
		}
	}
	return errUnproven
}

// A denial tells how far an error of a KEK proves that the KEK does not open keys. A
// larger denial proves less.
type denial int

const (
	accessDenied denial = iota
	notStated           // the key service refused, or was not even asked
	undecided           // the KEK may open the keys tomorrow
)

func denialOf(err error) denial {
	var either *joinedError
	if errors.As(err, &either) { // every KEK has to refuse
		worst := accessDenied
		for _, err := range either.errs {
			worst = max(worst, denialOf(err))
		}
		return worst
	}
	if !errors.Is(err, ErrNoKeys) {
		return undecided
	}
	// A key file that is refused because it is not private can be read nevertheless.
	for _, other := range []error{
		ErrUnavailable, context.DeadlineExceeded, context.Canceled, privatefile.ErrRefused, errors.ErrUnsupported,
	} {
		if errors.Is(err, other) {
			return undecided
		}
	}
	switch {
	case errors.Is(err, ErrAccessDenied):
		return accessDenied
	case errors.As(err, new(*opaqueError)):
		return notStated
	}
	return undecided
}

var errOtherRefusal = fmt.Errorf("refused for another reason than a missing grant: %w", ErrUnavailable)

var errUnproven = fmt.Errorf("KEK refuses without a reason: open a scope of another purpose first: %w", ErrUnavailable)

// CheckKEK tests that the KEK of each purpose binds associated data. Every write of keys
// makes this test too; CheckKEK is for a process that makes it at start. It costs two
// calls of the key service for each purpose. A KEK that does not bind associated data is
// [ErrNoKeys]. Other errors are the errors of [Vault.Scope], and no purpose at all is
// [ErrInvalid].
func (v *Vault) CheckKEK(ctx context.Context, purposes ...purpose.Purpose) error {
	if len(purposes) == 0 {
		return keysError(audit.Check, purpose.Purpose{}, errNoPurpose)
	}
	for _, p := range purposes {
		err := v.operate(ctx, audit.Event{Action: audit.Check, Purpose: p}, func(ctx context.Context) error {
			record, err := v.wrappedKeys(ctx, p)
			if err != nil {
				return err
			}
			w, err := newKEKClient(ctx, v.kekOf(p), p)
			if err != nil {
				return err
			}
			wrapped, _, ok := cutKeyRecord(record.Data)
			if !ok {
				return errKeyRecord
			}
			if err := w.selfTest(p, wrapped); err != nil {
				return err
			}
			_, err = v.unwrap(w, p, record)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// wrappedKeys returns the key record of p, still wrapped. It is an error if p has none.
func (v *Vault) wrappedKeys(ctx context.Context, p purpose.Purpose) (Record, error) {
	records, err := v.get(ctx, keyRecordName(p))
	if err != nil {
		return Record{}, err
	}
	if records[0].Revision == 0 {
		return Record{}, errNone
	}
	return records[0], nil
}

// tryKEK unwraps the keys of p with the KEK, and drops them.
func (v *Vault) tryKEK(ctx context.Context, p purpose.Purpose, record Record) error {
	wrapped, _, ok := cutKeyRecord(record.Data)
	if !ok {
		return errKeyRecord
	}
	w, err := newKEKClient(ctx, v.kekOf(p), p)
	if err != nil {
		return err
	}
	dek, err := w.decrypt(wrapped, format.KEKAAD(p.String()))
	clear(dek)
	return err
}

// openedPurposes returns the purposes that this vault has opened scopes of.
func (v *Vault) openedPurposes() []purpose.Purpose {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []purpose.Purpose
	for key := range v.opened {
		if key.subset == allKeys {
			all = append(all, key.purpose)
		}
	}
	return all
}
