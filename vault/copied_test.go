package vault_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A component that overwrites a scope through the pointer that it shares with another
// one does not turn it into a scope of another purpose: the scope is of no use any more,
// and neither is anything made from it.
func TestOverwrittenScopesAreInvalid(t *testing.T) {
	ctx := t.Context()
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising)
	value := vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security))
	seal := func(s vault.Sealer) error {
		_, err := vault.Seal(ctx, vaulttest.Note, "text", s)
		return err
	}

	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	before := ads.For("alice").Under(purpose.Basis{Consent: "c-1"})
	*ads = *sec
	for _, s := range []*vault.Scope{ads, ads.For("alice"), ads.Under(purpose.Basis{}), ads.For("alice").Under(purpose.Basis{})} {
		require.Zero(t, s.Purpose())
		require.Equal(t, "vault.Scope()", s.String())
		require.ErrorIs(t, seal(s), vault.ErrInvalid)
		_, err := s.Reveal(ctx, vaulttest.Note, value)
		require.EqualError(t, err, "vault: revealing note: scope was copied: invalid argument")
		_, err = s.Hint(ctx, vaulttest.Note, value, func(string) string { t.Error("a plaintext"); return "" })
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = s.Index(ctx, vaulttest.Note, "text")
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = s.Indexes(ctx, vaulttest.Note, "text")
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = s.IndexSealed(ctx, vaulttest.Note, value, vaulttest.Accepting(func(s string) string { return s }))
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = s.Pseudonym(ctx, "alice")
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.ErrorIs(t, s.Prefetch(ctx, "alice"), vault.ErrInvalid)
		_, err = vault.Reseal(ctx, vaulttest.Note, value, nil, s)
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = vault.Extend(ctx, vaulttest.Note, value, nil, s, before)
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = vault.Extend(ctx, vaulttest.Note, value, nil, sec, s.Under(purpose.Basis{Consent: "c-1"}))
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.False(t, value.OnPrimaryKey(s))
	}
	require.NoError(t, seal(before), "what was made before is a scope of its own")
	require.Equal(t, vaulttest.Advertising, before.Purpose())
	vaulttest.Opens(t, sec, value)

	// A narrowed scope is as good as any.
	bobs, alices := sec.For("bob"), sec.For("alice")
	*bobs = *alices
	require.ErrorIs(t, seal(bobs), vault.ErrInvalid)
	// Exchanging two scopes breaks both.
	a, b := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	*a, *b = *b, *a
	require.ErrorIs(t, seal(a), vault.ErrInvalid)
	require.ErrorIs(t, seal(b), vault.ErrInvalid)
	// A copy is none either.
	c := *sec
	require.ErrorIs(t, seal(&c), vault.ErrInvalid)
	*sec = c
	require.NoError(t, seal(sec), "it is as it was made")

	secLookup, adsLookup := vaulttest.Lookup(t, v, vaulttest.Security), vaulttest.Lookup(t, v, vaulttest.Advertising)
	*adsLookup = *secLookup
	require.Zero(t, adsLookup.Purpose())
	_, err := adsLookup.Index(ctx, vaulttest.Note, "text")
	require.ErrorIs(t, err, vault.ErrInvalid)

	secReader, adsReader := vaulttest.Reader(t, v, vaulttest.Security), vaulttest.Reader(t, v, vaulttest.Advertising)
	*adsReader = *secReader
	for _, r := range []*vault.Reader{adsReader, adsReader.For("alice")} {
		require.Zero(t, r.Purpose())
		_, err = r.Reveal(ctx, vaulttest.Note, value)
		require.ErrorIs(t, err, vault.ErrInvalid)
	}
	_, err = secReader.Reveal(ctx, vaulttest.Note, value)
	require.NoError(t, err)

	secCollector, adsCollector := vaulttest.Collector(t, v, vaulttest.Security), vaulttest.Collector(t, v, vaulttest.Advertising)
	*adsCollector = *secCollector
	for _, c := range []*vault.Collector{adsCollector, adsCollector.Under(purpose.Basis{})} {
		require.Zero(t, c.Purpose())
		require.ErrorIs(t, seal(c), vault.ErrInvalid)
		_, err = c.Batch()
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, err = c.MarshalText()
		require.ErrorIs(t, err, vault.ErrInvalid)
	}
	*secCollector = vault.Collector{}
	require.ErrorIs(t, seal(secCollector), vault.ErrInvalid)
}

// Two packages can't have a kind of one name: they would take each other's values for
// their own, and have two indexes for one person.
func TestKindsHaveOneLabel(t *testing.T) {
	first := vault.MustKind("registered", "one.Kind")
	require.Equal(t, first, vault.MustKind("registered", "one.Kind"))
	require.PanicsWithValue(t, "vault: the program has a kind registered with the label one.Kind", func() {
		vault.MustKind("registered", "two.Kind")
	})
	require.Equal(t, first, vault.MustKind("registered", "one.Kind"), "the refusal changed nothing")
	require.NotPanics(t, func() { vault.MustKind("registered-2", "one.Kind") })
}

// Every method of a zero or nil handle returns, and its error is ErrInvalid.
func TestZeroHandlesAreInvalid(t *testing.T) {
	errs := reflect.TypeFor[error]()
	for _, zero := range []any{
		new(vault.Vault), (*vault.Vault)(nil), new(vault.Admin), new(vault.Scope), (*vault.Scope)(nil),
		new(vault.Reader), (*vault.Reader)(nil), new(vault.Lookup), (*vault.Lookup)(nil), new(vault.Collector), (*vault.Collector)(nil),
	} {
		v := reflect.ValueOf(zero)
		for i := range v.NumMethod() {
			method, name := v.Method(i), v.Type().String()+"."+v.Type().Method(i).Name
			if v.Type().Method(i).Name == "Format" {
				continue // of fmt.State
			}
			typ := method.Type()
			var args []reflect.Value
			for in := range typ.NumIn() {
				if typ.IsVariadic() && in == typ.NumIn()-1 {
					if typ.In(in).Elem() == reflect.TypeFor[purpose.Purpose]() {
						args = append(args, reflect.ValueOf(vaulttest.Security))
					}
					break
				}
				switch typ.In(in) {
				case reflect.TypeFor[context.Context]():
					args = append(args, reflect.ValueOf(t.Context()))
				case reflect.TypeFor[purpose.Purpose]():
					args = append(args, reflect.ValueOf(vaulttest.Security))
				case reflect.TypeFor[vault.Kind]():
					args = append(args, reflect.ValueOf(vaulttest.Note))
				case reflect.TypeFor[string]():
					args = append(args, reflect.ValueOf("text"))
				default:
					args = append(args, reflect.Zero(typ.In(in)))
				}
			}
			var out []reflect.Value
			require.NotPanics(t, func() { out = method.Call(args) }, name)
			if n := len(out); n > 0 && typ.Out(n-1) == errs && v.Type().Method(i).Name != "Close" {
				err, _ := out[n-1].Interface().(error)
				require.ErrorIs(t, err, vault.ErrInvalid, name)
			}
		}
	}
}
