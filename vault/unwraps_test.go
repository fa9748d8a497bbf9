package vault

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// An unwrapLog is an auditor, and the log of a key service beside it.
type unwrapLog struct {
	mu       sync.Mutex
	broken   bool
	actions  []audit.Action // of events with unwraps
	recorded int
	seen     int // by the key service
}

func (l *unwrapLog) Audit(_ context.Context, e audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return errors.New("disk full")
	}
	if l.recorded += e.Unwraps; e.Unwraps > 0 {
		l.actions = append(l.actions, e.Action)
	}
	return nil
}

// setBroken makes the auditor fail, or work again.
func (l *unwrapLog) setBroken(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
}

// taken returns the actions of events with unwraps since the last call, and checks that
// every unwrap that the key service has seen is in an event.
func (l *unwrapLog) taken(t *testing.T) []audit.Action {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Equal(t, l.seen, l.recorded)
	all := l.actions
	l.actions = nil
	return all
}

// seenAEAD is an AEAD of a key service that logs what it decrypts.
type seenAEAD struct {
	AEAD
	log *unwrapLog
}

func (a seenAEAD) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	out, err := a.AEAD.Decrypt(ciphertext, aad)
	if err == nil {
		a.log.mu.Lock()
		defer a.log.mu.Unlock()
		a.log.seen++
	}
	return out, err
}

// Every unwrap that the key service has seen is in one event, and no event has another
// one: of opening, of each change of keys, and of the background calls that have no
// event otherwise.
func TestEveryUnwrapIsInAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p, store, log := purpose.MustParse("security"), Memory(), &unwrapLog{}
		inner := testKEK(t)
		kek := kekFunc(func(ctx context.Context, p purpose.Purpose) (AEAD, error) {
			a, err := inner.For(ctx, p)
			return seenAEAD{a, log}, err
		})
		open := func() *Admin {
			v, err := OpenAdmin(ctx, store, kek, &Options{Audit: log, DestroyAfter: 1})
			require.NoError(t, err)
			t.Cleanup(func() { v.Close() })
			return v
		}
		a, b := open(), open()
		require.NoError(t, a.Generate(ctx, p))
		require.Equal(t, []audit.Action{audit.Generate}, log.taken(t))
		require.NoError(t, a.Generate(ctx, p))
		require.Empty(t, log.taken(t), "the keys were left alone")

		s, err := a.Scope(ctx, p)
		require.NoError(t, err)
		_, err = a.Scope(ctx, p)
		require.NoError(t, err)
		require.Equal(t, []audit.Action{audit.Open}, log.taken(t), "once, for two scopes")
		_, err = b.Reader(ctx, p)
		require.NoError(t, err)
		require.Equal(t, []audit.Action{audit.Open}, log.taken(t))

		require.NoError(t, b.CheckKEK(ctx, p))
		require.ErrorIs(t, a.CheckDenied(ctx, p), ErrGranted)
		fresh := open()
		require.ErrorIs(t, fresh.CheckDenied(ctx, p), ErrGranted)
		require.Equal(t, []audit.Action{audit.CheckKEK, audit.CheckDenied}, log.taken(t), "keys that are open are not tried")

		require.NoError(t, b.Rotate(ctx, p, RoleSeal))
		_, err = fresh.Erase(ctx, "u1", p)
		require.NoError(t, err)
		require.Equal(t, []audit.Action{audit.Rotate, audit.Erase}, log.taken(t))

		// Process a meets the new key in the background. It has no event of its own else.
		use := func() {
			_, err := Seal(ctx, MustKind("note", "vault.Note"), "text", s)
			require.NoError(t, err)
			synctest.Wait()
		}
		time.Sleep(defaultRefresh)
		use()
		require.Equal(t, []audit.Action{audit.Refresh}, log.taken(t))
		time.Sleep(defaultRefresh)
		use()
		require.Empty(t, log.taken(t), "nothing new in the store")
		time.Sleep(defaultKeyLifetime * 2 / 3)
		use()
		// The seal waited for a look at the store. The question in the background comes at
		// the same time as the event of the seal, and the unwrap is in the first of both.
		require.Contains(t, [][]audit.Action{{audit.Renew}, {audit.Seal}}, log.taken(t))
		time.Sleep(defaultKeyLifetime)
		use()
		require.Equal(t, []audit.Action{audit.Seal}, log.taken(t), "a seal waited for it")

		// An unwrap whose event could not be recorded is in the next one.
		log.setBroken(true)
		late := open()
		_, err = late.Scope(ctx, p)
		require.ErrorIs(t, err, ErrUnavailable)
		log.setBroken(false)
		_, err = late.Scope(ctx, p)
		require.NoError(t, err)
		require.Equal(t, []audit.Action{audit.Open}, log.taken(t))

		// Many at once share unwraps, and none is in two events.
		crowd := open()
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() { _, _ = crowd.Scope(ctx, p) })
			wg.Go(func() { _, _ = crowd.Keys(ctx, p) })
			wg.Go(func() { _ = crowd.Rotate(ctx, p, RoleIndex) })
		}
		wg.Wait()
		log.taken(t)
	})
}
