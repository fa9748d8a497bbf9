package vault

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A Scope is the right to use one purpose: to seal values for it, and to reveal and
// index values that were collected for it. [Vault.Scope] returns a Scope to a process
// that the key service allows to use the purpose.
//
// A component gets the scopes that it needs when it is made, and keeps them as fields.
// Scopes do not belong in a context or in a global variable, where code that was not
// given them could take them.
//
// Scopes are immutable and may be used from many goroutines at once. A nil or
// zero Scope is [ErrInvalid] everywhere. So is a Scope that was copied or overwritten
// through a pointer, as with *a = *b: otherwise one holder of a pointer could turn the
// scope of another component into a scope of another purpose.
type Scope struct {
	self      *Scope // where the scope was made
	opened    *purposeKeys
	under     *statedBasis // of Under, nil for none
	subject   string       // "" if the scope is not narrowed to a subject
	recipient string       // of Reader.To, "" for none
	narrowErr error        // of For and To: every use of the scope returns it
}

// A statedBasis is the basis that a caller of Under gave, with the error of validating it.
// It never changes, so all scopes narrowed from one scope share it: [Scope.For] is called
// for each request, and copies a pointer.
type statedBasis struct {
	purpose.Basis
	err error // every use of the scope returns it
}

var noBasis = new(statedBasis)

// basis returns the basis of s, and the error of Under.
func (s *Scope) basis() *statedBasis { return cmp.Or(s.under, noBasis) }

// newScope returns a scope of opened keys.
func newScope(opened *purposeKeys) *Scope {
	s := &Scope{opened: opened}
	s.self = s
	return s
}

// clone returns a scope that may be changed before it is handed out. It is a copy of an
// invalid scope if s is invalid.
func (s *Scope) clone() *Scope {
	c := *s
	if s.self == s {
		c.self = &c
	}
	return &c
}

// Purpose returns the purpose that s may use. It is the zero Purpose for a nil, zero or
// copied Scope.
func (s *Scope) Purpose() purpose.Purpose {
	if !s.valid() {
		return purpose.Purpose{}
	}
	return s.opened.id.purpose
}

// String returns a label such as "vault.Scope(security)", without the subject.
func (s *Scope) String() string { return "vault.Scope(" + s.Purpose().String() + ")" }

// Format implements [fmt.Formatter]: every verb prints the label.
func (s *Scope) Format(f fmt.State, verb rune) { printLabel(f, verb, s.String()) }

// LogValue implements [slog.LogValuer] with the label.
func (s *Scope) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Pseudonym returns the name of a subject under this purpose in events, certificates
// and the key store: 32 hex digits. Nobody without the keys can compute the pseudonym,
// or link it to a pseudonym under another purpose. A nil scope, and a subject that
// [Scope.For] refuses, is [ErrInvalid]; a closed vault is [ErrNoKeys]; a ctx that is
// done is [ErrUnavailable].
func (s *Scope) Pseudonym(ctx context.Context, subject string) (string, error) {
	keys, err := s.For(subject).freshKeys(ctx)
	if err == nil {
		var pseudonym [IndexSize]byte
		if pseudonym, err = keys.pseudonymOf(s.opened.id.purpose, subject); err == nil {
			return hex.EncodeToString(pseudonym[:]), nil
		}
	}
	return "", fmt.Errorf("vault: computing pseudonym: %w", err)
}

// Under returns a scope that seals values under the given basis: ground, notice,
// consent and retention become part of each value. It reveals and indexes exactly the
// values that s does. The basis of a later call replaces the basis of an earlier one.
//
// A basis that is not valid is refused when the returned scope is used, with
// an error that is [ErrInvalid] and [purpose.ErrBasis].
func (s *Scope) Under(basis purpose.Basis) *Scope {
	if s == nil {
		return nil
	}
	narrowed := s.clone()
	narrowed.under = &statedBasis{Basis: basis}
	if err := basis.Validate(); err != nil {
		narrowed.under.err = fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return narrowed
}

// Check returns the error with which s would refuse to seal, because of the way in which s
// was made: a basis that Under refused, a basis whose retention is over ([ErrExpired]), a
// subject that For refused, or a nil or copied scope. It uses no key, so a program can
// check the scopes of a whole table before it seals a value.
func (s *Scope) Check() error {
	err := s.check(context.Background())
	if err == nil {
		_, err = newProvenance(s.date(), &s.basis().Basis, s.opened.backend.opts.ExactTimes)
	}
	if err != nil {
		return fmt.Errorf("vault: checking a scope: %w", err)
	}
	return nil
}

var (
	errNoScope  = fmt.Errorf("nil scope: %w", ErrInvalid)
	errCopied   = fmt.Errorf("scope was copied: %w", ErrInvalid)
	errNoScopes = fmt.Errorf("no scopes: %w", ErrInvalid)
	errNoKind   = fmt.Errorf("no kind: %w", ErrInvalid)
	errAbsent   = fmt.Errorf("there is no value: %w", ErrInvalid)
	errSize     = fmt.Errorf("value is empty or too long: %w", ErrInvalid)
)

// freshKeys returns the keys that s works with. It fails for a nil scope, for a scope
// that Under or For refused, for a closed vault and once ctx is done.
func (s *Scope) freshKeys(ctx context.Context) (*keys, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	return s.opened.fresh(ctx)
}

// newestFor is keysFor for an action that seals or indexes.
func (s *Scope) newestFor(ctx context.Context, k Kind) (*keys, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	keys, err := s.opened.newest(ctx)
	if err == nil && k == (Kind{}) {
		err = errNoKind
	}
	return keys, err
}

// usableFor is keysFor for an action that reveals a value, or finds a person: both may be
// suspended.
func (s *Scope) usableFor(ctx context.Context, k Kind) (*keys, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	keys, err := s.opened.usable(ctx)
	if err == nil && k == (Kind{}) {
		err = errNoKind
	}
	return keys, err
}

// check refuses a scope that can't be used, and a ctx that is done.
func (s *Scope) check(ctx context.Context) error {
	switch {
	case s == nil || s.opened == nil:
		return errNoScope
	case s.self != s:
		return errCopied
	case s.narrowErr != nil:
		return s.narrowErr
	case s.under != nil && s.under.err != nil:
		return s.under.err
	case ctx.Err() != nil:
		return ctxError(ctx)
	}
	return nil
}

func (s *Scope) valid() bool { return s != nil && s.opened != nil && s.self == s }

func (s *Scope) subjectID() string { return s.subject }

func (s *Scope) date() time.Time { return s.opened.backend.clock.date() }

// checkErased returns ErrErased if the subject of s was erased while its key was in
// use: an operation must not succeed after an erasure that overtakes it.
func (s *Scope) checkErased() error {
	if s.subject != "" && s.opened.subjects.Load().recentlyErased(s.subject) {
		return ErrErased
	}
	return nil
}

// keysFor is freshKeys for an action on a value of kind k. It refuses the zero Kind.
func (s *Scope) keysFor(ctx context.Context, k Kind) (*keys, error) {
	keys, err := s.freshKeys(ctx)
	if err == nil && k == (Kind{}) {
		err = errNoKind
	}
	return keys, err
}

// audited reports whether the vault of s has an auditor. Without one, callers make no
// events.
func (s *Scope) audited() bool { return s.valid() && s.opened.backend.opts.Audit != nil }

// count counts an operation that is not audited: [Scope.audit] counts the others.
func (s *Scope) count(a audit.Action, k Kind, err error) {
	if s.valid() {
		result := 0
		if err != nil {
			result = resultNumber(err)
		}
		s.opened.counts.count(a, k.name, result)
	}
}

// audit records e as an event of the purpose, the keys and the subject of s.
func (s *Scope) audit(ctx context.Context, e audit.Event, err error) error {
	s.opened.counts.count(e.Action, e.Kind, resultNumber(err))
	return s.opened.backend.record(ctx, s.complete(e), err)
}

// complete returns e with the facts about s, which is valid.
func (s *Scope) complete(e audit.Event) audit.Event {
	e.Purpose = s.Purpose()
	keys := s.opened.current.Load()
	if keys == nil {
		return e
	}
	e.Generation = keys.generation
	if s.subject != "" {
		if pseudonym, err := keys.pseudonymOf(s.opened.id.purpose, s.subject); err == nil {
			e.Subject = hexID(pseudonym)
		}
	}
	return e
}

// askedFor returns the provenance that s asks for when it seals.
func (s *Scope) askedFor() purpose.Provenance { return askedFor(s.basis().Basis, s.basis().err) }
