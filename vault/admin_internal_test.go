package vault

import (
	"context"
	"errors"
	"math"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// generating is a KEK that makes keys, and notes for which purposes.
type generating struct {
	KEK
	made []purpose.Purpose
	err  error
}

func (g *generating) Generate(_ context.Context, p purpose.Purpose) error {
	g.made = append(g.made, p)
	return g.err
}

// Who has no grant for a purpose can still see to it that its keys are there, and the
// KEK makes its key for that purpose and no other.
func TestGenerateAsksTheKEKOnlyForNewKeys(t *testing.T) {
	security, billing := purpose.MustParse("security"), purpose.MustParse("billing")
	kek := &generating{KEK: testKEK(t)}
	store := Memory()
	v, err := OpenAdmin(t.Context(), store, kek, nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(t.Context(), security))
	require.Equal(t, []purpose.Purpose{security}, kek.made)
	kek.err = ErrNoKeys
	require.NoError(t, v.Generate(t.Context(), security))
	require.ErrorIs(t, v.Generate(t.Context(), security, billing), ErrNoKeys)
	require.Equal(t, []purpose.Purpose{security, billing}, kek.made)
	records, err := store.Get(t.Context(), keyRecordName(billing))
	require.NoError(t, err)
	require.Empty(t, records)
}

// A conflict is taken for somebody else's keys only where there are some, and no other
// error is.
func TestGenerateBelievesWhatIsThere(t *testing.T) {
	security, kek := purpose.MustParse("security"), testKEK(t)
	for name, c := range map[string]struct {
		exists bool
		put    error
		get    error
		want   error
	}{
		"another was first":       {true, ErrConflict, nil, nil},
		"a conflict with nothing": {false, ErrConflict, nil, ErrConflict},
		"which can't be told":     {true, ErrConflict, errors.New("disk on fire"), ErrUnavailable},
		"a failure":               {true, errors.New("disk full"), nil, ErrUnavailable},
	} {
		memory := &gated{Store: Memory()}
		store := &beforePut{Store: memory}
		v, err := OpenAdmin(t.Context(), store, kek, nil)
		require.NoError(t, err)
		store.before = func() error {
			if c.exists {
				first, err := OpenAdmin(t.Context(), memory.Store, kek, nil)
				require.NoError(t, err)
				require.NoError(t, first.Generate(t.Context(), security))
			}
			memory.fail(c.get)
			return c.put
		}
		require.ErrorIs(t, v.Generate(t.Context(), security), c.want, name)
		v.Close()
	}
}

// Purposes that are opened at once do not get each other's answer.
func TestPurposesOpenedAtOnce(t *testing.T) {
	memory, kek := Memory(), testKEK(t)
	purposes := []purpose.Purpose{purpose.MustParse("security"), purpose.MustParse("billing"), purpose.MustParse("advertising")}
	_, s := subjectsOf(t, memory, kek, nil)
	_ = s
	w, err := OpenAdmin(t.Context(), memory, kek, nil)
	require.NoError(t, err)
	require.NoError(t, w.Generate(t.Context(), purposes...))
	synctest.Test(t, func(t *testing.T) {
		closed := &gated{Store: memory}
		gate := closed.shut()
		v, err := OpenAdmin(t.Context(), closed, kek, nil)
		require.NoError(t, err)
		done := make(chan error, len(purposes))
		for _, p := range purposes {
			go func() {
				s, err := v.Scope(t.Context(), p)
				if err == nil && s.Purpose() != p {
					err = errors.New("of another purpose")
				}
				done <- err
			}()
		}
		synctest.Wait()
		close(gate)
		for range purposes {
			require.NoError(t, <-done)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = v.Scope(ctx, purposes[0])
		require.ErrorIs(t, err, ErrUnavailable, "though it is open")
		require.ErrorIs(t, err, context.Canceled)
		v.Close()
		_, err = v.Scope(t.Context(), purposes[0])
		require.ErrorIs(t, err, ErrNoKeys)
	})
}

// What a change of the keys is built on is checked as what a scope is opened with.
func TestChangesOfKeysCheckTheStore(t *testing.T) {
	kek := testKEK(t)
	for name, c := range map[string]struct {
		spoil func(t *testing.T, store Store, p purpose.Purpose)
		kek   KEK
		pin   uint64 // generations beyond the store's
		want  error
	}{
		"nothing wrong":      {nil, kek, 0, nil},
		"older than its pin": {nil, kek, 1, errPin},
		"KEK refuses":        {nil, kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return nil, ErrNoKeys }), 0, ErrNoKeys},
		"another KEK":        {nil, testKEK(t), 0, ErrNoKeys},
		"altered erasures":   {alter(erasuresName), kek, 0, errErasures},
		"altered keys":       {alter(keyRecordName), kek, 0, ErrCorrupt},
	} {
		store := Memory()
		before, s := subjectsOf(t, store, kek, nil)
		_, err := before.Erase(t.Context(), "alice", s.Purpose())
		require.NoError(t, err)
		pin, err := before.Pin(t.Context(), s.Purpose())
		require.NoError(t, err)
		pin.generation += c.pin
		if c.spoil != nil {
			c.spoil(t, store, s.Purpose())
		}
		v, err := OpenAdmin(t.Context(), store, c.kek, &Options{Pin: FixedPins(pin)})
		require.NoError(t, err)
		records, err := store.Get(t.Context(), keyRecordName(s.Purpose()))
		require.NoError(t, err)
		err = v.Rotate(t.Context(), s.Purpose(), RoleSeal)
		require.ErrorIs(t, err, c.want, name)
		after, getErr := store.Get(t.Context(), keyRecordName(s.Purpose()))
		require.NoError(t, getErr)
		require.Equal(t, err != nil, records[0].Revision == after[0].Revision, name)
		_, err = v.Scope(t.Context(), s.Purpose())
		require.ErrorIs(t, err, c.want, name)
		v.Close()
	}
}

// A store that fails is not taken for one that a change was made in.
func TestRotatingInAFailingStore(t *testing.T) {
	store := &gated{Store: Memory()}
	v, s := subjectsOf(t, store, testKEK(t), nil)
	store.fail(errors.New("disk on fire"))
	require.EqualError(t, v.Rotate(t.Context(), s.Purpose(), RoleSeal), "vault: rotating keys of security: key store: unavailable")
}

// alter changes the last bit of a record.
func alter(name func(purpose.Purpose) string) func(*testing.T, Store, purpose.Purpose) {
	return func(t *testing.T, store Store, p purpose.Purpose) {
		t.Helper()
		records, err := store.Get(t.Context(), name(p))
		require.NoError(t, err)
		records[0].Data[len(records[0].Data)-1] ^= 1
		_, err = store.Put(t.Context(), records[0])
		require.NoError(t, err)
	}
}

// How far a store has come is known from when it was opened, also to a handle that has
// not the key that the count of erasures is checked with.
func TestErasuresAreKnownFromTheStart(t *testing.T) {
	store, kek := Memory(), testKEK(t)
	before, s := subjectsOf(t, store, kek, nil)
	_, err := before.Erase(t.Context(), "alice", s.Purpose())
	require.NoError(t, err)
	v, fresh := subjectsOf(t, store, kek, nil)
	require.EqualValues(t, 1, fresh.opened.erasure.Load().count)
	lookup, err := v.Lookup(t.Context(), s.Purpose())
	require.NoError(t, err)
	for _, pk := range []*purposeKeys{fresh.opened, lookup.scope.opened} {
		require.EqualValues(t, 1, pk.erasure.Load().count)
		require.NoError(t, pk.refreshNow(t.Context()))
		require.EqualValues(t, 1, pk.erasure.Load().count)
	}
}

// An option out of bounds is refused, and the error names it.
func TestOptionsOutOfBounds(t *testing.T) {
	refused := 0
	for field := range reflect.TypeFor[Options]().Fields() {
		var bad []any
		switch field.Type {
		case reflect.TypeFor[time.Duration]():
			bad = []any{time.Duration(-1), time.Duration(math.MinInt64), maxDuration + 1, time.Duration(math.MaxInt64)}
		case reflect.TypeFor[int]():
			bad = []any{-1, math.MinInt}
		case reflect.TypeFor[CollectorKEM]():
			bad = []any{CollectorKEM("x25519"), CollectorKEM(" ")}
		case reflect.TypeFor[map[purpose.Purpose]Budget]():
			for _, b := range []Budget{{PerMinute: -1}, {PerMinute: maxBudget + 1}, {PerMinute: 1, Burst: -1}, {PerMinute: 1, Burst: maxBudget + 1}, {Burst: 1}} {
				bad = append(bad, map[purpose.Purpose]Budget{purpose.MustParse("security"): b})
			}
		case reflect.TypeFor[bool](), reflect.TypeFor[audit.Auditor](), reflect.TypeFor[func(context.Context, purpose.Purpose) (Pin, error)]():
			continue // any value will do
		default:
			t.Errorf("say what is out of bounds for option %s", field.Name)
		}
		for _, b := range bad {
			var o Options
			reflect.ValueOf(&o).Elem().FieldByIndex(field.Index).Set(reflect.ValueOf(b))
			_, err := o.withDefaults()
			require.ErrorIs(t, err, ErrInvalid, field.Name)
			require.ErrorContains(t, err, field.Name)
			refused++
		}
	}
	require.Greater(t, refused, 30)
}

// Options within bounds are taken as they are.
func TestOptionsAreTakenAsTheyAre(t *testing.T) {
	given := Options{
		Timeout: 1, Refresh: 2, KeyLifetime: maxDuration, SuspendLifetime: 7, SubjectLifetime: 4, SubjectCache: 5, Collectors: X25519, DestroyAfter: 6, ExactTimes: true,
	}
	got, err := given.withDefaults()
	require.NoError(t, err)
	require.Equal(t, given, got)
	got, err = (*Options)(nil).withDefaults()
	require.NoError(t, err)
	require.Equal(t, XWing, got.Collectors)
}
