package vault

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/onlyfor/onlyfor/purpose"
)

// An Indexer can compute the blind indexes of one purpose. It is a [*Scope] or a
// [*Lookup].
type Indexer interface {
	Purpose() purpose.Purpose
	// Index and Indexes are [Scope.Index] and [Scope.Indexes].
	Index(ctx context.Context, k Kind, canonical string) ([IndexSize]byte, error)
	Indexes(ctx context.Context, k Kind, canonical string) ([][IndexSize]byte, error)

	indexer()
}

// A Lookup is the right to look values up for one purpose. It computes blind indexes,
// and can neither reveal nor seal. Sign-in needs no more. A Lookup holds the index keys
// of the purpose and no other keys.
//
// It limits the harm that a component can do by accident, or when an attacker takes it
// over through its own code. It is no boundary between processes: a process that may
// open the Lookup may open the whole [Scope].
//
// Lookups are immutable and may be used from many goroutines at once. A nil, zero or
// copied Lookup is [ErrInvalid] everywhere (see [Scope]).
type Lookup struct {
	self  *Lookup // where the lookup was made
	scope *Scope
}

// newLookup returns a lookup with the index keys of s.
func newLookup(s *Scope) *Lookup {
	l := &Lookup{scope: s}
	l.self = l
	return l
}

func (l *Lookup) indexer() {}

func (s *Scope) indexer() {}

func (l *Lookup) of() *Scope {
	if l == nil || l.self != l {
		return nil
	}
	return l.scope
}

// Index is [Scope.Index].
func (l *Lookup) Index(ctx context.Context, k Kind, canonical string) ([IndexSize]byte, error) {
	return l.of().Index(ctx, k, canonical)
}

// Indexes is [Scope.Indexes].
func (l *Lookup) Indexes(ctx context.Context, k Kind, canonical string) ([][IndexSize]byte, error) {
	return l.of().Indexes(ctx, k, canonical)
}

// Purpose returns the purpose that l looks values up for. It is the zero Purpose for a
// nil or zero Lookup.
func (l *Lookup) Purpose() purpose.Purpose { return l.of().Purpose() }

// String returns a label such as "vault.Lookup(security)".
func (l *Lookup) String() string { return "vault.Lookup(" + l.Purpose().String() + ")" }

// Format implements [fmt.Formatter]: every verb prints the label.
func (l *Lookup) Format(f fmt.State, verb rune) { printLabel(f, verb, l.String()) }

// LogValue implements [slog.LogValuer] with the label.
func (l *Lookup) LogValue() slog.Value { return slog.StringValue(l.String()) }
