package vault

import (
	"context"
	"encoding/base64"
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
// [ErrNoKeys]. A ctx that is done, a store that is needed and does not answer, and
// an auditor that fails are [ErrUnavailable]. After any error the value is sealed
// for none of the purposes.
func Seal(ctx context.Context, k Kind, plaintext string, sealers ...Sealer) (Sealed, error) {
	var buf [format.MaxSlots]slotSealer
	sorted, err := sortSealers(buf[:0], sealers)
	var v Sealed
	if err == nil {
		v, err = seal(ctx, k, plaintext, sorted)
	}
	for _, sealer := range sealers {
		if s := ownSealer(sealer); s != nil && s.audited() {
			err = s.audit(ctx, audit.Event{Action: audit.Seal, Kind: k.name, Collected: purposesOf(sealers)}, err)
		}
	}
	if err != nil {
		return Sealed{}, &opError{audit.Seal, k, err}
	}
	return v, nil
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
	value := plainValue{k, plaintext, time.Now()}
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
	text = base64.RawURLEncoding.AppendEncode(append(text, '.'), body)
	return Sealed{string(text)}, nil
}

// Extend returns v extended to a further purpose, with the person's consent. No
// other function brings a value to another purpose, so Extend asks for all of the
// following: the scope from, which opens v; the scope to, [Under] a basis that
// refers to the consent; and a record of both in one event. The new slot says which
// purpose it came from.
//
// A scope to without a consent reference is [purpose.ErrNoConsent]. A value that
// was collected for to's purpose already, two scopes of one purpose, and a person's
// value with a scope to that is not narrowed to that person are [ErrInvalid]. Other
// errors are as for [Scope.Reveal] and [Seal].
//
// [Under]: Scope.Under
func Extend(ctx context.Context, k Kind, v Sealed, from, to *Scope) (Sealed, error) {
	extended, err := extend(ctx, k, v, from, to)
	e := audit.Event{Action: audit.Extend, Kind: k.name, Collected: v.Purposes(), To: to.Purpose()}
	if from.audited() {
		err = from.audit(ctx, e, err)
	}
	if to.audited() && (!from.audited() || from.opened.backend != to.opened.backend) {
		err = to.opened.backend.audit(ctx, from.complete(e), err)
	}
	if err != nil {
		return Sealed{}, &opError{audit.Extend, k, err}
	}
	return extended, nil
}

func extend(ctx context.Context, k Kind, v Sealed, from, to *Scope) (Sealed, error) {
	if _, err := to.keysFor(ctx, k); err != nil {
		return Sealed{}, err
	}
	plaintext, err := from.unseal(ctx, k, v)
	if err != nil {
		return Sealed{}, err
	}
	value, err := v.decode()
	switch {
	case err != nil:
		return Sealed{}, err
	case from.subject != "" && to.subject != from.subject:
		return Sealed{}, errOtherSubject
	case v.Purposes().Contains(to.Purpose()):
		return Sealed{}, fmt.Errorf("collected for %v already: %w", to.Purpose(), ErrInvalid)
	case len(value.Slots) == format.MaxSlots:
		return Sealed{}, errTooMany
	case to.basis.Consent == "":
		return Sealed{}, purpose.ErrNoConsent
	}
	p := newProvenance(time.Now(), to.basis)
	p.From = from.Purpose()
	if err := putSlot(ctx, value, to, k, plaintext, &p); err != nil {
		return Sealed{}, err
	}
	for _, s := range [...]*Scope{from, to} {
		if err := s.checkErased(); err != nil {
			return Sealed{}, err // erased while the other scope waited for its key
		}
	}
	return Sealed{value.Text()}, nil
}

// Reseal returns v with the slots of the given scopes sealed anew, under the keys
// that are primary now. It is for retiring keys after [Admin.Rotate]. Provenance
// stays as it was at collection, under any basis of the scopes. Slots of other
// purposes stay untouched.
//
// A back end also calls Reseal to take in the values of a [Collector]. It seals
// them under the purpose's own key or, for a scope that [Scope.For] narrowed, under
// the key of that person. The caller says whose value it is: a collector does not
// know.
//
// Errors are as for [Scope.Reveal]. No scope at all, two scopes of one purpose, and
// scopes of two persons are [ErrInvalid].
func Reseal(ctx context.Context, k Kind, v Sealed, scopes ...*Scope) (Sealed, error) {
	resealed, err := reseal(ctx, k, v, scopes)
	for _, s := range scopes {
		if s.audited() {
			err = s.audit(ctx, audit.Event{Action: audit.Reseal, Kind: k.name, Collected: v.Purposes()}, err)
		}
	}
	if err != nil {
		return Sealed{}, &opError{audit.Reseal, k, err}
	}
	return resealed, nil
}

func reseal(ctx context.Context, k Kind, v Sealed, scopes []*Scope) (Sealed, error) {
	if len(scopes) == 0 {
		return Sealed{}, errNoScopes
	}
	value, err := v.decode()
	if err != nil {
		return Sealed{}, err
	}
	done := make(map[purpose.Purpose]bool)
	subject := "" // one value is of one person
	for _, s := range scopes {
		if done[s.Purpose()] {
			return Sealed{}, errTwice
		}
		done[s.Purpose()] = true
		if s != nil && s.subject != "" {
			if subject != "" && s.subject != subject {
				return Sealed{}, errOtherSubject
			}
			subject = s.subject
		}
		opener := s
		if value.Type(s.Purpose()) == format.OfCollector {
			opener = s.withoutSubject()
		}
		plaintext, err := opener.unseal(ctx, k, v)
		if err != nil {
			return Sealed{}, err
		}
		p, _ := v.Provenance(s.Purpose()) // authentic: the slot has just been opened
		if err := putSlot(ctx, value, s, k, plaintext, &p); err != nil {
			return Sealed{}, err
		}
	}
	for _, s := range scopes {
		if err := s.checkErased(); err != nil {
			return Sealed{}, err // erased while another scope waited for its key
		}
	}
	return Sealed{value.Text()}, nil
}

// OnPrimaryKey reports whether v's slot for the purpose of s names the key that s
// seals with now, so that [Reseal] has nothing to do. It opens nothing. It is true
// for every slot of a subject: [Admin.RewrapSubjects] moves the keys of subjects.
// It is false for the zero Sealed, for a nil scope, after the vault was closed, and
// if there is no such slot.
func (v Sealed) OnPrimaryKey(s *Scope) bool {
	if s == nil || s.opened == nil {
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
			return ok && (slot.Type() == format.OfSubject || slot.Type() == format.OfPurpose && keys.seal.onPrimary(slot.Sealed))
		}
	}
	return false
}

// A slotSealer is a Sealer of this package, with the methods that Seal needs.
type slotSealer interface {
	Sealer
	valid() bool
	subjectID() string // "" if not narrowed to a subject
	appendSlot(ctx context.Context, body []byte, buf *buffers, value plainValue) ([]byte, error)
	checkErased() error
	audited() bool
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
	now       time.Time
}

// A plainSlot is a slot to be sealed.
type plainSlot struct {
	typ        byte
	overhead   int                                     // bytes that seal adds to the padded plaintext
	seal       func(dst, plaintext, aad []byte) []byte // under the key of the slot
	kind       Kind
	purpose    purpose.Purpose
	provenance *purpose.Provenance
	subject    string
	plaintext  string
}

// appendSlot seals a slot for s and appends it to body, which begins with the value
// id.
func (s *Scope) appendSlot(ctx context.Context, body []byte, buf *buffers, value plainValue) ([]byte, error) {
	p := newProvenance(value.now, s.basis)
	return s.appendSlotWith(ctx, body, buf, value.kind, value.plaintext, &p)
}

// appendSlotWith is appendSlot with the given provenance.
func (s *Scope) appendSlotWith(ctx context.Context, body []byte, buf *buffers, k Kind, plaintext string, p *purpose.Provenance) ([]byte, error) {
	keys, err := s.keysFor(ctx, k)
	if err != nil {
		return body, err
	}
	typ, seal := byte(format.OfPurpose), keys.seal.seal
	if s.subject != "" {
		subject, err := s.opened.subjectKey(ctx, keys, s.subject, true)
		if err != nil {
			return body, err
		}
		typ, seal = format.OfSubject, subject.seal
	}
	return appendSealedSlot(body, buf, &plainSlot{
		typ: typ, overhead: format.KeyIDSize + format.NonceSize + format.TagSize, seal: seal,
		kind: k, purpose: s.opened.id.purpose, provenance: p, subject: s.subject, plaintext: plaintext,
	}), nil
}

// appendSealedSlot seals the slot and appends it to body, which begins with the
// value id.
func appendSealedSlot(body []byte, buf *buffers, slot *plainSlot) []byte {
	start := len(body)
	body = format.AppendHeader(body, slot.typ, slot.provenance)
	header := body[start:len(body):len(body)]
	aad := format.AppendSlotAAD(buf.aad[:0], slot.kind.name, slot.purpose.String(), body[:format.IDSize:format.IDSize], header, slot.subject)
	plain := format.AppendPadded(buf.plaintext(len(slot.plaintext)+format.PadStep), slot.plaintext)
	body = binary.BigEndian.AppendUint16(body, uint16(slot.overhead+len(plain)))
	return slot.seal(body, plain, aad)
}

// putSlot seals a slot for s into value. It replaces the slot that the value has
// for that purpose, if there is one.
func putSlot(ctx context.Context, value *format.Value, s *Scope, k Kind, plaintext string, p *purpose.Provenance) error {
	buf := getBuffers()
	defer buf.release()
	body, err := s.appendSlotWith(ctx, append(buf.Body[:0], value.ID...), buf, k, plaintext, p)
	if err != nil {
		return err
	}
	value.Put(format.Named{Name: s.Purpose().String(), Slot: append([]byte(nil), body[format.IDSize:]...)})
	return nil
}

// newProvenance returns the provenance of a value that is collected now, under the
// given basis.
func newProvenance(now time.Time, basis purpose.Basis) purpose.Provenance {
	if now.Unix() < 0 { // an unset clock: the format has no times before 1970
		now = time.Unix(0, 0)
	}
	p := purpose.Provenance{Collected: now, Legal: basis.Legal, Notice: basis.Notice, Consent: basis.Consent}
	if basis.Retain > 0 {
		p.Expires = now.Add(basis.Retain)
	}
	return p
}

// withoutSubject returns s without the subject that it is narrowed to: a
// collector's values have no subject yet. The caller has found a slot for the
// purpose of s, so s is not nil: no slot has the zero purpose.
func (s *Scope) withoutSubject() *Scope {
	wide := *s
	wide.subject = ""
	return &wide
}
