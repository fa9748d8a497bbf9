package vault

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
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
	appendSlot(ctx context.Context, body []byte, scr *scratch, req sealRequest) ([]byte, error)
	erasedMeanwhile() error
	listens() bool
	audit(ctx context.Context, e Event, err error) error
}

// slotSealerOf returns nil for a Sealer that is none of ours: a type that embeds
// one could say something else of its purpose.
func slotSealerOf(s Sealer) slotSealer {
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
		if s := slotSealerOf(sealer); s != nil && s.listens() {
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
		if s := slotSealerOf(sealer); s != nil {
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
	scr := getScratch()
	defer scr.release()
	text := append(append(append(scr.text[:0], textMagic...), k.name...), '.')
	body := scr.ids.appendID(scr.body[:0])
	req := sealRequest{k, plaintext, time.Now()}
	for i, s := range sealers {
		if i > 0 {
			text = append(text, separator...)
		}
		text = append(text, s.Purpose().String()...)
		var err error
		if body, err = s.appendSlot(ctx, body, scr, req); err != nil {
			return Sealed{}, err
		}
	}
	for _, s := range sealers {
		if err := s.erasedMeanwhile(); err != nil {
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
		return nil, errNoScopes
	}
	if len(sealers) > MaxSlots {
		return nil, errTooMany
	}
	subject := "" // one value is of one person
	for _, sealer := range sealers {
		s := slotSealerOf(sealer)
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

func (s *Scope) appendSlot(ctx context.Context, body []byte, scr *scratch, req sealRequest) ([]byte, error) {
	p := provenanceNow(req.now, s.basis)
	return s.appendSlotWith(ctx, body, scr, req.kind, req.plaintext, &p)
}

// appendSlotWith seals a slot with the given provenance. The body begins with
// the value id.
func (s *Scope) appendSlotWith(ctx context.Context, body []byte, scr *scratch, k Kind, plaintext string, p *Provenance) ([]byte, error) {
	keys, err := s.check(ctx, k)
	if err != nil {
		return body, err
	}
	kind, seal := byte(slotPurpose), keys.seal.seal
	if s.subject != "" {
		subject, err := s.ring.subjectKey(ctx, keys, s.subject, true)
		if err != nil {
			return body, err
		}
		kind, seal = slotSubject, subject.seal
	}
	return appendSealedSlot(body, scr, &slotSpec{
		typ: kind, overhead: keyIDSize + nonceSize + tagSize, seal: seal,
		kind: k, purpose: s.ring.purpose, provenance: p, subject: s.subject, plaintext: plaintext,
	}), nil
}

// A slotSpec is what one slot is made of.
type slotSpec struct {
	typ        byte
	overhead   int                                     // of what seal writes
	seal       func(dst, plaintext, aad []byte) []byte // under which key
	kind       Kind
	purpose    purpose.Purpose
	provenance *Provenance
	subject    string
	plaintext  string
}

// appendSealedSlot appends the slot to a body that begins with the value id.
func appendSealedSlot(body []byte, scr *scratch, spec *slotSpec) []byte {
	start := len(body)
	body = appendSlotHeader(body, spec.typ, spec.provenance)
	header := body[start:len(body):len(body)]
	aad := appendSlotAAD(scr.aad[:0], spec.kind.name, spec.purpose.String(), body[:idSize:idSize], header, spec.subject)
	plain := appendPadded(scr.plaintext(len(spec.plaintext)+padStep), spec.plaintext)
	body = binary.BigEndian.AppendUint16(body, uint16(spec.overhead+len(plain)))
	return spec.seal(body, plain, aad)
}
