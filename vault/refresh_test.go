package vault_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
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
		kek := vault.SharedKEK(newAEAD(t))
		store := &belated{Store: vault.Memory()}
		here, there := open(t, store, kek, nil), open(t, store.Store, kek, nil)
		require.NoError(t, here.Generate(t.Context(), security))
		s := scope(t, here, security)
		value := seal(t, s.For("alice"))

		time.Sleep(vault.DefaultRefresh)
		synctest.Wait()
		store.delay.Store(int64(time.Second))
		_, err := s.Index(t.Context(), note, "text") // which has it look
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, there.Rotate(t.Context(), security))
		require.NoError(t, here.RewrapSubjects(t.Context(), security, "", nil))

		keys, err := there.Keys(t.Context(), security)
		require.NoError(t, err)
		for _, k := range keys {
			if k.Role == vault.RoleSeal && k.Status == vault.Active {
				require.NoError(t, there.Retire(t.Context(), security, k.ID))
			}
		}
		opens(t, scope(t, there, security).For("alice"), value)
		here.Close()
		there.Close()
	})
}
