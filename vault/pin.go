package vault

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A Pin is a state that the keys of one purpose have reached: the vault, the generation
// of the keys with a digest, and the last erasure with its count, digest and pseudonym.
// [Admin.Pin] and [Erasure.Pin] are pins. Kept outside the key store and returned by
// [Options.Pin], a pin refuses a store that somebody put back to an older state, also
// after other changes have followed there.
//
// Pins can be compared with ==. The zero Pin pins nothing. A pin holds no key. It holds
// the pseudonym of a person who was erased.
type Pin struct {
	purpose    purpose.Purpose
	vault      format.VaultID
	generation uint64
	digest     recordDigest
	erasure    erasureState
}

// IsZero reports whether p is the zero Pin.
func (p Pin) IsZero() bool { return p == Pin{} }

// Purpose returns the purpose of the pin, the zero Purpose for the zero Pin.
func (p Pin) Purpose() purpose.Purpose { return p.purpose }

const pinSize = format.VaultIDSize + 8 + recordDigestSize + erasureStateSize

// String returns the pin as one line of ASCII such as "ofp1.security.…", and "" for the
// zero Pin.
func (p Pin) String() string {
	if p.IsZero() {
		return ""
	}
	body := append([]byte(nil), p.vault[:]...)
	body = binary.BigEndian.AppendUint64(body, p.generation)
	body = append(body, p.digest[:]...)
	body = p.erasure.append(body)
	body = append(body, pinCheck(p.purpose, body)...)
	return format.PinMagic + "." + p.purpose.String() + "." + base64.RawURLEncoding.EncodeToString(body)
}

// MarshalText returns [Pin.String]. It implements [encoding.TextMarshaler].
func (p Pin) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText parses the text of MarshalText. The empty text is the zero Pin. Any other
// text is [ErrInvalid], and leaves p as it was. It implements [encoding.TextUnmarshaler].
func (p *Pin) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*p = Pin{}
		return nil
	}
	parsed, ok := parsePin(text)
	if !ok {
		return fmt.Errorf("vault: parsing pin: malformed pin: %w", ErrInvalid)
	}
	*p = parsed
	return nil
}

func parsePin(text []byte) (p Pin, ok bool) {
	const size = pinSize + checkSize
	if len(text) > len(format.PinMagic)+2+purpose.MaxLen+base64.RawURLEncoding.EncodedLen(size) {
		return p, false
	}
	fields := strings.Split(string(text), ".")
	if len(fields) != 3 || fields[0] != format.PinMagic {
		return p, false
	}
	var err error
	if p.purpose, err = purpose.Parse(fields[1]); err != nil {
		return p, false
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(fields[2])
	// Even a strict decoder skips line breaks.
	if err != nil || len(body) != size || base64.RawURLEncoding.EncodeToString(body) != fields[2] {
		return p, false
	}
	if string(body[pinSize:]) != string(pinCheck(p.purpose, body[:pinSize])) {
		return p, false
	}
	p.vault, body = format.VaultID(body), body[format.VaultIDSize:]
	p.generation, body = binary.BigEndian.Uint64(body), body[8:]
	p.digest, body = recordDigest(body), body[recordDigestSize:]
	p.erasure = readErasureState(body)
	return p, p.generation > 0 && p.erasure.valid()
}

// pinCheck returns the checksum of a pin's text. It finds typing errors and protects
// against nobody.
func pinCheck(p purpose.Purpose, body []byte) []byte {
	sum := digest(format.AppendPinCheck(nil, p.String(), body))
	return sum[:checkSize]
}

// FixedPins returns a function for [Options.Pin] that returns the pin of the purpose
// among the given pins, and the zero Pin for a purpose without one. Two different pins of
// one purpose are [ErrInvalid] for that purpose.
func FixedPins(pins ...Pin) func(context.Context, purpose.Purpose) (Pin, error) {
	byPurpose := make(map[purpose.Purpose]Pin)
	twice := make(map[purpose.Purpose]bool)
	for _, p := range pins {
		at, found := byPurpose[p.purpose]
		twice[p.purpose] = twice[p.purpose] || found && at != p
		byPurpose[p.purpose] = p
	}
	return func(_ context.Context, p purpose.Purpose) (Pin, error) {
		if twice[p] {
			return Pin{}, fmt.Errorf("two pins of one purpose: %w", ErrInvalid)
		}
		return byPurpose[p], nil
	}
}

// pin returns the pin of p in the options. A failure of the caller's function is
// [ErrUnavailable], unless it is another sentinel of this package.
func (b *backend) pin(ctx context.Context, p purpose.Purpose) (Pin, error) {
	if b.opts.Pin == nil {
		return Pin{}, nil
	}
	pin, err := b.opts.Pin(ctx, p)
	switch {
	case err != nil:
		return Pin{}, foreignError("pin", err, ErrUnavailable)
	case !pin.IsZero() && pin.purpose != p:
		return Pin{}, fmt.Errorf("pin of another purpose: %w", ErrInvalid)
	}
	return pin, nil
}

// Pin returns the state of the keys of p and of the erasures under p. Keep its text
// outside the key store, and return it from [Options.Pin]: a store that was put back to
// an older state then does not open. Pin reads the store each time. It completes an
// erasure that another process began and did not complete. Its errors are the errors of
// [Vault.Scope].
func (a *Admin) Pin(ctx context.Context, p purpose.Purpose) (Pin, error) {
	found := make(chan Pin, 1) // a call that was left early may still send
	err := a.operate(ctx, audit.Event{Action: audit.List, Purpose: p}, func(ctx context.Context, e *pendingEvent) error {
		pk, err := a.openKeys(ctx, p, allKeys)
		if err != nil {
			return err
		}
		pin, err := pk.pin(ctx)
		e.at(pin.generation, pin.digest)
		found <- pin
		return err
	})
	if err != nil {
		return Pin{}, err
	}
	return <-found, nil
}

// pin returns the state in the store, after it has completed the last erasure.
func (pk *purposeKeys) pin(ctx context.Context) (Pin, error) {
	for {
		if ctx.Err() != nil {
			return Pin{}, ctxError(ctx)
		}
		if err := pk.refreshNow(ctx); err != nil {
			return Pin{}, err
		}
		at := pk.known()
		if at.keys == nil {
			return Pin{}, errClosed
		}
		records, err := pk.backend.get(ctx, erasuresName(pk.id.purpose))
		if err != nil {
			return Pin{}, err
		}
		head, err := decodeErasures(at.keys, pk.id.purpose, records[0].Data)
		if err != nil {
			return Pin{}, err
		}
		if head == at.erasure {
			return at.pin(pk.id.purpose), nil
		}
		if _, err := pk.completeErasure(ctx, at.keys, head); err != nil {
			return Pin{}, err
		}
	}
}
