package pii

import (
	"context"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Kind describes one kind of personal data to [Sealed]. It is implemented by
// a struct without fields, whose methods depend on nothing but their arguments.
type Kind interface {
	// Kind returns the name under which values are sealed, always the same.
	Kind() vault.Kind
	// Parse checks text as people write it, and returns the form that is sealed
	// and revealed. It reports false for anything that is not of this kind. What
	// it returns it takes back, unchanged.
	Parse(text string) (plaintext string, ok bool)
	// Canonical returns the form of a plaintext that indexes are computed of:
	// equal for two spellings of the same thing, and only for these. It must
	// never change, or indexes in databases no longer match.
	Canonical(plaintext string) string
	// Mask returns the little of a plaintext that its owner recognises.
	Mask(plaintext string) string
}

// A Sealed is an immutable sealed value of kind K, or the absence of one. It is
// what [Email] and [Phone] are made of, and for embedding in types of other
// kinds, which gain its methods.
//
// It holds the sealed text and nothing else: no plaintext and no key. Encoders
// for databases and wires carry the sealed form, printers a label such as
// "pii.Email(security)". The zero Sealed is the absence of a value: NULL in
// SQL, omitted by omitzero in JSON, empty text otherwise.
type Sealed[K Kind] struct {
	value vault.Sealed
}

// Seal seals text of kind K for the purposes of the given scopes. Text that the
// kind does not parse is [ErrInvalid]; other errors are those of [vault.Seal].
func Seal[K Kind](ctx context.Context, text string, scopes ...vault.Sealer) (Sealed[K], error) {
	plaintext, err := parse[K](vault.ActionSeal, text)
	if err != nil {
		return Sealed[K]{}, err
	}
	value, err := vault.Seal(ctx, kindOf[K](), plaintext, scopes...)
	return Sealed[K]{value}, err
}

func parse[K Kind](a vault.Action, text string) (string, error) {
	var k K
	plaintext, ok := k.Parse(text)
	if !ok {
		return "", &invalidError{a, k.Kind()}
	}
	return plaintext, nil
}

func kindOf[K Kind]() vault.Kind {
	var k K
	return k.Kind()
}

// Reveal returns the plaintext, which is the caller's responsibility from then
// on. Errors are those of [vault.Scope.Reveal]: [purpose.ErrMismatch] for a
// value collected for something else, [vault.ErrCorrupt] for one that was
// forged, relabelled or altered, [vault.ErrExpired] for one past its retention,
// [vault.ErrErased] and [vault.ErrSubject] for one of a person erased or not the
// scope's, [vault.ErrInvalid] for a nil scope and for the zero value. The scope
// can be a [vault.Reader].
func (s Sealed[K]) Reveal(ctx context.Context, scope vault.Revealer) (string, error) {
	return revealer(scope).Reveal(ctx, kindOf[K](), s.value)
}

// revealer and indexer let nil be refused like a nil scope.
func revealer(scope vault.Revealer) vault.Revealer {
	if scope == nil {
		return (*vault.Scope)(nil)
	}
	return scope
}

func indexer(scope vault.Indexer) vault.Indexer {
	if scope == nil {
		return (*vault.Scope)(nil)
	}
	return scope
}

// Hint returns a masked form that its owner recognises and nobody else can
// use, such as "a•••@e•••.com". It needs the same scope as Reveal, and has the
// same errors.
func (s Sealed[K]) Hint(ctx context.Context, scope vault.Revealer) (string, error) {
	var k K
	return revealer(scope).Hint(ctx, k.Kind(), s.value, func(plaintext string) string {
		// Whoever has the keys may have sealed something else, past Parse.
		if parsed, ok := k.Parse(plaintext); ok {
			return k.Mask(parsed)
		}
		return "•••"
	})
}

// Index returns the blind index of the value under the scope's purpose. Errors
// are those of Reveal; the index that comes with one is poisoned, as [Index]
// describes.
func (s Sealed[K]) Index(ctx context.Context, scope *vault.Scope) (Index, error) {
	var k K
	return newIndex(scope.IndexSealed(ctx, k.Kind(), s.value, func(plaintext string) string {
		if parsed, ok := k.Parse(plaintext); ok {
			return k.Canonical(parsed)
		}
		return "" // which is refused as corrupt
	}))
}

// IndexOf returns the blind index of text of kind K, for looking values up. Text
// that the kind does not parse is [ErrInvalid]; other errors are those of
// [vault.Scope.Index]. The index that comes with one is poisoned, as [Index]
// describes. The scope can be a [vault.Lookup].
func IndexOf[K Kind](ctx context.Context, text string, scope vault.Indexer) (Index, error) {
	var k K
	plaintext, err := parse[K](vault.ActionIndex, text)
	if err != nil {
		return poisoned, err
	}
	return newIndex(indexer(scope).Index(ctx, k.Kind(), k.Canonical(plaintext)))
}

// IndexesOf is [IndexOf] under every index key of the purpose that is not
// retired, the primary one's first, for WHERE … IN (…) after
// [vault.Vault.RotateIndex]. With an error there is one index, and it is
// poisoned.
func IndexesOf[K Kind](ctx context.Context, text string, scope vault.Indexer) ([]Index, error) {
	var k K
	plaintext, err := parse[K](vault.ActionIndex, text)
	if err != nil {
		return []Index{poisoned}, err
	}
	all, err := indexer(scope).Indexes(ctx, k.Kind(), k.Canonical(plaintext))
	if err != nil {
		return []Index{poisoned}, err
	}
	indexes := make([]Index, len(all))
	for i, bytes := range all {
		indexes[i], _ = newIndex(bytes, nil)
	}
	return indexes, nil
}

// Extend returns the value extended to the purpose of to, which must be under a
// basis that refers to the person's consent. Errors are those of
// [vault.Extend], [purpose.ErrNoConsent] among them.
func (s Sealed[K]) Extend(ctx context.Context, from, to *vault.Scope) (Sealed[K], error) {
	value, err := vault.Extend(ctx, kindOf[K](), s.value, from, to)
	return Sealed[K]{value}, err
}

// Adopt returns the value of kind K that was encrypted under a keyset which
// [vault.Vault.Import] took over for the purpose of scope, sealed for that
// purpose. Errors are those of [vault.Adopt].
func Adopt[K Kind](ctx context.Context, ciphertext, associatedData []byte, scope *vault.Scope) (Sealed[K], error) {
	var k K
	value, err := vault.Adopt(ctx, k.Kind(), ciphertext, associatedData, func(plaintext string) string {
		parsed, _ := k.Parse(plaintext)
		return parsed
	}, scope)
	return Sealed[K]{value}, err
}

// Without returns the value without what it holds for p, which needs no key. It
// is the zero value if that was all, and unchanged if it was not collected for
// p. What the database holds under p besides, its index column, is to be set to
// NULL with it.
func (s Sealed[K]) Without(p purpose.Purpose) Sealed[K] {
	return Sealed[K]{s.value.Without(p)}
}

// WithoutExpired returns the value without the purposes whose time of retention
// is over, which needs no key. It is the zero value if that is all of them.
func (s Sealed[K]) WithoutExpired() Sealed[K] {
	return Sealed[K]{s.value.WithoutExpired()}
}

// Reseal returns the value sealed anew for the purposes of the given scopes,
// under the keys that are primary now. Errors are those of [vault.Reseal].
func (s Sealed[K]) Reseal(ctx context.Context, scopes ...*vault.Scope) (Sealed[K], error) {
	value, err := vault.Reseal(ctx, kindOf[K](), s.value, scopes...)
	return Sealed[K]{value}, err
}

// OnPrimaryKey reports whether Reseal with this scope has nothing to do, as
// [vault.Sealed.OnPrimaryKey] does.
func (s Sealed[K]) OnPrimaryKey(scope *vault.Scope) bool { return s.value.OnPrimaryKey(scope) }

// Purposes returns what the value says it was collected for. It needs no key,
// and until the value is revealed it is a claim.
func (s Sealed[K]) Purposes() purpose.Set { return s.value.Purposes() }

// Provenance returns what the value says of its collection for p: when, under
// which notice and on what ground. It reports false if the value was not
// collected for p. It needs no key, and until the value is revealed it is a
// claim.
func (s Sealed[K]) Provenance(p purpose.Purpose) (purpose.Provenance, bool) {
	return s.value.Provenance(p)
}

// ByCollector reports whether what the value holds for p is as a
// [vault.Collector] sealed it, and waits to be taken in with Reseal. It needs no
// key.
func (s Sealed[K]) ByCollector(p purpose.Purpose) bool { return s.value.ByCollector(p) }

// IsZero reports whether there is no value.
func (s Sealed[K]) IsZero() bool { return s.value.IsZero() }
