//go:build !race

package alloctest

import (
	"database/sql/driver"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

const (
	address = "alice.wonder@example.com"
	number  = "+14155552671"
)

var (
	forSecurity    = purpose.MustParse("security")
	forAdvertising = purpose.MustParse("advertising")
)

// The number of allocations of each way that a value goes, without an auditor. Apart from
// ciphers, most of the time goes into the allocator, so a number that grows is a decision.
// The race detector makes pools forget, and so is left out.
func TestAllocations(t *testing.T) {
	ctx := t.Context()
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	kek, err := aead.New(h)
	require.NoError(t, err)
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(kek), nil)
	require.NoError(t, err)
	require.NoError(t, v.Generate(ctx, forSecurity, forAdvertising))
	security, err := v.Scope(ctx, forSecurity)
	require.NoError(t, err)
	advertising, err := v.Scope(ctx, forAdvertising)
	require.NoError(t, err)
	collector, err := v.Collector(ctx, forSecurity)
	require.NoError(t, err)
	batch, err := collector.Batch()
	require.NoError(t, err)
	notice := security.Under(purpose.Basis{Notice: "2fa-prompt-v3"})

	email, err := pii.SealEmail(ctx, address, security)
	require.NoError(t, err)
	phone, err := pii.SealPhone(ctx, number, security)
	require.NoError(t, err)
	theirs, err := pii.SealEmail(ctx, address, security.For("alice"))
	require.NoError(t, err)
	index, err := pii.IndexEmail(ctx, address, security)
	require.NoError(t, err)
	text, err := email.MarshalText()
	require.NoError(t, err)
	stored := string(text)
	kind := vault.MustKind("email", "pii.Email")

	var sink driver.Value // or the compiler leaves the interface out
	for _, way := range []struct {
		name   string
		allocs float64
		do     func() error
	}{
		// The text.
		{"vault.Seal", 1, func() error { _, err := vault.Seal(ctx, kind, address, security); return err }},
		{"SealEmail", 1, func() error { _, err := pii.SealEmail(ctx, address, security); return err }},
		{"SealPhone", 1, func() error { _, err := pii.SealPhone(ctx, number, security); return err }},
		{"SealEmail under a notice", 1, func() error { _, err := pii.SealEmail(ctx, address, notice); return err }},
		{"SealEmail for two purposes", 1, func() error { _, err := pii.SealEmail(ctx, address, security, advertising); return err }},
		{"SealEmail by a batch", 1, func() error { _, err := pii.SealEmail(ctx, address, batch); return err }},
		// The text, and the scope of the person.
		{"SealEmail for a person", 2, func() error { _, err := pii.SealEmail(ctx, address, security.For("alice")); return err }},
		// The plaintext.
		{"Email.Reveal", 1, func() error { _, err := email.Reveal(ctx, security); return err }},
		{"Phone.Reveal", 1, func() error { _, err := phone.Reveal(ctx, security); return err }},
		{"Email.Reveal for a person", 2, func() error { _, err := theirs.Reveal(ctx, security.For("alice")); return err }},
		// The output of Tink.
		{"IndexEmail", 1, func() error { _, err := pii.IndexEmail(ctx, address, security); return err }},
		{"IndexPhone", 1, func() error { _, err := pii.IndexPhone(ctx, number, security); return err }},
		// A copy, and the interface that it is in.
		{"Email.Scan", 1, func() error { var e pii.Email; return e.Scan(stored) }},
		{"Email.Value", 2, func() error { var err error; sink, err = email.Value(); return err }},
		{"Index.Value", 2, func() error { var err error; sink, err = index.Value(); return err }},
	} {
		require.NoError(t, way.do(), way.name)
		require.Equal(t, way.allocs, testing.AllocsPerRun(1000, func() { way.do() }), way.name)
	}
	require.NotNil(t, sink)
}
