package vault

import (
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Limits of the sealed format. All are checked before any other work.
const (
	// MaxPlaintext is the size of the largest value that can be sealed or
	// indexed, in bytes.
	MaxPlaintext = format.MaxPlaintext
	// MaxSlots is the largest number of purposes that one value can have.
	MaxSlots = format.MaxSlots
	// MaxText is the length of the longest sealed text, in bytes.
	MaxText = format.MaxText
)

// A Sealed is an immutable sealed value in its text form. It holds no
// plaintext and no key: what it says of itself can be read by anybody, what is
// inside only with a [Scope].
//
// A Sealed that is not zero is well formed: kind, purposes and provenance can
// be read, and there is exactly one way to write it. That does not make it
// authentic; [Scope.Reveal] finds out. The zero Sealed is the absence of a
// value. FORMAT.md describes the format.
type Sealed struct {
	text string
}

// ParseSealed returns the value whose text form is text. The empty text is the
// zero Sealed. Whatever [Sealed.MarshalText] would not write, other spellings
// of the same bytes included, is [ErrCorrupt].
func ParseSealed(text string) (Sealed, error) {
	v, err := parseSealed(text)
	// A copy, so that a value does not keep the whole file in memory that it was
	// cut out of.
	return Sealed{strings.Clone(v.text)}, err
}

// parseSealed does the same and keeps text.
func parseSealed(text string) (Sealed, error) {
	if text == "" {
		return Sealed{}, nil
	}
	if len(text) > MaxText || !format.WellFormed(text) {
		return Sealed{}, ErrCorrupt
	}
	return Sealed{text}, nil
}

// IsZero reports whether v is the absence of a value.
func (v Sealed) IsZero() bool { return v.text == "" }

// Kind returns the name of the value's kind, "" for the zero Sealed.
func (v Sealed) Kind() string {
	if v.IsZero() {
		return ""
	}
	kind, _, _ := format.Cut(v.text)
	return kind
}

// Purposes returns what the value says it was collected for.
func (v Sealed) Purposes() purpose.Set {
	if v.IsZero() {
		return purpose.Set{}
	}
	_, names, _ := format.Cut(v.text)
	return format.Purposes(names)
}

// Provenance returns what the value says of its collection for purpose p, and
// false if it was not collected for p. It needs no key: nobody without the keys
// of p can change it and have the value still open, but until it is opened
// this is a claim.
func (v Sealed) Provenance(p purpose.Purpose) (purpose.Provenance, bool) {
	if v.IsZero() {
		return purpose.Provenance{}, false
	}
	_, names, body := format.Cut(v.text)
	n, found := format.SlotNumber(names, p.String())
	if !found {
		return purpose.Provenance{}, false
	}
	s := getBuffers()
	defer s.release()
	raw, err := format.DecodeBody(&s.Buffer, body)
	if err != nil {
		return purpose.Provenance{}, false
	}
	slot, ok := format.NthSlot(raw, n)
	if !ok {
		return purpose.Provenance{}, false
	}
	return slot.Provenance(), true
}

// ByCollector reports whether what v holds for purpose p is as a [Collector]
// sealed it, and waits to be taken in: anyone who knows the purpose's public key
// can have made it. It needs no key.
func (v Sealed) ByCollector(p purpose.Purpose) bool {
	value, err := v.decode()
	return err == nil && value.Type(p) == format.OfCollector
}

// String returns a label without the sealed content, such as
// "email(security)".
func (v Sealed) String() string { return v.Kind() + "(" + v.Purposes().String() + ")" }

// MarshalText returns the text form, empty for the zero Sealed. It implements
// [encoding.TextMarshaler].
func (v Sealed) MarshalText() ([]byte, error) { return []byte(v.text), nil }

// AppendText appends the text form to b. It implements
// [encoding.TextAppender].
func (v Sealed) AppendText(b []byte) ([]byte, error) { return append(b, v.text...), nil }

// UnmarshalText is [ParseSealed]. On error v is left as it was. It implements
// [encoding.TextUnmarshaler].
func (v *Sealed) UnmarshalText(text []byte) error {
	if len(text) > MaxText { // before the copy: the text may be huge
		return ErrCorrupt
	}
	parsed, err := parseSealed(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}

// MarshalBinary returns the binary form, about a quarter shorter than the
// text; empty for the zero Sealed. It implements [encoding.BinaryMarshaler].
func (v Sealed) MarshalBinary() ([]byte, error) { return v.AppendBinary(nil) }

// AppendBinary appends the binary form to b. It implements
// [encoding.BinaryAppender].
func (v Sealed) AppendBinary(b []byte) ([]byte, error) {
	if v.IsZero() {
		return b, nil
	}
	return format.AppendBinary(b, v.text)
}

// UnmarshalBinary reads what [Sealed.MarshalBinary] writes. Anything else is
// [ErrCorrupt] and leaves v as it was. It implements
// [encoding.BinaryUnmarshaler].
func (v *Sealed) UnmarshalBinary(data []byte) error {
	if len(data) == 0 {
		*v = Sealed{}
		return nil
	}
	text, ok := format.ParseBinary(data)
	if !ok {
		return ErrCorrupt
	}
	*v = Sealed{text}
	return nil
}

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
	value, err := v.decode()
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
