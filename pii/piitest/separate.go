package piitest

import (
	"context"
	"encoding"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Separate fails the test unless the purposes are separate in v: for every
// ordered pair of them, what is sealed for the first can be neither revealed nor
// hinted at under the second, asked honestly or with a header forged to name
// the second, and no index of the one equals one of the other.
//
// It needs two purposes or more, which v has keys for.
func Separate(t testing.TB, v *vault.Vault, purposes ...purpose.Purpose) {
	mustTest()
	t.Helper()
	distinct := purpose.NewSet(purposes...)
	if distinct.Len() < 2 {
		t.Fatal("piitest: Separate needs two different purposes or more")
	}
	var scopes []*vault.Scope
	for p := range distinct.All() {
		s, err := v.Scope(t.Context(), p)
		if err != nil {
			t.Fatalf("piitest: %v: a test of separation has to hold every purpose that it compares", err)
		}
		scopes = append(scopes, s)
	}
	for _, from := range scopes {
		for _, to := range scopes {
			if from == to {
				continue
			}
			// Both are of a domain and a range that nobody has.
			separate(&boundary{t, from, to, "e-mail address"}, "separate@example.com", pii.SealEmail, pii.IndexEmail)
			separate(&boundary{t, from, to, "international phone number"}, "+12025550123", pii.SealPhone, pii.IndexPhone)
		}
	}
}

// sealed is what the kinds of sealed values have in common.
type sealed interface {
	encoding.TextMarshaler
	Reveal(context.Context, *vault.Scope) (string, error)
	Hint(context.Context, *vault.Scope) (string, error)
	Index(context.Context, *vault.Scope) (pii.Index, error)
}

func separate[V sealed, P interface {
	*V
	encoding.TextUnmarshaler
}](
	b *boundary, plaintext string,
	seal func(context.Context, string, ...vault.Sealer) (V, error),
	index func(context.Context, string, *vault.Scope) (pii.Index, error),
) {
	b.t.Helper()
	ctx := b.t.Context()
	value, err := seal(ctx, plaintext, b.from)
	b.must(err)
	b.refuses("reveal", value.Reveal, purpose.ErrMismatch, "another purpose's value was not told from its header")
	b.refuses("hint", value.Hint, purpose.ErrMismatch, "another purpose's value was not told from its header")

	text, err := value.MarshalText()
	b.must(err)
	for _, forged := range b.forge(string(text)) {
		var v V
		b.must(P(&v).UnmarshalText([]byte(forged)))
		b.refuses("reveal", v.Reveal, vault.ErrCorrupt, "a forged header was believed: do the two purposes share keys?")
		b.refuses("hint", v.Hint, vault.ErrCorrupt, "a forged header was believed: do the two purposes share keys?")
	}

	_, err = value.Index(ctx, b.to)
	b.refused("index", err, purpose.ErrMismatch, "another purpose's value was not told from its header")
	theirs, err := value.Index(ctx, b.from)
	b.must(err)
	ours, err := index(ctx, plaintext, b.to)
	b.must(err)
	if theirs.Equal(ours) {
		b.t.Errorf("piitest: one %s has the same index under %v and %v, so the two can be joined: do they share keys?",
			b.what, b.from.Purpose(), b.to.Purpose())
	}
}

// A boundary is one ordered pair of purposes. Its failures name purposes and
// never a value.
type boundary struct {
	t        testing.TB
	from, to *vault.Scope
	what     string
}

func (b *boundary) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("piitest: trying %v against %v: %v", b.to.Purpose(), b.from.Purpose(), err)
	}
}

func (b *boundary) refuses(verb string, use func(context.Context, *vault.Scope) (string, error), want error, otherwise string) {
	b.t.Helper()
	_, err := use(b.t.Context(), b.to)
	b.refused(verb, err, want, otherwise)
}

func (b *boundary) refused(verb string, err, want error, otherwise string) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Errorf("piitest: %s of an %s collected for %v under %v: got error %v, want %q: %s",
			verb, b.what, b.from.Purpose(), b.to.Purpose(), err, want, otherwise)
	}
}

// idSize is the size of the value id that a body begins with.
const idSize = 16

// forge returns the sealed text with a header that names the other purpose: in
// place of its own, and beside it with a copy of its slot. See FORMAT.md in
// package vault.
func (b *boundary) forge(text string) []string {
	b.t.Helper()
	fields := strings.Split(text, ".") // version, kind, purposes, body
	raw, err := base64.RawURLEncoding.DecodeString(fields[len(fields)-1])
	if len(fields) != 4 || err != nil || len(raw) < idSize {
		b.t.Fatal("piitest: sealed value of a format that this package does not know")
	}
	with := func(purposes, body string) string {
		return strings.Join([]string{fields[0], fields[1], purposes, body}, ".")
	}
	names := []string{b.from.Purpose().String(), b.to.Purpose().String()}
	slices.Sort(names)
	return []string{
		with(b.to.Purpose().String(), fields[3]),
		with(strings.Join(names, "~"), base64.RawURLEncoding.EncodeToString(append(raw, raw[idSize:]...))),
	}
}
