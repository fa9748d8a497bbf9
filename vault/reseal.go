package vault

import (
	"context"

	"github.com/onlyfor/onlyfor/purpose"
)

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
		if s.listens() {
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
		return Sealed{}, errNoScopes
	}
	value, err := v.parts()
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
		if value.slotType(s.Purpose()) == slotCollector {
			opener = s.ofNobody()
		}
		plaintext, err := opener.decide(ctx, k, v)
		if err != nil {
			return Sealed{}, err
		}
		p, _ := v.Provenance(s.Purpose()) // authentic, for the slot just opened
		if err := value.put(ctx, s, k, plaintext, &p); err != nil {
			return Sealed{}, err
		}
	}
	for _, s := range scopes {
		if err := s.erasedMeanwhile(); err != nil {
			return Sealed{}, err
		}
	}
	return value.seal(), nil
}

// ofNobody returns s without the subject that it is narrowed to: what collectors
// seal is of no subject yet. s is not nil, for no slot is of the zero purpose.
func (s *Scope) ofNobody() *Scope {
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
	if s == nil || s.ring == nil {
		return false
	}
	keys := s.ring.current()
	value, err := v.parts()
	if keys == nil || err != nil {
		return false
	}
	for _, part := range value.parts {
		if part.name == s.ring.purpose.String() {
			slot, _, ok := cutSlot(part.slot)
			return ok && (slot.kind() == slotSubject || slot.kind() == slotPurpose && keys.seal.onPrimary(slot.sealed))
		}
	}
	return false
}
