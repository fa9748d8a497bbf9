package vault

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Revealer can reveal values that were collected for one purpose: a [*Scope]
// or a [*Reader].
type Revealer interface {
	Purpose() purpose.Purpose
	// Reveal and Hint are those of [Scope].
	Reveal(ctx context.Context, k Kind, v Sealed) (string, error)
	Hint(ctx context.Context, k Kind, v Sealed, mask func(plaintext string) string) (string, error)

	revealer()
}

// A Reader is the right to reveal values that were collected for one purpose,
// without the right to look anybody up: it is what a sender of messages needs,
// which is handed rows and has no business in finding them. It holds the keys that
// open values and no index keys, and has no method that seals (though a key that
// opens could be used to seal by whoever got hold of it).
//
// It narrows what a component can do, by accident or when taken over by way of
// its own code. It is no boundary between processes: whoever may open it may
// open the whole [Scope].
//
// Readers are immutable and may be used from many goroutines at once. A nil or
// zero Reader is [ErrInvalid] everywhere.
type Reader struct{ scope *Scope }

// Reader returns the right to reveal what was collected for p, and nothing else.
// Errors are those of [Vault.Scope].
func (v *Vault) Reader(ctx context.Context, p purpose.Purpose) (*Reader, error) {
	s, err := v.narrow(ctx, p, shareReader)
	if err != nil {
		return nil, err
	}
	return &Reader{s}, nil
}

func (r *Reader) revealer() {}

func (s *Scope) revealer() {}

func (r *Reader) of() *Scope {
	if r == nil {
		return nil
	}
	return r.scope
}

// For returns a reader for values of one person, as [Scope.For] does.
func (r *Reader) For(subject string) *Reader {
	if r == nil {
		return nil
	}
	return &Reader{r.scope.For(subject)}
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

// Purpose returns the purpose that r reveals for, the zero Purpose for a nil or
// zero Reader.
func (r *Reader) Purpose() purpose.Purpose { return r.of().Purpose() }

// String returns a label such as "vault.Reader(security)".
func (r *Reader) String() string { return "vault.Reader(" + r.Purpose().String() + ")" }

// Format implements [fmt.Formatter]: every verb prints the label.
func (r *Reader) Format(f fmt.State, verb rune) { printLabel(f, verb, r.String()) }

// LogValue implements [slog.LogValuer] with the label.
func (r *Reader) LogValue() slog.Value { return slog.StringValue(r.String()) }
