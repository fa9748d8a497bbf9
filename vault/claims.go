package vault

import (
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A Claim is the statement of a sealed value about one of its purposes. It is a claim until
// the value is opened: see [Sealed.Provenance].
type Claim struct {
	// Purpose is the purpose that the value says it was collected for.
	Purpose purpose.Purpose
	// Provenance is the result of [Sealed.Provenance] for Purpose.
	Provenance purpose.Provenance
	// ByCollector is the result of [Sealed.ByCollector] for Purpose.
	ByCollector bool
}

// AppendClaims appends the claims of v to claims, one for each of [Sealed.Purposes], in
// ascending order of their names. It decodes the value once, and so serves programs that
// count many values. It needs no key, and appends nothing for the zero Sealed.
func (v Sealed) AppendClaims(claims []Claim) []Claim {
	if v.IsZero() {
		return claims
	}
	buf := getBuffers()
	defer buf.release()
	_, names, body := format.Cut(v.text)
	raw, err := format.DecodeBody(&buf.Buffer, body)
	if err != nil || len(raw) < format.IDSize {
		return claims // a value that is not zero is well formed
	}
	rest := raw[format.IDSize:]
	for p := range format.Purposes(names).All() {
		var slot format.Slot
		var ok bool
		if slot, rest, ok = format.CutSlot(rest); !ok {
			return claims
		}
		claims = append(claims, Claim{p, slot.Provenance(), slot.ByCollector()})
	}
	return claims
}
