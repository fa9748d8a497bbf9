package format

import (
	"encoding/binary"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// Sizes in the body of a value. The body is the value id and one slot for each
// purpose.
const (
	IDSize   = 16 // random, shared by the slots of a value
	TimeSize = 5  // seconds since 1970, big-endian: until the year 36812

	KeyIDSize = 5 // Tink's output prefix: 0x01 and the key id, big-endian
	NonceSize = 12
	TagSize   = 16
	EncSize   = 32 // an X25519 encapsulated key

	// A collector seals under a key of its own making, and puts that key in front,
	// wrapped by Tink's HPKE with the purpose's public key. So the values of one
	// batch can share one encapsulation.
	DEKSize        = 32
	WrappedKeySize = KeyIDSize + EncSize + DEKSize + TagSize

	// MaxSealed is the size of the longest sealed part of a slot.
	MaxSealed = WrappedKeySize + NonceSize + TagSize + MaxPadded

	// MaxHeader is the size of a slot header with every optional field.
	MaxHeader = 2 + TimeSize + 1 + 2*(1+purpose.MaxReference) + TimeSize + 1 + purpose.MaxLen
)

// Slot types, by the key that a slot is sealed under.
const (
	OfPurpose   = 1 // the purpose's own key
	OfSubject   = 2 // the key of one subject under the purpose
	OfCollector = 3 // the purpose's public key
)

// Slot flags, by the optional field that follows. An empty field is left out, so
// that each header has one encoding.
const (
	flagLegal = 1 << iota
	flagNotice
	flagConsent
	flagExpires
	flagFrom
	flagsKnown = 1<<iota - 1
)

// A Slot is one slot of a value. Its slices are parts of the body that the slot was
// read from.
type Slot struct {
	Header []byte // from the type to the last optional field, authenticated as it stands
	Sealed []byte
}

// Type returns the type of the slot: [OfPurpose], [OfSubject] or [OfCollector].
func (s Slot) Type() byte { return s.Header[0] }

// Expires reports whether the slot has an end of retention.
func (s Slot) Expires() bool { return s.Header[1]&flagExpires != 0 }

// From returns the name of the purpose that the slot was extended from, or "".
func (s Slot) From() string {
	if s.Header[1]&flagFrom == 0 {
		return ""
	}
	return s.Provenance().From.String()
}

// Provenance decodes the header. CutSlot has checked it.
func (s Slot) Provenance() purpose.Provenance {
	b := s.Header[2:]
	flags := s.Header[1]
	p := purpose.Provenance{Collected: Seconds(b)}
	b = b[TimeSize:]
	if flags&flagLegal != 0 {
		p.Legal, b = purpose.Legal(b[0]), b[1:]
	}
	var text []byte
	if flags&flagNotice != 0 {
		text, b, _ = CutString8(b)
		p.Notice = string(text)
	}
	if flags&flagConsent != 0 {
		text, b, _ = CutString8(b)
		p.Consent = string(text)
	}
	if flags&flagExpires != 0 {
		p.Expires, b = Seconds(b), b[TimeSize:]
	}
	if flags&flagFrom != 0 {
		text, _, _ = CutString8(b)
		p.From, _ = purpose.Parse(string(text)) //piivet:allow discard the name was checked when the header was read
	}
	return p
}

// NthSlot returns the slot at position n of a body.
func NthSlot(raw []byte, n int) (s Slot, ok bool) {
	if len(raw) < IDSize {
		return Slot{}, false
	}
	rest := raw[IDSize:]
	for range n + 1 {
		if s, rest, ok = CutSlot(rest); !ok {
			return Slot{}, false
		}
	}
	return s, true
}

// CutSlot splits the first slot off b. It reports false for bytes that no writer of
// this format puts there.
func CutSlot(b []byte) (s Slot, rest []byte, ok bool) {
	n, ok := SlotHeaderLen(b)
	if !ok || len(b) < n+2 {
		return Slot{}, nil, false
	}
	size := int(binary.BigEndian.Uint16(b[n:]))
	end := n + 2 + size
	if len(b) < end {
		return Slot{}, nil, false
	}
	s = Slot{Header: b[:n:n], Sealed: b[n+2 : end : end]}
	return s, b[end:], validSealed(s)
}

// validSealed reports whether the sealed part has the shape of its type.
func validSealed(s Slot) bool {
	overhead := KeyIDSize + NonceSize + TagSize
	switch s.Type() {
	case OfPurpose, OfSubject:
	case OfCollector:
		overhead = WrappedKeySize + NonceSize + TagSize
	default:
		return false
	}
	padded := len(s.Sealed) - overhead
	return padded >= PadStep && padded <= MaxPadded && padded%PadStep == 0 && s.Sealed[0] == 1
}

// SlotHeaderLen returns the length of the slot header at the beginning of b, and
// false for a malformed header.
func SlotHeaderLen(b []byte) (int, bool) {
	const fixed = 2 + TimeSize
	if len(b) < fixed || b[1]&^flagsKnown != 0 {
		return 0, false
	}
	flags, n := b[1], fixed
	if flags == 0 { // the usual case
		return n, true
	}
	if flags&flagLegal != 0 {
		if len(b) <= n || b[n] == 0 || b[n] > byte(purpose.LegitimateInterests) {
			return 0, false
		}
		n++
	}
	for _, flag := range [...]byte{flagNotice, flagConsent} {
		if flags&flag == 0 {
			continue
		}
		text, _, ok := CutString8(b[n:])
		if !ok || len(text) == 0 || !purpose.ValidReference(string(text)) {
			return 0, false
		}
		n += 1 + len(text)
	}
	if flags&flagExpires != 0 {
		if len(b) < n+TimeSize || !Seconds(b[n:]).After(Seconds(b[2:])) {
			return 0, false
		}
		n += TimeSize
	}
	if flags&flagFrom != 0 {
		name, _, ok := CutString8(b[n:])
		if !ok || flags&flagConsent == 0 { // there is no extension without consent
			return 0, false
		}
		if _, err := purpose.Parse(string(name)); err != nil {
			return 0, false
		}
		n += 1 + len(name)
	}
	return n, true
}

// AppendHeader appends the header of a slot of the given type.
func AppendHeader(b []byte, typ byte, p *purpose.Provenance) []byte {
	flagsAt := len(b) + 1
	b = append(b, typ, 0)
	b = AppendSeconds(b, p.Collected)
	if p.Legal != purpose.Unstated {
		b[flagsAt] |= flagLegal
		b = append(b, byte(p.Legal))
	}
	if p.Notice != "" {
		b[flagsAt] |= flagNotice
		b = AppendString8(b, p.Notice)
	}
	if p.Consent != "" {
		b[flagsAt] |= flagConsent
		b = AppendString8(b, p.Consent)
	}
	if !p.Expires.IsZero() {
		b[flagsAt] |= flagExpires
		b = AppendSeconds(b, p.Expires)
	}
	if !p.From.IsZero() {
		b[flagsAt] |= flagFrom
		b = AppendString8(b, p.From.String())
	}
	return b
}

// AppendString8 appends one byte of length and s, which has at most 255 bytes.
func AppendString8(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}

// CutString8 splits off a string that AppendString8 wrote.
func CutString8(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}

// AppendSeconds appends t in [TimeSize] bytes. A time before 1970 becomes 1970.
func AppendSeconds(b []byte, t time.Time) []byte {
	u := uint64(max(0, t.Unix()))
	return append(b, byte(u>>32), byte(u>>24), byte(u>>16), byte(u>>8), byte(u))
}

// Seconds returns the time that AppendSeconds wrote.
func Seconds(b []byte) time.Time {
	return time.Unix(int64(b[0])<<32|int64(b[1])<<24|int64(b[2])<<16|int64(b[3])<<8|int64(b[4]), 0).UTC()
}
