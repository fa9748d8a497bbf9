package vault

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// Results have each operation once, under its purpose, kind and reason, whether it is
// recorded or not.
func TestResults(t *testing.T) {
	for _, auditor := range []audit.Auditor{nil, auditorFunc(func(context.Context, audit.Event) error { return nil })} {
		v, p := testVault(t, Memory(), &Options{Audit: auditor})
		ctx, ads := t.Context(), purpose.MustParse("advertising")
		require.NoError(t, v.Generate(ctx, ads))
		s, err := v.Scope(ctx, p)
		require.NoError(t, err)
		other, err := v.Scope(ctx, ads)
		require.NoError(t, err)
		x, err := Seal(ctx, lookKind, "text", s)
		require.NoError(t, err)
		for range 3 {
			_, err = s.Reveal(ctx, lookKind, x)
			require.NoError(t, err)
			_, err = other.Reveal(ctx, lookKind, x)
			require.ErrorIs(t, err, purpose.ErrMismatch)
		}
		_, err = s.Index(ctx, lookKind, "")
		require.ErrorIs(t, err, ErrInvalid)
		require.Equal(t, []Result{
			{ads, audit.Generate, "", audit.Allowed, "", 1},
			{ads, audit.Open, "", audit.Allowed, "", 1},
			{ads, audit.Reveal, "look", audit.Denied, "purpose", 3},
			{p, audit.Generate, "", audit.Allowed, "", 1},
			{p, audit.Index, "look", audit.Failed, "invalid", 1},
			{p, audit.Open, "", audit.Allowed, "", 1},
			{p, audit.Reveal, "look", audit.Allowed, "", 3},
			{p, audit.Seal, "look", audit.Allowed, "", 1},
		}, v.Stats().Results)
	}
}

// A name that somebody made up is in no counter: a purpose without keys, and a kind in
// the header of a forged value.
func TestResultsNameNothingMadeUp(t *testing.T) {
	v, p := testVault(t, Memory(), nil)
	ctx := t.Context()
	s, err := v.Scope(ctx, p)
	require.NoError(t, err)
	for i := range 10 {
		made := purpose.MustParse(fmt.Sprint("alice-", i))
		_, err := v.Scope(ctx, made)
		require.ErrorIs(t, err, ErrNoKeys)
		require.Error(t, v.CheckDenied(ctx, made))
		_, err = v.Erase(ctx, "alice", made)
		require.Error(t, err)
		x, err := Seal(ctx, lookKind, "text", s)
		require.NoError(t, err)
		_, err = x.Withdraw(ctx, made, v.Vault())
		require.NoError(t, err)
		forged, err := ParseSealed("pii1.alice" + x.text[len("pii1.look"):])
		require.NoError(t, err)
		_, err = forged.Withdraw(ctx, p, v.Vault())
		require.NoError(t, err)
		_, err = s.Reveal(ctx, lookKind, forged)
		require.ErrorIs(t, err, ErrCorrupt)
	}
	for _, r := range v.Stats().Results {
		require.Contains(t, []purpose.Purpose{{}, p}, r.Purpose)
		require.Contains(t, []string{"", "look", OtherKind}, r.Kind)
	}
	require.Contains(t, v.Stats().Results, Result{Action: audit.Open, Outcome: audit.Denied, Reason: "keys", Count: 10})
	require.Contains(t, v.Stats().Results, Result{p, audit.Withdraw, OtherKind, audit.Allowed, "", 10})
}

// A purpose that a KEK refuses to this process has keys, so its refusals have its name.
func TestResultsNameADeniedPurpose(t *testing.T) {
	store := Memory()
	owner, p := testVault(t, store, nil)
	_ = owner
	v, err := Open(t.Context(), store, kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return nil, ErrAccessDenied }), nil)
	require.NoError(t, err)
	_, err = v.Scope(t.Context(), p)
	require.ErrorIs(t, err, ErrAccessDenied)
	require.NoError(t, v.CheckDenied(t.Context(), p))
	require.Equal(t, []Result{
		{p, audit.CheckDenied, "", audit.Allowed, "", 1},
		{p, audit.Open, "", audit.Denied, "access", 1},
	}, v.Stats().Results)
}

// The counters are bounded, and nothing is lost beyond the bound.
func TestCountersAreBounded(t *testing.T) {
	c := &counters{}
	var wg sync.WaitGroup
	for i := range 2 * maxCountedKinds {
		wg.Go(func() {
			for range 100 {
				c.purpose(purpose.MustParse("security")).count(audit.Seal, fmt.Sprint("kind-", i), 0)
			}
		})
	}
	wg.Wait()
	results, sum := c.results(), uint64(0)
	require.Len(t, results, maxCountedKinds+1)
	for _, r := range results {
		sum += r.Count
		if r.Kind == OtherKind {
			require.EqualValues(t, 100*maxCountedKinds, r.Count)
		}
	}
	require.EqualValues(t, 100*2*maxCountedKinds, sum)
	for i := range 2 * maxCountedPurposes {
		c.operation(purpose.MustParse(fmt.Sprint("p", i)), audit.Open, "", ErrAccessDenied)
	}
	require.Equal(t, maxCountedPurposes, c.counted)
	require.Len(t, maps.Collect(c.purposes.Range), maxCountedPurposes)
	require.EqualValues(t, maxCountedPurposes+1, c.results()[0].Count, "in the name of none")
	c.purpose(purpose.MustParse("security")).count("dancing", "", 0) // which nobody counts
}

// Each result has the outcome and the word that its event has.
func TestResultsAreReasons(t *testing.T) {
	for n := range len(reasons) + 2 {
		err := errors.New("another")
		switch {
		case n == 0:
			err = nil
		case n <= len(reasons):
			err = reasons[n-1].err
		}
		require.Equal(t, n, resultNumber(err))
		outcome, word := resultOf(err)
		require.Equal(t, outcome, resultOutcome(n))
		require.Equal(t, word, resultWord(n))
	}
}

// An event that the auditor does not record is counted, once for each.
func TestAuditFailuresAreCounted(t *testing.T) {
	var failure error
	v, p := testVault(t, Memory(), &Options{Audit: auditorFunc(func(context.Context, audit.Event) error { return failure })})
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	require.Zero(t, v.Stats().AuditFailures)
	failure = errors.New("the disk is full")
	_, err = s.Index(t.Context(), lookKind, "text")
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = s.Index(t.Context(), lookKind, "")
	require.ErrorIs(t, err, ErrInvalid)
	_, err = v.Scope(t.Context(), p)
	require.ErrorIs(t, err, ErrUnavailable)
	require.EqualValues(t, 3, v.Stats().AuditFailures)
}

// The times of calls add up, without the time of the caller of List.
func TestCallTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counters{}
		s := &countedStore{slowStore{Memory()}, &c.store}
		_, err := s.Get(t.Context(), "a/b")
		require.NoError(t, err)
		_, err = s.Put(t.Context(), Record{Name: "a/b", Data: []byte("x")})
		require.NoError(t, err)
		_, _, took := c.store.load()
		require.Equal(t, 2*time.Second, took)
		for range s.List(t.Context(), "", "") {
			time.Sleep(time.Hour)
		}
		calls, failures, took := c.store.load()
		require.EqualValues(t, 3, calls)
		require.Zero(t, failures)
		require.Equal(t, 4*time.Second, took, "one before the name and one after it")
		for range s.List(t.Context(), "", "") {
			time.Sleep(time.Hour)
			break
		}
		_, failures, took = c.store.load()
		require.Zero(t, failures)
		require.Equal(t, 5*time.Second, took)
	})
}

// A slowStore takes a second for each call and each name.
type slowStore struct{ Store }

func (s slowStore) Get(ctx context.Context, names ...string) ([]Record, error) {
	time.Sleep(time.Second)
	return s.Store.Get(ctx, names...)
}

func (s slowStore) Put(ctx context.Context, r Record) (int64, error) {
	time.Sleep(time.Second)
	return s.Store.Put(ctx, r)
}

func (s slowStore) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range s.Store.List(ctx, prefix, after) {
			time.Sleep(time.Second)
			if !yield(name, err) {
				return
			}
		}
		time.Sleep(time.Second)
	}
}

// Status counts the seals of the primary key: those in the store and those since.
func TestStatusCountsSeals(t *testing.T) {
	store := Memory()
	v, p := testVault(t, store, nil)
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	seals := func(v *Vault) uint64 {
		for _, k := range v.Status()[0].Primary {
			if k.Role == RoleSeal {
				return k.Seals
			}
			require.Zero(t, k.Seals, k.Role)
		}
		t.Fatal("no seal key")
		return 0
	}
	require.Zero(t, seals(v.Vault()))
	for range 5 {
		_, err = Seal(t.Context(), lookKind, "text", s)
		require.NoError(t, err)
	}
	require.EqualValues(t, 5, seals(v.Vault()), "not written yet")
	require.NoError(t, s.opened.writeSeals(t.Context()))
	require.EqualValues(t, 5, seals(v.Vault()), "not counted twice")
	v2, err := OpenAdmin(t.Context(), store, v.kek, nil)
	require.NoError(t, err)
	defer v2.Close()
	s2, err := v2.Scope(t.Context(), p)
	require.NoError(t, err)
	_, err = Seal(t.Context(), lookKind, "text", s2)
	require.NoError(t, err)
	require.EqualValues(t, 1, seals(v2.Vault()), "as far as it knows")
	require.NoError(t, s2.opened.writeSeals(t.Context()))
	require.EqualValues(t, 6, seals(v2.Vault()))
}

// Status tells an erasure that was counted in the store and has no tombstone, until it is
// complete.
func TestStatusTellsAnErasureUnderWay(t *testing.T) {
	e := newEraser(t, nil)
	s := e.scope(t, e.here, "alice")
	_, err := Seal(t.Context(), e.kind, "text", s)
	require.NoError(t, err)
	watcher := e.scope(t, e.there, "bob")
	_, err = e.there.Lookup(t.Context(), e.security)
	require.NoError(t, err)
	erasing := func() (tell []bool) {
		for _, pk := range e.there.findAll(e.security) {
			require.NoError(t, pk.refreshNow(t.Context()))
		}
		for _, o := range e.there.Status() {
			tell = append(tell, o.Erasing)
		}
		return tell
	}
	require.Equal(t, []bool{false, false}, erasing())
	e.down("put", e.record(t, "alice"), ErrUnavailable)
	_, err = e.here.Erase(t.Context(), "alice", e.security)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, []bool{false, true}, erasing(), "a lookup can't tell")
	fresh, err := Open(t.Context(), e.store.Store, e.here.kek, nil)
	require.NoError(t, err)
	defer fresh.Close()
	_, err = fresh.Scope(t.Context(), watcher.Purpose())
	require.NoError(t, err)
	require.True(t, fresh.Status()[0].Erasing, "at its start")
	e.store.fail(nil)
	_, err = e.here.Erase(t.Context(), "alice", e.security)
	require.NoError(t, err)
	require.Equal(t, []bool{false, false}, erasing())
}

// BenchmarkCount puts the count of an operation beside the one atomic addition in it.
func BenchmarkCount(b *testing.B) {
	c := &counters{}
	counts := c.purpose(purpose.MustParse("security"))
	counts.count(audit.Open, "", 0)
	counts.count(audit.Seal, "email", 0)
	var alone counter
	b.Run("addition", func(b *testing.B) {
		for b.Loop() {
			alone.add(1)
		}
	})
	b.Run("operation", func(b *testing.B) {
		for b.Loop() {
			counts.count(audit.Reveal, "email", 0)
		}
	})
}
