package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// sealsOf returns the counts of the seal keys of p, with the key that is primary now
// first.
func sealsOf(t *testing.T, v *Admin, p purpose.Purpose) (counts []uint64) {
	t.Helper()
	keys, err := v.Keys(t.Context(), p)
	require.NoError(t, err)
	for _, k := range keys {
		switch {
		case k.Role != RoleSeal:
			require.Zero(t, k.Seals)
		case k.Status == Primary:
			counts = append([]uint64{k.Seals}, counts...)
		default:
			counts = append(counts, k.Seals)
		}
	}
	return counts
}

func sealTimes(t *testing.T, s *Scope, n int) {
	t.Helper()
	for range n {
		_, err := Seal(t.Context(), lookKind, "text", s)
		require.NoError(t, err)
	}
}

// Vaults that seal at the same time add up, over rotations, and to the last seal once
// they are closed. A subject's record is one seal; values under its key are none.
func TestSealsAddUp(t *testing.T) {
	admin, p := testVault(t, Memory(), nil)
	var wg sync.WaitGroup
	const vaults, seals = 8, 500
	for range vaults {
		wg.Go(func() {
			v, err := Open(t.Context(), admin.store, admin.kek, nil)
			require.NoError(t, err)
			s, err := v.Scope(t.Context(), p)
			require.NoError(t, err)
			sealTimes(t, s, seals)
			require.NoError(t, v.Close())
			require.NoError(t, v.Close())
		})
	}
	wg.Wait()
	require.Equal(t, []uint64{vaults * seals}, sealsOf(t, admin, p))
	s, err := admin.Scope(t.Context(), p)
	require.NoError(t, err)
	sealTimes(t, s.For("alice"), 10)
	require.Equal(t, []uint64{vaults*seals + 1}, sealsOf(t, admin, p), "with the seals that are not written yet")
	rotateNow(t, admin, p, RoleSeal)
	sealTimes(t, s, 3)
	require.Equal(t, []uint64{3, vaults*seals + 1}, sealsOf(t, admin, p))
	require.NoError(t, admin.Close())
	again, err := OpenAdmin(t.Context(), admin.store, admin.kek, nil)
	require.NoError(t, err)
	defer again.Close()
	require.Equal(t, []uint64{3, vaults*seals + 1}, sealsOf(t, again, p))
}

// A process that has become idle still writes its count, once in Options.Refresh, and
// then asks for nothing more.
func TestIdleProcessWritesItsSeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLookWorld(t, nil)
		before := sealsOf(t, w.admin, w.s.Purpose())[0]
		require.Zero(t, before, "nothing is written yet")
		sealTimes(t, w.s, 4)
		time.Sleep(defaultRefresh + time.Second)
		synctest.Wait()
		require.Equal(t, []uint64{5}, sealsOf(t, w.admin, w.s.Purpose()))
		var n atomic.Int64
		w.store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
			n.Add(1)
			return w.store.Store.Get(ctx, names...)
		})
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Zero(t, n.Load())

		// A write that fails is made up for.
		w.store.setGet(func(ctx context.Context, names ...string) ([]Record, error) {
			if strings.HasSuffix(names[0], "/seals") {
				return nil, errors.New("down")
			}
			return w.store.Store.Get(ctx, names...)
		})
		sealTimes(t, w.s, 4)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, []uint64{5}, sealsOf(t, w.admin, w.s.Purpose()))
		w.store.setGet(nil)
		time.Sleep(defaultRefresh)
		synctest.Wait()
		require.Equal(t, []uint64{9}, sealsOf(t, w.admin, w.s.Purpose()))
	})
}

// An older record of counts is not believed by a vault that knows better, and one that
// is altered by nobody.
func TestSealsAreNotCountedBack(t *testing.T) {
	store := &hookedStore{Store: Memory()}
	v, p := testVault(t, store, nil)
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	write := func() { require.NoError(t, s.opened.writeSeals(t.Context())) }
	sealTimes(t, s, 5)
	write()
	old, err := v.get(t.Context(), sealsName(p))
	require.NoError(t, err)
	sealTimes(t, s, 5)
	write()
	put := func(data []byte) {
		now, err := v.get(t.Context(), sealsName(p))
		require.NoError(t, err)
		_, err = v.store.Put(t.Context(), Record{Name: sealsName(p), Data: data, Revision: now[0].Revision})
		require.NoError(t, err)
	}
	put(old[0].Data)
	require.Equal(t, []uint64{10}, sealsOf(t, v, p))
	sealTimes(t, s, 1)
	write()
	require.Equal(t, []uint64{11}, sealsOf(t, v, p))
	other, err := OpenAdmin(t.Context(), store, v.kek, nil)
	require.NoError(t, err)
	defer other.Close()
	require.Equal(t, []uint64{11}, sealsOf(t, other, p))

	good, err := v.get(t.Context(), sealsName(p))
	require.NoError(t, err)
	for i := range good[0].Data {
		bad := append([]byte(nil), good[0].Data...)
		bad[i] ^= 1
		_, err := decodeSeals(s.opened.current.Load(), p, bad)
		require.ErrorIs(t, err, ErrCorrupt)
		_, err = decodeSeals(s.opened.current.Load(), p, good[0].Data[:i])
		require.ErrorIs(t, err, ErrCorrupt)
	}
	_, err = decodeSeals(s.opened.current.Load(), purpose.MustParse("billing"), good[0].Data)
	require.ErrorIs(t, err, ErrCorrupt)
	put(append(good[0].Data, 0))
	_, err = other.Keys(t.Context(), p)
	require.ErrorIs(t, err, ErrCorrupt)
	sealTimes(t, s, 1)
	require.ErrorIs(t, s.opened.writeSeals(t.Context()), ErrCorrupt)
	put(good[0].Data)
	write()
	require.Equal(t, []uint64{12}, sealsOf(t, other, p), "none is lost")
}

// The process whose write brings a key to half of its budget records it, and no other.
func TestHalfOfTheSealsIsRecorded(t *testing.T) {
	var mu sync.Mutex
	var due []audit.Event
	opts := &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if e.Action == audit.Due {
			due = append(due, e)
		}
		return nil
	})}
	v, p := testVault(t, Memory(), opts)
	other, err := Open(t.Context(), v.store, v.kek, opts)
	require.NoError(t, err)
	defer other.Close()
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	theirs, err := other.Scope(t.Context(), p)
	require.NoError(t, err)
	k := s.opened.current.Load()
	count := &v.sealCounts(p).of(binary.BigEndian.Uint32(k.seal.schedule.primary().id[1:])).here
	count.add(maxSeals/2 - 1)
	require.NoError(t, s.opened.writeSeals(t.Context()))
	require.Empty(t, due)
	for range 3 {
		sealTimes(t, theirs, 1)
		require.NoError(t, theirs.opened.writeSeals(t.Context()))
		sealTimes(t, s, 1)
		require.NoError(t, s.opened.writeSeals(t.Context()))
	}
	require.Len(t, due, 1)
	require.Equal(t, []any{p, string(RoleSeal), audit.Allowed}, []any{due[0].Purpose, due[0].Role, due[0].Outcome})
	sum := v.sealCounts(p).onto(map[uint32]uint64{7: math.MaxUint64 - 1}, map[uint32]uint64{7: 5})
	require.EqualValues(t, uint64(math.MaxUint64), sum[7], "it stays at the end")
}

// A vault that sealed and was dropped is collected, though its seals are not written.
func TestDroppedVaultThatSealedIsCollected(t *testing.T) {
	var alive func() bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		v, p := dropped(t)
		s, err := v.Scope(context.Background(), p)
		require.NoError(t, err)
		_, err = Seal(context.Background(), lookKind, "text", s)
		require.NoError(t, err)
		require.True(t, s.opened.counting.Load())
		alive = aliveness(s.opened)
	}()
	<-done
	collectUntil(func() bool { return !alive() })
	require.False(t, alive())
}

// Close waits for a store that hangs for a bounded time.
func TestCloseDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLookWorld(t, nil)
		release := make(chan struct{})
		w.store.setGet(func(context.Context, ...string) ([]Record, error) { <-release; return nil, errors.New("late") })
		began := time.Now()
		require.NoError(t, w.idle.Close())
		require.Equal(t, maxPatience, time.Since(began))
		close(release)
	})
}
