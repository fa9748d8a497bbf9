package vault

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A scope that was refused a subject stays refused: a detour over a subject that there
// can't be would otherwise lead from one person to another.
func TestRefusedSubjectsStayRefused(t *testing.T) {
	_, s := subjectsOf(t, Memory(), testKEK(t), nil)
	kind := MustKind("note", "vault.Note")
	value, err := Seal(t.Context(), kind, "text", s.For("alice"))
	require.NoError(t, err)
	long := strings.Repeat("x", format.MaxSubject+1)
	for name, detour := range map[string]*Scope{
		"of nobody":                  s.For("").For("alice"),
		"too long":                   s.For(long).For("alice"),
		"from another, of nobody":    s.For("bob").For("").For("alice"),
		"from another, too long":     s.For("bob").For(long).For("alice"),
		"from another and back":      s.For("alice").For("bob").For("alice"),
		"with a basis between":       s.For("bob").For("").Under(purpose.Basis{}).For("alice"),
		"twice over that of nobody":  s.For("bob").For("").For("").For("alice"),
		"from one, of nobody, to it": s.For("alice").For("").For("alice"),
	} {
		_, err := detour.Reveal(t.Context(), kind, value)
		require.ErrorIs(t, err, ErrInvalid, name)
		_, err = Seal(t.Context(), kind, "text", detour)
		require.ErrorIs(t, err, ErrInvalid, name)
		_, err = detour.Index(t.Context(), kind, "text")
		require.ErrorIs(t, err, ErrInvalid, name)
		require.ErrorIs(t, detour.Prefetch(t.Context(), "alice"), ErrInvalid, name)
		_, err = detour.Pseudonym(t.Context(), "alice")
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	got, err := s.For("alice").For("alice").Reveal(t.Context(), kind, value)
	require.NoError(t, err)
	require.Equal(t, "text", got)
}

// A basis that was refused is replaced by a good one, as any is by the next.
func TestBasisIsTheLastOne(t *testing.T) {
	_, s := subjectsOf(t, Memory(), testKEK(t), nil)
	kind := MustKind("note", "vault.Note")
	bad, good := purpose.Basis{Notice: " "}, purpose.Basis{Notice: "n-1"}
	_, err := Seal(t.Context(), kind, "text", s.Under(good).Under(bad))
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorIs(t, err, purpose.ErrBasis)
	v, err := Seal(t.Context(), kind, "text", s.Under(bad).Under(good))
	require.NoError(t, err)
	p, found := v.Provenance(s.Purpose())
	require.True(t, found)
	require.Equal(t, "n-1", p.Notice)
	v, err = Seal(t.Context(), kind, "text", s.Under(good).Under(purpose.Basis{}))
	require.NoError(t, err)
	p, _ = v.Provenance(s.Purpose())
	require.Empty(t, p.Notice)
}

// Whoever holds no scope is told so everywhere, in the words of what was asked.
// Check returns what a seal returns, and needs no key.
func TestCheckIsTheAnswerOfSeal(t *testing.T) {
	_, s := subjectsOf(t, Memory(), testKEK(t), nil)
	copied, year := *s, 365*24*time.Hour
	long := strings.Repeat("x", format.MaxSubject+1)
	for name, c := range map[string]struct {
		scope *Scope
		want  error
	}{
		"plain":              {s, nil},
		"with a basis":       {s.Under(purpose.Basis{Notice: "n-1", Collected: time.Now().Add(-year), Retain: 2 * year}).For("alice"), nil},
		"nil":                {nil, ErrInvalid},
		"copied":             {&copied, ErrInvalid},
		"of nobody":          {s.For(""), ErrInvalid},
		"of a long subject":  {s.For(long), ErrInvalid},
		"malformed notice":   {s.Under(purpose.Basis{Notice: " "}), purpose.ErrBasis},
		"collected later":    {s.Under(purpose.Basis{Collected: time.Now().Add(year)}), purpose.ErrBasis},
		"its retention over": {s.Under(purpose.Basis{Collected: time.Now().Add(-2 * year), Retain: year}), ErrExpired},
	} {
		_, sealing := Seal(t.Context(), MustKind("note", "vault.Note"), "text", c.scope)
		require.ErrorIs(t, sealing, c.want, name)
		require.ErrorIs(t, c.scope.Check(), c.want, name)
	}
}

func TestNoScope(t *testing.T) {
	_, s := subjectsOf(t, Memory(), testKEK(t), nil)
	kind := MustKind("note", "vault.Note")
	value, err := Seal(t.Context(), kind, "text", s)
	require.NoError(t, err)
	same := func(text string) string { return text }
	for name, none := range map[string]*Scope{"nil": nil, "zero": {}} {
		require.Equal(t, purpose.Purpose{}, none.Purpose(), name)
		require.Equal(t, "vault.Scope()", none.String(), name)
		for doing, use := range map[string]func() error{
			"revealing note":            func() error { _, err := none.Reveal(t.Context(), kind, value); return err },
			"hinting note":              func() error { _, err := none.Hint(t.Context(), kind, value, same); return err },
			"sealing note":              func() error { _, err := Seal(t.Context(), kind, "text", none); return err },
			"indexing note":             func() error { _, err := none.Index(t.Context(), kind, "text"); return err },
			"computing pseudonym":       func() error { _, err := none.Pseudonym(t.Context(), "alice"); return err },
			"fetching keys of subjects": func() error { return none.Prefetch(t.Context(), "alice") },
		} {
			err := use()
			require.ErrorIs(t, err, ErrInvalid, doing)
			require.EqualError(t, err, "vault: "+doing+": nil scope: invalid argument", name)
		}
	}
	require.Nil(t, (*Scope)(nil).Under(purpose.Basis{}))
	_, err = s.Hint(t.Context(), kind, value, nil)
	require.EqualError(t, err, "vault: hinting note: nil mask: invalid argument")
	require.ErrorIs(t, err, ErrInvalid)
}

func TestPseudonymErrors(t *testing.T) {
	v, s := subjectsOf(t, Memory(), testKEK(t), nil)
	name, err := s.Pseudonym(t.Context(), "alice")
	require.NoError(t, err)
	raw, err := hex.DecodeString(name)
	require.NoError(t, err)
	require.Len(t, raw, IndexSize)
	again, err := s.For("alice").Pseudonym(t.Context(), "alice")
	require.NoError(t, err)
	require.Equal(t, name, again)
	other, err := s.Pseudonym(t.Context(), "bob")
	require.NoError(t, err)
	require.NotEqual(t, name, other)

	for _, subject := range []string{"", "0", strings.Repeat("x", format.MaxSubject+1)} {
		name, err = s.Pseudonym(t.Context(), subject)
		require.ErrorIs(t, err, ErrInvalid)
		require.Empty(t, name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Pseudonym(ctx, "alice")
	require.ErrorIs(t, err, ErrUnavailable)
	require.NoError(t, v.Close())
	_, err = s.Pseudonym(t.Context(), "alice")
	require.ErrorIs(t, err, ErrNoKeys)
}

// Each sealer's event says who it was about, whatever became of the seal.
func TestSealsAreRecordedForEach(t *testing.T) {
	security, billing := purpose.MustParse("security"), purpose.MustParse("billing")
	var events []audit.Event
	v, err := OpenAdmin(t.Context(), Memory(), testKEK(t), &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error {
		events = append(events, e)
		return nil
	})})
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(t.Context(), security, billing))
	sec, err := v.Scope(t.Context(), security)
	require.NoError(t, err)
	bill, err := v.Scope(t.Context(), billing)
	require.NoError(t, err)
	pseudonym, err := bill.Pseudonym(t.Context(), "alice")
	require.NoError(t, err)
	kind := MustKind("note", "vault.Note")
	for name, c := range map[string]struct {
		text    string
		sealers []Sealer
		outcome audit.Outcome
		count   int
	}{
		"allowed":      {"text", []Sealer{sec, bill.For("alice")}, audit.Allowed, 2},
		"empty":        {"", []Sealer{sec, bill.For("alice")}, audit.Failed, 2},
		"with nil":     {"text", []Sealer{sec, nil, bill.For("alice")}, audit.Failed, 2},
		"nil scope":    {"text", []Sealer{sec, (*Scope)(nil), bill.For("alice")}, audit.Failed, 2},
		"zero scope":   {"text", []Sealer{sec, &Scope{}, bill.For("alice")}, audit.Failed, 2},
		"twice":        {"text", []Sealer{sec, sec, bill.For("alice")}, audit.Failed, 3},
		"two subjects": {"text", []Sealer{sec.For("bob"), bill.For("alice")}, audit.Failed, 2},
	} {
		events = nil
		value, err := Seal(t.Context(), kind, c.text, c.sealers...)
		require.Equal(t, c.outcome == audit.Allowed, err == nil, name)
		require.Equal(t, err != nil, value.IsZero(), name)
		require.Len(t, events, c.count, name)
		first, last := events[0], events[c.count-1]
		require.Equal(t, security, first.Purpose, name)
		require.Equal(t, billing, last.Purpose, name)
		require.Equal(t, pseudonym, last.Subject, name)
		for _, e := range events {
			require.Equal(t, c.outcome, e.Outcome, name)
			require.Equal(t, audit.Seal, e.Action, name)
			require.Equal(t, "note", e.Kind, name)
			require.True(t, e.Collected.Contains(security) && e.Collected.Contains(billing), name)
		}
	}
}
