package piitest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault/audit"
)

func TestSamples(t *testing.T) {
	kit := piitest.New(t, security)
	scope := kit.Scope(security)
	for name, list := range map[string]struct {
		samples []piitest.Sample
		valid   func(string) bool
		reveal  func(string) (string, error)
	}{
		"emails": {piitest.Emails(), pii.ValidEmail, func(text string) (string, error) {
			e, err := pii.SealEmail(t.Context(), text, scope)
			require.NoError(t, err)
			return e.Reveal(t.Context(), scope)
		}},
		"phones": {piitest.Phones(), pii.ValidPhone, func(text string) (string, error) {
			p, err := pii.SealPhone(t.Context(), text, scope)
			require.NoError(t, err)
			return p.Reveal(t.Context(), scope)
		}},
	} {
		rules, valid := map[string]bool{}, 0
		for _, s := range list.samples {
			t.Run(name+"/"+s.Rule, func(t *testing.T) {
				require.False(t, rules[s.Rule], "two samples of one name")
				rules[s.Rule] = true
				require.Equal(t, s.Valid(), list.valid(s.Text))
				if s.Valid() {
					valid++
					text, err := list.reveal(s.Text)
					require.NoError(t, err)
					require.Equal(t, s.Revealed, text)
				}
			})
		}
		require.Greater(t, valid, 5)
		require.Greater(t, len(list.samples)-valid, 10)
	}
}

// FuzzIndexIsThatOfTheSealedValue is how seeds are used.
func FuzzIndexIsThatOfTheSealedValue(f *testing.F) {
	piitest.Seed(f, piitest.Emails(), piitest.Phones())
	kit := piitest.New(f, security)
	scope := kit.Scope(security)
	f.Fuzz(func(t *testing.T, text string) {
		ctx := t.Context()
		email, err := pii.SealEmail(ctx, text, scope)
		looked, lookErr := pii.IndexEmail(ctx, text, scope)
		require.Equal(t, err == nil, lookErr == nil)
		if err != nil {
			require.ErrorIs(t, err, pii.ErrMalformed)
			return
		}
		stored, err := email.Index(ctx, scope)
		require.NoError(t, err)
		require.True(t, stored.Equal(looked))
		kit.Audit.Reset()
	})
}

var _ audit.Auditor = (*piitest.Recorder)(nil)
