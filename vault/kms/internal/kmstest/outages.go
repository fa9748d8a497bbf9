package kmstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
	"github.com/onlyfor/onlyfor/vault/kms"
)

func faults(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	for _, fault := range []Fault{
		Hang, Stall, Cut, Half, Reset, Flood, Garbage, HTML, Forbidden, BadGateway, Busy, Limit, Redirect, Throttle, Internal, Empty,
	} {
		t.Run(string(fault), func(t *testing.T) {
			v := open(t, s, store, Secure, short)
			s.Server().SetFault(fault)
			_, err := v.Scope(ctx, Security)
			unavailable(t, s, err, Security)
			unavailable(t, s, v.CheckDenied(ctx, Advertising), Advertising)

			// Directly, without the text that the vault adds.
			kek := s.KEK(t, Admin, s.Keys())
			aead, err := kek.For(ctx, Security)
			require.NoError(t, err)
			briefly, cancel := context.WithTimeout(ctx, short)
			defer cancel()
			_, err = aead.(vault.ContextAEAD).EncryptWithContext(briefly, []byte("key"), []byte("aad"))
			unavailable(t, s, err, Security)
			explained(t, s.Keys(), err, Security)

			require.Zero(t, s.Server().Strayed(), "a redirect was followed")
			require.Less(t, s.Server().Flooded(), MaxFlood, "bytes of an answer were read")

			// The same vault and the same KEK work when it is over.
			s.Server().SetFault(Up)
			until(t, func() error { _, err := v.Scope(ctx, Security); return err })
			until(t, func() error {
				_, err := aead.(vault.ContextAEAD).EncryptWithContext(ctx, []byte("key"), []byte("onlyfor purpose-keys security 000102030405060708090a0b0c0d0e0f"))
				return err
			})
		})
	}
	t.Run("is gone", func(t *testing.T) {
		v := open(t, s, store, Secure, short)
		s.Server().Listener.Close() // first, for clients come back at once
		s.Server().CloseClientConnections()
		_, err := v.Scope(ctx, Security)
		unavailable(t, s, err, Security)
	})
}

// until calls f until it returns nil. On a busy machine, no fixed time is enough to
// find a service again that was down.
func until(t testing.TB, f func() error) {
	deadline := time.Now().Add(long)
	for {
		err := f()
		if err == nil {
			return
		}
		require.True(t, time.Now().Before(deadline), "still fails: %v", err)
		time.Sleep(5 * time.Millisecond)
	}
}

func worksOn(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	admin := open(t, s, store, Admin, long)
	v := open(t, s, store, Secure, short)
	var scope *vault.Scope
	until(t, func() (err error) { scope, err = v.Scope(ctx, Security); return err })
	_, err := admin.Scope(ctx, Security)
	require.NoError(t, err)
	vaulttest.Rotate(t, admin, Security, vault.RoleSeal) // so that a refresh calls the key service
	s.Server().SetFault(Throttle)
	for range 20 {
		email, err := pii.SealEmail(ctx, address, scope)
		require.NoError(t, err)
		got, err := email.Reveal(ctx, scope)
		require.NoError(t, err)
		require.True(t, got == address, "revealed something else")
		again, err := v.Scope(ctx, Security)
		require.NoError(t, err)
		require.Equal(t, Security, again.Purpose())
		time.Sleep(time.Millisecond) // for Options.Refresh to pass in between
	}
	_, err = v.Scope(ctx, Billing)
	unavailable(t, s, err, Billing)

	// Afterwards, values that the other process seals with the new key open.
	s.Server().SetFault(Up)
	fresh, err := admin.Scope(ctx, Security)
	require.NoError(t, err)
	email, err := pii.SealEmail(ctx, address, fresh)
	require.NoError(t, err)
	until(t, func() error { _, err := email.Reveal(ctx, scope); return err })
}

// slow checks that a slow answer is no failure for a caller that waits.
func slow(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	s.Server().SetFault(Slow)
	v := open(t, s, store, Secure, long)
	_, err := v.Scope(ctx, Security)
	require.NoError(t, err)
	vaulttest.Rotate(t, open(t, s, store, Admin, long), Security, vault.RoleSeal)

	s.Server().SetFault(Hang) // on a busy machine a slow answer may be there before its time is up
	briefly, cancel := context.WithTimeout(ctx, short)
	defer cancel()
	_, err = v.Scope(briefly, Billing)
	unavailable(t, s, err, Billing)
	s.Server().SetFault(Slow)
	_, err = v.Scope(ctx, Billing)
	require.NoError(t, err, "who has more time")
}

// flapping checks a service that fails, denies and answers in turn. Each answer counts
// by itself.
func flapping(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	for range 3 {
		v := open(t, s, store, Secure, long)
		s.Server().SetFault(Internal)
		_, err := v.Scope(ctx, Security)
		unavailable(t, s, err, Security)

		s.Server().SetFault(Up)
		s.Grant(t, kms.Role{Name: Secure, Opens: purpose.NewSet(Billing)})
		until(t, func() error {
			if _, err = v.Scope(ctx, Security); errors.Is(err, vault.ErrUnavailable) {
				return err
			}
			return nil
		})
		refused(t, s, err, Security)

		// A vault that has asked in vain again and again asks ten times a second at most.
		s.Grant(t, Roles()...)
		until(t, func() error { _, err := v.Scope(ctx, Security); return err })
	}
}

func cancelReaches(t *testing.T, s Service) {
	aead, err := s.KEK(t, Admin, s.Keys()).For(t.Context(), Security)
	require.NoError(t, err)
	s.Server().SetFault(Hang)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := aead.(vault.ContextAEAD).DecryptWithContext(ctx, []byte("wrapped"), []byte("aad"))
		done <- err
	}()
	<-s.Server().Hung()
	cancel()
	err = <-done
	unavailable(t, s, err, Security)
	explained(t, s.Keys(), err, Security)
	require.ErrorIs(t, err, context.Canceled)
	<-s.Server().Left() // the service saw it too
}

func cancelIsOnesOwn(t *testing.T, s Service) {
	v := open(t, s, stored(t, s), Secure, long)
	s.Server().SetFault(Hang)
	impatient, cancel := context.WithCancel(t.Context())
	first, second := make(chan error), make(chan error)
	ask := func(ctx context.Context, to chan<- error) {
		_, err := v.Scope(ctx, Security)
		to <- err
	}
	go ask(impatient, first)
	<-s.Server().Hung()
	go ask(t.Context(), second)
	cancel()
	err := <-first
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	s.Server().SetFault(Up)
	require.NoError(t, <-second)
}
