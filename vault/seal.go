package vault

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A Sealer can seal values for one purpose: a [*Scope] or a [*Collector]. Types
// of other packages are none, even if they embed one, and are [ErrInvalid].
type Sealer interface {
	// Purpose returns what values are sealed for.
	Purpose() purpose.Purpose

	// sealer is here so that no other type is a Sealer by accident. What keeps out
	// those that embed one, and say something else of their purpose, is sortSealers.
	sealer()
}

func (*Scope) sealer() {}

// A slotSealer is what Sealers are in here.
type slotSealer interface {
	Sealer
	valid() bool
	subjectID() string // "" if not narrowed to one
	appendSlot(ctx context.Context, body []byte, buf *buffers, req sealRequest) ([]byte, error)
	checkErased() error
	audited() bool
	audit(ctx context.Context, e Event, err error) error
}

// slotSealerOf returns nil for a Sealer that is none of ours: a type that embeds
// one could say something else of its purpose.
func ownSealer(s Sealer) slotSealer {
	switch s := s.(type) {
	case *Scope:
		return s
	case *Collector:
		return s
	}
	return nil
}

// A sealRequest is what the slots of one value have in common.
type sealRequest struct {
	kind      Kind
	plaintext string
	now       time.Time
}

// Seal seals one plaintext of kind k for the purposes of the given sealers,
// for each under its own basis. The plaintext is 1 to [MaxPlaintext] bytes, in
// the form in which it is to be revealed.
//
// No sealer, a nil one, two for one purpose, scopes of two persons or more than
// [MaxSlots] are [ErrInvalid], and so are the zero Kind and a plaintext of another size;
// [ErrErased] is a subject that was erased, [ErrNoKeys] a closed vault,
// [ErrUnavailable] a ctx that is done, a store that is needed and does not answer
// or an auditor that fails. After any error nothing is sealed for anybody.
func Seal(ctx context.Context, k Kind, plaintext string, sealers ...Sealer) (Sealed, error) {
	var buf [MaxSlots]slotSealer
	sorted, err := sortSealers(buf[:0], sealers)
	var v Sealed
	if err == nil {
		v, err = seal(ctx, k, plaintext, sorted)
	}
	for _, sealer := range sealers {
		if s := ownSealer(sealer); s != nil && s.audited() {
			err = s.audit(ctx, Event{Action: ActionSeal, Kind: k.name, Collected: purposesOf(sealers)}, err)
		}
	}
	if err != nil {
		return Sealed{}, &opError{ActionSeal, k, err}
	}
	return v, nil
}

// purposesOf returns what a value of these sealers is collected for, or would
// have been.
func purposesOf(sealers []Sealer) purpose.Set {
	var purposes []purpose.Purpose
	for _, sealer := range sealers[:min(len(sealers), MaxSlots)] {
		if s := ownSealer(sealer); s != nil {
			purposes = append(purposes, s.Purpose())
		}
	}
	return purpose.NewSet(purposes...)
}

// seal seals for sealers that are in the order of their purposes.
func seal(ctx context.Context, k Kind, plaintext string, sealers []slotSealer) (Sealed, error) {
	if plaintext == "" || len(plaintext) > MaxPlaintext {
		return Sealed{}, errSize
	}
	buf := getBuffers()
	defer buf.release()
	text := append(append(append(buf.Text[:0], format.TextMagic...), k.name...), '.')
	body := buf.ids.appendID(buf.Body[:0])
	req := sealRequest{k, plaintext, time.Now()}
	for i, s := range sealers {
		if i > 0 {
			text = append(text, format.Separator...)
		}
		text = append(text, s.Purpose().String()...)
		var err error
		if body, err = s.appendSlot(ctx, body, buf, req); err != nil {
			return Sealed{}, err
		}
	}
	for _, s := range sealers {
		if err := s.checkErased(); err != nil {
			return Sealed{}, err // while others were waited for
		}
	}
	text = base64.RawURLEncoding.AppendEncode(append(text, '.'), body)
	return Sealed{string(text)}, nil
}

var (
	errTooMany = fmt.Errorf("more than %d purposes: %w", MaxSlots, ErrInvalid)
	errTwice   = fmt.Errorf("two scopes for one purpose: %w", ErrInvalid)
)

// sortSealers appends sealers to sorted, in the order of their purposes.
func sortSealers(sorted []slotSealer, sealers []Sealer) ([]slotSealer, error) {
	if len(sealers) == 0 {
		return nil, errNoScope
	}
	if len(sealers) > MaxSlots {
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

func (s *Scope) appendSlot(ctx context.Context, body []byte, buf *buffers, req sealRequest) ([]byte, error) {
	p := newProvenance(req.now, s.basis)
	return s.appendSlotWith(ctx, body, buf, req.kind, req.plaintext, &p)
}

// appendSlotWith seals a slot with the given provenance. The body begins with
// the value id.
func (s *Scope) appendSlotWith(ctx context.Context, body []byte, buf *buffers, k Kind, plaintext string, p *purpose.Provenance) ([]byte, error) {
	keys, err := s.keysFor(ctx, k)
	if err != nil {
		return body, err
	}
	kind, seal := byte(format.OfPurpose), keys.seal.seal
	if s.subject != "" {
		subject, err := s.opened.subjectKey(ctx, keys, s.subject, true)
		if err != nil {
			return body, err
		}
		kind, seal = format.OfSubject, subject.seal
	}
	return appendSealedSlot(body, buf, &slotSpec{
		typ: kind, overhead: format.KeyIDSize + format.NonceSize + format.TagSize, seal: seal,
		kind: k, purpose: s.opened.id.purpose, provenance: p, subject: s.subject, plaintext: plaintext,
	}), nil
}

// A slotSpec is what one slot is made of.
type slotSpec struct {
	typ        byte
	overhead   int                                     // of what seal writes
	seal       func(dst, plaintext, aad []byte) []byte // under which key
	kind       Kind
	purpose    purpose.Purpose
	provenance *purpose.Provenance
	subject    string
	plaintext  string
}

// appendSealedSlot appends the slot to a body that begins with the value id.
func appendSealedSlot(body []byte, buf *buffers, spec *slotSpec) []byte {
	start := len(body)
	body = format.AppendHeader(body, spec.typ, spec.provenance)
	header := body[start:len(body):len(body)]
	aad := format.AppendSlotAAD(buf.aad[:0], spec.kind.name, spec.purpose.String(), body[:format.IDSize:format.IDSize], header, spec.subject)
	plain := format.AppendPadded(buf.plaintext(len(spec.plaintext)+format.PadStep), spec.plaintext)
	body = binary.BigEndian.AppendUint16(body, uint16(spec.overhead+len(plain)))
	return spec.seal(body, plain, aad)
}

// Extend returns v extended to a further purpose, with the person's consent. It
// is the only way by which a value gets to another purpose, so it asks for all
// that it takes: the scope from, under which v is opened; the scope to, [Under] a
// basis that refers to the consent; and a record of both in one event. The new
// slot says which purpose it came from.
//
// A scope to without a consent reference is [purpose.ErrNoConsent]. A value that
// was collected for to's purpose already, two scopes of one purpose, and a value
// of one person with a scope that is not narrowed to the same one are
// [ErrInvalid]. Other errors are those of [Scope.Reveal] and [Seal].
//
// [Under]: Scope.Under
func Extend(ctx context.Context, k Kind, v Sealed, from, to *Scope) (Sealed, error) {
	extended, err := extend(ctx, k, v, from, to)
	e := Event{Action: ActionExtend, Kind: k.name, Collected: v.Purposes(), To: to.Purpose()}
	if from.audited() {
		err = from.audit(ctx, e, err)
	}
	if to.audited() && (!from.audited() || from.opened.backend != to.opened.backend) {
		err = to.opened.backend.audit(ctx, from.complete(e), err)
	}
	if err != nil {
		return Sealed{}, &opError{ActionExtend, k, err}
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
	case len(value.Slots) == MaxSlots:
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
			return Sealed{}, err // while the other's key was waited for
		}
	}
	return Sealed{value.Text()}, nil
}

// Reseal returns v with the slots of the given scopes sealed anew, under the
// keys that are primary now: for retiring keys after [Vault.Rotate]. Provenance
// stays as it was at collection, whatever basis the scopes are under, and slots
// of other purposes stay untouched.
//
// It is also how a back end takes in what a [Collector] sealed: under the
// purpose's own key or, for a scope that [Scope.For] narrowed, that of the person.
// Whose the value is is what the caller says: a collector does not know. Errors
// are those of [Scope.Reveal]; no scope at all, two of one purpose, and scopes of
// two persons are [ErrInvalid].
func Reseal(ctx context.Context, k Kind, v Sealed, scopes ...*Scope) (Sealed, error) {
	resealed, err := reseal(ctx, k, v, scopes)
	for _, s := range scopes {
		if s.audited() {
			err = s.audit(ctx, Event{Action: ActionReseal, Kind: k.name, Collected: v.Purposes()}, err)
		}
	}
	if err != nil {
		return Sealed{}, &opError{ActionReseal, k, err}
	}
	return resealed, nil
}

func reseal(ctx context.Context, k Kind, v Sealed, scopes []*Scope) (Sealed, error) {
	if len(scopes) == 0 {
		return Sealed{}, errNoScope
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
		p, _ := v.Provenance(s.Purpose()) // authentic, for the slot just opened
		if err := putSlot(ctx, value, s, k, plaintext, &p); err != nil {
			return Sealed{}, err
		}
	}
	for _, s := range scopes {
		if err := s.checkErased(); err != nil {
			return Sealed{}, err
		}
	}
	return Sealed{value.Text()}, nil
}

// ofNobody returns s without the subject that it is narrowed to: what collectors
// seal is of no subject yet. s is not nil, for no slot is of the zero purpose.
func (s *Scope) withoutSubject() *Scope {
	wide := *s
	wide.subject = ""
	return &wide
}

// OnPrimaryKey reports whether the slot that v has for the purpose of s names
// the key that s seals with now, so that [Reseal] has nothing to do. The slots
// of subjects are always on theirs: [Vault.RewrapSubjects] moves their keys. It
// opens nothing, and is false for the zero Sealed, for a nil scope and if there
// is no such slot.
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

func (v Sealed) decode() (*format.Value, error) {
	if v.IsZero() {
		return nil, errAbsent
	}
	value, ok := format.Split(v.text)
	if !ok {
		return nil, ErrCorrupt
	}
	return value, nil
}

// put seals a slot of the value for s, in place of the one for that purpose if
// there is one.
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

// provenanceNow returns the record of a collection at the time now.
func newProvenance(now time.Time, basis purpose.Basis) purpose.Provenance {
	if now.Unix() < 0 { // an unset clock, for which the format has no seconds
		now = time.Unix(0, 0)
	}
	p := purpose.Provenance{Collected: now, Legal: basis.Legal, Notice: basis.Notice, Consent: basis.Consent}
	if basis.Retain > 0 {
		p.Expires = now.Add(basis.Retain)
	}
	return p
}
