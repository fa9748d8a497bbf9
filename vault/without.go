package vault

import (
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Without returns v without what it holds for purpose p, which needs no key:
// whoever can write a row can withdraw. What is left opens as before. Without its
// last purpose a value is the zero Sealed. It is v if it was not collected for
// p.
func (v Sealed) Without(p purpose.Purpose) Sealed {
	return v.keep(func(name string, _ format.Slot) bool { return name != p.String() })
}

// WithoutExpired returns v without the slots whose retention is over by
// [time.Now], which needs no key. It is the zero Sealed if all of them are.
func (v Sealed) WithoutExpired() Sealed {
	now := time.Now()
	return v.keep(func(_ string, s format.Slot) bool {
		expires := s.Provenance().Expires
		return expires.IsZero() || now.Before(expires)
	})
}

func (v Sealed) keep(keep func(name string, s format.Slot) bool) Sealed {
	value, err := v.parts()
	if err != nil {
		return v
	}
	var kept []format.Named
	for _, part := range value.Slots {
		if slot, _, ok := format.CutSlot(part.Slot); ok && keep(part.Name, slot) {
			kept = append(kept, part)
		}
	}
	switch len(kept) {
	case len(value.Slots):
		return v
	case 0:
		return Sealed{}
	}
	value.Slots = kept
	return Sealed{value.Text()}
}
