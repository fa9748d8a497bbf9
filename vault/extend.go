package vault

import (
	"context"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// errExtendedBefore reports a basis that states an extension before the collection.
var errExtendedBefore = fmt.Errorf("extension stated before the collection: %w: %w", purpose.ErrBasis, ErrInvalid)

var errByCollector = fmt.Errorf("a collector sealed it, so reseal it first: %w", ErrInvalid)

// Extend returns v extended to a further purpose, with the person's consent. No
// other function brings a value to another purpose, so Extend asks for all of the
// following: the scope from, which opens v; the scope to, [Under] a basis that
// refers to the consent; and an event for each of the two purposes. The new slot
// says which purpose the value was first collected for: From is the source's From,
// or else its purpose. It expires when the basis of to says, or else with the source.
//
// The function valid judges the plaintext, which the new slot would vouch for. If it
// returns false, v is [ErrCorrupt]. It is called after the events were recorded, which
// therefore may say allowed; if they can't be recorded, it is not called. A nil valid
// judges nothing.
//
// A scope to without a consent reference is [purpose.ErrNoConsent]. A scope to under a
// basis that states a time before the day of the source's collection is
// [purpose.ErrBasis]. These are
// [ErrInvalid]: a value that was collected for to's purpose already, two scopes of
// one purpose, a source that a collector sealed and [Reseal] did not take in (see
// [Sealed.ByCollector]), a person's value with a scope to that is not narrowed to
// that person, and a scope to that is narrowed to a person while from is not and
// another slot is of a person. Other errors are as for [Scope.Reveal] and [Seal].
//
// [Under]: Scope.Under
func Extend(ctx context.Context, k Kind, v Sealed, valid func(plaintext string) bool, from, to *Scope) (Sealed, error) {
	extended, plaintext, err := extend(ctx, k, v, from, to)
	if from.audited() {
		e := newValueEvent(audit.Extend, k, v, from.Purpose())
		e.To = to.Purpose()
		err = from.audit(ctx, e, err)
	} else {
		from.count(audit.Extend, k, err)
	}
	if to.audited() { // with the pseudonym under its own purpose, and the new slot
		e := newValueEvent(audit.Extend, k, extended, to.Purpose())
		if extended.IsZero() {
			e = newValueEvent(audit.Extend, k, v, purpose.Purpose{})
			e.Provenance = to.askedFor()
		}
		e.From, e.Collected = from.Purpose(), v.Purposes()
		err = to.audit(ctx, e, err)
	} else {
		to.count(audit.Extend, k, err)
	}
	if err == nil && valid != nil && !valid(plaintext) {
		err = ErrCorrupt
	}
	if err != nil {
		return Sealed{}, &opError{audit.Extend, k, err}
	}
	return extended, nil
}

// extend returns the extended value, and the plaintext to judge.
func extend(ctx context.Context, k Kind, v Sealed, from, to *Scope) (extended Sealed, plaintext string, err error) {
	keys, err := to.usableFor(ctx, k)
	if err != nil {
		return Sealed{}, "", err
	}
	if err := to.mayTake(keys); err != nil {
		return Sealed{}, "", err
	}
	if to.basis().Consent == "" {
		return Sealed{}, "", purpose.ErrNoConsent
	}
	value, err := v.decode()
	if err == nil && value.ByCollector(from.Purpose()) {
		// Its provenance is a claim of its unknown maker. The slot of the other purpose
		// would vouch for it.
		return Sealed{}, "", errByCollector
	}
	if plaintext, err = from.unseal(ctx, audit.Extend, k, v); err != nil {
		return Sealed{}, "", err
	}
	switch {
	case from.subject != "" && to.subject != from.subject,
		from.subject == "" && to.subject != "" && value.HasType(format.OfSubject):
		return Sealed{}, "", errOtherSubject
	case v.Purposes().Contains(to.Purpose()):
		return Sealed{}, "", fmt.Errorf("collected for %v already: %w", to.Purpose(), ErrInvalid)
	case len(value.Slots) == format.MaxSlots:
		return Sealed{}, "", errTooMany
	}
	p, err := newProvenance(time.Now(), &to.basis().Basis, to.opened.backend.opts.ExactTimes)
	if err != nil {
		return Sealed{}, "", err
	}
	source, _ := v.Provenance(from.Purpose()) // authentic: the slot has just been opened
	if p.From = source.From; p.From.IsZero() || p.From == to.Purpose() {
		p.From = from.Purpose()
	}
	if p.Stated && p.Collected.Unix() < source.Collected.Unix()/format.Day*format.Day {
		return Sealed{}, "", errExtendedBefore
	}
	if to.basis().Retain == 0 {
		p.Expires = source.Expires
	}
	if err := putSlot(ctx, value, to, k, plaintext, &p); err != nil {
		return Sealed{}, "", err
	}
	for _, s := range [...]*Scope{from, to} {
		if err := s.checkErased(); err != nil {
			return Sealed{}, "", err // erased while the other scope waited for its key
		}
	}
	if now := to.opened.current.Load(); now != keys && now != nil {
		if err := to.mayTake(now); err != nil {
			return Sealed{}, "", err // suspended meanwhile
		}
	}
	return Sealed{value.Text()}, plaintext, nil
}

// mayTake returns the refusal of a value that is to be extended to s: s seals it under its
// own notice.
func (s *Scope) mayTake(keys *keys) error {
	if err := keys.suspended.refusal(audit.Extend, s.basis().Notice); err != nil {
		return err
	}
	return keys.suspended.refusal(audit.Seal, s.basis().Notice)
}

// putSlot seals a slot for s into value. It replaces the slot that the value has
// for that purpose, if there is one.
func putSlot(ctx context.Context, value *format.Value, s *Scope, k Kind, plaintext string, p *purpose.Provenance) error {
	keys, err := s.newestFor(ctx, k)
	if err != nil {
		return err
	}
	buf := getBuffers()
	defer buf.release()
	body, err := s.appendSlotWith(ctx, append(buf.Body[:0], value.ID...), buf, keys, plainValue{kind: k, plaintext: plaintext}, p)
	if err != nil {
		return err
	}
	value.Put(format.Named{Name: s.Purpose().String(), Slot: append([]byte(nil), body[format.IDSize:]...)})
	return nil
}
