package attacktest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Attacks on the life of keys and subjects: several processes, slow stores, and
// whoever can write to the store.

// holding is a store whose answers about some names are read at once, and on
// their way for as long as it is told.
type holding struct {
	vault.Store
	mu      sync.Mutex
	prefix  string
	release chan struct{}
}

// hold keeps back answers about names that begin with prefix, until the
// function that it returns is called.
func (h *holding) hold(prefix string) (release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	held := make(chan struct{})
	h.prefix, h.release = prefix, held
	return func() {
		h.mu.Lock()
		h.prefix, h.release = "", nil
		h.mu.Unlock()
		close(held)
	}
}

func (h *holding) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	records, err := h.Store.Get(ctx, names...)
	h.mu.Lock()
	held, release := h.release != nil && strings.HasPrefix(names[0], h.prefix), h.release
	h.mu.Unlock()
	if held {
		<-release
	}
	return records, err
}

// Two vaults over one store stand for two processes; the first is slow.
func twoProcesses(t *testing.T, opts *vault.Options) (a, b *vault.Admin, h *holding) {
	t.Helper()
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	h = &holding{Store: store}
	b = vaulttest.Open(t, store, kek, nil)
	require.NoError(t, b.Generate(t.Context(), vaulttest.Security, vaulttest.Advertising))
	return vaulttest.Open(t, h, kek, opts), b, h
}

// A subject's id is any bytes, so no id may read like another's and something
// else: what is sealed for alice while "alice+" is looked up is alice's.
func TestSubjectsWithLikeNamesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, h := twoProcesses(t, nil)
		s := vaulttest.Scope(t, a, vaulttest.Security)
		like := vaulttest.Seal(t, vaulttest.Scope(t, b, vaulttest.Security).For("alice+"))

		release := h.hold("security/subjects/")
		looked := make(chan error, 1)
		go func() { _, err := s.For("alice+").Reveal(t.Context(), vaulttest.Note, like); looked <- err }()
		synctest.Wait() // the key of alice+ is on its way
		var sealed vault.Sealed
		done := make(chan error, 1)
		go func() {
			var err error
			sealed, err = vault.Seal(t.Context(), vaulttest.Note, "text", s.For("alice"))
			done <- err
		}()
		synctest.Wait()
		release()
		require.NoError(t, <-looked)
		require.NoError(t, <-done)
		vaulttest.Opens(t, s.For("alice"), sealed)
		vaulttest.Opens(t, vaulttest.Scope(t, b, vaulttest.Security).For("alice"), sealed)
	})
}

// The same the other way round: a reader of "alice+" joins whoever makes a key
// for alice.
func TestReadersOfLikeNamesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, h := twoProcesses(t, nil)
		s := vaulttest.Scope(t, a, vaulttest.Security)
		like := vaulttest.Seal(t, vaulttest.Scope(t, b, vaulttest.Security).For("alice+"))
		release := h.hold("security/subjects/")
		done, looked := make(chan error, 1), make(chan error, 1)
		go func() { _, err := vault.Seal(t.Context(), vaulttest.Note, "text", s.For("alice")); done <- err }()
		synctest.Wait()
		go func() { _, err := s.For("alice+").Reveal(t.Context(), vaulttest.Note, like); looked <- err }()
		synctest.Wait()
		release()
		require.NoError(t, <-done)
		require.NoError(t, <-looked)
	})
}

// An answer may be on its way for longer than anything is believed.
func TestEraseBeatsAnAnswerOfLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, h := twoProcesses(t, &vault.Options{SubjectLifetime: time.Second, Timeout: time.Minute})
		s := vaulttest.Scope(t, a, vaulttest.Security).For("alice")
		value := vaulttest.Seal(t, vaulttest.Scope(t, b, vaulttest.Security).For("alice"))
		release := h.hold("security/subjects/")
		revealed, sealed := make(chan error, 1), make(chan error, 1)
		go func() { _, err := s.Reveal(t.Context(), vaulttest.Note, value); revealed <- err }()
		go func() { _, err := vault.Seal(t.Context(), vaulttest.Note, "text", s); sealed <- err }()
		synctest.Wait()
		h.mu.Lock()
		h.prefix = "nothing" // else: those who ask from here on are answered
		h.mu.Unlock()
		_, err := a.Erase(t.Context(), "alice", vaulttest.Security)
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		release()
		require.ErrorIs(t, <-revealed, vault.ErrErased)
		require.ErrorIs(t, <-sealed, vault.ErrErased)
	})
}

// In another process too, nothing is believed for longer than a lifetime.
func TestErasureElsewhereBeatsAnAnswerOfLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, h := twoProcesses(t, &vault.Options{SubjectLifetime: time.Second, Timeout: time.Minute})
		s := vaulttest.Scope(t, a, vaulttest.Security).For("alice")
		value := vaulttest.Seal(t, vaulttest.Scope(t, b, vaulttest.Security).For("alice"))
		release := h.hold("security/subjects/")
		revealed := make(chan error, 1)
		go func() { _, err := s.Reveal(t.Context(), vaulttest.Note, value); revealed <- err }()
		synctest.Wait()
		_, err := b.Erase(t.Context(), "alice", vaulttest.Security)
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		release()
		require.Error(t, <-revealed)
	})
}

// When Erase has returned, nothing succeeds that goes on with what it had from
// before.
func TestEraseStopsWhatIsUnderWay(t *testing.T) {
	for name, operation := range map[string]func(ctx context.Context, ads, sec *vault.Scope, value vault.Sealed) error{
		"sealing for two purposes": func(ctx context.Context, ads, sec *vault.Scope, _ vault.Sealed) error {
			_, err := vault.Seal(ctx, vaulttest.Note, "text", ads, sec)
			return err
		},
		"extending": func(ctx context.Context, ads, sec *vault.Scope, value vault.Sealed) error {
			_, err := vault.Extend(ctx, vaulttest.Note, value, nil, ads, sec.Under(purpose.Basis{Consent: "c-1"}))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _, h := twoProcesses(t, nil)
				ads, sec := vaulttest.Scope(t, a, vaulttest.Advertising).For("alice"), vaulttest.Scope(t, a, vaulttest.Security).For("alice")
				value := vaulttest.Seal(t, ads) // the key for advertising is at hand
				release := h.hold("security/subjects/")
				done := make(chan error, 1)
				go func() { done <- operation(t.Context(), ads, sec, value) }()
				synctest.Wait()
				_, err := a.Erase(t.Context(), "alice", vaulttest.Advertising)
				require.NoError(t, err)
				vaulttest.Refuses(t, ads, value, vault.ErrErased)
				release()
				require.ErrorIs(t, <-done, vault.ErrErased)
			})
		})
	}
}

// Whoever looked for new keys before there were any does not decide for those
// who come after.
func TestLookingTooEarlyDoesNotHideAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, h := twoProcesses(t, nil)
		s := vaulttest.Scope(t, a, vaulttest.Security)
		release := h.hold("security/keys")
		early := make(chan error, 1)
		go func() { early <- a.RewrapSubjects(t.Context(), vaulttest.Security, "", nil) }() // which looks first
		synctest.Wait()
		vaulttest.Rotate(t, b, vaulttest.Security, vault.RoleSeal)
		value := vaulttest.Seal(t, vaulttest.Scope(t, b, vaulttest.Security))
		first := make(chan error, 1)
		go func() { _, err := s.Reveal(t.Context(), vaulttest.Note, value); first <- err }()
		synctest.Wait()
		release()
		require.NoError(t, <-early)
		<-first // that it was refused could be put up with
		vaulttest.Opens(t, s, value)
	})
}

// A new key is no flood of forgeries, however many meet it at once.
func TestManyMeetANewKeyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, h := twoProcesses(t, nil)
		s := vaulttest.Scope(t, a, vaulttest.Security)
		vaulttest.Rotate(t, b, vaulttest.Security, vault.RoleSeal)
		value := vaulttest.Seal(t, vaulttest.Scope(t, b, vaulttest.Security))
		release := h.hold("security/keys")
		results := make(chan error, 100)
		const many = 100
		for range many {
			go func() { _, err := s.Reveal(t.Context(), vaulttest.Note, value); results <- err }()
		}
		synctest.Wait()
		release()
		failed := 0
		for range many {
			if <-results != nil {
				failed++
			}
		}
		require.Zero(t, failed, "of %d", many)
	})
}

// Nor are a page of subjects whose keys were re-wrapped.
func TestPrefetchOfRewrappedSubjects(t *testing.T) {
	a, b, h := twoProcesses(t, nil)
	reads := &vaulttest.Counting{Store: h.Store}
	h.Store = reads
	s := vaulttest.Scope(t, a, vaulttest.Security)
	var subjects []string
	for i := range 50 {
		subjects = append(subjects, fmt.Sprint("user-", i))
		_ = vaulttest.Seal(t, vaulttest.Scope(t, b, vaulttest.Security).For(subjects[i]))
	}
	vaulttest.Rotate(t, b, vaulttest.Security, vault.RoleSeal)
	require.NoError(t, b.RewrapSubjects(t.Context(), vaulttest.Security, "", nil))
	before := reads.Gets.Load()
	require.NoError(t, s.Prefetch(t.Context(), subjects...))
	require.LessOrEqual(t, reads.Gets.Load()-before, int32(2), "the subjects, and the new key")
}

// Two processes that re-wrap at once leave every key on the newest one, or the
// next that is destroyed takes people's data with it.
func TestRewrappingNeverMovesBack(t *testing.T) {
	a, b, _ := twoProcesses(t, nil)
	values := map[string]vault.Sealed{}
	for i := range 10 {
		subject := fmt.Sprint("user-", i)
		values[subject] = vaulttest.Seal(t, vaulttest.Scope(t, a, vaulttest.Security).For(subject))
	}
	vaulttest.Rotate(t, a, vaulttest.Security, vault.RoleSeal)
	overtaken := false
	require.NoError(t, a.RewrapSubjects(t.Context(), vaulttest.Security, "", func(vault.Progress) error {
		if overtaken {
			return nil
		}
		overtaken = true
		vaulttest.Rotate(t, b, vaulttest.Security, vault.RoleSeal)
		return b.RewrapSubjects(t.Context(), vaulttest.Security, "", nil)
	}))
	keys, err := b.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	for _, k := range keys {
		if k.Role == vault.RoleSeal && k.Status == vault.Active {
			require.NoError(t, b.Retire(t.Context(), vaulttest.Security, k.ID))
			require.NoError(t, b.Destroy(t.Context(), vaulttest.Security, k.ID))
		}
	}
	lost := 0
	for subject, value := range values {
		// Only now is the subject cold to b.
		if _, err := vaulttest.Scope(t, b, vaulttest.Security).For(subject).Reveal(t.Context(), vaulttest.Note, value); err != nil {
			lost++
		}
	}
	require.Zero(t, lost, "subjects whose key is lost")
}

// What a caller left behind is not written to under the eyes of the next: for
// the race detector.
func TestLeavingKeysBehind(t *testing.T) {
	store, a := vault.Memory(), vaulttest.NewAEAD(t)
	require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), vaulttest.Security))
	for name, list := range map[string]func(context.Context, *vault.Admin) error{
		"keys": func(ctx context.Context, v *vault.Admin) error { _, err := v.Keys(ctx, vaulttest.Security); return err },
		"pin":  func(ctx context.Context, v *vault.Admin) error { _, err := v.Pin(ctx, vaulttest.Security); return err },
		"wrapped by": func(ctx context.Context, v *vault.Admin) error {
			_, err := v.WrappedBy(ctx, vaulttest.Security)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			// The key service waits for a directory, and not for a channel, which
			// would order what the caller and the answer do.
			left := filepath.Join(t.TempDir(), "left")
			v := vaulttest.Open(t, store, (&vaulttest.Spy{AEAD: a}).Meddle(func(context.Context) error {
				for {
					if _, err := os.Stat(left); err == nil {
						return nil
					}
					time.Sleep(time.Millisecond)
				}
			}), nil)
			before := runtime.NumGoroutine()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			defer cancel()
			require.ErrorIs(t, list(ctx, v), vault.ErrUnavailable)
			require.NoError(t, os.Mkdir(left, 0o700))
			for range 60_000 { // until the answer is there
				if runtime.NumGoroutine() <= before {
					break
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

// hung is a store that never answers about subjects.
type hung struct {
	vault.Store
	release chan struct{}
}

func (h hung) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	if strings.HasPrefix(names[0], "security/subjects/") {
		<-h.release
	}
	return h.Store.Get(ctx, names...)
}

// Options.Timeout bounds how long a call waits, whatever its context says.
func TestHungStoreHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := hung{vault.Memory(), make(chan struct{})}
		defer close(store.release)
		v := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.NewAEAD(t)), &vault.Options{Timeout: time.Second})
		require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
		s := vaulttest.Scope(t, v, vaulttest.Security)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // against a test that never ends
		defer cancel()
		for i := range 100 {
			start := time.Now()
			require.ErrorIs(t, s.Prefetch(ctx, fmt.Sprint("user-", i)), vault.ErrUnavailable)
			require.LessOrEqual(t, time.Since(start), time.Second, "prefetch %d", i)
			start = time.Now()
			_, err := vault.Seal(ctx, vaulttest.Note, "text", s.For(fmt.Sprint("other-", i)))
			require.ErrorIs(t, err, vault.ErrUnavailable)
			require.LessOrEqual(t, time.Since(start), time.Second, "seal %d", i)
		}
	})
}

// A certificate's pin is one that no store from before the erasure has
// reached, whatever the process that erased had seen of the store.
func TestCertificateOfAProcessThatLagsBehind(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	a, b := vaulttest.Open(t, store, kek, nil), vaulttest.Open(t, store, kek, nil)
	require.NoError(t, a.Generate(t.Context(), vaulttest.Security))
	value := vaulttest.Seal(t, vaulttest.Scope(t, a, vaulttest.Security).For("alice"))
	for range 5 {
		vaulttest.Rotate(t, b, vaulttest.Security, vault.RoleSeal)
	}
	backup := vault.Memory()
	for name, data := range vaulttest.Content(t, store) {
		_, err := backup.Put(t.Context(), vault.Record{Name: name, Data: data})
		require.NoError(t, err)
	}
	certificate, err := a.Erase(t.Context(), "alice", vaulttest.Security)
	require.NoError(t, err)
	pin, err := b.Pin(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	require.Equal(t, pin, certificate[0].Pin)

	restored, err := vaulttest.Open(t, backup, kek, &vault.Options{Pin: vault.FixedPins(pin)}).Scope(t.Context(), vaulttest.Security)
	if err == nil {
		_, err = restored.For("alice").Reveal(t.Context(), vaulttest.Note, value)
	}
	require.Error(t, err, "alice is back")
}

// An older store in place of the present one is noticed before anything is
// built on it.
func TestRotatingAnOlderStoreIsNoticed(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, v *vault.Admin) error{
		"rotate": func(t *testing.T, v *vault.Admin) error {
			return v.Rotate(t.Context(), vaulttest.Security, vault.RoleSeal)
		},
		"rotate index": func(t *testing.T, v *vault.Admin) error {
			return v.Rotate(t.Context(), vaulttest.Security, vault.RoleIndex)
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, kek := vaulttest.Swappable(vault.Memory()), vault.SharedKEK(vaulttest.NewAEAD(t))
			v := vaulttest.Open(t, store, kek, nil)
			require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
			backup := vault.Memory()
			for name, data := range vaulttest.Content(t, store) {
				_, err := backup.Put(t.Context(), vault.Record{Name: name, Data: data})
				require.NoError(t, err)
			}
			s := vaulttest.Scope(t, v, vaulttest.Security)
			vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
			store.Swap(backup)
			if err := change(t, v); err != nil {
				require.ErrorIs(t, err, vault.ErrCorrupt)
				return
			}
			// If it is not noticed, what is sealed now must at least have a future.
			vaulttest.Opens(t, vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security), vaulttest.Seal(t, s))
		})
	}
}

// A store that went back and was then changed by others has as many
// generations as before, and other keys.
func TestForkOfTheStoreIsNoticed(t *testing.T) {
	store, kek := vaulttest.Swappable(vault.Memory()), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	backup := vault.Memory()
	_, err := backup.Put(t.Context(), vault.Record{Name: "advertising/keys", Data: []byte{0}}) // revisions are not the same
	require.NoError(t, err)
	for name, data := range vaulttest.Content(t, store) {
		_, err := backup.Put(t.Context(), vault.Record{Name: name, Data: data})
		require.NoError(t, err)
	}
	s := vaulttest.Scope(t, v, vaulttest.Security)
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	vaulttest.Rotate(t, vaulttest.Open(t, backup, kek, nil), vaulttest.Security, vault.RoleSeal)
	store.Swap(backup)
	if err := v.RewrapSubjects(t.Context(), vaulttest.Security, "", nil); err != nil { // which looks at the store
		require.ErrorIs(t, err, vault.ErrCorrupt)
		return
	}
	vaulttest.Opens(t, vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security), vaulttest.Seal(t, s))
}

// Whoever can write to the store can put back the record of an erased subject,
// which no count of erasures tells. It opens until the key that it was sealed
// under is destroyed, as FORMAT.md says; then it never does again.
func TestRecordThatIsPutBack(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	value := vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("alice"))
	other := vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("bob"))
	before := vaulttest.Content(t, store)
	_, err := v.Erase(t.Context(), "alice", vaulttest.Security)
	require.NoError(t, err)
	pseudonym, err := vaulttest.Scope(t, v, vaulttest.Security).Pseudonym(t.Context(), "alice")
	require.NoError(t, err)
	name := "security/subjects/" + pseudonym[:2] + "/" + pseudonym
	putBack := func() *vault.Scope {
		records, err := store.Get(t.Context(), name)
		require.NoError(t, err)
		_, err = store.Put(t.Context(), vault.Record{Name: name, Data: before[name], Revision: records[0].Revision})
		require.NoError(t, err)
		return vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security)
	}
	vaulttest.Opens(t, putBack().For("alice"), value)

	_, err = v.Erase(t.Context(), "alice", vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrCorrupt, "a vault that knows of the last erasure notices")
	v = vaulttest.Open(t, store, kek, nil)
	_, err = v.Erase(t.Context(), "alice", vaulttest.Security)
	require.NoError(t, err)
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	require.NoError(t, v.RewrapSubjects(t.Context(), vaulttest.Security, "", nil))
	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	require.NoError(t, v.Retire(t.Context(), vaulttest.Security, keys[0].ID))
	require.NoError(t, v.Destroy(t.Context(), vaulttest.Security, keys[0].ID))
	s := putBack()
	vaulttest.Refuses(t, s.For("alice"), value, vault.ErrCorrupt)
	_, err = vault.Seal(t.Context(), vaulttest.Note, "text", s.For("alice"))
	require.ErrorIs(t, err, vault.ErrCorrupt)
	vaulttest.Opens(t, s.For("bob"), other)
}

// Whatever else goes on, in this process and in another, nothing that begins
// after an erasure succeeds, and nothing else is refused.
func TestErasingUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
		a := vaulttest.Open(t, store, kek, &vault.Options{SubjectCache: 1, SubjectLifetime: 5 * time.Millisecond}) // evicts all the time
		b := vaulttest.Open(t, store, kek, nil)
		require.NoError(t, a.Generate(t.Context(), vaulttest.Security))
		s := vaulttest.Scope(t, a, vaulttest.Security)
		const people = 40
		var erased [people]atomic.Bool
		var begun [people]atomic.Bool
		values := make([]vault.Sealed, people)
		for i := range people {
			values[i] = vaulttest.Seal(t, s.For(fmt.Sprint("user-", i)))
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var running sync.WaitGroup
		var faults sync.Map
		for worker := range 6 {
			running.Go(func() {
				for n := worker; ctx.Err() == nil; n++ {
					if n%40 == 0 {
						time.Sleep(time.Millisecond)
					}
					i := n % people
					subject := fmt.Sprint("user-", i)
					was := erased[i].Load()
					var err error
					switch n / people % 3 {
					case 0:
						_, err = s.For(subject).Reveal(context.Background(), vaulttest.Note, values[i])
					case 1:
						_, err = vault.Seal(context.Background(), vaulttest.Note, "text", s.For(subject))
					default:
						if err = s.Prefetch(context.Background(), subject, fmt.Sprint("user-", (i+1)%people)); err == nil {
							_, err = s.For(subject).Reveal(context.Background(), vaulttest.Note, values[i])
						}
					}
					switch {
					case err == nil && was:
						faults.Store(subject+" came back", true)
					case errors.Is(err, vault.ErrErased) && !begun[i].Load(), err != nil && !errors.Is(err, vault.ErrErased):
						faults.Store(fmt.Sprint(subject, " refused: ", err), true)
					}
				}
			})
		}
		for i := range people {
			if i%10 == 0 {
				vaulttest.Rotate(t, b, vaulttest.Security, vault.RoleSeal)
				require.NoError(t, b.RewrapSubjects(t.Context(), vaulttest.Security, "", nil))
			}
			begun[i].Store(true)
			_, err := a.Erase(t.Context(), fmt.Sprint("user-", i), vaulttest.Security)
			require.NoError(t, err)
			erased[i].Store(true)
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
		running.Wait()
		faults.Range(func(fault, _ any) bool { t.Error(fault); return true })
	})
}
