package vault

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// Keys of subjects that are asked for at once do not get into each other's hands, be it
// those of two persons or of one under two purposes.
func TestSubjectKeysAskedForAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &gated{Store: Memory()}
		v, sec := subjectsOf(t, store, testKEK(t), nil)
		billing := purpose.MustParse("billing")
		require.NoError(t, v.Generate(t.Context(), billing))
		bill, err := v.Scope(t.Context(), billing)
		require.NoError(t, err)
		gate := store.shut()
		kind := MustKind("note", "vault.Note")
		type result struct {
			s   *Scope
			v   Sealed
			err error
		}
		scopes := []*Scope{sec.For("alice"), bill.For("alice"), sec.For("bob"), bill.For("bob")}
		results := make(chan result, len(scopes))
		for _, s := range scopes {
			go func() {
				v, err := Seal(t.Context(), kind, "text", s)
				results <- result{s, v, err}
			}()
		}
		synctest.Wait()
		close(gate)
		for range scopes {
			r := <-results
			require.NoError(t, r.err)
			_, err := r.s.Reveal(t.Context(), kind, r.v)
			require.NoError(t, err)
		}
		keys := map[*subjectKey]bool{}
		for _, s := range scopes {
			key, known := s.opened.subjects.Load().get(s.subject)
			require.True(t, known)
			keys[key] = true
		}
		require.Len(t, keys, len(scopes))
		for _, s := range scopes { // what another process sees
			again, err := s.opened.loadSubject(t.Context(), s.opened.current.Load(), s.subject, false)
			require.NoError(t, err)
			key, _ := s.opened.subjects.Load().get(s.subject)
			opened, err := again.open(nil, key.seal(nil, []byte("text"), nil), nil)
			require.NoError(t, err)
			require.Equal(t, "text", string(opened))
		}
		v.Close()
	})
}

// What is found of somebody who was erased while it was on its way is not handed out.
func TestErasedWhileLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &gated{Store: Memory()}
		v, s := subjectsOf(t, store, testKEK(t), nil)
		keys, err := s.freshKeys(t.Context())
		require.NoError(t, err)
		for _, create := range []bool{false, true} {
			gate := store.shut()
			done := make(chan error)
			subject := map[bool]string{false: "alice", true: "bob"}[create]
			go func() { _, err := s.opened.loadSubject(t.Context(), keys, subject, true); done <- err }()
			close(gate)
			require.NoError(t, <-done)
			s.opened.subjects.Store(newSubjectCache(newClock(), 0, time.Minute, 0, time.Second)) // as in another process
			gate = store.shut()
			go func() { _, err := s.opened.subjectKey(t.Context(), keys, subject, create); done <- err }()
			synctest.Wait()
			s.opened.subjects.Load().erase(subject)
			close(gate)
			require.ErrorIs(t, <-done, ErrErased)
		}
		v.Close()
	})
}

// heedless is a store that takes its time, whatever the context says, and always finds
// that another was first.
type heedless struct {
	Store
	puts int
}

func (h *heedless) Get(_ context.Context, names ...string) ([]Record, error) {
	return h.Store.Get(context.Background(), names...)
}

func (h *heedless) Put(_ context.Context, r Record) (int64, error) {
	if r.Name == keyRecordName(purpose.MustParse("security")) || r.Name == vaultRecordName {
		return h.Store.Put(context.Background(), r)
	}
	h.puts++
	time.Sleep(time.Second)
	return 0, ErrConflict
}

// Conflicts do not keep one going for ever that nobody waits for any more.
func TestConflictsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &heedless{Store: Memory()}
		v, s := subjectsOf(t, store, testKEK(t), &Options{Timeout: 10 * time.Second})
		_, err := Seal(t.Context(), MustKind("note", "vault.Note"), "text", s.For("alice"))
		require.ErrorIs(t, err, ErrUnavailable)
		time.Sleep(time.Minute)
		v.mu.Lock()
		require.Empty(t, v.calls)
		v.mu.Unlock()
		require.LessOrEqual(t, store.puts, 11)
		v.Close()
		time.Sleep(time.Minute) // until the store has let go of the counts of seals
	})
}

// A store that fails while a subject is looked up is told apart from one that breaks.
func TestSubjectOfAFailingStore(t *testing.T) {
	store := &gated{Store: Memory()}
	v, s := subjectsOf(t, store, testKEK(t), nil)
	kind := MustKind("note", "vault.Note")
	store.fail(errors.New("disk on fire"))
	_, err := Seal(t.Context(), kind, "text", s.For("alice"))
	require.EqualError(t, err, "vault: sealing note: key store: unavailable")
	require.ErrorIs(t, err, ErrUnavailable)
	store.fail(nil)
	store.gets.Store(0)
	_, err = Seal(t.Context(), kind, "text", s.For("alice"))
	require.NoError(t, err)
	require.EqualValues(t, 1, store.gets.Load(), "a new one costs one read")
	keys, err := s.freshKeys(t.Context())
	require.NoError(t, err)
	require.NoError(t, v.Close())
	for _, create := range []bool{false, true} { // closed since the keys were taken
		_, err = s.opened.subjectKey(t.Context(), keys, "bob", create)
		require.ErrorIs(t, err, errClosed)
	}
}

// slow is a store whose reads take some time.
type slow struct {
	Store
	delay atomic.Int64 // vaults read in the background too
	gets  atomic.Int32
}

func (s *slow) Get(ctx context.Context, names ...string) ([]Record, error) {
	s.gets.Add(1)
	time.Sleep(time.Duration(s.delay.Load()))
	return s.Store.Get(ctx, names...)
}

// An answer that took longer than it may be believed is asked for again, since the
// subject may have been erased meanwhile; that it is erased stays true.
func TestAnswersThatTakeTooLong(t *testing.T) {
	memory, kek := Memory(), testKEK(t)
	kind := MustKind("note", "vault.Note")
	other, theirs := subjectsOf(t, memory, kek, nil)
	value, err := Seal(t.Context(), kind, "text", theirs.For("bob"))
	require.NoError(t, err)
	_, err = other.Erase(t.Context(), "alice", theirs.Purpose())
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		store := &slow{Store: memory}
		v, s := subjectsOf(t, store, kek, &Options{SubjectLifetime: time.Second, Timeout: 10 * time.Second})
		store.delay.Store(int64(time.Second))
		store.gets.Store(0)
		_, err := Seal(t.Context(), kind, "text", s.For("alice"))
		require.ErrorIs(t, err, ErrErased)
		require.EqualValues(t, 1, store.gets.Load())
		_, err = s.For("bob").Reveal(t.Context(), kind, value)
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = Seal(t.Context(), kind, "text", s.For("carol")) // who is new
		require.ErrorIs(t, err, ErrUnavailable)
		time.Sleep(time.Minute) // until nothing is under way
		synctest.Wait()
		store.delay.Store(int64(time.Second - 1))
		_, err = s.For("bob").Reveal(t.Context(), kind, value)
		require.NoError(t, err)
		v.Close()
	})
}

// gated is a store whose reads wait until they are let through, or fail.
type gated struct {
	Store
	gate atomic.Pointer[chan struct{}] // nil for open; vaults read in the background too
	err  atomic.Pointer[error]
	gets atomic.Int32
	last int64 // a revision that is said in place of what there is
}

// shut has later reads wait until the channel that it returns is closed.
func (g *gated) shut() chan struct{} {
	gate := make(chan struct{})
	g.gate.Store(&gate)
	return gate
}

// fail has later reads return err, which may be nil.
func (g *gated) fail(err error) { g.err.Store(&err) }

func (g *gated) Get(ctx context.Context, names ...string) ([]Record, error) {
	if gate := g.gate.Load(); gate != nil {
		<-*gate
	}
	g.gets.Add(1)
	if err := g.err.Load(); err != nil && *err != nil {
		return nil, *err
	}
	records, err := g.Store.Get(ctx, names...)
	if g.last != 0 {
		for i := range records {
			records[i].Revision = g.last
		}
	}
	return records, err
}

// Who seals does not get the answer of one who only looked whether there is a key.
func TestSealingDoesNotJoinARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &gated{Store: Memory()}
		v, s := subjectsOf(t, store, testKEK(t), nil)
		keys, err := s.freshKeys(t.Context())
		require.NoError(t, err)
		gate := store.shut()
		looked, made := make(chan error, 1), make(chan error, 1)
		go func() { _, err := s.opened.subjectKey(t.Context(), keys, "alice", false); looked <- err }()
		synctest.Wait()
		go func() { _, err := s.opened.subjectKey(t.Context(), keys, "alice", true); made <- err }()
		synctest.Wait()
		close(gate)
		require.NoError(t, <-made)
		if err := <-looked; err != nil { // if it was the first
			require.ErrorIs(t, err, ErrCorrupt)
		}
		v.Close()
	})
}

// What a store says of an erasure is remembered as its keys are, and a store that
// fails is not taken for one that has nothing.
func TestPrefetchOfTheErased(t *testing.T) {
	memory, kek := Memory(), testKEK(t)
	other, theirs := subjectsOf(t, memory, kek, nil)
	_, err := other.Erase(t.Context(), "alice", theirs.Purpose())
	require.NoError(t, err)
	store := &gated{Store: memory}
	_, s := subjectsOf(t, store, kek, nil)
	store.fail(errors.New("disk on fire"))
	require.ErrorIs(t, s.Prefetch(t.Context(), "alice"), ErrUnavailable)
	store.fail(nil)
	require.NoError(t, s.Prefetch(t.Context(), "alice", "bob"))
	gets := store.gets.Load()
	_, err = Seal(t.Context(), MustKind("note", "vault.Note"), "text", s.For("alice"))
	require.ErrorIs(t, err, ErrErased)
	require.Equal(t, gets, store.gets.Load())
}

// A revision below zero is none that a store may have, and would pass for a change.
func TestRevisionsBelowZero(t *testing.T) {
	memory, kek := Memory(), testKEK(t)
	_, s := subjectsOf(t, memory, kek, nil)
	store := &gated{Store: memory, last: -1}
	v, err := OpenAdmin(t.Context(), store, kek, nil)
	require.NoError(t, err)
	defer v.Close()
	_, err = v.Scope(t.Context(), s.Purpose())
	require.EqualError(t, err, fmt.Sprintf("vault: opening keys of security: key store: record of no revision: %v", ErrCorrupt))
	require.ErrorIs(t, v.Generate(t.Context(), s.Purpose()), ErrCorrupt)
	_, err = v.Scope(t.Context(), purpose.Purpose{})
	require.EqualError(t, err, "vault: opening keys: no purpose: invalid argument")
}

// What is under way for one purpose, action or detail is not what another one waits
// for, or takes the result of.
func TestCallsAreJoinedByEqualCallsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
		v, err := OpenAdmin(ctx, Memory(), testKEK(t), nil)
		require.NoError(t, err)
		defer v.Close()
		own, cancel := v.ownTime(ctx)
		defer cancel()
		land := make(chan struct{})
		ends := func(context.Context, *call) error { <-land; return ErrConflict }
		for _, detail := range []string{"", "id"} {
			_, started, err := v.start(ctx, own, callID{actionFindKey, keysID{purpose: security}, detail}, gate{}, ends)
			require.NoError(t, err)
			require.True(t, started)
		}
		ran := 0
		f := func(context.Context) error { ran++; return nil }
		require.NoError(t, v.shared(ctx, callID{actionFindKey, keysID{purpose: ads}, "id"}, gate{}, f))
		require.NoError(t, v.shared(ctx, callID{audit.Open, keysID{purpose: security}, "id"}, gate{}, f))
		require.NoError(t, v.shared(ctx, callID{actionFindKey, keysID{purpose: security}, "di"}, gate{}, f))
		require.NoError(t, v.exclusive(ctx, actionFindKey, ads, f))
		require.NoError(t, v.exclusive(ctx, audit.Open, security, f))
		require.Equal(t, 5, ran)

		joined, after := make(chan error, 1), make(chan error, 1)
		go func() { joined <- v.shared(ctx, callID{actionFindKey, keysID{purpose: security}, "id"}, gate{}, f) }()
		go func() {
			after <- v.exclusive(ctx, actionFindKey, security, func(context.Context) error { return ErrErased })
		}()
		synctest.Wait()
		close(land)
		require.Equal(t, ErrConflict, <-joined)
		require.Equal(t, ErrErased, <-after, "it waits, runs itself, and is told of that")
		require.Equal(t, 5, ran)
	})
}

// A client that ends the goroutine has not answered.
func TestCallThatNeverReturns(t *testing.T) {
	v, err := OpenAdmin(t.Context(), Memory(), testKEK(t), nil)
	require.NoError(t, err)
	err = v.shared(t.Context(), callID{audit.Open, keysID{purpose: purpose.MustParse("security")}, ""}, gate{}, func(context.Context) error {
		runtime.Goexit()
		return nil
	})
	require.ErrorIs(t, err, ErrUnavailable)
	require.NoError(t, v.Close())
	nothing := func(context.Context) error { return nil }
	require.Equal(t, errClosed, v.shared(t.Context(), callID{audit.Open, keysID{purpose: purpose.MustParse("security")}, ""}, gate{}, nothing))
	require.Equal(t, errClosed, v.exclusive(t.Context(), audit.Open, purpose.MustParse("security"), nothing))
}

// The end of a call ends its context as well. The call returns its own result, whichever
// of the two ends is seen first.
func TestCallThatHasEndedReturnsItsResult(t *testing.T) {
	done := make(chan struct{})
	close(done)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 64 {
		require.Equal(t, ErrConflict, (&call{ctx: ctx, done: done, err: ErrConflict}).wait(t.Context()))
		require.NoError(t, (&call{ctx: ctx, done: done}).wait(t.Context()))
	}
}
