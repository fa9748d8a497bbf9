package vault

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
)

// Limits of the sealed format. All are checked before any other work.
const (
	// MaxPlaintext is the size of the largest value that can be sealed or
	// indexed, in bytes.
	MaxPlaintext = 1024
	// MaxSlots is the largest number of purposes that one value can have.
	MaxSlots = 16
	// MaxText is the length of the longest sealed text, in bytes.
	MaxText = 32 << 10
)

const (
	textMagic   = "pii1."
	binaryMagic = 0x01 // no text begins with it
	separator   = "~"  // between purposes: unreserved in URLs, and no name has it
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
	if len(text) > MaxText || !wellFormed(text) {
		return Sealed{}, ErrCorrupt
	}
	return Sealed{text}, nil
}

// wellFormed reports whether text is what seal writes of some body.
func wellFormed(text string) bool {
	if !strings.HasPrefix(text, textMagic) {
		return false
	}
	kind, purposes, body := cut(text)
	if !validKind(kind) {
		return false
	}
	s := getScratch()
	defer s.release()
	raw, err := decodeBody(s, body)
	if err != nil || !reencodes(s, raw, body) || len(raw) < idSize {
		return false
	}
	rest := raw[idSize:]
	for n, previous := 0, ""; ; n++ {
		name, names, more := strings.Cut(purposes, separator)
		if _, err := purpose.Parse(name); err != nil || name <= previous || n == MaxSlots {
			return false
		}
		var slot slot
		var ok bool
		if slot, rest, ok = cutSlot(rest); !ok || slot.from() == name {
			return false
		}
		if !more {
			return len(rest) == 0
		}
		previous, purposes = name, names
	}
}

// reencodes reports whether body is the one spelling of raw. Even the strict
// decoder takes line breaks anywhere.
func reencodes(s *scratch, raw []byte, body string) bool {
	return string(base64.RawURLEncoding.AppendEncode(s.text[:0], raw)) == body
}

// cut splits the text of a sealed value into its fields after the magic. Those
// that are not there are "", which no field may be.
func cut(text string) (kind, purposes, body string) {
	kind, rest := cutField(text[len(textMagic):])
	purposes, body = cutField(rest)
	return kind, purposes, body
}

// cutField is strings.Cut at a ".", which for short fields takes longer to get
// going than to look.
func cutField(s string) (field, rest string) {
	for i := range len(s) {
		if s[i] == '.' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// strict refuses bits that are set after the last byte.
var strict = base64.RawURLEncoding.Strict()

func decodeBody(s *scratch, body string) ([]byte, error) {
	raw, err := strict.AppendDecode(s.body[:0], append(s.text[:0], body...))
	if err != nil {
		return nil, ErrCorrupt // the decoder's own error tells a position
	}
	return raw, nil
}

// IsZero reports whether v is the absence of a value.
func (v Sealed) IsZero() bool { return v.text == "" }

// Kind returns the name of the value's kind, "" for the zero Sealed.
func (v Sealed) Kind() string {
	if v.IsZero() {
		return ""
	}
	kind, _, _ := cut(v.text)
	return kind
}

// Purposes returns what the value says it was collected for.
func (v Sealed) Purposes() purpose.Set {
	if v.IsZero() {
		return purpose.Set{}
	}
	_, names, _ := cut(v.text)
	return parsePurposes(names)
}

func parsePurposes(names string) purpose.Set {
	if !strings.Contains(names, separator) {
		p, _ := purpose.Parse(names) //piivet:allow discard the name was checked when v was made
		return purpose.NewSet(p)
	}
	var list []purpose.Purpose
	for name := range strings.SplitSeq(names, separator) {
		p, _ := purpose.Parse(name) //piivet:allow discard every name was checked when v was made
		list = append(list, p)
	}
	return purpose.NewSet(list...)
}

// Provenance returns what the value says of its collection for purpose p, and
// false if it was not collected for p. It needs no key: nobody without the keys
// of p can change it and have the value still open, but until it is opened
// this is a claim.
func (v Sealed) Provenance(p purpose.Purpose) (Provenance, bool) {
	if v.IsZero() {
		return Provenance{}, false
	}
	_, names, body := cut(v.text)
	n, found := slotNumber(names, p.String())
	if !found {
		return Provenance{}, false
	}
	s := getScratch()
	defer s.release()
	raw, err := decodeBody(s, body)
	if err != nil {
		return Provenance{}, false
	}
	slot, ok := nthSlot(raw, n)
	if !ok {
		return Provenance{}, false
	}
	return slot.provenance(), true
}

// ByCollector reports whether what v holds for purpose p is as a [Collector]
// sealed it, and waits to be taken in: anyone who knows the purpose's public key
// can have made it. It needs no key.
func (v Sealed) ByCollector(p purpose.Purpose) bool {
	value, err := v.parts()
	return err == nil && value.slotType(p) == slotCollector
}

// slotNumber returns the position of p among the joined names.
func slotNumber(names, p string) (int, bool) {
	if names == p { // as nearly all are
		return 0, true
	}
	for n := 0; ; n++ {
		name, rest, more := strings.Cut(names, separator)
		if name == p {
			return n, true
		}
		if !more {
			return 0, false
		}
		names = rest
	}
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
	kind, names, body := cut(v.text)
	b = append(b, binaryMagic, byte(len(kind)))
	b = append(b, kind...)
	b = append(b, byte(1+strings.Count(names, separator)))
	for name := range strings.SplitSeq(names, separator) {
		b = append(b, byte(len(name)))
		b = append(b, name...)
	}
	return base64.RawURLEncoding.AppendDecode(b, []byte(body))
}

// UnmarshalBinary reads what [Sealed.MarshalBinary] writes. Anything else is
// [ErrCorrupt] and leaves v as it was. It implements
// [encoding.BinaryUnmarshaler].
func (v *Sealed) UnmarshalBinary(data []byte) error {
	if len(data) == 0 {
		*v = Sealed{}
		return nil
	}
	if len(data) > MaxText || data[0] != binaryMagic {
		return ErrCorrupt
	}
	kind, rest, ok := cutString8(data[1:])
	if !ok || len(rest) == 0 {
		return ErrCorrupt
	}
	names := make([][]byte, rest[0])
	rest = rest[1:]
	for i := range names {
		if names[i], rest, ok = cutString8(rest); !ok {
			return ErrCorrupt
		}
	}
	// The text is made of the parts as they came and then judged as a whole: one
	// parser for both forms. A separator smuggled into a name would change how
	// many names there are, so the way back must lead to the same bytes.
	text := textMagic + string(kind) + "." + string(bytes.Join(names, []byte(separator))) +
		"." + base64.RawURLEncoding.EncodeToString(rest)
	parsed, err := parseSealed(text)
	if err != nil {
		return err
	}
	if again, _ := parsed.MarshalBinary(); !bytes.Equal(again, data) {
		return ErrCorrupt
	}
	*v = parsed
	return nil
}

// cutString8 splits off a string that one byte of length precedes.
func cutString8(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}
