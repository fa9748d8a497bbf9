package pii_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// sentinels are all decisions that a caller can make.
var sentinels = []error{
	pii.ErrMalformed, pii.ErrPoisoned, purpose.ErrMismatch, purpose.ErrBasis, purpose.ErrSyntax,
	vault.ErrCorrupt, vault.ErrNoKeys, vault.ErrUnavailable, vault.ErrExpired, vault.ErrConflict, vault.ErrInvalid,
}

// requireOnly fails unless err is exactly the given sentinels and says nothing
// of a value.
func requireOnly(t testing.TB, err error, want ...error) {
	t.Helper()
	require.Error(t, err)
	for _, sentinel := range sentinels {
		wanted := false
		for _, w := range want {
			wanted = wanted || w == sentinel
		}
		require.Equal(t, wanted, errors.Is(err, sentinel), "%v is %v", err, sentinel)
	}
	for _, plaintext := range []string{testAddress, testNumber, testTaxID} {
		for _, format := range []string{"%v", "%+v", "%#v", "%q", "%x"} {
			requireNone(t, fmt.Sprintf(format, err), plaintext)
		}
	}
}

func TestSealRefusesScopes(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAdvertising)
	security, advertising := kit.Scope(forSecurity), kit.Scope(forAdvertising)
	var many []vault.Sealer
	var names []purpose.Purpose
	for i := range maxSlots + 1 {
		names = append(names, purpose.MustParse(fmt.Sprintf("p%d", i)))
	}
	large := piitest.New(t, names...)
	for _, p := range names {
		many = append(many, large.Scope(p))
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	late, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
	defer cancel()
	closing := piitest.New(t, forSecurity)
	closed := closing.Scope(forSecurity)
	require.NoError(t, closing.Vault.Close())

	for name, c := range map[string]struct {
		ctx    context.Context
		scopes []vault.Sealer
		is     []error
	}{
		"none":                       {ctx, nil, []error{vault.ErrInvalid}},
		"an empty list":              {ctx, []vault.Sealer{}, []error{vault.ErrInvalid}},
		"nil":                        {ctx, []vault.Sealer{nil}, []error{vault.ErrInvalid}},
		"a nil *Scope":               {ctx, []vault.Sealer{(*vault.Scope)(nil)}, []error{vault.ErrInvalid}},
		"a zero Scope":               {ctx, []vault.Sealer{&vault.Scope{}}, []error{vault.ErrInvalid}},
		"a basis under a nil scope":  {ctx, []vault.Sealer{(*vault.Scope)(nil).Under(purpose.Basis{})}, []error{vault.ErrInvalid}},
		"nil beside a good one":      {ctx, []vault.Sealer{security, nil}, []error{vault.ErrInvalid}},
		"a zero one in front":        {ctx, []vault.Sealer{&vault.Scope{}, security}, []error{vault.ErrInvalid}},
		"the same twice":             {ctx, []vault.Sealer{security, security}, []error{vault.ErrInvalid}},
		"one purpose twice":          {ctx, []vault.Sealer{security, advertising, kit.Scope(forSecurity)}, []error{vault.ErrInvalid}},
		"one purpose, another basis": {ctx, []vault.Sealer{security, security.Under(purpose.Basis{Notice: "n"})}, []error{vault.ErrInvalid}},
		"17":                         {ctx, many, []error{vault.ErrInvalid}},
		"an invalid basis":           {ctx, []vault.Sealer{security.Under(purpose.Basis{Notice: testAddress})}, []error{vault.ErrInvalid, purpose.ErrBasis}},
		"cancelled context":          {cancelled, []vault.Sealer{security}, []error{vault.ErrUnavailable}},
		"deadline passed":            {late, []vault.Sealer{security}, []error{vault.ErrUnavailable}},
		"closed vault":               {ctx, []vault.Sealer{closed}, []error{vault.ErrNoKeys}},
		"one vault closed":           {ctx, []vault.Sealer{advertising, closed}, []error{vault.ErrNoKeys}},
	} {
		t.Run(name, func(t *testing.T) {
			email, err := pii.SealEmail(c.ctx, testAddress, c.scopes...)
			requireOnly(t, err, c.is...)
			require.True(t, email.IsZero())
			require.True(t, strings.HasPrefix(err.Error(), "pii: sealing email: "))
			phone, err := pii.SealPhone(c.ctx, testNumber, c.scopes...)
			requireOnly(t, err, c.is...)
			require.True(t, phone.IsZero())
			require.True(t, strings.HasPrefix(err.Error(), "pii: sealing phone: "))
			id, err := SealTaxID(c.ctx, testTaxID, c.scopes...)
			requireOnly(t, err, c.is...)
			require.True(t, id.IsZero())
			require.True(t, strings.HasPrefix(err.Error(), "people: sealing tax-id: "))
		})
	}
	_, err := pii.SealEmail(ctx, testAddress, many[:maxSlots]...)
	require.NoError(t, err, "16 are within bounds")
	// Whatever the scopes, text comes first: it is the user's to mend.
	_, err = pii.SealEmail(cancelled, "Hxw93Jd")
	requireOnly(t, err, pii.ErrMalformed)
}

// An error has one prefix, says a fact, and has the sentinel last.
func TestWordsOfErrors(t *testing.T) {
	security, advertising := newScopes(t)
	email, err := pii.SealEmail(ctx, testAddress, security)
	require.NoError(t, err)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	seal := func(ctx context.Context, scopes ...vault.Sealer) error {
		_, err := pii.SealEmail(ctx, testAddress, scopes...)
		return err
	}
	for want, err := range map[string]error{
		"pii: sealing email: no scopes: invalid argument":                              seal(ctx),
		"pii: sealing email: nil scope: invalid argument":                              seal(ctx, nil),
		"pii: sealing email: two scopes for one purpose: invalid argument":             seal(ctx, security, security),
		"pii: sealing email: negative retention: not a valid basis: invalid argument":  seal(ctx, security.Under(purpose.Basis{Retain: -1})),
		"pii: sealing email: malformed notice id: not a valid basis: invalid argument": seal(ctx, security.Under(purpose.Basis{Notice: testAddress})),
		"pii: re-sealing email: no scopes: invalid argument":                           second(email.Reseal(ctx)),
		"pii: revealing email: collected for security, not advertising":                second(email.Reveal(ctx, advertising)),
		"pii: revealing email: there is no value: invalid argument":                    second(pii.Email{}.Reveal(ctx, security)),
		"pii: extending email: no consent on record":                                   second(email.Extend(ctx, security, advertising)),
		"pii: scanning email: not sealed here, or altered since":                       new(pii.Email).Scan(testAddress),
		"pii: scanning index: not sealed here, or altered since":                       new(pii.Index).Scan(testAddress),
		"pii: indexing phone: not a valid phone":                                       second(pii.IndexPhone(ctx, testAddress, security)),
		"batch: context canceled: unavailable":                                         batchError(cancelled),
		"pii: index is unusable, for making it failed":                                 second(first(pii.IndexEmail(ctx, "", security)).Value()),
	} {
		require.EqualError(t, err, want)
	}
}

func first[T any](v T, _ error) T        { return v }
func second[T any](_ T, err error) error { return err }

// batchError returns the error of a batch whose context is done.
func batchError(ctx context.Context) error {
	for _, err := range batch.Map(ctx, slices.Values([]int{1}), func(context.Context, int) (int, error) { return 0, nil }) {
		return err
	}
	return nil
}

// requireOpens fails unless every way to open v is refused with exactly the
// given sentinels.
func requireOpens[T sealedValue](t *testing.T, ctx context.Context, v T, scope *vault.Scope, is ...error) {
	t.Helper()
	plaintext, err := v.Reveal(ctx, scope)
	requireOnly(t, err, is...)
	require.Empty(t, plaintext)
	hint, err := v.Hint(ctx, scope)
	requireOnly(t, err, is...)
	require.Empty(t, hint)
	index, err := v.Index(ctx, scope)
	requireOnly(t, err, is...)
	requirePoisoned(t, index)
}

func TestRevealRefuses(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAdvertising)
	security, advertising := kit.Scope(forSecurity), kit.Scope(forAdvertising)
	f := seal(t, security)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	closing := piitest.New(t, forSecurity)
	closed := closing.Scope(forSecurity)
	fromClosed := seal(t, closed)
	require.NoError(t, closing.Vault.Close())
	elsewhere := piitest.New(t, forSecurity).Scope(forSecurity)

	for name, c := range map[string]struct {
		ctx   context.Context
		of    fixtures
		scope *vault.Scope
		is    []error
	}{
		"nil scope":                            {ctx, f, nil, []error{vault.ErrInvalid}},
		"zero scope":                           {ctx, f, &vault.Scope{}, []error{vault.ErrInvalid}},
		"invalid basis":                        {ctx, f, security.Under(purpose.Basis{Legal: 99}), []error{vault.ErrInvalid, purpose.ErrBasis}},
		"another purpose":                      {ctx, f, advertising, []error{purpose.ErrMismatch}},
		"another purpose, with a basis":        {ctx, f, advertising.Under(purpose.Basis{Legal: purpose.Consent}), []error{purpose.ErrMismatch}},
		"no value":                             {ctx, fixtures{}, security, []error{vault.ErrInvalid}},
		"no value and nil scope":               {ctx, fixtures{}, nil, []error{vault.ErrInvalid}},
		"cancelled context":                    {cancelled, f, security, []error{vault.ErrUnavailable}},
		"cancelled context, another purpose":   {cancelled, f, advertising, []error{vault.ErrUnavailable}},
		"closed vault":                         {ctx, fromClosed, closed, []error{vault.ErrNoKeys}},
		"keys of the same name from elsewhere": {ctx, f, elsewhere, []error{vault.ErrCorrupt}},
	} {
		t.Run(name, func(t *testing.T) {
			requireOpens(t, c.ctx, c.of.email, c.scope, c.is...)
			requireOpens(t, c.ctx, c.of.phone, c.scope, c.is...)
			requireOpens(t, c.ctx, c.of.taxID, c.scope, c.is...)
		})
	}
}

// The words that the documentation promises.
func TestRefusalInWords(t *testing.T) {
	security, advertising := newScopes(t)
	f := seal(t, security)
	for want, err := range map[string]error{
		"pii: revealing email: collected for security, not advertising":     errorOf(f.email.Reveal(ctx, advertising)),
		"pii: revealing phone: collected for security, not advertising":     errorOf(f.phone.Reveal(ctx, advertising)),
		"people: revealing tax-id: collected for security, not advertising": errorOf(f.taxID.Reveal(ctx, advertising)),
		"pii: hinting phone: collected for security, not advertising":       errorOf(f.phone.Hint(ctx, advertising)),
		"pii: indexing email: collected for security, not advertising":      errorOf(f.email.Index(ctx, advertising)),
	} {
		require.EqualError(t, err, want)
		var refusal *purpose.MismatchError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, purpose.NewSet(forSecurity), refusal.Collected)
		require.Equal(t, forAdvertising, refusal.Asked)
	}
}

// A header that somebody edited opens nothing, for whichever purpose.
func TestRevealRefusesEditedHeaders(t *testing.T) {
	security, advertising := newScopes(t)
	f := seal(t, security)
	both := seal(t, security, advertising)
	edit := func(v pii.Email, old, new string) pii.Email {
		text := strings.Replace(textOf(t, v), old, new, 1)
		require.NotEqual(t, textOf(t, v), text)
		var edited pii.Email
		require.NoError(t, edited.UnmarshalText([]byte(text)))
		return edited
	}
	relabelled := edit(f.email, ".security.", ".advertising.")
	require.Equal(t, purpose.NewSet(forAdvertising), relabelled.Purposes(), "a claim")
	requireOpens(t, ctx, relabelled, advertising, vault.ErrCorrupt)
	requireOpens(t, ctx, relabelled, security, purpose.ErrMismatch)

	renamed := edit(both.email, ".advertising~security.", ".advertising~billing.")
	requireOpens(t, ctx, renamed, security, purpose.ErrMismatch)

	// Another kind: the text of a phone in an Email is refused when it is
	// decoded, and one that says it is an Email when it is opened.
	var email pii.Email
	require.ErrorIs(t, email.UnmarshalText([]byte(textOf(t, f.phone))), vault.ErrCorrupt)
	require.NoError(t, email.UnmarshalText([]byte(strings.Replace(textOf(t, f.phone), ".phone.", ".email.", 1))))
	requireOpens(t, ctx, email, security, vault.ErrCorrupt)
}

// The clock is a bubble's, which nobody sets back meanwhile.
func TestProvenance(t *testing.T) { synctest.Test(t, testProvenance) }

func testProvenance(t *testing.T) {
	security, advertising := newScopes(t)
	before := time.Now()
	f := seal(t,
		security.Under(purpose.Basis{Legal: purpose.Contract, Notice: "2fa-prompt-v3", Retain: time.Hour}),
		advertising.Under(purpose.Basis{Legal: purpose.Consent, Consent: "c-2026-81f3"}))
	require.Equal(t, purpose.NewSet(forAdvertising, forSecurity), f.email.Purposes())

	p, ok := f.email.Provenance(forSecurity)
	require.True(t, ok)
	require.Equal(t, purpose.Contract, p.Legal)
	require.Equal(t, "2fa-prompt-v3", p.Notice)
	require.Empty(t, p.Consent)
	require.True(t, p.Collected.Equal(before))
	require.Equal(t, time.UTC, p.Collected.Location())
	require.Equal(t, p.Collected.Add(time.Hour), p.Expires)

	p, ok = f.taxID.Provenance(forAdvertising)
	require.True(t, ok)
	require.Equal(t, purpose.Provenance{Collected: p.Collected, Legal: purpose.Consent, Consent: "c-2026-81f3"}, p)

	for _, absent := range []purpose.Purpose{forBilling, {}} {
		p, ok = f.phone.Provenance(absent)
		require.False(t, ok)
		require.Zero(t, p)
	}
	_, ok = pii.Email{}.Provenance(forSecurity)
	require.False(t, ok)
	require.True(t, pii.Email{}.Purposes().IsZero())
}

// A kind whose methods misbehave hurts itself alone.
func TestKindOfAUser(t *testing.T) {
	security, _ := newScopes(t)
	value, err := pii.Seal[oddKind](ctx, "x", security)
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.True(t, value.IsZero())
	_, err = value.Reveal(ctx, security)
	require.ErrorIs(t, err, vault.ErrInvalid)
	x, err := pii.IndexOf[oddKind](ctx, "x", security)
	require.ErrorIs(t, err, vault.ErrInvalid)
	requirePoisoned(t, x)
	require.ErrorIs(t, value.Scan(textOf(t, seal(t, security).email)), vault.ErrCorrupt)
	require.NotPanics(t, func() { _ = value.GoString() })

	for _, text := range []string{"", strings.Repeat("1", maxPlaintext+1), strings.Repeat("1", 64<<20)} {
		_, err := pii.Seal[anyKind](ctx, text, security)
		requireOnly(t, err, vault.ErrInvalid)
	}
	long := strings.Repeat("1", maxPlaintext)
	sealed, err := pii.Seal[anyKind](ctx, long, security)
	require.NoError(t, err)
	revealed, err := sealed.Reveal(ctx, security)
	require.NoError(t, err)
	require.Equal(t, long, revealed)

	_, err = pii.Seal[taxID](ctx, "86 095 742 718", security)
	requireOnly(t, err, pii.ErrMalformed)
	x, err = pii.IndexOf[taxID](ctx, "86 095 742 718", security)
	requireOnly(t, err, pii.ErrMalformed)
	requirePoisoned(t, x)
	xs, err := pii.IndexesOf[taxID](ctx, "86 095 742 718", security)
	requireOnly(t, err, pii.ErrMalformed)
	require.Len(t, xs, 1)
	requirePoisoned(t, xs[0])
}

// anyKind takes all text.
type anyKind struct{}

var anyKindName = vault.MustKind("any", "people.Any")

func (anyKind) Kind() vault.Kind              { return anyKindName }
func (anyKind) Parse(s string) (string, bool) { return s, true }
func (anyKind) Canonical(s string) string     { return s }
func (anyKind) Mask(string) string            { return "" }

// oddKind has the zero Kind.
type oddKind struct{}

func (oddKind) Kind() vault.Kind              { return vault.Kind{} }
func (oddKind) Parse(s string) (string, bool) { return s, true }
func (oddKind) Canonical(s string) string     { return s }
func (oddKind) Mask(string) string            { return "" }

// Every operation is recorded, and no record holds a value.
func TestAudit(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAdvertising)
	security, advertising := kit.Scope(forSecurity), kit.Scope(forAdvertising)
	kit.Audit.Reset()
	f := seal(t, security)
	_, err := f.email.Reveal(ctx, security)
	require.NoError(t, err)
	_, err = f.phone.Hint(ctx, security)
	require.NoError(t, err)
	_, err = pii.IndexEmail(ctx, testAddress, advertising)
	require.NoError(t, err)
	_, err = f.email.Index(ctx, advertising)
	require.Error(t, err)
	_, err = f.phone.Reveal(ctx, advertising)
	require.Error(t, err)

	type event struct {
		action  audit.Action
		outcome audit.Outcome
		asked   purpose.Purpose
		kind    string
	}
	var got []event
	for _, e := range kit.Audit.Events() {
		got = append(got, event{e.Action, e.Outcome, e.Purpose, e.Kind})
		requireNone(t, fmt.Sprintf("%+v %#v", e, e), testAddress)
		requireNone(t, fmt.Sprintf("%+v %#v", e, e), testNumber)
	}
	require.Equal(t, []event{
		{audit.Seal, audit.Allowed, forSecurity, "email"},
		{audit.Seal, audit.Allowed, forSecurity, "phone"},
		{audit.Seal, audit.Allowed, forSecurity, "tax-id"},
		{audit.Reveal, audit.Allowed, forSecurity, "email"},
		{audit.Hint, audit.Allowed, forSecurity, "phone"},
		{audit.Index, audit.Allowed, forAdvertising, "email"},
		{audit.Index, audit.Denied, forAdvertising, "email"},
		{audit.Reveal, audit.Denied, forAdvertising, "phone"},
	}, got)
}

func errorOf(_ any, err error) error { return err }

// A Sealer that embeds a scope, to say something else of its purpose, is none.
func TestSealerThatLies(t *testing.T) {
	security, advertising := newScopes(t)
	for name, liar := range map[string]vault.Sealer{
		"other purpose": liar{advertising, forSecurity},
		"nil inside":    liar{nil, forSecurity},
		"pointer":       &liar{security, forSecurity},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := pii.SealEmail(ctx, testAddress, liar)
			requireOnly(t, err, vault.ErrInvalid)
			require.True(t, e.IsZero())
			_, err = pii.SealEmail(ctx, testAddress, security, liar)
			requireOnly(t, err, vault.ErrInvalid)
		})
	}
}

type liar struct {
	vault.Sealer
	p purpose.Purpose
}

func (l liar) Purpose() purpose.Purpose { return l.p }

// stubborn is a kind that refuses every text, and returns refusedText with the refusal.
type stubborn struct{}

var (
	stubbornKind = vault.MustKind("stubborn", "people.Stubborn")
	refusedText  string
	usedRefused  bool // a form of the refused text was asked for
)

func (stubborn) Kind() vault.Kind             { return stubbornKind }
func (stubborn) Parse(string) (string, bool)  { return refusedText, false }
func (stubborn) Canonical(text string) string { usedRefused = true; return text }
func (stubborn) Mask(text string) string      { usedRefused = true; return text }

// A kind that refuses a text says so with false, whatever text comes with it: the text
// that it was given, a text that it would accept, or an empty one. Such a text is
// neither sealed nor indexed nor shown.
func TestARefusalIsOneWhateverTextComesWithIt(t *testing.T) {
	kit := piitest.New(t, forSecurity)
	s := kit.Scope(forSecurity)
	requirePoisoned := func(t *testing.T, x pii.Index) {
		t.Helper()
		_, err := x.Value()
		require.ErrorIs(t, err, pii.ErrPoisoned)
	}
	for _, text := range []string{"86095742718", testTaxID, "", " ", strings.Repeat("9", 1024), strings.Repeat("9", 1025)} {
		refusedText, usedRefused = text, false
		require.False(t, pii.Valid[stubborn](testTaxID))

		sealed, err := pii.Seal[stubborn](ctx, testTaxID, s)
		requireOnly(t, err, pii.ErrMalformed)
		require.True(t, sealed.IsZero())
		index, err := pii.IndexOf[stubborn](ctx, testTaxID, s)
		requireOnly(t, err, pii.ErrMalformed)
		requirePoisoned(t, index)
		indexes, err := pii.IndexesOf[stubborn](ctx, testTaxID, s)
		requireOnly(t, err, pii.ErrMalformed)
		require.Len(t, indexes, 1)
		requirePoisoned(t, indexes[0])

		// A holder of the keys seals with package vault, which asks no kind.
		collector, err := kit.Vault.Collector(ctx, forSecurity)
		require.NoError(t, err)
		for _, c := range []struct {
			by   vault.Sealer
			open *vault.Scope
		}{{s, s}, {s.For("alice"), s.For("alice")}, {collector, s}} {
			value, err := vault.Seal(ctx, stubbornKind, testTaxID, c.by)
			require.NoError(t, err)
			text, err := value.MarshalText()
			require.NoError(t, err)
			var sealed pii.Sealed[stubborn]
			require.NoError(t, sealed.Scan(string(text)))
			index, err := sealed.Index(ctx, c.open)
			requireOnly(t, err, vault.ErrCorrupt)
			requirePoisoned(t, index)
			hint, err := sealed.Hint(ctx, c.open)
			requireOnly(t, err, vault.ErrCorrupt)
			require.Empty(t, hint)
			_, err = sealed.Reveal(ctx, c.open)
			requireOnly(t, err, vault.ErrCorrupt)
		}
		require.False(t, usedRefused, "%q was used in spite of the refusal", text)
	}
}

// A method of [pii.Kind] that can refuse is in the test above: Parse is the only one.
func TestParseIsTheOnlyRefusalOfAKind(t *testing.T) {
	kind := reflect.TypeFor[pii.Kind]()
	for i := range kind.NumMethod() {
		m := kind.Method(i)
		last := m.Type.Out(m.Type.NumOut() - 1)
		require.Equal(t, m.Name == "Parse", last.Kind() == reflect.Bool || last == reflect.TypeFor[error](), m.Name)
	}
}
