package batch_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Values under a retired key cost their own items. All others of the batch are done, and
// the error tells which is the case.
func TestRetiredKeysCostTheirOwnItems(t *testing.T) {
	security := purpose.MustParse("security")
	kit := piitest.New(t, security)
	s := kit.Scope(security)
	const n = 300 // some chunks
	of := func(i int) *vault.Scope {
		if i%3 == 0 { // of a person
			return s.For(fmt.Sprint("user-", i))
		}
		return s
	}
	address := func(i int) string { return fmt.Sprintf("user-%d@example.com", i) }
	old := func(i int) bool { return i%7 == 0 }
	values := make([]pii.Email, n)
	seal := func(which bool) {
		for i := range n {
			if old(i) != which {
				continue
			}
			var err error
			values[i], err = pii.SealEmail(t.Context(), address(i), of(i))
			require.NoError(t, err)
		}
	}
	seal(true)
	keys, err := kit.Admin.Keys(t.Context(), security)
	require.NoError(t, err)
	kit.Rotate(security, vault.RoleSeal)
	seal(false)
	for _, k := range keys {
		if k.Role == vault.RoleSeal {
			require.NoError(t, kit.Admin.Retire(t.Context(), security, k.ID))
		}
	}
	fresh, err := vault.Open(t.Context(), kit.Store, kit.KEK, nil) // where no person's key is in memory
	require.NoError(t, err)
	defer fresh.Close()
	s, err = fresh.Scope(t.Context(), security)
	require.NoError(t, err)
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	for name, f := range map[string]func(context.Context, int) (string, error){
		"reveal": func(ctx context.Context, i int) (string, error) { return values[i].Reveal(ctx, of(i)) },
		"hint":   func(ctx context.Context, i int) (string, error) { return values[i].Hint(ctx, of(i)) },
		"index": func(ctx context.Context, i int) (string, error) {
			_, err := values[i].Index(ctx, of(i))
			return "", err
		},
		"reseal": func(ctx context.Context, i int) (string, error) {
			_, err := values[i].Reseal(ctx, of(i))
			return "", err
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs := collect(batch.Map(t.Context(), slices.Values(ids), f))
			require.Len(t, out, n)
			for i, err := range errs {
				if old(i) {
					require.ErrorIs(t, err, vault.ErrRetired, i)
					require.ErrorIs(t, err, vault.ErrCorrupt, i)
					require.Empty(t, out[i])
					continue
				}
				require.NoError(t, err, i)
				if name == "reveal" {
					require.Equal(t, address(i), out[i])
				}
			}
		})
	}
}
