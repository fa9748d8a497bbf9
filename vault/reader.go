package vault

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Revealer can reveal values that were collected for one purpose. It is a [*Scope] or
// a [*Reader].
type Revealer interface {
	Purpose() purpose.Purpose
	// Reveal and Hint are [Scope.Reveal] and [Scope.Hint].
	Reveal(ctx context.Context, k Kind, v Sealed) (string, error)
	Hint(ctx context.Context, k Kind, v Sealed, mask func(plaintext string) string) (string, error)

	revealer()
}

// A Reader is the right to reveal values that were collected for one purpose, without
// the right to look anybody up. A sender of messages needs no more: it is handed rows
// and does not search for them. A Reader holds the keys that open values and no index
// keys. It has no method that seals, though a thief of such a key could seal with it.
//
// It limits the harm that a component can do by accident, or when an attacker takes it
// over through its own code. It is no boundary between processes: a process that may
// open the Reader may open the whole [Scope].
//
// Readers are immutable and may be used from many goroutines at once. A nil, zero or
// copied Reader is [ErrInvalid] everywhere (see [Scope]).
type Reader struct {
	self  *Reader // where the reader was made
	scope *Scope
}

// newReader returns a reader with the keys of s that open values.
func newReader(s *Scope) *Reader {
	r := &Reader{scope: s}
	r.self = r
	return r
}

func (r *Reader) revealer() {}

func (s *Scope) revealer() {}

func (r *Reader) of() *Scope {
	if r == nil || r.self != r {
		return nil
	}
	return r.scope
}

// For returns a reader for values of one person, under the rules of [Scope.For].
func (r *Reader) For(subject string) *Reader {
	if r == nil {
		return nil
	}
	return newReader(r.of().For(subject))
}

// To returns a reader for values that go to the given host and nowhere else, such as a
// mail gateway. It reveals exactly the values that r does. The event of each reveal has the
// action [audit.Send] and the host as its recipient. The vault can't see where a plaintext
// goes: package egress calls To, and hands no plaintext to its caller.
//
// A suspension of [audit.Reveal] stops sending as well. The recipient is a host name or an
// IP address, with or without a port, in lower case: 1 to 255 letters, digits, and
// characters of ".:-[]". It has a letter or a colon, so that it is neither a mail address
// nor a phone number. Any other text, and a second recipient, is refused with [ErrInvalid]
// when the returned reader is used.
func (r *Reader) To(recipient string) *Reader {
	s := r.of()
	if s == nil {
		return newReader(nil)
	}
	narrowed := s.clone()
	switch {
	case s.narrowErr != nil: // a refusal stays
	case s.recipient != "" || !validRecipient(recipient):
		narrowed.narrowErr = errRecipient
	default:
		narrowed.recipient = recipient
	}
	return newReader(narrowed)
}

var errRecipient = fmt.Errorf("not one valid recipient: %w", ErrInvalid)

// maxRecipient is the size of the longest recipient, in bytes.
const maxRecipient = 255

func validRecipient(s string) bool {
	named := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c == ':':
			named = true
		case c >= '0' && c <= '9' || c == '.' || c == '-' || c == '[' || c == ']':
		default:
			return false
		}
	}
	return named && len(s) <= maxRecipient
}

// Reveal is [Scope.Reveal].
func (r *Reader) Reveal(ctx context.Context, k Kind, v Sealed) (string, error) {
	return r.of().Reveal(ctx, k, v)
}

// Hint is [Scope.Hint].
func (r *Reader) Hint(ctx context.Context, k Kind, v Sealed, mask func(plaintext string) string) (string, error) {
	return r.of().Hint(ctx, k, v, mask)
}

// Prefetch is [Scope.Prefetch].
func (r *Reader) Prefetch(ctx context.Context, subjects ...string) error {
	return r.of().Prefetch(ctx, subjects...)
}

// Purpose returns the purpose that r reveals values for. It is the zero Purpose for a
// nil or zero Reader.
func (r *Reader) Purpose() purpose.Purpose { return r.of().Purpose() }

// String returns a label such as "vault.Reader(security)".
func (r *Reader) String() string { return "vault.Reader(" + r.Purpose().String() + ")" }

// Format implements [fmt.Formatter]: every verb prints the label.
func (r *Reader) Format(f fmt.State, verb rune) { printLabel(f, verb, r.String()) }

// LogValue implements [slog.LogValuer] with the label.
func (r *Reader) LogValue() slog.Value { return slog.StringValue(r.String()) }
