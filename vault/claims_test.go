package vault_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// The claims of a value are those of Purposes, Provenance and ByCollector, in one decoding.
func TestAppendClaims(t *testing.T) {
	security, ads, billing := purpose.MustParse("security"), purpose.MustParse("advertising"), purpose.MustParse("billing")
	kit, kind, ctx := piitest.New(t, security, ads, billing), vault.MustKind("claimed", "vault_test.Claimed"), t.Context()
	collector, err := kit.Vault.Collector(ctx, billing)
	require.NoError(t, err)
	full := purpose.Basis{
		Notice: "n-1", Legal: purpose.Consent, Consent: "c-1",
		Collected: time.Date(2019, 10, 9, 0, 0, 0, 0, time.UTC), Retain: 100 * 365 * 24 * time.Hour,
	}
	plain := kit.Scope(security)
	extended, err := vault.Seal(ctx, kind, "text", plain)
	require.NoError(t, err)
	extended, err = vault.Extend(ctx, kind, extended, nil, plain, kit.Scope(ads).Under(purpose.Basis{Consent: "c-9"}))
	require.NoError(t, err)
	values := map[string]vault.Sealed{"extended": extended, "zero": {}}
	for name, sealers := range map[string][]vault.Sealer{
		"one purpose":      {plain},
		"with a basis":     {plain.Under(full)},
		"of a person":      {plain.Under(full).For("user-1")},
		"of a collector":   {collector},
		"of three of them": {plain.Under(full), kit.Scope(ads), collector.Under(purpose.Basis{Notice: "form"})},
	} {
		values[name], err = vault.Seal(ctx, kind, "text", sealers...)
		require.NoError(t, err)
	}
	before := []vault.Claim{{Purpose: billing}}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			want := append([]vault.Claim(nil), before...)
			for p := range v.Purposes().All() {
				of, ok := v.Provenance(p)
				require.True(t, ok)
				want = append(want, vault.Claim{Purpose: p, Provenance: of, ByCollector: v.ByCollector(p)})
			}
			require.Equal(t, want, v.AppendClaims(append([]vault.Claim(nil), before...)))
			require.Len(t, v.AppendClaims(nil), v.Purposes().Len())
		})
	}
	require.True(t, values["of three of them"].AppendClaims(nil)[1].ByCollector)
}
