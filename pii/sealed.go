package pii

import (
	"context"
	"errors"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A Kind describes one kind of personal data to [Sealed]. A struct without fields
// implements it, and its methods depend on nothing but their arguments.
type Kind interface {
	// Kind returns the name under which values are sealed. It never changes.
	Kind() vault.Kind
	// Parse checks text as people write it, and returns the form that is sealed
	// and revealed. It reports false for text that is not of this kind.
	// Parse(Parse(x)) must equal Parse(x).
	Parse(text string) (plaintext string, ok bool)
	// Canonical returns the form of a plaintext from which indexes are computed. It
	// is equal for two spellings of one thing, and for nothing else. It must never
	// change, or indexes in databases no longer match.
	Canonical(plaintext string) string
	// Mask returns a hint: the few characters of a plaintext that its owner
	// recognises.
	Mask(plaintext string) string
}

// A PlaintextChecker is a [Kind] that judges revealed plaintexts itself. Revealing,
// hinting, indexing, extending and re-sealing a value check that the kind could have
// sealed its plaintext: somebody who seals with package vault, such as the front end
// that a collector is for, seals any text. By default the check is that Parse(plaintext)
// equals plaintext. A kind whose Parse depends on tables that change between versions,
// such as those of Unicode, needs a check that does not. Otherwise a new version refuses
// values that an old one has sealed.
type PlaintextChecker interface {
	// ValidPlaintext reports whether the kind seals the plaintext as it stands. It is
	// true for every result of Parse, of this and of every earlier version.
	ValidPlaintext(plaintext string) bool
}

// A Sealed is an immutable sealed value of kind K, or the absence of one. [Email]
// and [Phone] are made of it. A type of another kind embeds it and gains its
// methods.
//
// A Sealed holds the sealed text and nothing else: no plaintext and no key.
// Encoders for databases and wires carry the sealed form. Printers show a label
// such as "pii.Email(security)". The zero Sealed is the absence of a value: NULL
// in SQL, omitted by omitzero in JSON, empty text otherwise.
type Sealed[K Kind] struct {
	value vault.Sealed
}

// Seal seals text of kind K for the purposes of the given scopes. Text that the
// kind does not parse is [ErrMalformed]; other errors are the errors of
// [vault.Seal].
func Seal[K Kind](ctx context.Context, text string, scopes ...vault.Sealer) (Sealed[K], error) {
	plaintext, err := parse[K](audit.Seal, text)
	if err != nil {
		return Sealed[K]{}, err
	}
	value, err := vault.Seal(ctx, kindOf[K](), plaintext, scopes...)
	return Sealed[K]{value}, err
}

// Valid reports whether [Seal] accepts the text as one of kind K. It needs no
// scope. A form can call it before anything is sealed.
func Valid[K Kind](text string) bool {
	var k K
	_, ok := k.Parse(text)
	return ok
}

func parse[K Kind](a audit.Action, text string) (string, error) {
	var k K
	plaintext, ok := k.Parse(text)
	if !ok {
		return "", &malformedError{a, k.Kind()}
	}
	return plaintext, nil
}

// validPlaintext reports whether a value of kind K can have been sealed with plaintext.
func validPlaintext[K Kind](plaintext string) bool {
	var k K
	if checker, ok := any(k).(PlaintextChecker); ok {
		return checker.ValidPlaintext(plaintext)
	}
	parsed, ok := k.Parse(plaintext)
	return ok && parsed == plaintext
}

func kindOf[K Kind]() vault.Kind {
	var k K
	return k.Kind()
}

// Reveal returns the plaintext. The caller is responsible for it from then on. The
// scope can be a [vault.Reader].
//
// A value collected for other purposes is [purpose.ErrMismatch]. A forged,
// relabelled or altered value is [vault.ErrCorrupt], and so is a value of another
// person, and one whose plaintext kind K would not seal, though the event of that
// revelation says allowed. A value past its retention is [vault.ErrExpired], and a value of an
// erased person [vault.ErrErased]. A value of a person with a scope that is not
// narrowed to one, or the reverse, is [vault.ErrSubject]. A nil scope and the zero
// value are [vault.ErrInvalid]. Other errors are the errors of
// [vault.Scope.Reveal].
func (s Sealed[K]) Reveal(ctx context.Context, scope vault.Revealer) (string, error) {
	plaintext, err := revealer(scope).Reveal(ctx, kindOf[K](), s.value)
	if err == nil && !validPlaintext[K](plaintext) {
		return "", &corruptError{audit.Reveal, kindOf[K]()}
	}
	return plaintext, err
}

// revealer returns a nil [vault.Scope] in place of a nil interface, so that package
// vault refuses it and audits the refusal.
func revealer(scope vault.Revealer) vault.Revealer {
	if scope == nil {
		return (*vault.Scope)(nil)
	}
	return scope
}

// indexer returns a nil [vault.Scope] in place of a nil interface, as revealer does.
func indexer(scope vault.Indexer) vault.Indexer {
	if scope == nil {
		return (*vault.Scope)(nil)
	}
	return scope
}

// Hint returns a masked form such as "a•••@e•••.com": the owner recognises it, and
// nobody else can use it. It takes the scopes of [Sealed.Reveal] and fails as
// Reveal does.
func (s Sealed[K]) Hint(ctx context.Context, scope vault.Revealer) (string, error) {
	var k K
	valid := true
	hint, err := revealer(scope).Hint(ctx, k.Kind(), s.value, func(plaintext string) string {
		if valid = validPlaintext[K](plaintext); !valid {
			return ""
		}
		return k.Mask(plaintext)
	})
	if err == nil && !valid {
		return "", &corruptError{audit.Hint, k.Kind()}
	}
	return hint, err
}

// Index returns the blind index of the value under the scope's purpose. It fails
// as [Sealed.Reveal] does. With an error, the index is poisoned, as [Index]
// describes.
func (s Sealed[K]) Index(ctx context.Context, scope *vault.Scope) (Index, error) {
	var k K
	return newIndex(scope.IndexSealed(ctx, k.Kind(), s.value, func(plaintext string) (string, bool) {
		if !validPlaintext[K](plaintext) {
			return "", false
		}
		return k.Canonical(plaintext), true
	}))
}

// Matches reports whether text is the value's plaintext, in any spelling of it: whether
// both have one index under the scope's purpose. The comparison takes constant time, and
// no plaintext comes out. Use it where one record is at hand, as for "type your address
// again" or "has the address changed?". To find a record by its address, use [IndexesOf].
//
// Text that the kind does not parse matches no value, and no text matches the zero value:
// both are false without an error. Other errors are those of [Sealed.Index] and [IndexesOf], and both
// make an event.
func (s Sealed[K]) Matches(ctx context.Context, text string, scope *vault.Scope) (bool, error) {
	if s.IsZero() {
		return false, nil
	}
	own, err := s.Index(ctx, scope) // first: if the index key rotates now, the other indexes include it
	if err != nil {
		return false, err
	}
	indexes, err := IndexesOf[K](ctx, text, scope)
	if err != nil && !errors.Is(err, ErrMalformed) {
		return false, err
	}
	matches := false
	for _, x := range indexes { // of malformed text, one that equals nothing
		matches = x.Equal(own) || matches
	}
	return matches, nil
}

// IndexOf returns the blind index of text of kind K under the scope's purpose, for the
// column of a row that is written. Look rows up with [IndexesOf]. The scope can be a [vault.Lookup].
//
// Text that the kind does not parse is [ErrMalformed]; other errors are the errors
// of [vault.Scope.Index]. With an error, the index is poisoned, as [Index]
// describes.
func IndexOf[K Kind](ctx context.Context, text string, scope vault.Indexer) (Index, error) {
	var k K
	plaintext, err := parse[K](audit.Index, text)
	if err != nil {
		return poisoned, err
	}
	return newIndex(indexer(scope).Index(ctx, k.Kind(), k.Canonical(plaintext)))
}

// IndexesOf returns the index of text of kind K under every index key of the
// purpose that is not retired, the index of the primary key first. Look rows up with
// WHERE … IN (…): there is a second index after [vault.Admin.Rotate]. It fails as [IndexOf] does, and
// then returns one poisoned index.
func IndexesOf[K Kind](ctx context.Context, text string, scope vault.Indexer) ([]Index, error) {
	var k K
	plaintext, err := parse[K](audit.Index, text)
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
// basis that refers to the person's consent. Without one it is
// [purpose.ErrNoConsent]. A plaintext that kind K would not seal is [vault.ErrCorrupt].
// Other errors are the errors of [vault.Extend].
func (s Sealed[K]) Extend(ctx context.Context, from, to *vault.Scope) (Sealed[K], error) {
	value, err := vault.Extend(ctx, kindOf[K](), s.value, validPlaintext[K], from, to)
	return Sealed[K]{value}, err
}

// Without returns the value without its slot for p. It needs no key, and leaves no trace:
// [Sealed.Withdraw] records it. A value for p
// alone becomes the zero value, and a value that was not collected for p stays as
// it is. Set the index column of p to NULL in the same update.
//
// All slots of a value have its random id in common. Copies of one value that are
// kept apart can therefore be linked until [Sealed.Reseal] of all slots takes a
// new id.
func (s Sealed[K]) Without(p purpose.Purpose) Sealed[K] {
	return Sealed[K]{s.value.Without(p)}
}

// WithoutExpired returns the value without the purposes whose time of retention
// is over. It needs no key. A value whose purposes are all expired becomes the
// zero value.
func (s Sealed[K]) WithoutExpired() Sealed[K] {
	return Sealed[K]{s.value.WithoutExpired()}
}

// Withdraw is [Sealed.Without] with an event in the audit log of a vault or a scope, so that
// the withdrawal can be proven. It fails as [vault.Sealed.Withdraw] does, and the value then
// stays as it is.
func (s Sealed[K]) Withdraw(ctx context.Context, p purpose.Purpose, by vault.Recorder) (Sealed[K], error) {
	value, err := s.value.Withdraw(ctx, p, by)
	return Sealed[K]{value}, err
}

// Sweep is [Sealed.WithoutExpired] with an event in the audit log for each purpose that it
// removes. It fails as [vault.Sealed.Sweep] does, and the value then stays as it is.
func (s Sealed[K]) Sweep(ctx context.Context, by vault.Recorder) (Sealed[K], error) {
	value, err := s.value.Sweep(ctx, by)
	return Sealed[K]{value}, err
}

// Reseal returns the value sealed anew for the purposes of the given scopes,
// under the keys that are primary now. It fails as [vault.Reseal] does. A plaintext
// that kind K would not seal, from a collector for example, is [vault.ErrCorrupt].
func (s Sealed[K]) Reseal(ctx context.Context, scopes ...*vault.Scope) (Sealed[K], error) {
	value, err := vault.Reseal(ctx, kindOf[K](), s.value, validPlaintext[K], scopes...)
	return Sealed[K]{value}, err
}

// OnPrimaryKey reports whether Reseal with this scope has nothing to do, as
// [vault.Sealed.OnPrimaryKey] describes.
func (s Sealed[K]) OnPrimaryKey(scope *vault.Scope) bool { return s.value.OnPrimaryKey(scope) }

// Purposes returns the purposes that the value claims to be collected for. It
// needs no key. Only Reveal proves the claim.
func (s Sealed[K]) Purposes() purpose.Set { return s.value.Purposes() }

// Provenance returns the claim of the value about its collection for p: the day,
// the notice and the legal ground. It reports false if the value was not
// collected for p. It needs no key. Only Reveal proves the claim.
func (s Sealed[K]) Provenance(p purpose.Purpose) (purpose.Provenance, bool) {
	return s.value.Provenance(p)
}

// ByCollector reports whether a [vault.Collector] sealed the slot for p. Reseal
// replaces such a slot with one that a scope seals. ByCollector needs no key.
func (s Sealed[K]) ByCollector(p purpose.Purpose) bool { return s.value.ByCollector(p) }

// IsZero reports whether there is no value.
func (s Sealed[K]) IsZero() bool { return s.value.IsZero() }
