package piitest_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Everything works where time stands still until it is moved on.
func TestInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := piitest.New(t, security, advertising)
		piitest.Separate(t, kit.Vault)
		piitest.Golden(t, "testdata/golden.keys", security)
		scope := kit.Scope(security)
		piitest.Canary(t, scope, func(c *piitest.Contact) { c.Search("export", "nothing") })
		piitest.NoLeak(t, func(c *piitest.Contact) {
			slog.Debug("in a bubble")
			synctest.Wait()
			time.Sleep(time.Minute)
		})
		rec := kit.Record()
		short := kit.Email(scope.Under(purpose.Basis{Retain: time.Hour}))
		_, err := short.Reveal(t.Context(), scope)
		require.NoError(t, err)
		time.Sleep(2 * time.Hour)
		_, err = short.Reveal(t.Context(), scope)
		require.ErrorIs(t, err, vault.ErrExpired)
		rec.Only(t, security)
	})
}

func TestManyKitsAtOnce(t *testing.T) {
	for range 8 {
		t.Run("kit", func(t *testing.T) {
			t.Parallel()
			kit := piitest.New(t, security, advertising)
			rec := kit.Record()
			_, err := pii.IndexEmail(t.Context(), "many@example.com", kit.Scope(security))
			require.NoError(t, err)
			rec.Only(t, security)
			piitest.Separate(t, kit.Vault)
		})
	}
}
