package vault_test

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
func twoProcesses(t *testing.T, opts *vault.Options) (a, b *vault.Vault, h *holding) {
	t.Helper()
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	h = &holding{Store: store}
	b = open(t, store, kek, nil)
	require.NoError(t, b.Generate(t.Context(), security, advertising))
	return open(t, h, kek, opts), b, h
}

// A subject's id is any bytes, so no id may read like another's and something
// else: what is sealed for alice while "alice+" is looked up is alice's.
func TestSubjectsWithLikeNamesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, h := twoProcesses(t, nil)
		s := scope(t, a, security)
		like := seal(t, scope(t, b, security).For("alice+"))

		release := h.hold("security/subjects/")
		looked := make(chan error, 1)
		go func() { _, err := s.For("alice+").Reveal(t.Context(), note, like); looked <- err }()
		synctest.Wait() // the key of alice+ is on its way
		var sealed vault.Sealed
		done := make(chan error, 1)
		go func() {
			var err error
			sealed, err = vault.Seal(t.Context(), note, "text", s.For("alice"))
			done <- err
		}()
		synctest.Wait()
		release()
		require.NoError(t, <-looked)
		require.NoError(t, <-done)
		opens(t, s.For("alice"), sealed)
		opens(t, scope(t, b, security).For("alice"), sealed)
	})
}

// The same the other way round: a reader of "alice+" joins whoever makes a key
// for alice.
func TestReadersOfLikeNamesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, h := twoProcesses(t, nil)
		s := scope(t, a, security)
		like := seal(t, scope(t, b, security).For("alice+"))
		release := h.hold("security/subjects/")
		done, looked := make(chan error, 1), make(chan error, 1)
		go func() { _, err := vault.Seal(t.Context(), note, "text", s.For("alice")); done <- err }()
		synctest.Wait()
		go func() { _, err := s.For("alice+").Reveal(t.Context(), note, like); looked <- err }()
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
		s := scope(t, a, security).For("alice")
		value := seal(t, scope(t, b, security).For("alice"))
		release := h.hold("security/subjects/")
		revealed, sealed := make(chan error, 1), make(chan error, 1)
		go func() { _, err := s.Reveal(t.Context(), note, value); revealed <- err }()
		go func() { _, err := vault.Seal(t.Context(), note, "text", s); sealed <- err }()
		synctest.Wait()
		h.mu.Lock()
		h.prefix = "nothing" // else: those who ask from here on are answered
		h.mu.Unlock()
		_, err := a.Erase(t.Context(), "alice", security)
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
		s := scope(t, a, security).For("alice")
		value := seal(t, scope(t, b, security).For("alice"))
		release := h.hold("security/subjects/")
		revealed := make(chan error, 1)
		go func() { _, err := s.Reveal(t.Context(), note, value); revealed <- err }()
		synctest.Wait()
		_, err := b.Erase(t.Context(), "alice", security)
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
			_, err := vault.Seal(ctx, note, "text", ads, sec)
			return err
		},
		"extending": func(ctx context.Context, ads, sec *vault.Scope, value vault.Sealed) error {
			_, err := vault.Extend(ctx, note, value, ads, sec.Under(purpose.Basis{Consent: "c-1"}))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _, h := twoProcesses(t, nil)
				ads, sec := scope(t, a, advertising).For("alice"), scope(t, a, security).For("alice")
				value := seal(t, ads) // the key for advertising is at hand
				release := h.hold("security/subjects/")
				done := make(chan error, 1)
				go func() { done <- operation(t.Context(), ads, sec, value) }()
				synctest.Wait()
				_, err := a.Erase(t.Context(), "alice", advertising)
				require.NoError(t, err)
				refuses(t, ads, value, vault.ErrErased)
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
		s := scope(t, a, security)
		release := h.hold("security/keys")
		early := make(chan error, 1)
		go func() { early <- a.RewrapSubjects(t.Context(), security, "", nil) }() // which looks first
		synctest.Wait()
		require.NoError(t, b.Rotate(t.Context(), security))
		value := seal(t, scope(t, b, security))
		first := make(chan error, 1)
		go func() { _, err := s.Reveal(t.Context(), note, value); first <- err }()
		synctest.Wait()
		release()
		require.NoError(t, <-early)
		<-first // that it was refused could be put up with
		opens(t, s, value)
	})
}

// A new key is no flood of forgeries, however many meet it at once.
func TestManyMeetANewKeyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, h := twoProcesses(t, nil)
		s := scope(t, a, security)
		require.NoError(t, b.Rotate(t.Context(), security))
		value := seal(t, scope(t, b, security))
		release := h.hold("security/keys")
		results := make(chan error, 100)
		const many = 100
		for range many {
			go func() { _, err := s.Reveal(t.Context(), note, value); results <- err }()
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
	reads := &counting{Store: h.Store}
	h.Store = reads
	s := scope(t, a, security)
	var subjects []string
	for i := range 50 {
		subjects = append(subjects, fmt.Sprint("user-", i))
		_ = seal(t, scope(t, b, security).For(subjects[i]))
	}
	require.NoError(t, b.Rotate(t.Context(), security))
	require.NoError(t, b.RewrapSubjects(t.Context(), security, "", nil))
	before := reads.gets.Load()
	require.NoError(t, s.Prefetch(t.Context(), subjects...))
	require.LessOrEqual(t, reads.gets.Load()-before, int32(2), "the subjects, and the new key")
}

// Two processes that re-wrap at once leave every key on the newest one, or the
// next that is destroyed takes people's data with it.
func TestRewrappingNeverMovesBack(t *testing.T) {
	a, b, _ := twoProcesses(t, nil)
	values := map[string]vault.Sealed{}
	for i := range 10 {
		subject := fmt.Sprint("user-", i)
		values[subject] = seal(t, scope(t, a, security).For(subject))
	}
	require.NoError(t, a.Rotate(t.Context(), security))
	overtaken := false
	require.NoError(t, a.RewrapSubjects(t.Context(), security, "", func(vault.Progress) error {
		if overtaken {
			return nil
		}
		overtaken = true
		require.NoError(t, b.Rotate(t.Context(), security))
		return b.RewrapSubjects(t.Context(), security, "", nil)
	}))
	keys, err := b.Keys(t.Context(), security)
	require.NoError(t, err)
	for _, k := range keys {
		if k.Role == vault.RoleSeal && k.Status == vault.Active {
			require.NoError(t, b.Retire(t.Context(), security, k.ID))
			require.NoError(t, b.Destroy(t.Context(), security, k.ID))
		}
	}
	lost := 0
	for subject, value := range values {
		// Only now is the subject cold to b.
		if _, err := scope(t, b, security).For(subject).Reveal(t.Context(), note, value); err != nil {
			lost++
		}
	}
	require.Zero(t, lost, "subjects whose key is lost")
}

// What a caller left behind is not written to under the eyes of the next: for
// the race detector.
func TestLeavingKeysBehind(t *testing.T) {
	store, a := vault.Memory(), newAEAD(t)
	require.NoError(t, open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), security))
	for name, list := range map[string]func(context.Context, *vault.Vault) error{
		"keys":       func(ctx context.Context, v *vault.Vault) error { _, err := v.Keys(ctx, security); return err },
		"generation": func(ctx context.Context, v *vault.Vault) error { _, err := v.Generation(ctx, security); return err },
	} {
		t.Run(name, func(t *testing.T) {
			// The key service waits for a directory, and not for a channel, which
			// would order what the caller and the answer do.
			left := filepath.Join(t.TempDir(), "left")
			v := open(t, store, &spy{AEAD: a, meddle: func(context.Context) error {
				for {
					if _, err := os.Stat(left); err == nil {
						return nil
					}
					time.Sleep(time.Millisecond)
				}
			}}, nil)
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
		v := open(t, store, vault.SharedKEK(newAEAD(t)), &vault.Options{Timeout: time.Second})
		require.NoError(t, v.Generate(t.Context(), security))
		s := scope(t, v, security)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // against a test that never ends
		defer cancel()
		for i := range 100 {
			start := time.Now()
			require.ErrorIs(t, s.Prefetch(ctx, fmt.Sprint("user-", i)), vault.ErrUnavailable)
			require.LessOrEqual(t, time.Since(start), time.Second, "prefetch %d", i)
			start = time.Now()
			_, err := vault.Seal(ctx, note, "text", s.For(fmt.Sprint("other-", i)))
			require.ErrorIs(t, err, vault.ErrUnavailable)
			require.LessOrEqual(t, time.Since(start), time.Second, "seal %d", i)
		}
	})
}

// A certificate's generation is one that no store from before the erasure has
// reached, whatever the process that erased had seen of the store.
func TestCertificateOfAProcessThatLagsBehind(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	a, b := open(t, store, kek, nil), open(t, store, kek, nil)
	require.NoError(t, a.Generate(t.Context(), security))
	value := seal(t, scope(t, a, security).For("alice"))
	for range 5 {
		require.NoError(t, b.Rotate(t.Context(), security))
	}
	backup := vault.Memory()
	for name, data := range refContent(t, store) {
		_, err := backup.Put(t.Context(), vault.Record{Name: name, Data: data})
		require.NoError(t, err)
	}
	certificate, err := a.Erase(t.Context(), "alice", security)
	require.NoError(t, err)
	generation, err := b.Generation(t.Context(), security)
	require.NoError(t, err)
	require.Equal(t, generation, certificate.Erasures[0].Generation)

	pins := map[purpose.Purpose]uint64{security: certificate.Erasures[0].Generation}
	restored, err := open(t, backup, kek, &vault.Options{Pins: pins}).Scope(t.Context(), security)
	if err == nil {
		_, err = restored.For("alice").Reveal(t.Context(), note, value)
	}
	require.Error(t, err, "alice is back")
}

// An older store in place of the present one is noticed before anything is
// built on it.
func TestRotatingAnOlderStoreIsNoticed(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, v *vault.Vault) error{
		"rotate":       func(t *testing.T, v *vault.Vault) error { return v.Rotate(t.Context(), security) },
		"rotate index": func(t *testing.T, v *vault.Vault) error { return v.RotateIndex(t.Context(), security) },
	} {
		t.Run(name, func(t *testing.T) {
			store, kek := &swapped{Store: vault.Memory()}, vault.SharedKEK(newAEAD(t))
			v := open(t, store, kek, nil)
			require.NoError(t, v.Generate(t.Context(), security))
			backup := vault.Memory()
			for name, data := range refContent(t, store) {
				_, err := backup.Put(t.Context(), vault.Record{Name: name, Data: data})
				require.NoError(t, err)
			}
			s := scope(t, v, security)
			require.NoError(t, v.Rotate(t.Context(), security))
			store.Store = backup
			if err := change(t, v); err != nil {
				require.ErrorIs(t, err, vault.ErrCorrupt)
				return
			}
			// If it is not noticed, what is sealed now must at least have a future.
			opens(t, scope(t, open(t, store, kek, nil), security), seal(t, s))
		})
	}
}

// A store that went back and was then changed by others has as many
// generations as before, and other keys.
func TestForkOfTheStoreIsNoticed(t *testing.T) {
	store, kek := &swapped{Store: vault.Memory()}, vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security))
	backup := vault.Memory()
	_, err := backup.Put(t.Context(), vault.Record{Name: "advertising/keys", Data: []byte{0}}) // revisions are not the same
	require.NoError(t, err)
	for name, data := range refContent(t, store) {
		_, err := backup.Put(t.Context(), vault.Record{Name: name, Data: data})
		require.NoError(t, err)
	}
	s := scope(t, v, security)
	require.NoError(t, v.Rotate(t.Context(), security))
	require.NoError(t, open(t, backup, kek, nil).Rotate(t.Context(), security))
	store.Store = backup
	if err := v.RewrapSubjects(t.Context(), security, "", nil); err != nil { // which looks at the store
		require.ErrorIs(t, err, vault.ErrCorrupt)
		return
	}
	opens(t, scope(t, open(t, store, kek, nil), security), seal(t, s))
}

// Whoever can write to the store can put back the record of an erased subject,
// which no count of erasures tells. It opens until the key that it was sealed
// under is destroyed, as FORMAT.md says; then it never does again.
func TestRecordThatIsPutBack(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security))
	value := seal(t, scope(t, v, security).For("alice"))
	other := seal(t, scope(t, v, security).For("bob"))
	before := refContent(t, store)
	_, err := v.Erase(t.Context(), "alice", security)
	require.NoError(t, err)
	pseudonym, err := scope(t, v, security).Pseudonym(t.Context(), "alice")
	require.NoError(t, err)
	name := "security/subjects/" + pseudonym[:2] + "/" + pseudonym
	putBack := func() *vault.Scope {
		records, err := store.Get(t.Context(), name)
		require.NoError(t, err)
		_, err = store.Put(t.Context(), vault.Record{Name: name, Data: before[name], Revision: records[0].Revision})
		require.NoError(t, err)
		return scope(t, open(t, store, kek, nil), security)
	}
	opens(t, putBack().For("alice"), value)

	_, err = v.Erase(t.Context(), "alice", security)
	require.NoError(t, err)
	require.NoError(t, v.Rotate(t.Context(), security))
	require.NoError(t, v.RewrapSubjects(t.Context(), security, "", nil))
	keys, err := v.Keys(t.Context(), security)
	require.NoError(t, err)
	require.NoError(t, v.Retire(t.Context(), security, keys[0].ID))
	require.NoError(t, v.Destroy(t.Context(), security, keys[0].ID))
	s := putBack()
	refuses(t, s.For("alice"), value, vault.ErrCorrupt)
	_, err = vault.Seal(t.Context(), note, "text", s.For("alice"))
	require.ErrorIs(t, err, vault.ErrCorrupt)
	opens(t, s.For("bob"), other)
}

// Whatever else goes on, in this process and in another, nothing that begins
// after an erasure succeeds, and nothing else is refused.
func TestErasingUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
		a := open(t, store, kek, &vault.Options{SubjectCache: 1, SubjectLifetime: 5 * time.Millisecond}) // evicts all the time
		b := open(t, store, kek, nil)
		require.NoError(t, a.Generate(t.Context(), security))
		s := scope(t, a, security)
		const people = 40
		var erased [people]atomic.Bool
		var begun [people]atomic.Bool
		values := make([]vault.Sealed, people)
		for i := range people {
			values[i] = seal(t, s.For(fmt.Sprint("user-", i)))
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
						_, err = s.For(subject).Reveal(context.Background(), note, values[i])
					case 1:
						_, err = vault.Seal(context.Background(), note, "text", s.For(subject))
					default:
						if err = s.Prefetch(context.Background(), subject, fmt.Sprint("user-", (i+1)%people)); err == nil {
							_, err = s.For(subject).Reveal(context.Background(), note, values[i])
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
				require.NoError(t, b.Rotate(t.Context(), security))
				require.NoError(t, b.RewrapSubjects(t.Context(), security, "", nil))
			}
			begun[i].Store(true)
			_, err := a.Erase(t.Context(), fmt.Sprint("user-", i), security)
			require.NoError(t, err)
			erased[i].Store(true)
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
		running.Wait()
		faults.Range(func(fault, _ any) bool { t.Error(fault); return true })
	})
}
