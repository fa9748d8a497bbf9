package piitest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// complaints records failures in place of a test that goes on.
type complaints struct {
	testing.TB
	log []string
}

func (c *complaints) Helper() {}
func (c *complaints) Errorf(format string, args ...any) {
	c.log = append(c.log, fmt.Sprintf(format, args...))
}
func (c *complaints) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (c *complaints) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// A leaky value is an address whose type or vault has one fault: a refusal of
// the verb that is an error of the class is none.
type leaky struct {
	pii.Email
	fault *fault
}

type fault struct {
	verb  string
	class error
	other bool // fails with something else instead
}

func (l leaky) err(verb string, err error) error {
	if l.fault.verb == verb && errors.Is(err, l.fault.class) {
		if l.fault.other {
			return vault.ErrUnavailable
		}
		return nil
	}
	return err
}

func (l leaky) Reveal(ctx context.Context, s vault.Revealer) (string, error) {
	text, err := l.Email.Reveal(ctx, s)
	if _, reader := s.(*vault.Reader); reader {
		return text, l.err("reveal by the reader", err)
	}
	return text, l.err("reveal", err)
}

func (l leaky) Hint(ctx context.Context, s vault.Revealer) (string, error) {
	text, err := l.Email.Hint(ctx, s)
	if _, reader := s.(*vault.Reader); reader {
		return text, l.err("hint by the reader", err)
	}
	return text, l.err("hint", err)
}

func (l leaky) Index(ctx context.Context, s *vault.Scope) (pii.Index, error) {
	index, err := l.Email.Index(ctx, s)
	return index, l.err("index", err)
}

func (l leaky) Extend(ctx context.Context, from, to *vault.Scope) (leaky, error) {
	e, err := l.Email.Extend(ctx, from, to)
	verb := "extend"
	if from.Purpose() == to.Purpose() {
		verb = "extend with its own scope for both"
	}
	return leaky{e, l.fault}, l.err(verb, err)
}

func (l leaky) Reseal(ctx context.Context, scopes ...*vault.Scope) (leaky, error) {
	e, err := l.Email.Reseal(ctx, scopes...)
	verb := "re-seal"
	if len(scopes) > 1 {
		verb = "re-seal beside its own purpose"
	}
	return leaky{e, l.fault}, l.err(verb, err)
}

func leakyKind(f *fault) kind[leaky] {
	return kind[leaky]{
		noun: addresses.noun,
		text: addresses.text,
		seal: func(ctx context.Context, text string, sealers ...vault.Sealer) (leaky, error) {
			e, err := pii.SealEmail(ctx, text, sealers...)
			return leaky{e, f}, err
		},
		parse: func(text []byte) (leaky, error) {
			var e pii.Email
			err := e.UnmarshalText(text)
			return leaky{e, f}, err
		},
		indexes: pii.IndexesEmail,
	}
}

var (
	forSecurity = purpose.MustParse("security")
	forAds      = purpose.MustParse("advertising")
)

// newBoundary returns a boundary whose failures are recorded.
func newBoundary(t *testing.T, from, to purpose.Purpose) (*boundary, *complaints) {
	kit := New(t, forSecurity, forAds)
	a, err := newHandles(t, kit.Vault, from)
	require.NoError(t, err)
	b := a
	if from != to {
		b, err = newHandles(t, kit.Vault, to)
		require.NoError(t, err)
	}
	rec := &complaints{TB: t}
	return &boundary{t: rec, from: a, to: b, alice: "alice", bob: "bob"}, rec
}

func TestSeparateSeesEveryMissingRefusal(t *testing.T) {
	const (
		ways    = 3 // of sealing
		forged  = 3 // headers
		honest  = "another purpose's value was not told from its header"
		believe = "a forged header was believed: do the two purposes share keys?"
	)
	for _, test := range []struct {
		fault fault
		times int
		want  string
	}{
		{fault{verb: "reveal", class: purpose.ErrMismatch}, ways, honest},
		{fault{verb: "hint", class: purpose.ErrMismatch}, ways, honest},
		{fault{verb: "reveal by the reader", class: purpose.ErrMismatch}, ways, honest},
		{fault{verb: "hint by the reader", class: purpose.ErrMismatch}, ways, honest},
		{fault{verb: "index", class: purpose.ErrMismatch}, ways, honest},
		{fault{verb: "re-seal", class: purpose.ErrMismatch}, ways, honest},
		{fault{verb: "re-seal beside its own purpose", class: purpose.ErrMismatch}, ways, honest},
		{fault{verb: "extend", class: purpose.ErrMismatch}, ways, honest},
		{fault{verb: "extend with its own scope for both", class: purpose.ErrMismatch}, ways, honest},
		{fault{verb: "extend", class: purpose.ErrNoConsent}, ways, "a value got to a further purpose with no record of consent"},
		{fault{verb: "reveal", class: vault.ErrCorrupt}, ways * forged, believe},
		{fault{verb: "hint", class: vault.ErrCorrupt}, ways * forged, believe},
		{fault{verb: "reveal by the reader", class: vault.ErrCorrupt}, ways * forged, believe},
		{fault{verb: "hint by the reader", class: vault.ErrCorrupt}, ways * forged, believe},
		{fault{verb: "index", class: vault.ErrCorrupt}, ways * forged, believe},
		{fault{verb: "re-seal", class: vault.ErrCorrupt}, ways * forged, believe},
		{fault{verb: "extend", class: vault.ErrCorrupt}, ways*forged - 2, believe}, // no slot of a collector is opened
	} {
		for _, other := range []bool{false, true} {
			test.fault.other = other
			t.Run(fmt.Sprintf("%s/%v/other=%v", test.fault.verb, test.fault.class, other), func(t *testing.T) {
				b, rec := newBoundary(t, forSecurity, forAds)
				separate(b, leakyKind(&test.fault))
				require.Len(t, rec.log, test.times)
				for _, message := range rec.log {
					require.Contains(t, message, "piitest: "+test.fault.verb+" of an e-mail address sealed ")
					require.Contains(t, message, " for security, under advertising")
					require.Contains(t, message, fmt.Sprintf("want %q: %s", test.fault.class, test.want))
					if other {
						require.Contains(t, message, `failed with "unavailable"`)
					} else {
						require.Contains(t, message, "was allowed")
					}
					require.NotContains(t, message, "separate@")
				}
			})
		}
	}
}

func TestSeparateSeesPeopleMixedUp(t *testing.T) {
	for _, verb := range []string{"reveal", "hint", "index", "re-seal"} {
		nobody := 2
		if verb == "re-seal" { // which takes a value of the purpose in for a person
			nobody = 1
		}
		for class, times := range map[error]int{vault.ErrCorrupt: 1, vault.ErrSubject: nobody} {
			t.Run(fmt.Sprintf("%s/%v", verb, class), func(t *testing.T) {
				b, rec := newBoundary(t, forSecurity, forSecurity)
				separate(b, leakyKind(&fault{verb: verb, class: class}))
				require.Len(t, rec.log, times)
				for _, message := range rec.log {
					require.Contains(t, message, "piitest: "+verb+" of an e-mail address sealed for one person for security, under security, as ")
					require.Contains(t, message, "rows could be swapped")
				}
			})
		}
	}
}

func TestSeparateSeesIndexesThatJoin(t *testing.T) {
	for name, test := range map[string]struct {
		indexes func(b *boundary) func(context.Context, string, vault.Indexer) ([]pii.Index, error)
		want    string
	}{
		"of the scope": {func(b *boundary) func(context.Context, string, vault.Indexer) ([]pii.Index, error) {
			return func(ctx context.Context, text string, s vault.Indexer) ([]pii.Index, error) {
				if _, lookup := s.(*vault.Lookup); !lookup {
					s = b.from.scope
				}
				return pii.IndexesEmail(ctx, text, s)
			}
		}, "has the same index under security and advertising, so the two can be joined"},
		"of the lookup": {func(b *boundary) func(context.Context, string, vault.Indexer) ([]pii.Index, error) {
			return func(ctx context.Context, text string, s vault.Indexer) ([]pii.Index, error) {
				if _, lookup := s.(*vault.Lookup); lookup {
					s = b.from.scope
				}
				return pii.IndexesEmail(ctx, text, s)
			}
		}, "has the same index under security and advertising, so the two can be joined"},
		"that match nothing": {func(*boundary) func(context.Context, string, vault.Indexer) ([]pii.Index, error) {
			return func(ctx context.Context, text string, s vault.Indexer) ([]pii.Index, error) {
				return pii.IndexesEmail(ctx, "x"+text, s)
			}
		}, "is not found by its index under security"},
	} {
		t.Run(name, func(t *testing.T) {
			b, rec := newBoundary(t, forSecurity, forAds)
			k := addresses
			k.indexes = test.indexes(b)
			separate(b, k)
			require.Len(t, rec.log, 1)
			require.Contains(t, rec.log[0], test.want)
			require.NotContains(t, rec.log[0], "separate@")
		})
	}
}

func TestSeparateSeesAValueThatOpensAsAnother(t *testing.T) {
	b, rec := newBoundary(t, forSecurity, forAds)
	k := addresses
	k.seal = func(ctx context.Context, text string, sealers ...vault.Sealer) (pii.Email, error) {
		return pii.SealEmail(ctx, "x"+text, sealers...)
	}
	separate(b, k)
	require.Contains(t, strings.Join(rec.log, "\n"), "opens under security as something else")
}

func TestForgeriesAreWhatTheySay(t *testing.T) {
	for _, to := range []purpose.Purpose{forAds, purpose.MustParse("zoning")} { // before security, and after it
		kit := New(t, forSecurity, to)
		v, other := kit.Email(kit.Scope(forSecurity)), kit.Email(kit.Scope(to))
		from, err := newHandles(t, kit.Vault, forSecurity)
		require.NoError(t, err)
		ours, err := newHandles(t, kit.Vault, to)
		require.NoError(t, err)
		b := &boundary{t: t, from: from, to: ours}
		body := func(e pii.Email) []byte { _, body := dissect(b, e); return body }
		var forged [3]pii.Email
		for i, f := range forge(b, v, other) {
			require.NoError(t, forged[i].UnmarshalText([]byte(f.text)))
			require.True(t, forged[i].Purposes().Contains(to))
			require.Equal(t, i > 0, forged[i].Purposes().Contains(forSecurity))
		}
		require.Equal(t, body(v), body(forged[0]))
		for _, f := range forged[1:] { // what was there opens as before
			_, err := f.Reveal(t.Context(), from.scope)
			require.NoError(t, err)
		}
		require.Equal(t, body(v), body(forged[1].Without(forSecurity)))
		require.Equal(t, body(other)[idSize:], body(forged[2].Without(forSecurity))[idSize:])
		require.Equal(t, body(v)[:idSize], body(forged[2])[:idSize])
	}
}

func TestSeparateSaysWhenItDoesNotKnowTheFormat(t *testing.T) {
	b, _ := newBoundary(t, forSecurity, forAds)
	k := addresses
	k.seal = func(context.Context, string, ...vault.Sealer) (pii.Email, error) { return pii.Email{}, nil }
	require.PanicsWithValue(t, "piitest: a sealed value is of a format that this package does not know: use the piitest of the same version as vault",
		func() { forge(b, pii.Email{}, pii.Email{}) })
}
