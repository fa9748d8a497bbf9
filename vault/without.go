package vault

import (
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// Without returns v without what it holds for purpose p, which needs no key:
// whoever can write a row can withdraw. What is left opens as before. Without its
// last purpose a value is the zero Sealed. It is v if it was not collected for
// p.
func (v Sealed) Without(p purpose.Purpose) Sealed {
	return v.keep(func(name string, _ slot) bool { return name != p.String() })
}

// WithoutExpired returns v without the slots whose retention is over by
// [time.Now], which needs no key. It is the zero Sealed if all of them are.
func (v Sealed) WithoutExpired() Sealed {
	now := time.Now()
	return v.keep(func(_ string, s slot) bool {
		expires := s.provenance().Expires
		return expires.IsZero() || now.Before(expires)
	})
}

func (v Sealed) keep(keep func(name string, s slot) bool) Sealed {
	value, err := v.parts()
	if err != nil {
		return v
	}
	var kept []part
	for _, part := range value.parts {
		if slot, _, ok := cutSlot(part.slot); ok && keep(part.name, slot) {
			kept = append(kept, part)
		}
	}
	switch len(kept) {
	case len(value.parts):
		return v
	case 0:
		return Sealed{}
	}
	value.parts = kept
	return value.seal()
}
