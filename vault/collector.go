package vault

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A Collector is the right to collect values for one purpose, and nothing more. It
// seals with a public key (HPKE, RFC 9180; see [CollectorKEM]), and can neither
// reveal a value nor index anything. An attacker in a process that holds only collectors gets the
// values that are typed in meanwhile, and no stored value.
//
// [Vault.Collector] returns a collector in a process that opens the purpose's keys.
// [ParseCollector] reads one from the text that [Collector.MarshalText] writes. The
// text is no secret: a web front end needs it in its configuration, and needs
// neither a key store nor a KEK. It has to reach the front end in a way that nobody
// can tamper with: an attacker who puts in another key reads every value that is
// collected with it.
//
// The values open under a scope of the purpose. A back end takes them in with
// [Reseal], which brings them under the purpose's own key or the key of the person,
// and then indexes them. Until then a value belongs to no person in particular, and
// anyone who knows the public key can have made it: [Sealed.ByCollector] reports
// such values.
//
// Collectors are immutable and may be used from many goroutines at once. A nil, zero or
// copied Collector is [ErrInvalid] everywhere (see [Scope]).
type Collector struct {
	self     *Collector // where the collector was made
	purpose  purpose.Purpose
	public   *publicKey
	batch    *collectorKey // nil if each value has a key of its own
	auditor  audit.Auditor // may be nil
	exact    bool          // see Options.ExactTimes
	basis    purpose.Basis
	basisErr error // the refusal of Under
}

var (
	errNoCollector   = fmt.Errorf("nil collector: %w", ErrInvalid)
	errCollectorText = fmt.Errorf("not the text of a collector: %w", ErrCorrupt)
)

// ParseCollector returns the collector with the given text. The auditor records its
// uses, and may be nil. It writes times as days (see [Options.ExactTimes]). Text that [Collector.MarshalText] would not write is
// [ErrCorrupt]; the error does not quote it.
func ParseCollector(text string, auditor audit.Auditor) (*Collector, error) {
	p, public, err := parseCollector(text)
	if err != nil {
		return nil, fmt.Errorf("vault: reading collector: %w", err)
	}
	return newCollector(Collector{purpose: p, public: public, auditor: comparableAuditor(auditor)}), nil
}

// newCollector returns a collector with the fields of c.
func newCollector(c Collector) *Collector {
	c.self = &c
	return &c
}

// clone returns a collector that may be changed before it is handed out. It is a copy of
// an invalid collector if c is invalid.
func (c *Collector) clone() *Collector {
	copied := *c
	if c.self == c {
		copied.self = &copied
	}
	return &copied
}

// parseCollector parses the text of a collector. Every fault is errCollectorText.
func parseCollector(text string) (p purpose.Purpose, public *publicKey, err error) {
	const fixed = keyIDLen + checkSize
	if len(text) > len(format.CollectorMagicXWing)+2+purpose.MaxLen+base64.RawURLEncoding.EncodedLen(fixed+format.XWingPublicSize) {
		return p, nil, errCollectorText
	}
	fields := strings.Split(text, ".")
	if len(fields) != 3 {
		return p, nil, errCollectorText
	}
	magic := fields[0]
	kem, ok := findKEM(func(k *kem) bool { return k.magic == magic })
	if !ok {
		return p, nil, errCollectorText
	}
	size := fixed + kem.publicSize
	if p, err = purpose.Parse(fields[1]); err != nil {
		return p, nil, errCollectorText
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(fields[2])
	// Even a strict decoder skips line breaks.
	if err != nil || len(body) != size || base64.RawURLEncoding.EncodeToString(body) != fields[2] {
		return p, nil, errCollectorText
	}
	check := body[size-checkSize:]
	body = body[:size-checkSize]
	if string(check) != string(collectorCheck(magic, p, body)) {
		return p, nil, errCollectorText
	}
	if public, err = newPublicKey(kem, binary.BigEndian.Uint32(body), body[keyIDLen:]); err != nil {
		return p, nil, errCollectorText
	}
	// Nothing can be sealed for some keys, such as a point of low order. Find out
	// now, and not when the first person signs up.
	if _, err := public.newCollectorKey(p); err != nil {
		return p, nil, errCollectorText
	}
	return p, public, nil
}

// Under returns a collector that seals values under the given basis, as
// [Scope.Under] does.
func (c *Collector) Under(basis purpose.Basis) *Collector {
	if c == nil {
		return nil
	}
	narrowed := c.clone()
	narrowed.basis, narrowed.basisErr = basis, nil
	if err := basis.Validate(); err != nil {
		narrowed.basisErr = fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return narrowed
}

// Batch returns a collector whose values share one encapsulation, the costly step:
// the first value takes some fifty times as long as each further one. Anybody can
// see that the values of one batch belong together. The returned collector holds
// the key that opens them: drop it once the batch is done. Each value can be
// opened, re-sealed and deleted by itself. A nil or zero Collector is [ErrInvalid].
func (c *Collector) Batch() (*Collector, error) {
	if !c.valid() {
		return nil, fmt.Errorf("vault: starting batch: %w", errNoCollector)
	}
	key, err := c.public.newCollectorKey(c.purpose)
	if err != nil {
		return nil, fmt.Errorf("vault: starting batch: %w", err)
	}
	batch := c.clone()
	batch.batch = key
	return batch, nil
}

// Purpose returns the purpose that c collects for, the zero Purpose for a nil or
// zero Collector.
func (c *Collector) Purpose() purpose.Purpose {
	if c == nil || c.self != c {
		return purpose.Purpose{}
	}
	return c.purpose
}

// String returns a label such as "vault.Collector(security)".
func (c *Collector) String() string { return "vault.Collector(" + c.Purpose().String() + ")" }

// Format implements [fmt.Formatter]: every verb prints the label.
func (c *Collector) Format(f fmt.State, verb rune) { printLabel(f, verb, c.String()) }

// LogValue implements [slog.LogValuer] with the label.
func (c *Collector) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText returns the collector as one line of ASCII such as "ofc2.security.…",
// for [ParseCollector]. It has some 1,650 bytes, and some 70 for a key of [X25519].
// The text holds the purpose and the public key, but not the
// basis of the collector. A nil or zero Collector is [ErrInvalid]. It implements
// [encoding.TextMarshaler].
func (c *Collector) MarshalText() ([]byte, error) {
	if !c.valid() {
		return nil, fmt.Errorf("vault: writing collector: %w", errNoCollector)
	}
	magic := c.public.kem.magic
	body := append(append([]byte(nil), c.public.id[1:]...), c.public.bytes...)
	body = append(body, collectorCheck(magic, c.purpose, body)...)
	return []byte(magic + "." + c.purpose.String() + "." + base64.RawURLEncoding.EncodeToString(body)), nil
}

// The sizes of the key id and of the checksum in a collector's text, in bytes.
const (
	keyIDLen  = format.KeyIDSize - 1
	checkSize = 4
)

// collectorCheck returns the checksum of a collector's text. It finds typing errors
// and protects against nobody.
func collectorCheck(magic string, p purpose.Purpose, body []byte) []byte {
	sum := digest(format.AppendCollectorCheck(nil, magic, p.String(), body))
	return sum[:checkSize]
}

// The methods of a slotSealer. A collector has no subject.

func (*Collector) sealer() {}

func (c *Collector) valid() bool { return c != nil && c.public != nil && c.self == c }

func (c *Collector) subjectID() string { return "" }

func (c *Collector) date() time.Time { return time.Now() }

func (c *Collector) appendSlot(ctx context.Context, body []byte, buf *buffers, value plainValue) ([]byte, error) {
	switch {
	case c.basisErr != nil:
		return body, c.basisErr
	case value.kind == (Kind{}):
		return body, errNoKind
	case ctx.Err() != nil:
		return body, ctxError(ctx)
	}
	key := c.batch
	if key == nil {
		var err error
		if key, err = c.public.newCollectorKey(c.purpose); err != nil {
			return body, err
		}
	}
	p, err := newProvenance(value.collected, &c.basis, c.exact)
	if err != nil {
		return body, err
	}
	return appendSealedSlot(body, buf, key, &plainSlot{
		plainValue: value, typ: key.slotType, purpose: c.purpose, provenance: &p,
	}), nil
}

func (c *Collector) checkErased() error { return nil }

func (c *Collector) audited() bool { return c.valid() && c.auditor != nil }

func (c *Collector) askedFor() purpose.Provenance { return askedFor(c.basis, c.basisErr) }

func (c *Collector) audit(ctx context.Context, e audit.Event, err error) error {
	e.Purpose = c.Purpose()
	_, err = recordEvent(ctx, c.auditor, e, err)
	return err
}
