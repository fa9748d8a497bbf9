package vault

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A Sealed is an immutable sealed value in its text form. It holds no plaintext and
// no key. Anybody can read its kind, purposes and provenance; only a [Scope] opens
// its plaintext.
//
// A Sealed that is not zero is well formed: its kind, purposes and provenance can
// be read, and there is exactly one way to write it. A well-formed value need not
// be authentic; [Scope.Reveal] finds out. The zero Sealed is the absence of a
// value. FORMAT.md describes the format.
type Sealed struct {
	text string
}

// ParseSealed returns the value whose text form is text. The empty text is the zero
// Sealed. A text that [Sealed.MarshalText] would not write is [ErrCorrupt], as is
// another spelling of a value's bytes.
func ParseSealed(text string) (Sealed, error) {
	v, err := parseSealed(text)
	// The copy keeps a value from holding in memory the file that it was cut out of.
	return Sealed{strings.Clone(v.text)}, err
}

// parseSealed is ParseSealed without the copy: the value keeps text.
func parseSealed(text string) (Sealed, error) {
	if text == "" {
		return Sealed{}, nil
	}
	if len(text) > format.MaxText || !format.WellFormed(text) {
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

// Purposes returns the purposes that the value says it was collected for, none for
// the zero Sealed.
func (v Sealed) Purposes() purpose.Set {
	if v.IsZero() {
		return purpose.Set{}
	}
	_, names, _ := format.Cut(v.text)
	return format.Purposes(names)
}

// Provenance returns the provenance that v states for purpose p, and false if v was
// not collected for p. It needs no key. The provenance is a claim until v is
// opened: nobody without the keys of p can change it in a value that still opens.
func (v Sealed) Provenance(p purpose.Purpose) (purpose.Provenance, bool) {
	buf := getBuffers()
	defer buf.release()
	slot, ok := v.slot(p, buf)
	if !ok {
		return purpose.Provenance{}, false
	}
	return slot.Provenance(), true
}

// slot returns the slot of v for p, in the memory of buf, and false if there is none.
func (v Sealed) slot(p purpose.Purpose, buf *buffers) (format.Slot, bool) {
	if v.IsZero() {
		return format.Slot{}, false
	}
	_, names, body := format.Cut(v.text)
	n, found := format.SlotNumber(names, p.String())
	if !found {
		return format.Slot{}, false
	}
	raw, err := format.DecodeBody(&buf.Buffer, body)
	if err != nil {
		return format.Slot{}, false
	}
	return format.NthSlot(raw, n)
}

// ByCollector reports whether v's slot for purpose p is as a [Collector] sealed it,
// and waits for [Reseal] to take it in. Anyone who knows the purpose's public key
// can have made such a slot. ByCollector needs no key.
func (v Sealed) ByCollector(p purpose.Purpose) bool {
	buf := getBuffers()
	defer buf.release()
	slot, ok := v.slot(p, buf)
	return ok && slot.ByCollector()
}

// KeyID returns the id of the key that v's slot for purpose p names: the id of one of
// the purpose's keys that seal or, if a [Collector] sealed the slot, of one of its
// key pairs (see [Key]). It reports false if v was not collected for p, and for a slot
// of one person, which names no key: values that share a person's key would be linked
// by it. KeyID needs no key, and is a claim until v is opened.
func (v Sealed) KeyID(p purpose.Purpose) (id uint32, ok bool) {
	buf := getBuffers()
	defer buf.release()
	slot, ok := v.slot(p, buf)
	if !ok {
		return 0, false
	}
	return slot.KeyID()
}

// ID returns the random id of v, 32 hexadecimal digits, as events have it in
// [audit.Event.Value]. All slots of v share it, and so do copies of v, until [Reseal] of
// all slots takes a new id. It is "" for the zero Sealed. ID needs no key, and the id is a
// claim until v is opened.
func (v Sealed) ID() string {
	value, err := v.decode()
	if err != nil {
		return ""
	}
	return hexID([format.IDSize]byte(value.ID))
}

// Without returns v without its slot for purpose p. It needs no key: a process that
// can write a row can withdraw a purpose. [Sealed.Withdraw] does the same and records it. The other slots open as before. A value
// without its last purpose is the zero Sealed. If v was not collected for p,
// Without returns v.
func (v Sealed) Without(p purpose.Purpose) Sealed {
	return v.keep(func(name string, _ format.Slot) bool { return name != p.String() })
}

// WithoutExpired returns v without the slots whose retention is over by [time.Now].
// It needs no key. [Sealed.Sweep] does the same and records it. The result is the zero Sealed if all slots are over.
func (v Sealed) WithoutExpired() Sealed {
	now := time.Now()
	return v.keep(func(_ string, s format.Slot) bool {
		expires := s.Provenance().Expires
		return expires.IsZero() || now.Before(expires)
	})
}

func (v Sealed) label() string { return v.Kind() + "(" + v.Purposes().String() + ")" }

// GoString returns a label without the sealed content, such as "email(security)". It
// implements [fmt.GoStringer].
func (v Sealed) GoString() string { return v.label() }

// Format prints the label of GoString for every verb, and quotes it for %q. It
// implements [fmt.Formatter]. There is no String method: code that takes the text of a
// field from it must not compile once the field is sealed.
func (v Sealed) Format(f fmt.State, verb rune) { printLabel(f, verb, v.label()) }

// LogValue returns the label of GoString. It implements [slog.LogValuer].
func (v Sealed) LogValue() slog.Value { return slog.StringValue(v.label()) }

// MarshalText returns the text form, empty for the zero Sealed. It implements
// [encoding.TextMarshaler].
func (v Sealed) MarshalText() ([]byte, error) { return []byte(v.text), nil }

// AppendText appends the text form to b. It implements
// [encoding.TextAppender].
func (v Sealed) AppendText(b []byte) ([]byte, error) { return append(b, v.text...), nil }

// UnmarshalText is [ParseSealed]. On error it leaves v unchanged. It implements
// [encoding.TextUnmarshaler].
func (v *Sealed) UnmarshalText(text []byte) error {
	if len(text) > format.MaxText { // before the copy: the text may be huge
		return ErrCorrupt
	}
	parsed, err := parseSealed(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}

// MarshalBinary returns the binary form, about a quarter shorter than the text. It
// is empty for the zero Sealed. It implements [encoding.BinaryMarshaler].
func (v Sealed) MarshalBinary() ([]byte, error) { return v.AppendBinary(nil) }

// AppendBinary appends the binary form to b. It implements
// [encoding.BinaryAppender].
func (v Sealed) AppendBinary(b []byte) ([]byte, error) {
	if v.IsZero() {
		return b, nil
	}
	return format.AppendBinary(b, v.text)
}

// UnmarshalBinary parses the binary form. Data that [Sealed.MarshalBinary] would
// not write is [ErrCorrupt], and leaves v unchanged. It implements
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

// keep returns v without the slots that the function refuses. It returns v as it is
// if v is malformed.
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

// decode splits v into its slots. The zero Sealed is errAbsent.
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
