package vault

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// The parser of the body of a sealed value: the value id and one slot for each
// purpose. FORMAT.md is its specification.

const (
	idSize   = 16 // random, shared by the slots of a value
	timeSize = 5  // seconds since 1970, big-endian: until the year 36812

	keyIDSize = 5 // Tink's output prefix: 0x01 and the key id, big-endian
	nonceSize = 12
	tagSize   = 16
	encSize   = 32 // an X25519 encapsulated key

	// A collector seals under a key of its own making, and puts that key in front,
	// wrapped by Tink's HPKE with the purpose's public key. So the values of one
	// batch can share one encapsulation.
	wrappedKeySize = keyIDSize + encSize + dekSize + tagSize

	padStep   = 32 // plaintexts of 0 to 31 bytes look alike, 32 to 63, …
	maxPadded = (MaxPlaintext/padStep + 1) * padStep
)

// Slot types: under which key a slot is sealed.
const (
	slotPurpose   = 1 // the purpose's own key
	slotSubject   = 2 // the key of one subject under the purpose
	slotCollector = 3 // the purpose's public key
)

// Slot flags: which optional fields follow. A field that would be empty is
// left out, so that there is one encoding of everything.
const (
	flagLegal = 1 << iota
	flagNotice
	flagConsent
	flagExpires
	flagFrom
	flagsKnown = 1<<iota - 1
)

// slot is one slot of a value. Its slices are parts of the body it was read
// from.
type slot struct {
	header []byte // type to the last optional field, authenticated as it stands
	sealed []byte
}

func (s slot) kind() byte { return s.header[0] }

// nthSlot returns the slot at position n of a body.
func nthSlot(raw []byte, n int) (s slot, ok bool) {
	if len(raw) < idSize {
		return slot{}, false
	}
	rest := raw[idSize:]
	for range n + 1 {
		if s, rest, ok = cutSlot(rest); !ok {
			return slot{}, false
		}
	}
	return s, true
}

// cutSlot splits the first slot off b. It reports false for whatever
// appendSlotHeader and seal would not have written.
func cutSlot(b []byte) (s slot, rest []byte, ok bool) {
	n, ok := slotHeaderLen(b)
	if !ok || len(b) < n+2 {
		return slot{}, nil, false
	}
	size := int(binary.BigEndian.Uint16(b[n:]))
	end := n + 2 + size
	if len(b) < end {
		return slot{}, nil, false
	}
	s = slot{header: b[:n:n], sealed: b[n+2 : end : end]}
	return s, b[end:], validSealed(s)
}

// validSealed reports whether the sealed part has the shape of its type.
func validSealed(s slot) bool {
	overhead := keyIDSize + nonceSize + tagSize
	switch s.kind() {
	case slotPurpose, slotSubject:
	case slotCollector:
		overhead = wrappedKeySize + nonceSize + tagSize
	default:
		return false
	}
	padded := len(s.sealed) - overhead
	return padded >= padStep && padded <= maxPadded && padded%padStep == 0 && s.sealed[0] == 1
}

// slotHeaderLen returns the length of the slot header that b begins with, and
// false if there is none that is well formed.
func slotHeaderLen(b []byte) (int, bool) {
	const fixed = 2 + timeSize
	if len(b) < fixed || b[1]&^flagsKnown != 0 {
		return 0, false
	}
	flags, n := b[1], fixed
	if flags == 0 { // as with most
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
		text, _, ok := cutString8(b[n:])
		if !ok || len(text) == 0 || !purpose.ValidReference(string(text)) {
			return 0, false
		}
		n += 1 + len(text)
	}
	if flags&flagExpires != 0 {
		if len(b) < n+timeSize || !seconds(b[n:]).After(seconds(b[2:])) {
			return 0, false
		}
		n += timeSize
	}
	if flags&flagFrom != 0 {
		name, _, ok := cutString8(b[n:])
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

// appendSlotHeader appends the header of a slot of the given type.
func appendSlotHeader(b []byte, kind byte, p *Provenance) []byte {
	flagsAt := len(b) + 1
	b = append(b, kind, 0)
	b = appendSeconds(b, p.Collected)
	if p.Legal != purpose.Unstated {
		b[flagsAt] |= flagLegal
		b = append(b, byte(p.Legal))
	}
	if p.Notice != "" {
		b[flagsAt] |= flagNotice
		b = appendString8(b, p.Notice)
	}
	if p.Consent != "" {
		b[flagsAt] |= flagConsent
		b = appendString8(b, p.Consent)
	}
	if !p.Expires.IsZero() {
		b[flagsAt] |= flagExpires
		b = appendSeconds(b, p.Expires)
	}
	if !p.From.IsZero() {
		b[flagsAt] |= flagFrom
		b = appendString8(b, p.From.String())
	}
	return b
}

// from returns the name of the purpose that the slot was extended from, or "".
func (s slot) from() string {
	if s.header[1]&flagFrom == 0 {
		return ""
	}
	return s.provenance().From.String()
}

// provenance decodes the header, which cutSlot has checked.
func (s slot) provenance() Provenance {
	b := s.header[2:]
	flags := s.header[1]
	p := Provenance{Collected: seconds(b)}
	b = b[timeSize:]
	if flags&flagLegal != 0 {
		p.Legal, b = purpose.Legal(b[0]), b[1:]
	}
	var text []byte
	if flags&flagNotice != 0 {
		text, b, _ = cutString8(b)
		p.Notice = string(text)
	}
	if flags&flagConsent != 0 {
		text, b, _ = cutString8(b)
		p.Consent = string(text)
	}
	if flags&flagExpires != 0 {
		p.Expires, b = seconds(b), b[timeSize:]
	}
	if flags&flagFrom != 0 {
		text, _, _ = cutString8(b)
		p.From, _ = purpose.Parse(string(text)) //piivet:allow discard the name was checked when the header was read
	}
	return p
}

// maxSkew is by how much the clocks of two machines may differ.
const maxSkew = 5 * time.Minute

// maxLead is by how much a collector's clock may be ahead before what it sealed
// is taken for forged. Otherwise a value could answer "retry" for years, and
// hold up every run over the table.
const maxLead = 24 * time.Hour

// checkTime refuses a slot whose retention is over. The clock is [time.Now]; one
// that stands before the collection was set back, and can't tell.
func (s slot) checkTime() error {
	if s.header[1]&flagExpires == 0 {
		return nil
	}
	p := s.provenance()
	switch now := time.Now(); {
	case !now.Before(p.Expires):
		return ErrExpired
	case s.kind() == slotCollector && now.Add(maxLead).Before(p.Collected):
		return ErrCorrupt // whoever has the public key says when, and can say anything
	case now.Add(maxSkew).Before(p.Collected):
		return errClock
	}
	return nil
}

var errClock = fmt.Errorf("clock stands before the collection: %w", ErrUnavailable)

func appendString8(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}

// appendSeconds takes a clock that stands before 1970 for 1970.
func appendSeconds(b []byte, t time.Time) []byte {
	u := uint64(max(0, t.Unix()))
	return append(b, byte(u>>32), byte(u>>24), byte(u>>16), byte(u>>8), byte(u))
}

// seconds reads what appendSeconds writes.
func seconds(b []byte) time.Time {
	return time.Unix(int64(b[0])<<32|int64(b[1])<<24|int64(b[2])<<16|int64(b[3])<<8|int64(b[4]), 0).UTC()
}

// appendPadded appends plaintext, 0x80 and as many zeros as lead to the next
// multiple of padStep (ISO/IEC 7816-4).
func appendPadded(b []byte, plaintext string) []byte {
	const padding = "\x80" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // of padStep bytes
	return append(append(b, plaintext...), padding[:padStep-len(plaintext)%padStep]...)
}

// unpad returns the plaintext in what appendPadded made. It runs on
// authenticated bytes alone.
func unpad(padded []byte) ([]byte, bool) {
	n := len(padded) - 1
	for n >= 0 && padded[n] == 0 {
		n--
	}
	if n < 1 || n > MaxPlaintext || padded[n] != 0x80 || len(padded)-n > padStep {
		return nil, false
	}
	return padded[:n], true
}
