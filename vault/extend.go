package vault

import (
	"context"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

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
	if from.listens() {
		err = from.audit(ctx, e, err)
	}
	if to.listens() && (!from.listens() || from.ring.backend != to.ring.backend) {
		err = to.ring.backend.audit(ctx, from.complete(e), err)
	}
	if err != nil {
		return Sealed{}, &opError{ActionExtend, k, err}
	}
	return extended, nil
}

func extend(ctx context.Context, k Kind, v Sealed, from, to *Scope) (Sealed, error) {
	if _, err := to.check(ctx, k); err != nil {
		return Sealed{}, err
	}
	plaintext, err := from.decide(ctx, k, v)
	if err != nil {
		return Sealed{}, err
	}
	value, err := v.parts()
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
	p := provenanceNow(time.Now(), to.basis)
	p.From = from.Purpose()
	if err := put(ctx, value, to, k, plaintext, &p); err != nil {
		return Sealed{}, err
	}
	for _, s := range [...]*Scope{from, to} {
		if err := s.erasedMeanwhile(); err != nil {
			return Sealed{}, err // while the other's key was waited for
		}
	}
	return Sealed{value.Text()}, nil
}
