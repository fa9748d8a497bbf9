package faulttest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Whoever leaves while a call is under way leaves alone: those who wait for the same
// get what it answers.
func TestLeavingFailsNobodyElse(t *testing.T) {
	var base *faultBase
	synctest.Test(t, func(t *testing.T) { base = newFaultBase(t) })
	hangs := &fault{of: ofAll, do: func(c call) (any, error) {
		c.released()
		return c.answer()
	}}
	for _, op := range faultOps {
		for from, kind := range faultCalls(t, base, op) {
			t.Run(fmt.Sprintf("%s/at call %d, %s", op.name, from+1, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := base.world(t)
					defer w.v.Close()
					use := op.prepare(t, w)
					w.plug.pull(hangs, from)
					defer w.plug.in()
					impatient, leave := context.WithCancel(t.Context())
					first, second := make(chan error, 1), make(chan error, 1)
					go func() { _, err := use(impatient); first <- err }()
					synctest.Wait()
					go func() { _, err := use(t.Context()); second <- err }()
					synctest.Wait()
					leave()
					err := <-first
					require.ErrorIs(t, err, vault.ErrUnavailable)
					require.ErrorIs(t, err, context.Canceled)
					w.plug.in()
					if err := <-second; !op.once || err == nil {
						require.NoError(t, err)
					} else {
						require.ErrorIs(t, err, vault.ErrInvalid, "the first took place, though nobody waited for it")
					}
				})
			})
		}
	}
}

// wavering is a key service that can be slow, and takes its decision before. Its
// client has no context.
type wavering struct {
	vault.AEAD
	denies atomic.Bool
	delay  atomic.Int64
}

func (k *wavering) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	if k.denies.Load() {
		return nil, vault.ErrNoKeys
	}
	plaintext, err := k.AEAD.Decrypt(ciphertext, aad)
	time.Sleep(time.Duration(k.delay.Load()))
	return plaintext, err
}

// A grant that is withdrawn right after the key service said yes ends when the yes is
// as old as Options.KeyLifetime, and not when its answer, which was long on its way,
// is.
func TestARevokedGrantEndsInTime(t *testing.T) {
	const late = 20 * time.Second
	for name, asked := range map[string]func(t *testing.T, v *vault.Admin, kek *wavering) (time.Time, *vault.Scope){
		"when the keys are opened": func(t *testing.T, v *vault.Admin, kek *wavering) (time.Time, *vault.Scope) {
			kek.delay.Store(int64(late))
			return time.Now(), vaulttest.Scope(t, v, vaulttest.Security)
		},
		"when they have lapsed": func(t *testing.T, v *vault.Admin, kek *wavering) (time.Time, *vault.Scope) {
			s := vaulttest.Scope(t, v, vaulttest.Security)
			time.Sleep((24 * time.Hour) + time.Hour)
			kek.delay.Store(int64(late))
			began := time.Now()
			_, err := s.Index(t.Context(), vaulttest.Note, "text")
			require.NoError(t, err)
			return began, s
		},
		"along with a refresh": func(t *testing.T, v *vault.Admin, kek *wavering) (time.Time, *vault.Scope) {
			s := vaulttest.Scope(t, v, vaulttest.Security)
			time.Sleep((24*time.Hour)/2 + time.Hour)
			kek.delay.Store(int64(late))
			began := time.Now()
			_, err := s.Index(t.Context(), vaulttest.Note, "text")
			require.NoError(t, err)
			synctest.Wait()
			return began, s
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, kek := vault.Memory(), &wavering{AEAD: vaulttest.NewAEAD(t)}
				v := vaulttest.Open(t, store, vault.SharedKEK(kek), nil)
				require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
				began, s := asked(t, v, kek)
				kek.denies.Store(true)
				value := vaulttest.Seal(t, s)

				time.Sleep(time.Until(began.Add((24 * time.Hour) * 9 / 10)))
				vaulttest.Opens(t, s, value)
				time.Sleep(time.Until(began.Add((24 * time.Hour) + time.Second)))
				synctest.Wait()
				vaulttest.Refuses(t, s, value, vault.ErrNoKeys)

				kek.denies.Store(false)
				kek.delay.Store(0)
				vaulttest.Opens(t, s, value)
				v.Close()
			})
		})
	}
}

// A client without a context can hang for longer than any yes is good for. What it
// answers then is of no use, and the key service is asked again.
func TestAYesOfLongAgoIsNone(t *testing.T) {
	for name, take := range map[string]func(ctx context.Context, v *vault.Admin, s *vault.Scope) error{
		"opening": func(ctx context.Context, v *vault.Admin, _ *vault.Scope) error {
			_, err := v.Reader(ctx, vaulttest.Security)
			return err
		},
		"lapsed": func(ctx context.Context, _ *vault.Admin, s *vault.Scope) error {
			_, err := s.Index(ctx, vaulttest.Note, "text")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kek := &wavering{AEAD: vaulttest.NewAEAD(t)}
				v := vaulttest.Open(t, vault.Memory(), vault.SharedKEK(kek), nil)
				require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
				s := vaulttest.Scope(t, v, vaulttest.Security)
				time.Sleep((24 * time.Hour) + time.Hour)

				const hung = 3 * (24 * time.Hour)
				kek.delay.Store(int64(hung))
				require.ErrorIs(t, take(t.Context(), v, s), vault.ErrUnavailable)
				kek.denies.Store(true) // while the yes is on its way
				time.Sleep(hung)
				synctest.Wait()
				require.ErrorIs(t, take(t.Context(), v, s), vault.ErrNoKeys)
				kek.denies.Store(false)
				kek.delay.Store(0)
				require.NoError(t, take(t.Context(), v, s))
				v.Close()
			})
		})
	}
}

// The same for whoever still waits: a yes that was longer on its way than it is good for
// opens nothing, where Options say that calls are waited for so long.
func TestAYesThatTookTooLongIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kek := &wavering{AEAD: vaulttest.NewAEAD(t)}
		v := vaulttest.Open(t, vault.Memory(), vault.SharedKEK(kek), &vault.Options{KeyLifetime: 10 * time.Second, Timeout: time.Minute})
		require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
		kek.delay.Store(int64(20 * time.Second))
		_, err := v.Scope(t.Context(), vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrUnavailable, "when the keys are opened")
		kek.delay.Store(0)
		s := vaulttest.Scope(t, v, vaulttest.Security)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		kek.delay.Store(int64(20 * time.Second))
		_, err = s.Index(t.Context(), vaulttest.Note, "text")
		require.ErrorIs(t, err, vault.ErrUnavailable, "when they have lapsed")
		kek.delay.Store(0)
		_, err = s.Index(t.Context(), vaulttest.Note, "text")
		require.NoError(t, err)
		v.Close()
	})
}

// A client that ends the goroutine it is called in, as require does in a test's own
// fake, ends nobody's turn: see "ends its goroutine" in TestFaults. One that calls the
// vault that it serves waits for itself, and gives up in time.
func TestAKeyServiceThatAsksTheVault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, a := vault.Memory(), vaulttest.NewAEAD(t)
		admin := vaulttest.Open(t, store, vault.SharedKEK(a), nil)
		require.NoError(t, admin.Generate(t.Context(), vaulttest.Security))
		kek := &vaulttest.Spy{AEAD: a}
		v := vaulttest.Open(t, store, kek, nil)
		kek.Meddle(func(ctx context.Context) error {
			_, err := v.Scope(ctx, vaulttest.Security)
			return err
		})
		began := time.Now()
		_, err := v.Scope(t.Context(), vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.LessOrEqual(t, time.Since(began), (30 * time.Second))
		synctest.Wait()
		kek.Meddle(nil)
		vaulttest.Scope(t, v, vaulttest.Security)
		v.Close()
		admin.Close()
	})
}

// A page of subjects is what is read at a time, and no end.
func TestRewrappingMoreThanAPage(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	const people = 1001
	for i := range people {
		vaulttest.Seal(t, s.For(fmt.Sprint("user-", i)))
	}
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	var last vault.Progress
	interrupted := fmt.Errorf("at %d", people/2)
	note := func(p vault.Progress) error {
		require.Greater(t, p.After, last.After)
		last = p
		if p.Seen == people/2 {
			return interrupted
		}
		return nil
	}
	require.ErrorIs(t, v.RewrapSubjects(t.Context(), vaulttest.Security, "", note), interrupted)
	require.NoError(t, v.RewrapSubjects(t.Context(), vaulttest.Security, last.After, nil))
	last = vault.Progress{}
	require.NoError(t, v.RewrapSubjects(t.Context(), vaulttest.Security, "", func(p vault.Progress) error { last = p; return nil }))
	require.Equal(t, people, last.Seen)
	require.Zero(t, last.Changed, "all were done")
}
