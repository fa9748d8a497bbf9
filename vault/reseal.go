package vault

import (
	"context"
	"fmt"
	"slices"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

var errHalfNarrowed = fmt.Errorf("another slot is of a person, and its scope is missing: %w", ErrInvalid)

// Reseal returns v with the slots of the given scopes sealed anew, under the keys
// that are primary now. It is for retiring keys after [Admin.Rotate]. Provenance
// stays as it was at collection, under any basis of the scopes. Slots of other
// purposes stay untouched. With the scopes of all slots, the result has a new value
// id, so that nothing links it to earlier copies of the value.
//
// A back end also calls Reseal to take in the values of a [Collector]. It seals
// them under the purpose's own key or, for a scope that [Scope.For] narrowed, under
// the key of that person. In the same way, a narrowed scope brings a value of the
// purpose under the key of a person. The caller says whose value it is: the value
// does not. A slot of a person stays that person's.
//
// The function valid judges the plaintext of each slot that is sealed anew, which the
// purpose then vouches for. If it returns false, v is [ErrCorrupt]. It is called after
// the events were recorded, which therefore may say allowed; if they can't be recorded,
// it is not called. A nil valid judges nothing. While a slot must not be revealed because
// of [Admin.Suspend], a slot that the purpose sealed itself is sealed anew without being
// judged again, and a slot of a collector is [ErrSuspended].
//
// Other errors are as for [Scope.Reveal]. No scope at all, two scopes of one purpose, and
// scopes of two persons are [ErrInvalid]. So is narrowing a slot while another slot
// is of a person, unless that slot's scope is given as well: one value is of one
// person.
func Reseal(ctx context.Context, k Kind, v Sealed, valid func(plaintext string) bool, scopes ...*Scope) (Sealed, error) {
	if len(scopes) == 1 {
		if s := scopes[0]; s.valid() && !s.audited() && v.isFor(s.opened.id.purpose) {
			return s.resealAlone(ctx, k, v, valid)
		}
	}
	// The value is decoded once for all slots: to decode it for each would be quadratic.
	value, err := v.decode()
	var before describedValue
	if slices.ContainsFunc(scopes, (*Scope).audited) {
		before = describe(v, value)
	}
	var resealed Sealed
	var plaintexts []string
	if len(scopes) == 0 {
		err = errNoScopes
	}
	if err == nil {
		resealed, plaintexts, err = reseal(ctx, k, value, scopes)
	}
	id := ""
	if before.id != "" { // there are events
		id = resealed.ID()
	}
	for _, s := range scopes {
		if s.audited() {
			e := before.event(audit.Reseal, k, s.Purpose())
			if id != e.Value {
				e.NewValue = id
			}
			err = s.audit(ctx, e, err)
		} else {
			s.count(audit.Reseal, k, err)
		}
	}
	for i := 0; err == nil && valid != nil && i < len(plaintexts); i++ {
		if !valid(plaintexts[i]) {
			err = ErrCorrupt
		}
	}
	if err != nil {
		return Sealed{}, &opError{audit.Reseal, k, err}
	}
	return resealed, nil
}

// resealAlone is Reseal of a value of one purpose by its one scope, which is valid and has no
// auditor. For this usual case, which is also that of a collector's values, it takes about
// half of the time: the value stays in the memory of one operation, and is not split into
// slots. Every decision is made by the functions that make it in reseal.
func (s *Scope) resealAlone(ctx context.Context, k Kind, v Sealed, valid func(plaintext string) bool) (Sealed, error) {
	resealed, plaintext, err := s.resealSlot(ctx, k, v)
	s.count(audit.Reseal, k, err)
	if err == nil && valid != nil && plaintext != "" && !valid(plaintext) {
		err = ErrCorrupt
	}
	if err != nil {
		return Sealed{}, &opError{audit.Reseal, k, err}
	}
	return resealed, nil
}

// resealSlot is reseal for resealAlone. The plaintext is "" if nobody is to judge it.
func (s *Scope) resealSlot(ctx context.Context, k Kind, v Sealed) (resealed Sealed, plaintext string, err error) {
	kind, _, text := format.Cut(v.text)
	buf := getBuffers()
	defer buf.release()
	raw, err := format.DecodeBody(&buf.Buffer, text)
	if err != nil {
		return Sealed{}, "", ErrCorrupt
	}
	slot, ok := format.NthSlot(raw, 0)
	if !ok {
		return Sealed{}, "", ErrCorrupt
	}
	from := s
	if slot.Type() != format.OfSubject && s.subject != "" {
		from = s.withoutSubject()
	}
	keys, err := from.keysFor(ctx, k) // a rotation goes on while nobody knows of suspensions
	if err != nil {
		return Sealed{}, "", err
	}
	if kind != k.name {
		return Sealed{}, "", ErrCorrupt
	}
	if plaintext, err = from.unsealSlot(ctx, audit.Reseal, keys, k, raw[:format.IDSize], slot, buf); err != nil {
		return Sealed{}, "", err
	}
	// The new slot takes the place of the old one in buf, so this is the last use of slot.
	p := slot.Provenance()
	if keys, err = s.newestFor(ctx, k); err != nil {
		return Sealed{}, "", err
	}
	body := buf.ids.appendID(buf.Body[:0])
	if body, err = s.appendSlotWith(ctx, body, buf, keys, plainValue{kind: k, plaintext: plaintext}, &p); err != nil {
		return Sealed{}, "", err
	}
	if !s.mayJudge(&p) {
		plaintext = ""
	}
	if err := s.checkErased(); err != nil {
		return Sealed{}, "", err
	}
	head := v.text[:len(v.text)-len(text)] // the kind, the purpose and the point behind it
	return Sealed{string(format.AppendBase64(append(buf.Text[:0], head...), body))}, plaintext, nil
}

// mayJudge reports whether the plaintext of a slot that s seals anew is to be judged. A
// plaintext that must not be revealed is judged by nobody: it is the purpose's own, so it was
// judged before.
func (s *Scope) mayJudge(p *purpose.Provenance) bool {
	keys := s.opened.current.Load()
	return keys == nil || keys.suspended.refusal(audit.Reveal, p.Notice) == nil
}

// isFor reports whether v has one purpose, and it is p.
func (v Sealed) isFor(p purpose.Purpose) bool {
	if v.IsZero() {
		return false
	}
	_, names, _ := format.Cut(v.text)
	return names == p.String()
}

// reseal returns the value sealed anew, and the plaintexts to judge. It changes value.
func reseal(ctx context.Context, k Kind, value *format.Value, scopes []*Scope) (resealed Sealed, plaintexts []string, err error) {
	if err := checkReseal(value, scopes); err != nil {
		return Sealed{}, nil, err
	}
	// Each slot is opened, though one is enough for the plaintext: nothing says that
	// the others hold the same.
	opened := make([]openedSlot, len(scopes))
	for i, s := range scopes {
		if narrowable(value, s.Purpose()) {
			s = s.withoutSubject()
		}
		if opened[i], err = s.unsealOf(ctx, k, value); err != nil {
			return Sealed{}, nil, err
		}
	}
	if len(scopes) == len(value.Slots) { // of one purpose each, all of which v has
		value.ID = newID()
	}
	for i, s := range scopes {
		p := opened[i].provenance
		if err := putSlot(ctx, value, s, k, opened[i].plaintext, &p); err != nil {
			return Sealed{}, nil, err
		}
		if s.mayJudge(&p) {
			plaintexts = append(plaintexts, opened[i].plaintext)
		}
	}
	for _, s := range scopes {
		if err := s.checkErased(); err != nil {
			return Sealed{}, nil, err // erased while another scope waited for its key
		}
	}
	return Sealed{value.Text()}, plaintexts, nil
}

// An openedSlot has the plaintext of a slot that was opened, and the provenance that the
// slot authenticates.
type openedSlot struct {
	plaintext  string
	provenance purpose.Provenance
}

// unsealOf opens the slot that value has for the purpose of s, to seal it anew. Its errors
// are the errors of unseal.
func (s *Scope) unsealOf(ctx context.Context, k Kind, value *format.Value) (openedSlot, error) {
	keys, err := s.keysFor(ctx, k) // a rotation goes on while nobody knows of suspensions
	if err != nil {
		return openedSlot{}, err
	}
	if value.Kind != k.name {
		return openedSlot{}, ErrCorrupt
	}
	raw, collected := value.Find(s.Purpose().String())
	if !collected {
		return openedSlot{}, &purpose.MismatchError{Collected: value.Purposes(), Asked: s.Purpose()}
	}
	slot, _, ok := format.CutSlot(raw)
	if !ok {
		return openedSlot{}, ErrCorrupt
	}
	buf := getBuffers()
	defer buf.release()
	plaintext, err := s.unsealSlot(ctx, audit.Reseal, keys, k, value.ID, slot, buf)
	if err != nil {
		return openedSlot{}, err
	}
	return openedSlot{plaintext, slot.Provenance()}, nil
}

// checkReseal refuses scopes that can't reseal one value together.
func checkReseal(value *format.Value, scopes []*Scope) error {
	given := make(map[purpose.Purpose]bool, len(scopes))
	subject, narrows := "", false // one value is of one person
	for _, s := range scopes {
		if given[s.Purpose()] {
			return errTwice
		}
		given[s.Purpose()] = true
		if s == nil || s.subject == "" {
			continue
		}
		if subject != "" && s.subject != subject {
			return errOtherSubject
		}
		subject = s.subject
		narrows = narrows || narrowable(value, s.Purpose())
	}
	if !narrows {
		return nil
	}
	for _, slot := range value.Slots {
		p, err := purpose.Parse(slot.Name)
		if err != nil {
			return ErrCorrupt
		}
		if slot.Slot[0] == format.OfSubject && !given[p] {
			return errHalfNarrowed
		}
	}
	return nil
}

// narrowable reports whether the value has a slot for p that is not of a subject.
func narrowable(value *format.Value, p purpose.Purpose) bool {
	slot, found := value.Find(p.String())
	return found && slot[0] != format.OfSubject
}

// newID returns a fresh value id.
func newID() []byte {
	buf := getBuffers()
	defer buf.release()
	return buf.ids.appendID(nil)
}

// withoutSubject returns s without the subject that it is narrowed to: a
// collector's values have no subject yet. The caller has found a slot for the
// purpose of s, so s is not nil: no slot has the zero purpose.
func (s *Scope) withoutSubject() *Scope {
	wide := s.clone()
	wide.subject = ""
	return wide
}
