package faulttest

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// belated is a store whose answers can be long on their way.
type belated struct {
	vault.Store
	delay atomic.Int64
}

func (b *belated) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	records, err := b.Store.Get(ctx, names...)
	time.Sleep(time.Duration(b.delay.Load()))
	return records, err
}

// What was read before another process rotated is not what the keys of subjects
// are re-wrapped by: the old key would look as if it could be retired.
func TestRewrappingDoesNotJoinAnOlderLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kek := vault.SharedKEK(vaulttest.NewAEAD(t))
		store := &belated{Store: vault.Memory()}
		here, there := vaulttest.Open(t, store, kek, nil), vaulttest.Open(t, store.Store, kek, nil)
		require.NoError(t, here.Generate(t.Context(), vaulttest.Security))
		s := vaulttest.Scope(t, here, vaulttest.Security)
		value := vaulttest.Seal(t, s.For("alice"))

		time.Sleep((5 * time.Minute))
		synctest.Wait()
		store.delay.Store(int64(time.Second))
		_, err := s.Index(t.Context(), vaulttest.Note, "text") // which has it look
		require.NoError(t, err)
		synctest.Wait()
		vaulttest.Rotate(t, there, vaulttest.Security, vault.RoleSeal)
		require.NoError(t, here.RewrapSubjects(t.Context(), vaulttest.Security, "", nil))

		keys, err := there.Keys(t.Context(), vaulttest.Security)
		require.NoError(t, err)
		for _, k := range keys {
			if k.Role == vault.RoleSeal && k.Status == vault.Active {
				require.NoError(t, there.Retire(t.Context(), vaulttest.Security, k.ID))
			}
		}
		vaulttest.Opens(t, vaulttest.Scope(t, there, vaulttest.Security).For("alice"), value)
		here.Close()
		there.Close()
	})
}
