package pii_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// living is what Email and Phone have in common.
type living[T any] interface {
	Extend(ctx context.Context, from, to *vault.Scope) (T, error)
	Without(purpose.Purpose) T
	WithoutExpired() T
	Reseal(ctx context.Context, scopes ...*vault.Scope) (T, error)
	Reveal(ctx context.Context, scope vault.Revealer) (string, error)
	ByCollector(purpose.Purpose) bool
	Purposes() purpose.Set
	IsZero() bool
}

func TestEmailsLive(t *testing.T) { testLife(t, testAddress, pii.SealEmail) }
func TestPhonesLive(t *testing.T) { testLife(t, testNumber, pii.SealPhone) }
func TestOthersLive(t *testing.T) {
	testLife(t, testTaxID, func(ctx context.Context, text string, scopes ...vault.Sealer) (pii.Sealed[taxID], error) {
		return pii.Seal[taxID](ctx, text, scopes...)
	})
}

// A value goes through a life of its own, and after each step says of itself what
// it is, and opens for what it should alone.
func testLife[T living[T]](t *testing.T, text string, seal func(context.Context, string, ...vault.Sealer) (T, error)) {
	synctest.Test(t, func(t *testing.T) {
		kit := piitest.New(t, forSecurity, forAdvertising, forBilling)
		security, ads, billing := kit.Scope(forSecurity), kit.Scope(forAdvertising), kit.Scope(forBilling)
		holds := func(v T, want string, scopes ...*vault.Scope) {
			t.Helper()
			require.Equal(t, want, v.Purposes().String())
			for _, s := range []*vault.Scope{security, ads, billing} {
				got, err := v.Reveal(ctx, s)
				if v.Purposes().Contains(s.Purpose()) {
					require.NoError(t, err)
					require.Equal(t, text, got)
				} else {
					require.Error(t, err)
				}
			}
		}

		v, err := seal(ctx, text, security, billing.Under(purpose.Basis{Retain: time.Hour}))
		require.NoError(t, err)
		holds(v, "billing+security")
		extended, err := v.Extend(ctx, security, ads.Under(purpose.Basis{Consent: "c-1"}))
		require.NoError(t, err)
		holds(extended, "advertising+billing+security")
		refused, err := v.Extend(ctx, security, ads)
		require.ErrorIs(t, err, purpose.ErrNoConsent)
		require.True(t, refused.IsZero())

		holds(extended.Without(forSecurity), "advertising+billing")
		holds(extended.Without(forSecurity).Without(forBilling), "advertising")
		holds(v.Without(forAdvertising), "billing+security")
		require.True(t, v.Without(forSecurity).Without(forBilling).IsZero())

		resealed, err := extended.Reseal(ctx, security, ads, billing)
		require.NoError(t, err)
		holds(resealed, "advertising+billing+security")
		require.NotEqual(t, extended, resealed)
		refused, err = extended.Reseal(ctx)
		require.ErrorIs(t, err, vault.ErrInvalid)
		require.True(t, refused.IsZero())

		collector, err := kit.Vault.Collector(ctx, forSecurity)
		require.NoError(t, err)
		collected, err := seal(ctx, text, collector, billing)
		require.NoError(t, err)
		holds(collected, "billing+security")
		require.True(t, collected.ByCollector(forSecurity))
		require.False(t, collected.ByCollector(forBilling))
		require.False(t, collected.ByCollector(forAdvertising))
		require.False(t, v.ByCollector(forSecurity))

		holds(v.WithoutExpired(), "billing+security")
		time.Sleep(time.Hour)
		require.Equal(t, "security", v.WithoutExpired().Purposes().String())
		_, err = v.Reveal(ctx, billing)
		require.ErrorIs(t, err, vault.ErrExpired)
	})
}

// All that is between parentheses begins with a digit from 1 to 9 and ends with
// a digit, and what stands beside the digits in ASCII is none.
func TestPhoneOfEveryByte(t *testing.T) {
	security, _ := newScopes(t)
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	separator := func(c byte) bool { return c == ' ' || c == '-' || c == '.' }
	for b := range 256 {
		c := byte(b)
		for number, ok := range map[string]bool{
			"+" + string([]byte{c}) + "155552671":        digit(c) && c != '0',
			"+7155552" + string([]byte{c}) + "671":       digit(c) || separator(c),
			"+7155552671" + string([]byte{c}):            digit(c) || c == ' ' || c == '\t' || c == '\r' || c == '\n',
			"+7 (" + string([]byte{c}) + "15) 5552671":   digit(c) && c != '0',
			"+7 (415" + string([]byte{c}) + ") 5552671":  digit(c),
			"+7 (415" + string([]byte{c}) + "1) 5552671": digit(c) || separator(c),
		} {
			_, err := pii.SealPhone(ctx, number, security)
			require.Equal(t, ok, err == nil, "%q", number)
		}
	}
}

// Of whom one can be reached by a hint, the country code tells the least.
func TestHintsShowTheCountryCode(t *testing.T) {
	security, _ := newScopes(t)
	for number, want := range map[string]string{
		"+14155552671":  "+1 ••• ••• ••71",
		"+74155552671":  "+7 ••• ••• ••71",
		"+204155552671": "+20 ••• ••• ••71",
		"+984155552671": "+98 ••• ••• ••71",
		"+212415555267": "+212 ••• ••• ••67",
		"+999415555267": "+999 ••• ••• ••67",
	} {
		phone, err := pii.SealPhone(ctx, number, security)
		require.NoError(t, err)
		hint, err := phone.Hint(ctx, security)
		require.NoError(t, err)
		require.Equal(t, want, hint)
	}
}

// As many bytes as may be typed are looked at, and not one more.
func TestEmailsAreReadUpToTheirBound(t *testing.T) {
	security, _ := newScopes(t)
	const maxTyped = 4 * 254
	blanks := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = ' '
		}
		return string(b)
	}
	_, err := pii.SealEmail(ctx, testAddress+blanks(maxTyped-len(testAddress)), security)
	require.NoError(t, err)
	_, err = pii.SealEmail(ctx, testAddress+blanks(maxTyped-len(testAddress)+1), security)
	require.ErrorIs(t, err, pii.ErrMalformed)
}
