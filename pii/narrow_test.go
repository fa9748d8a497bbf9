package pii_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
)

// Each handle does its own part, and the parts meet in one row.
func TestEachProcessDoesItsPart(t *testing.T) {
	v := piitest.New(t, forSecurity).Vault
	collector, err := v.Collector(ctx, forSecurity)
	require.NoError(t, err)
	security, err := v.Scope(ctx, forSecurity)
	require.NoError(t, err)
	lookup, err := v.Lookup(ctx, forSecurity)
	require.NoError(t, err)
	reader, err := v.Reader(ctx, forSecurity)
	require.NoError(t, err)

	typed, err := pii.SealPhone(ctx, "+1 415 555 2671", collector)
	require.NoError(t, err)
	stored, err := typed.Reseal(ctx, security.For("user-1"))
	require.NoError(t, err)
	index, err := stored.Index(ctx, security.For("user-1"))
	require.NoError(t, err)

	found, err := pii.IndexPhone(ctx, "+14155552671", lookup)
	require.NoError(t, err)
	require.True(t, index.Equal(found))
	all, err := pii.IndexesPhone(ctx, "+14155552671", lookup)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.True(t, index.Equal(all[0]))

	number, err := stored.Reveal(ctx, reader.For("user-1"))
	require.NoError(t, err)
	require.Equal(t, "+14155552671", number)
	hint, err := stored.Hint(ctx, reader.For("user-1"))
	require.NoError(t, err)
	require.Equal(t, "+1 ••• ••• ••71", hint)
}

// An interface that holds nothing is refused like a nil scope.
func TestNoHandle(t *testing.T) {
	security, _ := newScopes(t)
	email, err := pii.SealEmail(ctx, "alice@example.com", security)
	require.NoError(t, err)
	_, err = email.Reveal(ctx, nil)
	require.EqualError(t, err, "pii: revealing email: nil scope: invalid argument")
	_, err = email.Hint(ctx, nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = email.Reveal(ctx, (*vault.Reader)(nil))
	require.ErrorIs(t, err, vault.ErrInvalid)
	index, err := pii.IndexEmail(ctx, "alice@example.com", nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	requirePoisoned(t, index)
	index, err = pii.IndexEmail(ctx, "alice@example.com", (*vault.Lookup)(nil))
	require.ErrorIs(t, err, vault.ErrInvalid)
	requirePoisoned(t, index)
	indexes, err := pii.IndexesEmail(ctx, "alice@example.com", nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	requirePoisoned(t, indexes[0])
	_, err = pii.SealEmail(ctx, "alice@example.com", (*vault.Collector)(nil))
	require.ErrorIs(t, err, vault.ErrInvalid)
}
