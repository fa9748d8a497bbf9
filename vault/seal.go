package vault

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A Sealer can seal values for one purpose: it is a [*Scope] or a [*Collector]. A
// type of another package is [ErrInvalid] to [Seal], even if it embeds one of them.
type Sealer interface {
	// Purpose returns the purpose that values are sealed for.
	Purpose() purpose.Purpose

	// sealer keeps other types from being Sealers by accident. A type that embeds a
	// Sealer, and names another purpose, has this method too: sortSealers refuses it.
	sealer()
}

func (*Scope) sealer() {}

var (
	errTooMany = fmt.Errorf("more than %d purposes: %w", format.MaxSlots, ErrInvalid)
	errTwice   = fmt.Errorf("two scopes for one purpose: %w", ErrInvalid)
)

// Seal seals one plaintext of kind k for the purposes of the given sealers, for
// each under its own basis. The plaintext is 1 to 1024 bytes, in the form
// that is to be revealed.
//
// No sealer, a nil sealer, two for one purpose, scopes of two persons and more than
// 16 sealers are [ErrInvalid], and so are the zero Kind and a plaintext of
// another size. A subject that was erased is [ErrErased], and a closed vault is
// [ErrNoKeys]. A retention that is over already, counted from the time that
// [purpose.Basis.Collected] states, is [ErrExpired]. A ctx that is done, a store that is
// needed and does not answer, and an auditor that fails are [ErrUnavailable]. After any
// error the value is sealed for none of the purposes.
func Seal(ctx context.Context, k Kind, plaintext string, sealers ...Sealer) (Sealed, error) {
	if len(sealers) == 1 {
		if s, ok := sealers[0].(*Scope); ok && s.valid() && !s.audited() {
			return s.sealAlone(ctx, k, plaintext)
		}
	}
	var buf [format.MaxSlots]slotSealer
	sorted, err := sortSealers(buf[:0], sealers)
	var v Sealed
	if err == nil {
		v, err = seal(ctx, k, plaintext, sorted)
	}
	for _, sealer := range sealers {
		if s := ownSealer(sealer); s != nil && s.audited() {
			e := newValueEvent(audit.Seal, k, v, s.Purpose())
			if v.IsZero() {
				e.Collected, e.Provenance = purposesOf(sealers), s.askedFor()
			}
			err = s.audit(ctx, e, err)
		} else if s, ok := sealer.(*Scope); ok {
			s.count(audit.Seal, k, err)
		}
	}
	if err != nil {
		return Sealed{}, &opError{audit.Seal, k, err}
	}
	return v, nil
}

// sealAlone is Seal for one valid scope without an auditor. For this usual case it saves a
// tenth of the time: there is nothing to sort, there are no events, and the methods of the
// scope are called directly.
func (s *Scope) sealAlone(ctx context.Context, k Kind, plaintext string) (Sealed, error) {
	v, err := s.sealSlot(ctx, k, plaintext)
	s.count(audit.Seal, k, err)
	if err != nil {
		return Sealed{}, &opError{audit.Seal, k, err}
	}
	return v, nil
}

// sealSlot is seal for sealAlone.
func (s *Scope) sealSlot(ctx context.Context, k Kind, plaintext string) (Sealed, error) {
	if plaintext == "" || len(plaintext) > format.MaxPlaintext {
		return Sealed{}, errSize
	}
	buf := getBuffers()
	defer buf.release()
	body := buf.ids.appendID(buf.Body[:0])
	body, err := s.appendSlot(ctx, body, buf, plainValue{k, plaintext, s.date()})
	if err != nil {
		return Sealed{}, err
	}
	if err := s.checkErased(); err != nil {
		return Sealed{}, err
	}
	text := format.AppendHead(buf.Text[:0], k.name, s.opened.id.purpose.String())
	return Sealed{string(format.AppendBase64(text, body))}, nil
}

// seal is Seal without its audit, for sealers in the order of their purposes.
func seal(ctx context.Context, k Kind, plaintext string, sealers []slotSealer) (Sealed, error) {
	if plaintext == "" || len(plaintext) > format.MaxPlaintext {
		return Sealed{}, errSize
	}
	buf := getBuffers()
	defer buf.release()
	text := append(append(append(buf.Text[:0], format.TextMagic...), k.name...), '.')
	body := buf.ids.appendID(buf.Body[:0])
	value := plainValue{k, plaintext, sealers[0].date()}
	for i, s := range sealers {
		if i > 0 {
			text = append(text, format.Separator...)
		}
		text = append(text, s.Purpose().String()...)
		var err error
		if body, err = s.appendSlot(ctx, body, buf, value); err != nil {
			return Sealed{}, err
		}
	}
	for _, s := range sealers {
		if err := s.checkErased(); err != nil {
			return Sealed{}, err // erased while seal waited for other slots
		}
	}
	text = format.AppendBase64(append(text, '.'), body)
	return Sealed{string(text)}, nil
}

// OnPrimaryKey reports whether v's slot for the purpose of s names the key that s
// seals with now, so that [Reseal] has nothing to do. It opens nothing. It is true
// for every slot of a subject: [Admin.RewrapSubjects] moves the keys of subjects. For a
// scope that [Scope.For] narrowed it is false for a slot under a key of the purpose, which Reseal
// brings under the key of the person. It is false for the zero Sealed, for a nil scope, after the vault was closed, and
// if there is no such slot.
func (v Sealed) OnPrimaryKey(s *Scope) bool {
	if !s.valid() {
		return false
	}
	keys := s.opened.peek()
	value, err := v.decode()
	if keys == nil || err != nil {
		return false
	}
	for _, part := range value.Slots {
		if part.Name == s.opened.id.purpose.String() {
			slot, _, ok := format.CutSlot(part.Slot)
			return ok && (slot.Type() == format.OfSubject || slot.Type() == format.OfPurpose && s.subject == "" && keys.seal.onPrimary(slot.Sealed))
		}
	}
	return false
}

// A slotSealer is a Sealer of this package, with the methods that Seal needs.
type slotSealer interface {
	Sealer
	valid() bool
	subjectID() string // "" if not narrowed to a subject
	date() time.Time   // of a collection now, in whole seconds at least
	appendSlot(ctx context.Context, body []byte, buf *buffers, value plainValue) ([]byte, error)
	checkErased() error
	audited() bool
	askedFor() purpose.Provenance
	audit(ctx context.Context, e audit.Event, err error) error
}

// ownSealer returns s as a slotSealer, or nil if its type is of another package: a
// type that embeds a Sealer could name another purpose.
func ownSealer(s Sealer) slotSealer {
	switch s := s.(type) {
	case *Scope:
		return s
	case *Collector:
		return s
	}
	return nil
}

// sortSealers appends sealers to sorted, in the order of their purposes. It refuses
// sealers that can't seal one value together.
func sortSealers(sorted []slotSealer, sealers []Sealer) ([]slotSealer, error) {
	if len(sealers) == 0 {
		return nil, errNoScopes
	}
	if len(sealers) > format.MaxSlots {
		return nil, errTooMany
	}
	subject := "" // one value is of one person
	for _, sealer := range sealers {
		s := ownSealer(sealer)
		if s == nil || !s.valid() {
			return nil, errNoScope
		}
		if id := s.subjectID(); id != "" {
			if subject != "" && id != subject {
				return nil, errOtherSubject
			}
			subject = id
		}
		i := len(sorted)
		sorted = append(sorted, s)
		for ; i > 0; i-- {
			order := strings.Compare(s.Purpose().String(), sorted[i-1].Purpose().String())
			if order == 0 {
				return nil, errTwice
			}
			if order > 0 {
				break
			}
			sorted[i], sorted[i-1] = sorted[i-1], s
		}
	}
	return sorted, nil
}

// purposesOf returns the purposes that a value of these sealers is collected for,
// or would have been.
func purposesOf(sealers []Sealer) purpose.Set {
	var purposes []purpose.Purpose
	for _, sealer := range sealers[:min(len(sealers), format.MaxSlots)] {
		if s := ownSealer(sealer); s != nil {
			purposes = append(purposes, s.Purpose())
		}
	}
	return purpose.NewSet(purposes...)
}

// A plainValue is a value to be sealed. All slots of the value are made from it.
type plainValue struct {
	kind      Kind
	plaintext string
	collected time.Time
}

// A plainSlot is a slot to be sealed.
type plainSlot struct {
	plainValue
	typ        byte
	purpose    purpose.Purpose
	provenance *purpose.Provenance // nil if the time of collection is all that is known
	subject    string
}

// A slotKey seals slots. It appends the sealed part of a slot to dst.
type slotKey interface {
	seal(dst, plaintext, aad []byte) []byte
}

// appendSlot seals a slot for s and appends it to body, which begins with the value
// id.
func (s *Scope) appendSlot(ctx context.Context, body []byte, buf *buffers, value plainValue) ([]byte, error) {
	keys, err := s.newestFor(ctx, value.kind)
	if err != nil {
		return body, err
	}
	exact := s.opened.backend.opts.ExactTimes
	if s.under == nil { // the usual case: no basis, and so no fields of one
		if err := keys.suspended.refusal(audit.Seal, ""); err != nil {
			return body, err
		}
		var ok bool
		if value.collected, _, ok = format.Times(value.collected, 0, exact); !ok {
			return body, errUnsetClock
		}
		return s.appendSlotWith(ctx, body, buf, keys, value, nil)
	}
	if err := keys.suspended.refusal(audit.Seal, s.under.Notice); err != nil {
		return body, err
	}
	p, err := newProvenance(value.collected, &s.under.Basis, exact)
	if err != nil {
		return body, err
	}
	return s.appendSlotWith(ctx, body, buf, keys, value, &p)
}

// appendSlotWith is appendSlot with the given keys and provenance. A nil provenance is that
// of value.collected alone.
func (s *Scope) appendSlotWith(ctx context.Context, body []byte, buf *buffers, keys *keys, value plainValue, p *purpose.Provenance) ([]byte, error) {
	typ, key := byte(format.OfPurpose), slotKey(keys.seal)
	if s.subject != "" {
		subject, err := s.opened.subjectKey(ctx, keys, s.subject, true)
		if err != nil {
			return body, err
		}
		typ, key = format.OfSubject, subject
	}
	return appendSealedSlot(body, buf, key, &plainSlot{
		plainValue: value, typ: typ, purpose: s.opened.id.purpose, provenance: p, subject: s.subject,
	}), nil
}

// appendSealedSlot seals the slot with the key and appends it to body, which begins with the
// value id. The key is not part of the slot, which would move to the heap with it.
func appendSealedSlot(body []byte, buf *buffers, key slotKey, slot *plainSlot) []byte {
	start := len(body)
	if slot.provenance == nil {
		body = format.AppendBareHeader(body, slot.typ, slot.collected)
	} else {
		body = format.AppendHeader(body, slot.typ, slot.provenance)
	}
	header := body[start:len(body):len(body)]
	aad := format.AppendSlotAAD(buf.aad[:0], slot.kind.name, slot.purpose.String(), body[:format.IDSize:format.IDSize], header, slot.subject)
	plain := format.AppendPadded(buf.plaintext(len(slot.plaintext)+format.PadStep), slot.plaintext)
	body = binary.BigEndian.AppendUint16(body, uint16(format.Overhead(slot.typ)+len(plain)))
	return key.seal(body, plain, aad)
}

// errUnsetClock reports a clock that is not set, or is set far ahead.
var errUnsetClock = fmt.Errorf("clock is not set: %w", ErrUnavailable)

// newProvenance returns the provenance of a value that is collected now, or at the time
// that the basis states. A clock that can't tell when the retention ends is
// errUnsetClock. A retention that is over already is ErrExpired: nobody could ever
// reveal the value.
func newProvenance(now time.Time, basis *purpose.Basis, exact bool) (p purpose.Provenance, err error) {
	p.Legal, p.Notice, p.Consent = basis.Legal, basis.Notice, basis.Consent
	at := now
	if !basis.Collected.IsZero() {
		switch p.Stated = true; {
		case now.Add(maxSkew).Before(basis.Collected): // the clock was set back since Under
			return p, errClock
		case basis.Collected.Before(now):
			at = basis.Collected
		}
	}
	var ok bool
	if p.Collected, p.Expires, ok = format.Times(at, basis.Retain, exact); !ok || p.Stated && p.Collected.Unix() == 0 {
		return p, errUnsetClock
	}
	if p.Stated && !p.Expires.IsZero() && !now.Before(p.Expires) {
		return p, ErrExpired
	}
	return p, nil
}
