package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

func TestOutcomes(t *testing.T) {
	for _, err := range []error{
		purpose.ErrMismatch, purpose.ErrNoConsent, ErrCorrupt, ErrNoKeys, ErrExpired, ErrErased, ErrSubject, ErrGranted,
	} {
		require.Equal(t, audit.Denied, outcomeOf(err), err)
		require.Equal(t, audit.Denied, outcomeOf(fmt.Errorf("revealing: %w", err)), err)
	}
	require.Equal(t, audit.Allowed, outcomeOf(nil))
	for _, err := range []error{ErrUnavailable, ErrConflict, ErrInvalid, context.Canceled, errors.New("other")} {
		require.Equal(t, audit.Failed, outcomeOf(err), err)
	}
}

func TestFailedAuditsInWords(t *testing.T) {
	broken := auditorFunc(func(context.Context, audit.Event) error { return errors.New("secret") })
	require.EqualError(t, recordEvent(t.Context(), broken, audit.Event{}, nil), "audit failed: unavailable")
	err := recordEvent(t.Context(), broken, audit.Event{}, ErrErased)
	require.EqualError(t, err, "subject is erased; audit failed: unavailable")
	require.ErrorIs(t, err, ErrErased)
	require.ErrorIs(t, err, ErrUnavailable)
	require.EqualError(t, &opError{action: audit.Seal, err: ErrInvalid}, "vault: sealing: invalid argument")
	require.Equal(t, "dancing", audit.Action("dancing").Gerund())
}

type auditorFunc func(context.Context, audit.Event) error

func (f auditorFunc) Audit(ctx context.Context, e audit.Event) error { return f(ctx, e) }

// All ways to compute an index make the same event and refuse the same texts.
func TestUsesAreRecordedAlike(t *testing.T) {
	var events []audit.Event
	e := newEraser(t, &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error {
		events = append(events, e)
		return nil
	})})
	ctx, ads := t.Context(), purpose.MustParse("advertising")
	require.NoError(t, e.here.Generate(ctx, ads))
	to, err := e.here.Scope(ctx, ads)
	require.NoError(t, err)
	to = to.Under(purpose.Basis{Consent: "c-1"})
	s := e.scope(t, e.here, "alice").withoutSubject()
	value, err := Seal(ctx, e.kind, "text", s)
	require.NoError(t, err)
	indexes := map[string]func(string, *Scope) error{
		"index": func(text string, s *Scope) error { _, err := s.Index(ctx, e.kind, text); return err },
		"all":   func(text string, s *Scope) error { _, err := s.Indexes(ctx, e.kind, text); return err },
		"sealed": func(text string, s *Scope) error {
			_, err := s.IndexSealed(ctx, e.kind, value, func(string) (string, bool) { return text, text != "" })
			return err
		},
	}

	longest := strings.Repeat("x", format.MaxPlaintext)
	for name, index := range indexes {
		require.NoError(t, index(longest, s), name)
		event := events[len(events)-1]
		want := audit.Event{Time: event.Time, Action: audit.Index, Outcome: audit.Allowed, Purpose: e.security, Kind: "note"}
		if name == "sealed" {
			want.Collected = purpose.NewSet(e.security)
		}
		require.Equal(t, want, event, name)
		require.EqualError(t, index(longest+"x", s), "vault: indexing note: value is empty or too long: invalid argument", name)
		require.EqualError(t, index("text", nil), "vault: indexing note: nil scope: invalid argument", name)
	}
	require.ErrorIs(t, indexes["sealed"]("", s), ErrCorrupt, "what was sealed is not of the kind")
	_, err = s.IndexSealed(ctx, e.kind, value, func(string) (string, bool) { return "", true })
	require.ErrorIs(t, err, ErrCorrupt, "an empty canonical form")
	_, err = s.IndexSealed(ctx, e.kind, value, nil)
	require.EqualError(t, err, "vault: indexing note: nil canonical: invalid argument")

	extended, err := Extend(ctx, e.kind, value, nil, s, to)
	require.NoError(t, err)
	event := events[len(events)-2]
	require.Equal(t, audit.Event{
		Time: event.Time, Action: audit.Extend, Outcome: audit.Allowed, Purpose: e.security, To: ads, Collected: purpose.NewSet(e.security), Kind: "note",
	}, event)
	event = events[len(events)-1]
	require.Equal(t, audit.Event{
		Time: event.Time, Action: audit.Extend, Outcome: audit.Allowed, Purpose: ads, From: e.security, Collected: purpose.NewSet(e.security), Kind: "note",
	}, event)
	_, err = Extend(ctx, e.kind, extended, nil, s, to)
	require.EqualError(t, err, "vault: extending note: collected for advertising already: invalid argument")
}
