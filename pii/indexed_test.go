package pii_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// The value is for all purposes, and the index is under the first one.
func TestSealIndexed(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAdvertising)
	security, advertising := kit.Scope(forSecurity), kit.Scope(forAdvertising)
	signUp := security.Under(purpose.Basis{Notice: "sign-up-v1"})

	e, x, err := pii.SealEmailIndexed(ctx, " Alice@Example.com", signUp.For("alice"))
	require.NoError(t, err)
	revealed, err := e.Reveal(ctx, security.For("alice"))
	require.NoError(t, err)
	require.Equal(t, "Alice@example.com", revealed)
	want, err := pii.IndexEmail(ctx, "alice@example.com", security)
	require.NoError(t, err)
	require.True(t, x.Equal(want))
	provenance, _ := e.Provenance(forSecurity)
	require.Equal(t, "sign-up-v1", provenance.Notice)

	p, x, err := pii.SealPhoneIndexed(ctx, testNumber, advertising, security)
	require.NoError(t, err)
	for _, scope := range []*vault.Scope{security, advertising} {
		revealed, err = p.Reveal(ctx, scope)
		require.NoError(t, err)
		require.Equal(t, testNumber, revealed)
	}
	want, err = pii.IndexPhone(ctx, testNumber, advertising)
	require.NoError(t, err)
	require.True(t, x.Equal(want), "the index is under the purpose of the first scope")

	collector, err := kit.Vault.Collector(ctx, forAdvertising)
	require.NoError(t, err)
	id, x, err := pii.SealIndexed[taxID](ctx, testTaxID, security, collector)
	require.NoError(t, err)
	require.True(t, id.ByCollector(forAdvertising))
	want, err = pii.IndexOf[taxID](ctx, testTaxID, security)
	require.NoError(t, err)
	require.True(t, x.Equal(want))
}

// Whichever half fails, there is neither a value nor an index.
func TestSealIndexedFails(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAdvertising)
	security := kit.Scope(forSecurity)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		text string
		by   *vault.Scope
		also []vault.Sealer
		is   error
	}{
		"malformed": {ctx, "Hxw93Jd", security, nil, pii.ErrMalformed},
		"empty":     {ctx, "", security, nil, pii.ErrMalformed},
		"nil scope": {ctx, testAddress, nil, nil, vault.ErrInvalid},
		"nil also":  {ctx, testAddress, security, []vault.Sealer{nil}, vault.ErrInvalid},
		"twice":     {ctx, testAddress, security, []vault.Sealer{security}, vault.ErrInvalid},
		"cancelled": {cancelled, testAddress, security, nil, vault.ErrUnavailable},
	} {
		e, x, err := pii.SealEmailIndexed(c.ctx, c.text, c.by, c.also...)
		require.ErrorIs(t, err, c.is, name)
		require.True(t, e.IsZero(), name)
		requirePoisoned(t, x)
	}

	// The index is refused after the value was sealed.
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(recordKEK(t)), &vault.Options{Audit: noIndexes{}})
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, forSecurity))
	scope, err := v.Scope(ctx, forSecurity)
	require.NoError(t, err)
	e, x, err := pii.SealEmailIndexed(ctx, testAddress, scope)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.True(t, e.IsZero())
	requirePoisoned(t, x)
}

// noIndexes is an auditor that can't record one action.
type noIndexes struct{}

func (noIndexes) Audit(_ context.Context, e audit.Event) error {
	if e.Action == audit.Index {
		return vault.ErrUnavailable
	}
	return nil
}

func TestSealOptional(t *testing.T) {
	security := piitest.New(t, forSecurity).Scope(forSecurity)
	for _, empty := range []string{"", " ", "\t \r\n", "\u00a0\u200b", strings.Repeat(" ", 256)} {
		e, err := pii.SealOptionalEmail(ctx, empty, security)
		require.NoError(t, err)
		require.True(t, e.IsZero())
		stored, err := e.Value()
		require.NoError(t, err)
		require.Nil(t, stored)
		p, err := pii.SealOptionalPhone(ctx, empty, security)
		require.NoError(t, err)
		require.True(t, p.IsZero())
		id, err := pii.SealOptional[taxID](ctx, empty, security)
		require.NoError(t, err)
		require.True(t, id.IsZero())
	}
	e, err := pii.SealOptionalEmail(ctx, testAddress, security)
	require.NoError(t, err)
	require.False(t, e.IsZero())
	_, err = pii.SealOptionalEmail(ctx, strings.Repeat(" ", 257), security)
	require.ErrorIs(t, err, pii.ErrMalformed, "nobody typed that")
	_, err = pii.SealOptionalPhone(ctx, "none", security)
	require.ErrorIs(t, err, pii.ErrMalformed)
	_, err = pii.SealOptionalPhone(ctx, testNumber)
	require.ErrorIs(t, err, vault.ErrInvalid)
}

// Of an empty field neither column has anything, and no key is used. Anything else is as
// without "Optional".
func TestSealOptionalIndexed(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAdvertising)
	security, advertising := kit.Scope(forSecurity), kit.Scope(forAdvertising)
	requireAbsent := func(v interface{ IsZero() bool }, x pii.Index, err error) {
		t.Helper()
		require.NoError(t, err)
		require.True(t, v.IsZero())
		require.True(t, x.IsZero())
		column, err := x.Value()
		require.NoError(t, err)
		require.Nil(t, column)
	}
	for _, empty := range []string{"", " ", "\t \r\n", "\u00a0\u200b", strings.Repeat(" ", 256)} {
		for _, scope := range []*vault.Scope{security, nil} {
			e, x, err := pii.SealOptionalEmailIndexed(ctx, empty, scope)
			requireAbsent(e, x, err)
			p, x, err := pii.SealOptionalPhoneIndexed(ctx, empty, scope)
			requireAbsent(p, x, err)
			id, x, err := pii.SealOptionalIndexed[taxID](ctx, empty, scope)
			requireAbsent(id, x, err)
		}
	}

	e, x, err := pii.SealOptionalEmailIndexed(ctx, testAddress, security, advertising)
	require.NoError(t, err)
	require.Equal(t, purpose.NewSet(forSecurity, forAdvertising), e.Purposes())
	want, err := pii.IndexEmail(ctx, testAddress, security)
	require.NoError(t, err)
	require.True(t, x.Equal(want))
	p, x, err := pii.SealOptionalPhoneIndexed(ctx, testNumber, security)
	require.NoError(t, err)
	revealed, err := p.Reveal(ctx, security)
	require.NoError(t, err)
	require.Equal(t, testNumber, revealed)
	want, err = pii.IndexPhone(ctx, testNumber, security)
	require.NoError(t, err)
	require.True(t, x.Equal(want))

	e, x, err = pii.SealOptionalEmailIndexed(ctx, strings.Repeat(" ", 257), security)
	require.ErrorIs(t, err, pii.ErrMalformed, "nobody typed that")
	require.True(t, e.IsZero())
	requirePoisoned(t, x)
	_, x, err = pii.SealOptionalPhoneIndexed(ctx, testNumber, nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	requirePoisoned(t, x)
}

// Args has one argument for each index, and one that equals nothing for none.
func TestArgs(t *testing.T) {
	security := piitest.New(t, forSecurity).Scope(forSecurity)
	a, err := pii.IndexEmail(ctx, testAddress, security)
	require.NoError(t, err)
	b, err := pii.IndexPhone(ctx, testNumber, security)
	require.NoError(t, err)
	require.Equal(t, []any{a, b}, pii.Args([]pii.Index{a, b}))
	require.Equal(t, []any{nil}, pii.Args(nil))
	require.Equal(t, []any{nil}, pii.Args([]pii.Index{}))
	poisoned, _ := pii.IndexesEmail(ctx, testAddress, nil)
	requirePoisoned(t, pii.Args(poisoned)[0].(pii.Index))
}

func TestMatches(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAdvertising)
	security, advertising := kit.Scope(forSecurity), kit.Scope(forAdvertising)
	e, err := pii.SealEmail(ctx, "Alice@Example.com", security)
	require.NoError(t, err)
	p, err := pii.SealPhone(ctx, testNumber, security.For("alice"))
	require.NoError(t, err)
	id, err := pii.Seal[taxID](ctx, testTaxID, security)
	require.NoError(t, err)

	for text, want := range map[string]bool{
		"Alice@Example.com": true, " alice@EXAMPLE.com\u200b": true,
		"bob@example.com": false, "alice@example.org": false, testNumber: false,
		"": false, "no address": false, "Alice@Example.com, bob@example.com": false,
	} {
		matches, err := e.Matches(ctx, text, security)
		require.NoError(t, err, text)
		require.Equal(t, want, matches, text)
	}
	matches, err := p.Matches(ctx, "007 (391) 846-25-04", security.For("alice"))
	require.NoError(t, err)
	require.False(t, matches, "an index has one form of a number")
	matches, err = p.Matches(ctx, "+7 (391) 846-25-04", security.For("alice"))
	require.NoError(t, err)
	require.True(t, matches)
	matches, err = id.Matches(ctx, testTaxID, security)
	require.NoError(t, err)
	require.True(t, matches)

	// Nobody has an address that nobody has.
	for _, text := range []string{"", "alice@example.com"} {
		matches, err = pii.Email{}.Matches(ctx, text, security)
		require.NoError(t, err)
		require.False(t, matches)
	}

	// Each error is one of the value or of the scope, whatever the text is.
	forged, err := pii.SealEmail(ctx, "Alice@Example.com", piitest.New(t, forSecurity).Scope(forSecurity))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		e     pii.Email
		scope *vault.Scope
		is    error
	}{
		"another purpose": {e, advertising, purpose.ErrMismatch},
		"a person's":      {e, security.For("alice"), vault.ErrSubject},
		"another vault":   {forged, security, vault.ErrCorrupt},
		"no scope":        {e, nil, vault.ErrInvalid},
	} {
		for _, text := range []string{"alice@example.com", "no address", ""} {
			matches, err := c.e.Matches(ctx, text, c.scope)
			require.ErrorIs(t, err, c.is, name)
			require.NotErrorIs(t, err, pii.ErrMalformed, name)
			require.False(t, matches, name)
		}
	}
	matches, err = p.Matches(ctx, testNumber, security.For("bob"))
	require.ErrorIs(t, err, vault.ErrCorrupt)
	require.False(t, matches)
}

// The index key rotates between the two halves of a comparison.
func TestMatchesDuringARotation(t *testing.T) {
	kit := piitest.New(t, forSecurity)
	security := kit.Scope(forSecurity)
	e, err := pii.SealEmail(ctx, testAddress, security)
	require.NoError(t, err)
	kit.Rotate(forSecurity, vault.RoleIndex)
	matches, err := e.Matches(ctx, testAddress, security)
	require.NoError(t, err)
	require.True(t, matches)

	rotating := &rotatingAuditor{}
	admin, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(recordKEK(t)), &vault.Options{Audit: rotating})
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, admin.Generate(ctx, forSecurity))
	security, err = admin.Scope(ctx, forSecurity)
	require.NoError(t, err)
	e, err = pii.SealEmail(ctx, testAddress, security)
	require.NoError(t, err)
	rotating.rotate = func() error {
		if err := admin.Rotate(ctx, forSecurity, vault.RoleIndex); err != nil {
			return err
		}
		keys, err := admin.Keys(ctx, forSecurity)
		for _, k := range keys {
			if k.Role == vault.RoleIndex && k.PrimaryAt.After(time.Now()) {
				err = admin.Promote(ctx, forSecurity, k.ID)
			}
		}
		return err
	}
	matches, err = e.Matches(ctx, testAddress, security)
	require.NoError(t, err)
	require.True(t, matches)
	require.Nil(t, rotating.rotate, "the key was rotated")
}

// A rotatingAuditor rotates a key after the first index.
type rotatingAuditor struct{ rotate func() error }

func (a *rotatingAuditor) Audit(_ context.Context, e audit.Event) error {
	if e.Action != audit.Index || a.rotate == nil {
		return nil
	}
	rotate := a.rotate
	a.rotate = nil
	return rotate()
}

func TestOrNobody(t *testing.T) {
	security := piitest.New(t, forSecurity).Scope(forSecurity)
	nobody, err := pii.OrNobody(pii.IndexesEmail(ctx, "no address", security))
	require.NoError(t, err)
	require.Len(t, nobody, 1)
	other, err := pii.OrNobody(pii.IndexesPhone(ctx, "", security))
	require.NoError(t, err)
	require.False(t, nobody[0].Equal(other[0]), "nobody is not nobody else")
	require.False(t, nobody[0].IsZero())
	bytes, err := nobody[0].Value()
	require.NoError(t, err)
	require.Len(t, bytes, vault.IndexSize)
	require.NotEqual(t, make([]byte, vault.IndexSize), bytes)

	somebody, err := pii.OrNobody(pii.IndexesEmail(ctx, testAddress, security))
	require.NoError(t, err)
	want, err := pii.IndexesEmail(ctx, testAddress, security)
	require.NoError(t, err)
	require.Equal(t, want, somebody)

	poisoned, err := pii.OrNobody(pii.IndexesEmail(ctx, testAddress, nil))
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.Len(t, poisoned, 1)
	requirePoisoned(t, poisoned[0])
}
