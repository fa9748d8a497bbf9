package vault

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Scope is the right to use one purpose: to seal values for it, and to
// reveal and index those that were collected for it. [Vault.Scope] gives it to
// a process that the key service lets use the purpose.
//
// A component gets the scopes that it needs when it is made, and keeps them as
// fields. They do not belong in a context or in a global variable, where code
// that was not given them could take them.
//
// Scopes are immutable and may be used from many goroutines at once. A nil or
// zero Scope is [ErrInvalid] everywhere.
type Scope struct {
	ring    *ring
	basis   purpose.Basis
	subject string // "" if not narrowed to one

	// Why Under and For were refused: then so is everything else.
	basisErr, subjectErr error
}

// Purpose returns the purpose that s may use, the zero Purpose for a nil or
// zero Scope.
func (s *Scope) Purpose() purpose.Purpose {
	if s == nil || s.ring == nil {
		return purpose.Purpose{}
	}
	return s.ring.purpose
}

// String returns a label such as "vault.Scope(security)", without the subject.
func (s *Scope) String() string { return "vault.Scope(" + s.Purpose().String() + ")" }

// Format implements [fmt.Formatter]: every verb prints the label.
func (s *Scope) Format(f fmt.State, verb rune) { printLabel(f, verb, s.String()) }

// LogValue implements [slog.LogValuer] with the label.
func (s *Scope) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Pseudonym returns the name by which a subject goes under this purpose in
// events, certificates and the key store: 32 hex digits, which nobody without
// the keys can compute or link to another purpose's. A nil scope and a subject
// that [Scope.For] refuses are [ErrInvalid], a closed vault [ErrNoKeys], a ctx
// that is done [ErrUnavailable].
func (s *Scope) Pseudonym(ctx context.Context, subject string) (string, error) {
	keys, err := s.For(subject).keys(ctx)
	if err == nil {
		var pseudonym [IndexSize]byte
		if pseudonym, err = keys.pseudonymOf(s.ring.purpose, subject); err == nil {
			return hex.EncodeToString(pseudonym[:]), nil
		}
	}
	return "", fmt.Errorf("vault: computing pseudonym: %w", err)
}

// Under returns a scope that seals values under the given basis: ground,
// notice, consent and retention become part of them. It reveals and indexes
// exactly what s does. Of two calls in a row the last one's basis counts.
//
// A basis that is not valid is refused when the returned scope is used, with
// an error that is [ErrInvalid] and [purpose.ErrBasis].
func (s *Scope) Under(basis purpose.Basis) *Scope {
	if s == nil {
		return nil
	}
	narrowed := *s
	narrowed.basis, narrowed.basisErr = basis, nil
	if err := basis.Validate(); err != nil {
		narrowed.basisErr = fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return &narrowed
}

var (
	errNoScope  = fmt.Errorf("nil scope: %w", ErrInvalid)
	errNoScopes = fmt.Errorf("no scopes: %w", ErrInvalid)
	errNoKind   = fmt.Errorf("no kind: %w", ErrInvalid)
	errAbsent   = fmt.Errorf("there is no value: %w", ErrInvalid)
	errSize     = fmt.Errorf("value is empty or too long: %w", ErrInvalid)
)

// keys returns what s works with, or why there is nothing.
func (s *Scope) keys(ctx context.Context) (*keys, error) {
	switch {
	case s == nil || s.ring == nil:
		return nil, errNoScope
	case s.subjectErr != nil:
		return nil, s.subjectErr
	case s.basisErr != nil:
		return nil, s.basisErr
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return s.ring.usable(ctx)
}

func (s *Scope) valid() bool { return s != nil && s.ring != nil }

func (s *Scope) subjectID() string { return s.subject }

// erasedMeanwhile is ErrErased if the subject of s was erased while its key was
// in use: what an erasure overtakes must not succeed after it.
func (s *Scope) erasedMeanwhile() error {
	if s.subject != "" && s.ring.subjects.Load().wasErased(s.subject) {
		return ErrErased
	}
	return nil
}

// check does the same for an action on a value of kind k.
func (s *Scope) check(ctx context.Context, k Kind) (*keys, error) {
	keys, err := s.keys(ctx)
	if err == nil && k == (Kind{}) {
		err = errNoKind
	}
	return keys, err
}

// listens reports whether events of s are recorded. Without, none are made.
func (s *Scope) listens() bool { return s.valid() && s.ring.vault.opts.Audit != nil }

// Reveal returns the plaintext of v, which must be of kind k and collected for
// the purpose of s. What becomes of the plaintext is the caller's
// responsibility from then on.
//
// Errors are a [*purpose.MismatchError] for a value collected for something
// else, which is told from its header without any cryptography; [ErrCorrupt]
// for a value of another kind, or one that was forged, relabelled or altered;
// [ErrExpired] for one past its retention; [ErrSubject] if one of value and scope
// is of a single subject and the other is not, and [ErrErased] if that subject
// is erased; [ErrNoKeys] once the vault is closed; [ErrUnavailable] if ctx is
// done, the store is needed and does not answer, or the auditor fails;
// [ErrInvalid] for a nil scope, the zero Kind and the zero Sealed.
func (s *Scope) Reveal(ctx context.Context, k Kind, v Sealed) (string, error) {
	return s.open(ctx, ActionReveal, k, v)
}

// Hint is [Scope.Reveal], except that it returns what mask makes of the
// plaintext, and is audited as a hint. Like every function that is handed a
// plaintext, mask is trusted with it. A nil mask is [ErrInvalid].
func (s *Scope) Hint(ctx context.Context, k Kind, v Sealed, mask func(plaintext string) string) (string, error) {
	if mask == nil {
		return "", &opError{ActionHint, k, fmt.Errorf("nil mask: %w", ErrInvalid)}
	}
	plaintext, err := s.open(ctx, ActionHint, k, v)
	if err != nil {
		return "", err
	}
	return mask(plaintext), nil
}

// open is the one way from a sealed value to its plaintext.
func (s *Scope) open(ctx context.Context, a Action, k Kind, v Sealed) (string, error) {
	plaintext, err := s.decide(ctx, k, v)
	if s.listens() {
		err = s.audit(ctx, Event{Action: a, Kind: k.name, Collected: v.Purposes()}, err)
	}
	if err != nil {
		return "", &opError{a, k, err}
	}
	return plaintext, nil
}

func (s *Scope) decide(ctx context.Context, k Kind, v Sealed) (string, error) {
	keys, err := s.check(ctx, k)
	if err != nil {
		return "", err
	}
	if v.IsZero() {
		return "", errAbsent
	}
	kind, names, body := cut(v.text)
	if kind != k.name {
		return "", ErrCorrupt
	}
	n, collected := slotNumber(names, s.ring.purpose.String())
	if !collected {
		return "", &purpose.MismatchError{Collected: parsePurposes(names), Asked: s.ring.purpose}
	}
	scr := getScratch()
	defer scr.release()
	raw, err := decodeBody(scr, body)
	if err != nil {
		return "", err
	}
	slot, ok := nthSlot(raw, n)
	if !ok {
		return "", ErrCorrupt
	}
	plain, err := s.openSlot(ctx, keys, k, raw[:idSize], slot, scr)
	return string(plain), err
}

// openSlot opens a slot of the scope's purpose. The plaintext is in scr.
func (s *Scope) openSlot(ctx context.Context, keys *keys, k Kind, id []byte, slot slot, scr *scratch) ([]byte, error) {
	aad := appendSlotAAD(scr.aad[:0], k.name, s.ring.purpose.String(), id, slot.header, s.subject)
	padded := scr.plaintext(len(slot.sealed))
	var err error
	switch {
	case slot.kind() == slotPurpose && s.subject == "":
		if !keys.seal.knows(slot.sealed) {
			if keys, err = s.ring.learn(ctx, slot.sealed); err != nil {
				return nil, err
			}
		}
		padded, err = keys.seal.open(padded, slot.sealed, aad)
	case slot.kind() == slotSubject && s.subject != "":
		var key *subjectKey
		if key, err = s.ring.subjectKey(ctx, keys, s.subject, false); err != nil {
			return nil, err
		}
		if padded, err = key.open(padded, slot.sealed, aad); err == nil {
			err = s.erasedMeanwhile()
		}
	case slot.kind() == slotCollector && s.subject == "":
		if !keys.collect().knows(slot.sealed) {
			if keys, err = s.ring.learn(ctx, slot.sealed); err != nil {
				return nil, err
			}
		}
		padded, err = keys.collect().open(padded, s.ring.purpose, slot.sealed, aad)
	default:
		return nil, ErrSubject
	}
	if err != nil {
		return nil, err
	}
	plain, ok := unpad(padded)
	if !ok {
		return nil, ErrCorrupt
	}
	// Only now is the expiry known to be the one that it was sealed with.
	return plain, slot.checkTime()
}

// audit records e, which is of the purpose and the subject of s.
func (s *Scope) audit(ctx context.Context, e Event, err error) error {
	return s.ring.vault.audit(ctx, s.complete(e), err)
}

func (s *Scope) complete(e Event) Event {
	e.Purpose = s.Purpose()
	if s == nil || s.ring == nil || s.subject == "" {
		return e
	}
	if keys := s.ring.keys.Load(); keys != nil {
		if pseudonym, err := keys.pseudonymOf(s.ring.purpose, s.subject); err == nil {
			e.Subject = hex.EncodeToString(pseudonym[:])
		}
	}
	return e
}
