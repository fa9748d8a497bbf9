package vault

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

func TestOutcomes(t *testing.T) {
	for _, err := range []error{
		purpose.ErrMismatch, purpose.ErrNoConsent, ErrCorrupt, ErrNoKeys, ErrExpired, ErrErased, ErrSubject, ErrGranted, ErrSuspended,
	} {
		require.Equal(t, audit.Denied, outcomeOf(err), err)
		require.Equal(t, audit.Denied, outcomeOf(fmt.Errorf("revealing: %w", err)), err)
	}
	require.Equal(t, audit.Allowed, outcomeOf(nil))
	for _, err := range []error{ErrUnavailable, ErrBudget, ErrConflict, ErrInvalid, context.Canceled, errors.New("other")} {
		require.Equal(t, audit.Failed, outcomeOf(err), err)
	}
}

func TestFailedAuditsInWords(t *testing.T) {
	broken := auditorFunc(func(context.Context, audit.Event) error { return errors.New("secret") })
	recorded, err := recordEvent(t.Context(), broken, audit.Event{}, nil)
	require.False(t, recorded)
	require.EqualError(t, err, "audit failed: unavailable")
	recorded, err = recordEvent(t.Context(), broken, audit.Event{}, ErrErased)
	require.False(t, recorded)
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
		want := audit.Event{
			Time: event.Time, Action: audit.Index, Outcome: audit.Allowed, Purpose: e.security, Generation: 1, Kind: "note", Count: 1,
			KeyID: s.opened.current.Load().index.schedule.primary().id,
		}
		if name == "sealed" {
			want.Collected, want.Value = purpose.NewSet(e.security), value.ID()
			want.KeyID, _ = value.KeyID(e.security)
			want.Provenance, _ = value.Provenance(e.security)
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
	for i, p := range []purpose.Purpose{e.security, ads} {
		event := events[len(events)-2+i]
		want := audit.Event{
			Time: event.Time, Action: audit.Extend, Outcome: audit.Allowed, Purpose: p, Generation: 1,
			Collected: purpose.NewSet(e.security), Kind: "note", Value: value.ID(), Count: 1,
		}
		want.KeyID, _ = extended.KeyID(p)
		want.Provenance, _ = extended.Provenance(p)
		if p == ads {
			want.From = e.security
			require.Equal(t, "c-1", want.Provenance.Consent)
		} else {
			want.To = ads
		}
		require.Equal(t, want, event)
	}
	half, err := Reseal(ctx, e.kind, extended, nil, s)
	require.NoError(t, err)
	require.Equal(t, value.ID(), half.ID())
	require.Equal(t, value.ID(), events[len(events)-1].Value)
	require.Empty(t, events[len(events)-1].NewValue)
	whole, err := Reseal(ctx, e.kind, half, nil, s, to)
	require.NoError(t, err)
	for i, p := range []purpose.Purpose{e.security, ads} { // the slot as it was before
		event := events[len(events)-2+i]
		want := audit.Event{
			Time: event.Time, Action: audit.Reseal, Outcome: audit.Allowed, Purpose: p, Generation: 1,
			Collected: half.Purposes(), Kind: "note", Value: value.ID(), NewValue: whole.ID(), Count: 1,
		}
		want.KeyID, _ = half.KeyID(p)
		want.Provenance, _ = half.Provenance(p)
		require.Equal(t, want, event)
	}
	_, err = Reseal(ctx, e.kind, whole, nil, s, nil)
	require.ErrorIs(t, err, ErrInvalid)
	require.Equal(t, whole.ID(), events[len(events)-1].Value)
	require.Empty(t, events[len(events)-1].NewValue)
	_, err = Extend(ctx, e.kind, extended, nil, s, to)
	require.EqualError(t, err, "vault: extending note: collected for advertising already: invalid argument")
	for i, p := range []purpose.Purpose{e.security, ads} { // the value as it is, and the slot that was asked for
		event := events[len(events)-2+i]
		want := audit.Event{
			Time: event.Time, Action: audit.Extend, Outcome: audit.Failed, Reason: "invalid", Purpose: p, Generation: 1,
			Collected: purpose.NewSet(e.security, ads), Kind: "note", Value: extended.ID(), Count: 1,
			Err: event.Err,
		}
		if p == ads {
			want.From, want.Provenance = e.security, purpose.Provenance{Consent: "c-1"}
		} else {
			want.To = ads
			want.KeyID, _ = extended.KeyID(p)
			want.Provenance, _ = extended.Provenance(p)
		}
		require.Equal(t, want, event)
	}
}

// sentinels are all errors of the decisions that callers make, with the word of each in
// events.
var sentinels = map[string]struct {
	err  error
	word string
}{
	"purpose.ErrMismatch":   {purpose.ErrMismatch, "purpose"},
	"purpose.ErrNoConsent":  {purpose.ErrNoConsent, "consent"},
	"purpose.ErrBasis":      {purpose.ErrBasis, "basis"},
	"purpose.ErrSyntax":     {purpose.ErrSyntax, "other"}, // no action parses a name
	"vault.ErrCorrupt":      {ErrCorrupt, "corrupt"},
	"vault.ErrRetired":      {ErrRetired, "retired"},
	"vault.ErrNoKeys":       {ErrNoKeys, "keys"},
	"vault.ErrAccessDenied": {ErrAccessDenied, "access"},
	"vault.ErrSuspended":    {ErrSuspended, "suspended"},
	"vault.ErrBudget":       {ErrBudget, "budget"},
	"vault.ErrUnavailable":  {ErrUnavailable, "unavailable"},
	"vault.ErrExpired":      {ErrExpired, "expired"},
	"vault.ErrErased":       {ErrErased, "erased"},
	"vault.ErrSubject":      {ErrSubject, "subject"},
	"vault.ErrConflict":     {ErrConflict, "conflict"},
	"vault.ErrInvalid":      {ErrInvalid, "invalid"},
	"vault.ErrGranted":      {ErrGranted, "granted"},
}

// Every sentinel has a word of its own, and the documentation of events has exactly these
// words.
func TestEverySentinelHasAWord(t *testing.T) {
	exists := map[string]bool{}
	for _, dir := range []string{".", "../purpose"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, d := range file.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.VAR {
					continue
				}
				for _, spec := range g.Specs {
					for _, v := range spec.(*ast.ValueSpec).Names {
						if strings.HasPrefix(v.Name, "Err") {
							exists[file.Name.Name+"."+v.Name] = true
						}
					}
				}
			}
		}
	}
	documented := map[string]string{}
	source, err := os.ReadFile("audit/audit.go")
	require.NoError(t, err)
	for _, line := range regexp.MustCompile(`(?m)^\t//\t([a-z]+) .*?((?:vault|purpose)\.Err[A-Za-z]+)?$`).FindAllStringSubmatch(string(source), -1) {
		documented[line[1]] = line[2]
	}
	require.Equal(t, "", documented["other"])
	delete(documented, "other")
	words := map[string]bool{}
	for name, s := range sentinels {
		require.True(t, exists[name], "there is no %s", name)
		delete(exists, name)
		for _, err := range []error{s.err, fmt.Errorf("revealing: %w", s.err), &opError{audit.Reveal, Kind{}, s.err}} {
			require.Equal(t, s.word, reasonOf(err), name)
		}
		if s.word == "other" {
			continue
		}
		require.False(t, words[s.word], "the word %s is of two sentinels", s.word)
		words[s.word] = true
		require.Equal(t, name, documented[s.word], "the documentation of audit.Event")
	}
	require.Empty(t, exists, "sentinels without a word: add them to reasons and to audit.Event")
	require.Len(t, documented, len(words))
	require.Equal(t, "other", reasonOf(errors.New("of a caller's function")))
	require.Empty(t, reasonOf(nil))
}

// TestEventsHaveOneWay finds the calls of auditors in the code: all go through recordEvent,
// which lets no event get lost.
func TestEventsHaveOneWay(t *testing.T) {
	callers := map[string][]string{}
	fset := token.NewFileSet()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		require.NoError(t, err)
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); n.Sel.Name == "Audit" && ok && x.Name != "opts" || ok && x.Name == "audit" && n.Sel.Name == "Record" {
						callers[n.Sel.Name] = append(callers[n.Sel.Name], fn.Name.Name)
					}
				case *ast.CallExpr:
					if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "callAuditor" {
						callers[id.Name] = append(callers[id.Name], fn.Name.Name)
					}
				}
				return true
			})
		}
	}
	require.Equal(t, []string{"callAuditor"}, callers["Record"])
	require.Equal(t, []string{"recordEvent", "recordEvent"}, callers["callAuditor"], "the second is for a ctx that panics")
}
