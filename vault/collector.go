package vault

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Collector is the right to collect values for one purpose, and nothing more:
// it seals with a public key (HPKE, RFC 9180) and can neither reveal what it
// sealed nor index anything. Whoever breaks into a process that holds only
// collectors gets the values typed in meanwhile, and none that are stored.
//
// [Vault.Collector] hands one out where the purpose's keys are, and
// [ParseCollector] reads one from the text that [Collector.MarshalText] writes,
// which is no secret: a web front end needs that text in its configuration, and
// neither a key store nor a KEK. It has to come by a way that nobody can tamper
// with, for whoever puts in another key reads what is collected with it.
//
// The values open under a scope of the purpose. A back end that takes them in
// calls [Reseal], which brings them under the purpose's own key or that of the
// person, and then indexes them. Until then they are nobody's in particular, and
// anyone who knows the public key can have made them: [Sealed.ByCollector] tells
// which those are.
//
// Collectors are immutable and may be used from many goroutines at once. A nil or
// zero Collector is [ErrInvalid] everywhere.
type Collector struct {
	purpose  purpose.Purpose
	public   *publicKey
	batch    *slotKey // nil if each value has its own
	auditor  Auditor  // may be nil
	basis    purpose.Basis
	basisErr error // why Under was refused
}

// Collector returns the right to collect values for p, without the right to
// anything else. It opens the keys of p to find the public one, so it takes the
// same grants as [Vault.Scope], whose errors it has; [ErrNoKeys] is also a purpose
// without keys for collectors (see [Vault.RotateCollector]). The collector works
// on after the vault is closed.
func (v *Vault) Collector(ctx context.Context, p purpose.Purpose) (*Collector, error) {
	c, err := v.collector(ctx, p)
	if err = v.audit(ctx, Event{Action: ActionOpen, Purpose: p}, err); err != nil {
		return nil, keysError(ActionOpen, p, err)
	}
	return c, nil
}

func (v *Vault) collector(ctx context.Context, p purpose.Purpose) (*Collector, error) {
	r, err := v.ring(ctx, p)
	if err != nil {
		return nil, err
	}
	keys := r.current()
	if keys == nil {
		return nil, errClosed
	}
	set := keys.collect()
	if set == nil {
		return nil, fmt.Errorf("none for collectors: %w", ErrNoKeys)
	}
	public, err := publicKeyOf(set.primary)
	if err != nil {
		return nil, fmt.Errorf("malformed key record: %w", ErrCorrupt)
	}
	return &Collector{purpose: p, public: public, auditor: v.opts.Audit}, nil
}

// collectorMagic is the first field of a collector's text.
const collectorMagic = "ofc1"

const checkSize = 4

// MarshalText returns the collector as one line of ASCII such as
// "ofc1.security.…", for [ParseCollector]. It holds the purpose and the public
// key, and not the basis that the collector is under. It implements
// [encoding.TextMarshaler]. A nil or zero Collector is [ErrInvalid].
func (c *Collector) MarshalText() ([]byte, error) {
	if !c.valid() {
		return nil, fmt.Errorf("vault: writing collector: %w", errNoCollector)
	}
	body := append(append([]byte(nil), c.public.id[1:]...), c.public.bytes[:]...)
	body = append(body, collectorCheck(c.purpose, body)...)
	return []byte(collectorMagic + "." + c.purpose.String() + "." + base64.RawURLEncoding.EncodeToString(body)), nil
}

// collectorCheck finds typing errors. It is no protection against anybody.
func collectorCheck(p purpose.Purpose, body []byte) []byte {
	sum := sha256.Sum256(append([]byte(collectorMagic+"."+p.String()+"."), body...))
	return sum[:checkSize]
}

// ParseCollector returns the collector whose text is given. Its uses are
// recorded by auditor, which may be nil. Text that [Collector.MarshalText] would
// not write is [ErrCorrupt]; the error does not quote it.
func ParseCollector(text string, auditor Auditor) (*Collector, error) {
	p, public, err := parseCollector(text)
	if err != nil {
		return nil, fmt.Errorf("vault: reading collector: %w", err)
	}
	return &Collector{purpose: p, public: public, auditor: auditor}, nil
}

var errCollectorText = fmt.Errorf("not the text of a collector: %w", ErrCorrupt)

func parseCollector(text string) (p purpose.Purpose, public *publicKey, err error) {
	const size = keyIDSize - 1 + encSize + checkSize
	if len(text) > len(collectorMagic)+2+purpose.MaxLen+base64.RawURLEncoding.EncodedLen(size) {
		return p, nil, errCollectorText
	}
	fields := strings.Split(text, ".")
	if len(fields) != 3 || fields[0] != collectorMagic {
		return p, nil, errCollectorText
	}
	if p, err = purpose.Parse(fields[1]); err != nil {
		return p, nil, errCollectorText
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(fields[2])
	// Decoders skip line breaks, even strict ones.
	if err != nil || len(body) != size || base64.RawURLEncoding.EncodeToString(body) != fields[2] {
		return p, nil, errCollectorText
	}
	check := body[size-checkSize:]
	body = body[:size-checkSize]
	if string(check) != string(collectorCheck(p, body)) {
		return p, nil, errCollectorText
	}
	if !reduced(body[keyIDSize-1:]) {
		return p, nil, errCollectorText
	}
	if public, err = newPublicKey(binary.BigEndian.Uint32(body), body[keyIDSize-1:]); err != nil {
		return p, nil, errCollectorText
	}
	// A key that nothing can be sealed for, such as a point of low order, is found
	// out now and not by the first person who signs up.
	if _, err := public.newSlotKey(p); err != nil {
		return p, nil, errCollectorText
	}
	return p, public, nil
}

// Batch returns a collector whose values share one encapsulation, which is what
// costs: the first takes some hundred times as long as each further one. Anybody
// can see of values of one batch that they are, and the returned collector
// holds the key that opens them: drop it once the batch is done. Each value can
// be opened, re-sealed and deleted by itself.
func (c *Collector) Batch() (*Collector, error) {
	if !c.valid() {
		return nil, fmt.Errorf("vault: starting batch: %w", errNoCollector)
	}
	key, err := c.public.newSlotKey(c.purpose)
	if err != nil {
		return nil, fmt.Errorf("vault: starting batch: %w", err)
	}
	batch := *c
	batch.batch = key
	return &batch, nil
}

// Under returns a collector that seals values under the given basis, as
// [Scope.Under] does.
func (c *Collector) Under(basis purpose.Basis) *Collector {
	if c == nil {
		return nil
	}
	narrowed := *c
	narrowed.basis, narrowed.basisErr = basis, nil
	if err := basis.Validate(); err != nil {
		narrowed.basisErr = fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return &narrowed
}

// Purpose returns the purpose that c collects for, the zero Purpose for a nil or
// zero Collector.
func (c *Collector) Purpose() purpose.Purpose {
	if c == nil {
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

var errNoCollector = fmt.Errorf("nil collector: %w", ErrInvalid)

// The slots of collectors.

func (*Collector) sealer() {}

func (c *Collector) valid() bool { return c != nil && c.public != nil }

func (c *Collector) subjectID() string { return "" }

func (c *Collector) erasedMeanwhile() error { return nil }

func (c *Collector) appendSlot(ctx context.Context, body []byte, scr *scratch, req sealRequest) ([]byte, error) {
	switch {
	case c.basisErr != nil:
		return body, c.basisErr
	case req.kind == (Kind{}):
		return body, errNoKind
	case ctx.Err() != nil:
		return body, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	key := c.batch
	if key == nil {
		var err error
		if key, err = c.public.newSlotKey(c.purpose); err != nil {
			return body, err
		}
	}
	p := provenanceNow(req.now, c.basis)
	return appendSealedSlot(body, scr, &slotSpec{
		typ: slotCollector, overhead: wrappedKeySize + nonceSize + tagSize, seal: key.seal,
		kind: req.kind, purpose: c.purpose, provenance: &p, plaintext: req.plaintext,
	}), nil
}

func (c *Collector) listens() bool { return c != nil && c.auditor != nil }

func (c *Collector) audit(ctx context.Context, e Event, err error) error {
	e.Purpose = c.Purpose()
	return audit(ctx, c.auditor, e, err)
}
