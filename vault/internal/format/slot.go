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
	TimeSize = 5  // seconds since 1970, big-endian

	KeyIDSize = 5 // Tink's output prefix: 0x01 and the key id, big-endian
	NonceSize = 12
	TagSize   = 16

	// Public keys and encapsulated keys of the KEMs of collectors.
	X25519Size      = 32   // both
	XWingPublicSize = 1216 // ML-KEM-768 and X25519
	XWingEncSize    = 1120

	// A collector seals under a key of its own making, and puts that key in front,
	// wrapped by HPKE with the purpose's public key. So the values of one batch can
	// share one encapsulation.
	DEKSize      = 32
	wrapOverhead = KeyIDSize + DEKSize + TagSize

	// MaxWrappedKey is the size of the longest wrapped key.
	MaxWrappedKey = wrapOverhead + XWingEncSize

	// MaxSeconds is the last second of the year 9999, which is the last one that the
	// JSON form of a time and the columns of databases can hold.
	MaxSeconds = 253402300799

	// Day is the number of seconds of a day. Times are rounded to days of UTC, so
	// that values of one sign-up do not share a rare time.
	Day = 24 * 60 * 60

	// MaxSealed is the size of the longest sealed part of a slot.
	MaxSealed = MaxWrappedKey + NonceSize + TagSize + MaxPadded

	// MaxHeader is the size of a slot header with every optional field.
	MaxHeader = bareHeader + 1 + 2*(1+purpose.MaxReference) + TimeSize + 1 + purpose.MaxLen
)

// Slot types, by the key that a slot is sealed under.
const (
	OfPurpose        = 1 // the purpose's own key
	OfSubject        = 2 // the key of one subject under the purpose
	OfCollector      = 3 // an X25519 public key of the purpose
	OfCollectorXWing = 4 // an X-Wing public key of the purpose
)

// WrappedKeySize returns the size of the wrapped key that the sealed part of a slot
// of the given type begins with. It is 0 for the types that no collector makes.
func WrappedKeySize(typ byte) int {
	switch typ {
	case OfCollector:
		return wrapOverhead + X25519Size
	case OfCollectorXWing:
		return wrapOverhead + XWingEncSize
	}
	return 0
}

// Slot flags, by the optional field that follows. An empty field is left out, so
// that each header has one encoding. The flag flagStated alone has no field: it says
// that the time of collection was stated.
const (
	flagLegal = 1 << iota
	flagNotice
	flagConsent
	flagExpires
	flagFrom
	flagStated // no field follows
	flagsKnown = 1<<iota - 1
)

// A Slot is one slot of a value. Its slices are parts of the body that the slot was
// read from.
type Slot struct {
	Header []byte // from the type to the last optional field, authenticated as it stands
	Sealed []byte
}

// Type returns the type of the slot: [OfPurpose], [OfSubject], [OfCollector] or
// [OfCollectorXWing].
func (s Slot) Type() byte { return s.Header[0] }

// ByCollector reports whether the slot is of a type that collectors make.
func (s Slot) ByCollector() bool { return WrappedKeySize(s.Type()) > 0 }

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
	p := purpose.Provenance{Collected: Seconds(b), Stated: flags&flagStated != 0}
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
	at := IDSize
	for ; at <= len(raw); n-- {
		header, size, ok := slotSizes(raw[at:])
		if !ok {
			return Slot{}, false
		}
		if n == 0 {
			return newSlot(raw[at:], header, size), true
		}
		at += size
	}
	return Slot{}, false
}

// CutSlot splits the first slot off b. It reports false for bytes that no writer of
// this format puts there.
func CutSlot(b []byte) (s Slot, rest []byte, ok bool) {
	header, size, ok := slotSizes(b)
	if !ok {
		return Slot{}, nil, false
	}
	return newSlot(b, header, size), b[size:], true
}

// newSlot returns the slot that b begins with.
func newSlot(b []byte, header, size int) Slot {
	return Slot{Header: b[:header:header], Sealed: b[header+2 : size : size]}
}

// slotSizes returns the size of the slot that b begins with, and the size of its header,
// in bytes. It reports false for bytes that no writer of this format puts there.
func slotSizes(b []byte) (header, size int, ok bool) {
	header, ok = SlotHeaderLen(b)
	if !ok || len(b) < header+2 {
		return 0, 0, false
	}
	sealed := int(binary.BigEndian.Uint16(b[header:]))
	size = header + 2 + sealed
	if len(b) < size {
		return 0, 0, false
	}
	typ, padded := b[0], sealed-Overhead(b[0])
	if padded < PadStep || padded > MaxPadded || padded%PadStep != 0 || typ != OfSubject && b[header+2] != 1 {
		return 0, 0, false // not the shape of its type
	}
	return header, size, true
}

// Overhead returns the number of bytes by which the sealed part of a slot of the
// given type is longer than the padded plaintext.
func Overhead(typ byte) int {
	switch typ {
	case OfSubject:
		return NonceSize + TagSize
	case OfCollector, OfCollectorXWing:
		return WrappedKeySize(typ) + NonceSize + TagSize
	}
	return KeyIDSize + NonceSize + TagSize
}

// KeyID returns the id of the key that the slot is sealed under, or of the key pair
// that wraps its key. It reports false for a slot of a subject, which names no key:
// the id would be a number of the person, and join all of their values.
func (s Slot) KeyID() (id uint32, ok bool) {
	if s.Type() == OfSubject {
		return 0, false
	}
	return binary.BigEndian.Uint32(s.Sealed[1:]), true
}

// SlotHeaderLen returns the length of the slot header at the beginning of b. It
// reports false for a header that no writer makes:
//
//	legal, notice, consent   in slots of every type
//	expires                  in slots of every type, if the time of collection is known;
//	                         after it, and by no more than MaxRetain and a day
//	from                     in slots of types 1 and 2, with consent
//	stated                   in slots of every type, if the time of collection is known
func SlotHeaderLen(b []byte) (int, bool) {
	if len(b) < bareHeader || b[0] < OfPurpose || b[0] > OfCollectorXWing || b[1]&^flagsKnown != 0 {
		return 0, false
	}
	collected := unixSeconds(b[2:])
	if collected > MaxSeconds {
		return 0, false
	}
	if b[1] == 0 { // the usual case
		return bareHeader, true
	}
	return longHeaderLen(b, collected)
}

// bareHeader is the size of a slot header without optional fields.
const bareHeader = 2 + TimeSize

// longHeaderLen is SlotHeaderLen of a header with optional fields.
func longHeaderLen(b []byte, collected int64) (int, bool) {
	flags, n := b[1], bareHeader
	if flags&flagStated != 0 && collected == 0 { // nobody states an unset clock
		return 0, false
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
		if len(b) < n+TimeSize || collected == 0 { // a clock that was not set
			return 0, false
		}
		expires := unixSeconds(b[n:])
		if expires <= collected || expires > MaxSeconds || expires-collected > maxRetention {
			return 0, false
		}
		n += TimeSize
	}
	if flags&flagFrom != 0 {
		name, _, ok := CutString8(b[n:])
		// There is no extension without consent, and collectors do not extend.
		if !ok || flags&flagConsent == 0 || WrappedKeySize(b[0]) > 0 {
			return 0, false
		}
		if _, err := purpose.Parse(string(name)); err != nil {
			return 0, false
		}
		n += 1 + len(name)
	}
	return n, true
}

// AppendBareHeader appends the header of a slot of the given type that has no optional
// field.
func AppendBareHeader(b []byte, typ byte, collected time.Time) []byte {
	return AppendSeconds(append(b, typ, 0), collected)
}

// AppendHeader appends the header of a slot of the given type.
func AppendHeader(b []byte, typ byte, p *purpose.Provenance) []byte {
	flagsAt := len(b) + 1
	b = AppendBareHeader(b, typ, p.Collected)
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
	if p.Stated {
		b[flagsAt] |= flagStated
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

// maxRetention is the greatest distance of expiry and collection, in seconds. The
// end of a retention of days is the end of its last day.
const maxRetention = int64(purpose.MaxRetain/time.Second) + Day

// Times returns the time of collection and the end of a retention that begins now,
// which is zero for a retention of 0. It reports false for times that a slot can't
// hold: a retention needs a clock that is set, and nothing is later than MaxSeconds.
// An unset clock, from before 1970, counts as 1970.
//
// Times are days of UTC, unless exact is set. The value was collected on the day
// that is returned. A retention of a day or more ends with the day in which the
// period runs out, as periods of days do (Regulation (EEC) 1182/71, Article 3). A
// shorter retention ends to the second, and is never longer than stated.
func Times(now time.Time, retain time.Duration, exact bool) (collected, expires time.Time, ok bool) {
	seconds, period := max(0, now.Unix()), int64(retain/time.Second)
	day := seconds - seconds%Day
	if exact {
		day = seconds
	}
	if seconds > MaxSeconds {
		return time.Time{}, time.Time{}, false
	}
	if period == 0 {
		return time.Unix(day, 0), time.Time{}, true
	}
	end := seconds + period
	if !exact && period >= Day {
		end += Day - end%Day
	}
	if day == 0 || end > MaxSeconds {
		return time.Time{}, time.Time{}, false
	}
	return time.Unix(day, 0), time.Unix(end, 0), true
}

// AppendSeconds appends t in [TimeSize] bytes. A time before 1970 becomes 1970.
func AppendSeconds(b []byte, t time.Time) []byte {
	u := uint64(max(0, t.Unix()))
	return append(b, byte(u>>32), byte(u>>24), byte(u>>16), byte(u>>8), byte(u))
}

// Seconds returns the time that AppendSeconds wrote.
func Seconds(b []byte) time.Time { return time.Unix(unixSeconds(b), 0).UTC() }

// unixSeconds returns the seconds that AppendSeconds wrote.
func unixSeconds(b []byte) int64 {
	return int64(binary.BigEndian.Uint32(b))<<8 | int64(b[4])
}
