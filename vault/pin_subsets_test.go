package vault_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A store in which any subset of the records went back, and which processes without a pin
// changed afterwards, is refused under a pin and by an open vault. Two subsets pass in the
// end, and bring nobody back: the record of the last person who was erased, because the
// next erasure completes that one first; and the count of erasures alone, because all
// tombstones stand.
func TestEverySubsetOfRecordsThatWentBack(t *testing.T) {
	ctx, p := t.Context(), vaulttest.Security
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(ctx, p))
	s := vaulttest.Scope(t, v, p)
	alice, carol := vaulttest.Seal(t, s.For("alice")), vaulttest.Seal(t, s.For("carol"))
	vaulttest.Seal(t, s.For("bob"))
	_, err := v.Erase(ctx, "carol", p)
	require.NoError(t, err)
	before := vaulttest.Content(t, store)
	require.NoError(t, v.Rotate(ctx, p, vault.RoleSeal))
	_, err = v.Erase(ctx, "alice", p)
	require.NoError(t, err)
	pin, err := v.Pin(ctx, p)
	require.NoError(t, err)
	after := vaulttest.Content(t, store)

	var changed []string // the records that a backup brings back
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if string(before[name]) != string(after[name]) {
			changed = append(changed, name)
		}
	}
	require.Len(t, changed, 3, "keys, erasures and alice's record")
	refused := 0
	for subset := range 1 << len(changed) {
		for forward := range 4 {
			now := vault.Memory()
			back := 0
			for name, data := range after {
				if i := slices.Index(changed, name); i >= 0 && subset>>i&1 == 1 {
					data = before[name]
					back++
				}
				vaulttest.PutRecord(t, now, name, 0, string(data))
			}
			held := vaulttest.Swappable(store)
			open := vaulttest.Open(t, held, kek, nil)
			vaulttest.Scope(t, open, p)
			erased, rotated := true, true
			for i := range forward {
				unpinned := vaulttest.Open(t, now, kek, nil)
				_, err := unpinned.Erase(ctx, fmt.Sprint("other-", i), p)
				erased = erased && err == nil
				rotated = rotated && unpinned.Rotate(ctx, p, vault.RoleSeal) == nil
			}
			label := fmt.Sprintf("subset %03b, forward by %d", subset, forward)
			harmless := back == 0
			if back == 1 && erased && rotated {
				switch name := changed[indexOfOne(subset)]; {
				case strings.HasSuffix(name, "/erasures"):
					harmless = forward > 1
				case strings.Contains(name, "/subjects/"):
					harmless = forward > 0
				}
			}
			_, err := vaulttest.Open(t, now, kek, &vault.Options{Pin: vault.FixedPins(pin)}).Scope(ctx, p)
			require.Equal(t, harmless, err == nil, "pinned: %s: %v", label, err)
			held.Swap(now)
			_, err = open.Pin(ctx, p)
			require.Equal(t, harmless, err == nil, "open: %s: %v", label, err)
			if !harmless {
				require.ErrorIs(t, err, vault.ErrCorrupt, label)
				refused++
				continue
			}
			// Nobody came back.
			scope := vaulttest.Scope(t, vaulttest.Open(t, now, kek, nil), p)
			for name, value := range map[string]vault.Sealed{"alice": alice, "carol": carol} {
				_, err := scope.For(name).Reveal(ctx, vaulttest.Note, value)
				require.True(t, errors.Is(err, vault.ErrErased), "%s: %s: %v", label, name, err)
			}
		}
	}
	require.Positive(t, refused)
}

// indexOfOne returns the position of the lowest bit of n that is set, 0 if none is.
func indexOfOne(n int) int {
	for i := range 8 {
		if n>>i&1 == 1 {
			return i
		}
	}
	return 0
}
