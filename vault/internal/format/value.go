package format

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/onlyfor/onlyfor/purpose"
)

// Limits of the sealed format. All are checked before any other work.
const (
	MaxPlaintext = 1024     // bytes of one value
	MaxSlots     = 16       // purposes of one value
	MaxText      = 64 << 10 // bytes of the text form
	MaxKind      = 31       // bytes of the name of a kind
	MaxSubject   = 255      // bytes of the id of a subject
)

const (
	TextMagic   = "pii1."
	BinaryMagic = 0x01 // no text begins with it
	Separator   = "~"  // between purposes: unreserved in URLs, and in no name
)

// ValidKind reports whether name can be the name of a kind.
func ValidKind(name string) bool {
	if len(name) == 0 || len(name) > MaxKind || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// WellFormed reports whether text is the text form of a value: every field is
// valid, and no other text has the same fields. It checks the lengths of the
// fields, and not the length of the text.
func WellFormed(text string) bool {
	if !strings.HasPrefix(text, TextMagic) {
		return false
	}
	kind, purposes, body := Cut(text)
	if !ValidKind(kind) {
		return false
	}
	b := buffers.Get().(*Buffer)
	defer buffers.Put(b)
	raw, err := DecodeBody(b, body)
	if err != nil || len(raw) < IDSize {
		return false
	}
	rest := raw[IDSize:]
	for n, previous := 0, ""; ; n++ {
		name, names, more := strings.Cut(purposes, Separator)
		if _, err := purpose.Parse(name); err != nil || name <= previous || n == MaxSlots {
			return false
		}
		var slot Slot
		var ok bool
		if slot, rest, ok = CutSlot(rest); !ok || slot.From() == name {
			return false
		}
		if !more {
			return len(rest) == 0
		}
		previous, purposes = name, names
	}
}

// Cut splits the text form into the fields after the magic. A missing field is "",
// and no field may be empty.
func Cut(text string) (kind, purposes, body string) {
	kind, rest := cutField(text[len(TextMagic):])
	purposes, body = cutField(rest)
	return kind, purposes, body
}

// AppendHead appends the beginning of the text form of a value of one purpose, up to its body.
func AppendHead(b []byte, kind, purpose string) []byte {
	b = append(append(append(b, TextMagic...), kind...), '.')
	return append(append(b, purpose...), '.')
}

// cutField is strings.Cut at a ".". For fields of a few bytes, the loop saves a
// third of the time.
func cutField(s string) (field, rest string) {
	for i := range len(s) {
		if s[i] == '.' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// Purposes returns the purposes that are joined in names. The names are valid.
func Purposes(names string) purpose.Set {
	if !strings.Contains(names, Separator) {
		p, _ := purpose.Parse(names) //piivet:allow discard the name was checked when the value was parsed
		return purpose.NewSet(p)
	}
	var list []purpose.Purpose
	for name := range strings.SplitSeq(names, Separator) {
		p, _ := purpose.Parse(name) //piivet:allow discard every name was checked when the value was parsed
		list = append(list, p)
	}
	return purpose.NewSet(list...)
}

// SlotNumber returns the position of purpose p among the joined names, and false if
// p is not among them. Here the purpose of a scope is compared with the purposes
// that a value was collected for.
func SlotNumber(names, p string) (int, bool) {
	if names == p { // the usual case: one purpose
		return 0, true
	}
	for n := 0; ; n++ {
		name, rest, more := strings.Cut(names, Separator)
		if name == p {
			return n, true
		}
		if !more {
			return 0, false
		}
		names = rest
	}
}

// A Buffer is working memory for decoding a value. It has room for a value of one
// purpose with every field, of up to 63 bytes, whoever sealed it. A longer value is
// allocated.
type Buffer struct {
	Body [bufferBody + spareRoom]byte // the decoded body
	Text [bufferText]byte             // the text form
}

const (
	bufferBody = IDSize + MaxHeader + 2 + MaxWrappedKey + NonceSize + TagSize + 2*PadStep
	bufferText = len(TextMagic) + MaxKind + 1 + purpose.MaxLen + 1 + (4*bufferBody+2)/3
)

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

var errMalformed = errors.New("malformed")

// DecodeBody decodes the body field into b, or into fresh memory if b is too small. It
// accepts the one spelling that AppendBase64 writes. Its error has no details: a position
// would tell about the text.
func DecodeBody(b *Buffer, body string) ([]byte, error) {
	raw, ok := AppendDecoded(b.Body[:0], body)
	if !ok {
		return nil, errMalformed
	}
	return raw, nil
}

// AppendBinary appends the binary form of the value with the given text form.
func AppendBinary(b []byte, text string) ([]byte, error) {
	kind, names, body := Cut(text)
	b = AppendString8(append(b, BinaryMagic), kind)
	b = append(b, byte(1+strings.Count(names, Separator)))
	for name := range strings.SplitSeq(names, Separator) {
		b = AppendString8(b, name)
	}
	b, ok := AppendDecoded(b, body)
	if !ok {
		return nil, errMalformed
	}
	return b, nil
}

// ParseBinary returns the text form of the value with the given binary form. It
// reports false for data that AppendBinary does not write.
func ParseBinary(data []byte) (text string, ok bool) {
	if len(data) == 0 || len(data) > MaxText || data[0] != BinaryMagic {
		return "", false
	}
	kind, rest, ok := CutString8(data[1:])
	if !ok || len(rest) == 0 {
		return "", false
	}
	names := make([][]byte, rest[0])
	rest = rest[1:]
	for i := range names {
		if names[i], rest, ok = CutString8(rest); !ok {
			return "", false
		}
	}
	// One parser judges both forms. A separator smuggled into a name would change
	// the number of names, so the text must encode to the given bytes again.
	head := TextMagic + string(kind) + "." + string(bytes.Join(names, []byte(Separator))) + "."
	text = string(AppendBase64([]byte(head), rest))
	if len(text) > MaxText || !WellFormed(text) {
		return "", false
	}
	again, err := AppendBinary(nil, text)
	return text, err == nil && bytes.Equal(again, data)
}

// A Value is a value split into its slots, which can be replaced and joined again.
type Value struct {
	Kind  string
	ID    []byte
	Slots []Named // in the order of their names
}

// A Named is the bytes of one slot and the name of its purpose.
type Named struct {
	Name string
	Slot []byte
}

// Split splits the text form of a value into a Value. It reports false for a
// malformed body.
func Split(text string) (*Value, bool) {
	kind, names, body := Cut(text)
	raw, ok := AppendDecoded(nil, body)
	if !ok || len(raw) < IDSize {
		return nil, false
	}
	v := &Value{Kind: kind, ID: raw[:IDSize:IDSize], Slots: make([]Named, 0, 1+strings.Count(names, Separator))}
	rest := raw[IDSize:]
	for name := range strings.SplitSeq(names, Separator) {
		before := rest
		var ok bool
		if _, rest, ok = CutSlot(rest); !ok {
			return nil, false
		}
		n := len(before) - len(rest)
		v.Slots = append(v.Slots, Named{name, before[:n:n]})
	}
	return v, true
}

// ByCollector reports whether the value has a slot for p that a collector made.
func (v *Value) ByCollector(p purpose.Purpose) bool {
	for _, s := range v.Slots {
		if s.Name == p.String() {
			return WrappedKeySize(s.Slot[0]) > 0
		}
	}
	return false
}

// HasType reports whether a slot of the value has the given type.
func (v *Value) HasType(typ byte) bool {
	return slices.ContainsFunc(v.Slots, func(s Named) bool { return s.Slot[0] == typ })
}

// Find returns the slot of the given name, and false if there is none.
func (v *Value) Find(name string) (slot []byte, found bool) {
	i, found := v.search(name)
	if !found {
		return nil, false
	}
	return v.Slots[i].Slot, true
}

// search returns the position of the slot of the given name, or where it belongs.
func (v *Value) search(name string) (i int, found bool) {
	return slices.BinarySearchFunc(v.Slots, name, func(s Named, name string) int {
		return strings.Compare(s.Name, name)
	})
}

// Purposes returns the purposes of the slots.
func (v *Value) Purposes() purpose.Set {
	list := make([]purpose.Purpose, len(v.Slots))
	for i, s := range v.Slots {
		list[i], _ = purpose.Parse(s.Name) //piivet:allow discard every name was checked when the value was parsed
	}
	return purpose.NewSet(list...)
}

// Put adds a slot, or replaces the slot of the same name.
func (v *Value) Put(fresh Named) {
	i, found := v.search(fresh.Name)
	if found {
		v.Slots[i] = fresh
	} else {
		v.Slots = slices.Insert(v.Slots, i, fresh)
	}
}

// Text returns the text form of the value.
func (v *Value) Text() string {
	b := buffers.Get().(*Buffer)
	defer buffers.Put(b)
	text := append(append(b.Text[:0], TextMagic...), v.Kind...)
	body := append(b.Body[:0], v.ID...)
	for i, s := range v.Slots {
		joint := Separator
		if i == 0 {
			joint = "."
		}
		text = append(append(text, joint...), s.Name...)
		body = append(body, s.Slot...)
	}
	text = append(text, '.')
	return string(AppendBase64(text, body))
}
