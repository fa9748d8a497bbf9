package vault

import (
	"context"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Reveal returns the plaintext of v, which must be of kind k and collected for the
// purpose of s. The caller is responsible for the plaintext from then on.
//
// A value collected for other purposes is a [*purpose.MismatchError], found in the
// value's header without any cryptography. A value of another kind, and one that
// was forged, relabelled or altered, is [ErrCorrupt]; a value past its retention is
// [ErrExpired]. If only one of value and scope is of a single subject, the error is
// [ErrSubject]; if that subject is erased, [ErrErased]. A closed vault is
// [ErrNoKeys]. A ctx that is done, a store that is needed and does not answer, and
// an auditor that fails are [ErrUnavailable]. A nil scope, the zero Kind and the
// zero Sealed are [ErrInvalid].
func (s *Scope) Reveal(ctx context.Context, k Kind, v Sealed) (string, error) {
	return s.reveal(ctx, audit.Reveal, k, v, nil)
}

// Hint reveals v, and returns the result of mask in place of the plaintext. The
// audit records a hint, before mask is called. Like every function that is handed a plaintext, mask is
// trusted with it. A nil mask is [ErrInvalid]; other errors are as for
// [Scope.Reveal].
func (s *Scope) Hint(ctx context.Context, k Kind, v Sealed, mask func(plaintext string) string) (string, error) {
	var refusal error
	if mask == nil {
		refusal = errNoMask
	}
	plaintext, err := s.reveal(ctx, audit.Hint, k, v, refusal)
	if err != nil {
		return "", err
	}
	return mask(plaintext), nil
}

var errNoMask = fmt.Errorf("nil mask: %w", ErrInvalid)

// reveal opens v, unless there is a refusal already, and has the action audited.
func (s *Scope) reveal(ctx context.Context, a audit.Action, k Kind, v Sealed, refusal error) (plaintext string, err error) {
	if err = refusal; err == nil {
		plaintext, err = s.unseal(ctx, a, k, v)
	}
	a = s.recorded(a)
	if s.audited() {
		e := newValueEvent(a, k, v, s.opened.id.purpose)
		e.Recipient = s.recipient
		err = s.audit(ctx, e, err)
	} else {
		s.count(a, k, err)
	}
	if err != nil {
		return "", &opError{a, k, err}
	}
	return plaintext, nil
}

// recorded returns the action of the event: a plaintext that is revealed to a recipient is
// sent.
func (s *Scope) recorded(a audit.Action) audit.Action {
	if a == audit.Reveal && s.valid() && s.recipient != "" {
		return audit.Send
	}
	return a
}

// unseal returns the plaintext of v for the given action. Beside [Reseal], which splits a
// value into its slots once for all of its scopes, there is no other way from a sealed
// value to its plaintext.
func (s *Scope) unseal(ctx context.Context, a audit.Action, k Kind, v Sealed) (string, error) {
	keys, err := s.usableFor(ctx, k)
	if err != nil {
		return "", err
	}
	if v.IsZero() {
		return "", errAbsent
	}
	kind, names, body := format.Cut(v.text)
	if kind != k.name {
		return "", ErrCorrupt
	}
	n, collected := format.SlotNumber(names, s.opened.id.purpose.String())
	if !collected {
		return "", &purpose.MismatchError{Collected: format.Purposes(names), Asked: s.opened.id.purpose}
	}
	buf := getBuffers()
	defer buf.release()
	raw, err := format.DecodeBody(&buf.Buffer, body)
	if err != nil {
		return "", err
	}
	slot, ok := format.NthSlot(raw, n)
	if !ok {
		return "", ErrCorrupt
	}
	return s.unsealSlot(ctx, a, keys, k, raw[:format.IDSize], slot, buf)
}

// unsealSlot returns the plaintext of a slot of the scope's purpose. The value id and the
// slot may be in the memory of buf.
func (s *Scope) unsealSlot(ctx context.Context, a audit.Action, keys *keys, k Kind, id []byte, slot format.Slot, buf *buffers) (string, error) {
	if keys.suspended != nil {
		if err := refusalOf(keys, a, slot); err != nil {
			return "", err
		}
	}
	if a != audit.Reseal {
		if err := s.spend(ctx); err != nil {
			return "", err
		}
	}
	plain, err := s.openSlot(ctx, keys, k, id, slot, buf)
	if now := s.opened.current.Load(); err == nil && now != keys && now != nil && now.suspended != nil {
		err = refusalOf(now, a, slot) // suspended meanwhile
	}
	if err != nil {
		return "", err
	}
	return string(plain), nil
}

// refusalOf returns the refusal of an action on a slot whose notice, or whose purpose, is
// suspended in keys. The slot is not open yet, and need not open: a header with another
// notice than the one that the slot was sealed with does not open.
func refusalOf(keys *keys, a audit.Action, slot format.Slot) error {
	notice := slot.Provenance().Notice
	if a != audit.Reseal {
		return keys.suspended.refusal(a, notice)
	}
	if !slot.ByCollector() {
		return nil // the purpose's own value, which moves to another key
	}
	// The value would be taken in: sealed by the purpose, after its kind has seen the
	// plaintext.
	if err := keys.suspended.refusal(audit.Seal, notice); err != nil {
		return err
	}
	return keys.suspended.refusal(audit.Reveal, notice)
}

// openSlot opens a slot of the scope's purpose. The plaintext is in the memory of
// buf.
func (s *Scope) openSlot(ctx context.Context, keys *keys, k Kind, id []byte, slot format.Slot, buf *buffers) ([]byte, error) {
	aad := format.AppendSlotAAD(buf.aad[:0], k.name, s.opened.id.purpose.String(), id, slot.Header, s.subject)
	padded := buf.plaintext(len(slot.Sealed))
	var err error
	switch {
	case slot.Type() == format.OfPurpose && s.subject == "":
		key := keys.seal.key(slot.Sealed)
		if key == nil {
			if keys, err = s.opened.findKey(ctx, slot.Sealed); err != nil {
				return nil, err
			}
			key = keys.seal.key(slot.Sealed)
		}
		padded, err = key.open(padded, slot.Sealed, aad)
	case slot.Type() == format.OfSubject && s.subject != "":
		var key *subjectKey
		if key, err = s.opened.subjectKey(ctx, keys, s.subject, false); err != nil {
			return nil, err
		}
		if padded, err = key.open(padded, slot.Sealed, aad); err == nil {
			err = s.checkErased()
		}
	case slot.ByCollector() && s.subject == "":
		key := keys.collect().key(slot.Sealed)
		if key == nil {
			if keys, err = s.opened.findKey(ctx, slot.Sealed); err != nil {
				return nil, err
			}
			key = keys.collect().key(slot.Sealed)
		}
		padded, err = key.open(padded, s.opened.id.purpose, slot, aad)
	default:
		return nil, ErrSubject
	}
	if err != nil {
		return nil, err
	}
	plain, ok := format.Unpad(padded)
	if !ok {
		return nil, ErrCorrupt
	}
	// The slot has opened, so its expiry is authentic.
	return plain, checkTime(slot)
}

// maxSkew is how much the clocks of two machines may differ.
const maxSkew = 5 * time.Minute

// maxLead is how far a collector's clock may be ahead. A value from further ahead
// is taken for forged. Otherwise the value could answer "retry" for years, and hold
// up every run over the table.
const maxLead = 24 * time.Hour

var errClock = fmt.Errorf("clock stands before the collection: %w", ErrUnavailable)

// checkTime refuses a slot whose retention is over.
func checkTime(s format.Slot) error {
	if !s.Expires() {
		return nil
	}
	return checkRetention(s)
}

// checkRetention is checkTime for a slot that expires. The clock is [time.Now]. A clock
// that stands before the collection was set back, and can't tell whether retention is over.
func checkRetention(s format.Slot) error {
	p := s.Provenance()
	switch now := time.Now(); {
	case !now.Before(p.Expires):
		return ErrExpired
	case s.ByCollector() && now.Add(maxLead).Before(p.Collected):
		return ErrCorrupt // anybody with the public key can write any time
	case now.Add(maxSkew).Before(p.Collected):
		return errClock
	}
	return nil
}
