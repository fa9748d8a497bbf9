package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// ErrGranted reports keys that this process can open and should not be able to.
// See [Vault.MustNotOpen].
var ErrGranted = errors.New("this process can open keys that it must not have")

// MustNotOpen returns nil if it is proven that this process can't open the keys
// of any of the given purposes: to be called at start, for those that belong to
// other processes, so that one which was given a grant too many refuses to run.
//
//	if err := v.MustNotOpen(ctx, purposes.Security); err != nil {
//		log.Fatal(err)
//	}
//
// Keys that open are [ErrGranted]. What leaves it open is an error too:
// [ErrNoKeys] where the store holds no keys of the purpose to try; [ErrUnavailable]
// where the key service is down, or refuses for another reason than a missing
// grant, such as a key that is disabled today, a KEK that is not configured here, or
// a file that [LocalKEK] does not take because others could read it too.
// So the KEK has to be one that can be asked for the purpose. Of an [EitherKEK]
// both have to refuse. No purpose at all, and a zero one, are [ErrInvalid].
//
// A KEK proves it with [ErrAccessDenied]. Any other error of this package proves
// nothing. An error of another package counts only if the KEK opens the keys of
// another purpose right after it; the vault must have a scope of that purpose. That
// is a proof about one key service alone, and none where the key store was
// tampered with: a damaged record opens for nobody. A KEK that returns
// ErrAccessDenied is better.
//
// The purposes are tried as a scope of them would be opened, with one call of the
// key service each. Key services record them as attempts.
func (v *Vault) MustNotOpen(ctx context.Context, purposes ...purpose.Purpose) error {
	if len(purposes) == 0 {
		return keysError(ActionCheck, purpose.Purpose{}, errNoPurpose)
	}
	for _, p := range purposes {
		err := v.operate(ctx, ActionCheck, p, func(ctx context.Context) error { return v.mustNotOpen(ctx, p) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *Vault) mustNotOpen(ctx context.Context, p purpose.Purpose) error {
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
	// What refuses without a reason has to say yes to what it should: a client that
	// can't reach its service refuses everything.
	for _, own := range v.openedPurposes() {
		record, err := v.wrappedKeys(ctx, own)
		if err == nil && v.tryKEK(ctx, own, record) == nil {
			return nil
		}
	}
	return errUnproven
}

// A verdict is what the error of a KEK says of whether it could open keys.
type denial int

const (
	accessDenied denial = iota
	notStated           // refused, or not even asked
	undecided           // it could be otherwise tomorrow
)

func denialOf(err error) denial {
	var either *joinedError
	if errors.As(err, &either) { // each of them has to refuse
		worst := accessDenied
		for _, err := range either.errs {
			worst = max(worst, denialOf(err))
		}
		return worst
	}
	if !errors.Is(err, ErrNoKeys) {
		return undecided
	}
	// A key file that is refused for not being private can be read all the same.
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

var errOtherRefusal = fmt.Errorf("refused, but not for want of a grant: %w", ErrUnavailable)

var errUnproven = fmt.Errorf("refused, but so could everything be: open a scope first: %w", ErrUnavailable)

// CheckKEK tests that the KEK of each purpose binds associated data, as is done
// whenever keys are written: for a process that wants to know at start, at the
// price of two calls of the key service. A KEK that does not is [ErrNoKeys].
// Other errors are those of [Vault.Scope], and no purpose at all is [ErrInvalid].
func (v *Vault) CheckKEK(ctx context.Context, purposes ...purpose.Purpose) error {
	if len(purposes) == 0 {
		return keysError(ActionCheck, purpose.Purpose{}, errNoPurpose)
	}
	for _, p := range purposes {
		err := v.operate(ctx, ActionCheck, p, func(ctx context.Context) error {
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
				return fmt.Errorf("malformed key record: %w", ErrCorrupt)
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

// wrappedKeys returns the key record of p, which is there.
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

// tryKEK has the KEK unwrap the keys of p, and drops them.
func (v *Vault) tryKEK(ctx context.Context, p purpose.Purpose, record Record) error {
	wrapped, _, ok := cutKeyRecord(record.Data)
	if !ok {
		return fmt.Errorf("malformed key record: %w", ErrCorrupt)
	}
	w, err := newKEKClient(ctx, v.kekOf(p), p)
	if err != nil {
		return err
	}
	dek, err := w.decrypt(wrapped, format.KEKAAD(p.String()))
	clear(dek)
	return err
}

// openedPurposes are those that this vault has opened scopes of.
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
