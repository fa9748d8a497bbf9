package kmstest

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kektest"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// The purposes of the cases.
var (
	Security    = purpose.MustParse("security")
	Advertising = purpose.MustParse("advertising")
	Billing     = purpose.MustParse("billing")
)

// The roles of the cases, by name.
const (
	Admin   = "key-rotation"     // manages all
	Secure  = "security-service" // opens security and billing
	Ads     = "ad-service"       // opens advertising
	Nobody  = "intern"           // is known, and has no grant
	Unknown = "stranger"         // is not known
)

// Roles returns the roles that the key service grants when a case begins.
func Roles() []kms.Role {
	return []kms.Role{
		{Name: Admin, Manages: purpose.NewSet(Security, Advertising, Billing)},
		{Name: Secure, Opens: purpose.NewSet(Security, Billing)},
		{Name: Ads, Opens: purpose.NewSet(Advertising)},
	}
}

// A Service is a fake key service with keys for the three purposes, and the
// client that is tested.
type Service interface {
	// Server can fail.
	Server() *Server
	// Keyring has the keys, under [kms.Key.Name].
	Keyring() *Keyring
	// Keys are the keys of the purposes.
	Keys() kms.Keys
	// Elsewhere are well-formed keys that do not exist, in another region.
	Elsewhere() kms.Keys
	// Grant makes the service enforce the policies that package kms writes for
	// roles, and no others.
	Grant(t testing.TB, roles ...kms.Role)
	// KEK returns the KEK of a process with the credentials of a role, without a
	// call. Its connections end with the test.
	KEK(t testing.TB, role string, keys kms.Keys) vault.KEK
}

// The numbers of calls that a vault makes for one purpose: to open its keys, to make
// them, to change them. README.md has the numbers too.
const (
	callsPerScope    = 1
	callsPerGenerate = 3
	callsPerChange   = 4
)

// short is the time that a vault waits for a key service that will not answer. long is
// the time for a key service that will, on any machine.
const (
	short = 300 * time.Millisecond
	long  = 2 * time.Minute
)

// Run runs all cases. start makes a service that ends with its test.
func Run(t *testing.T, start func(t testing.TB) Service) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s Service)
	}{
		{"seals and reveals end to end", endToEnd},
		{"asks nothing until a scope is opened, then once a purpose", countsCalls},
		{"opens exactly what is granted", grants},
		{"faults are unavailable, and forgotten when they end", faults},
		{"a slow answer is one", slow},
		{"a service that fails again and again is asked again", flapping},
		{"opened keys work on while the service is down", worksOn},
		{"disabled in mid-flight", disabled},
		{"revoked in mid-flight", revoked},
		{"keys swapped between purposes", swapped},
		{"record copied to another purpose", copied},
		{"ciphertext of another key or purpose", otherCiphertext},
		{"key that is elsewhere", elsewhere},
		{"cancelling reaches the request", cancelReaches},
		{"one caller's cancel does not fail others", cancelIsOnesOwn},
		{"CheckDenied proves what is not granted", checkDenied},
		{"CheckDenied takes nothing but a denial for a proof", checkDeniedDisabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			s := start(t)
			s.Grant(t, Roles()...)
			c.run(t, s)
		})
	}
	t.Run("keeps the contract of a KEK", func(t *testing.T) { contract(t, start) })
}

// contract runs the suite for all KEKs.
func contract(t *testing.T, start func(t testing.TB) Service) {
	var s Service
	role := func(name string) func(t testing.TB) vault.KEK {
		return func(t testing.TB) vault.KEK { return s.KEK(t, name, s.Keys()) }
	}
	kektest.Run(t, func(t testing.TB) vault.KEK {
		noLeaks(t)
		s = start(t)
		s.Grant(t, Roles()...)
		return role(Admin)(t)
	}, &kektest.Options{
		Purposes: [2]purpose.Purpose{Security, Advertising},
		Reopen:   role(Admin),
		Denied:   role(Nobody),
		Hang: func(testing.TB) <-chan struct{} {
			s.Server().SetFault(Hang)
			return s.Server().Hung()
		},
	})
}

// noLeaks fails the test if there are more goroutines after all of its cleanup
// than there are now.
func noLeaks(t testing.TB) {
	base := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(long)
		for runtime.NumGoroutine() > base {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Errorf("%d goroutines, %d at first:\n%s", runtime.NumGoroutine(), base, buf[:runtime.Stack(buf, true)])
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// open returns the vault of a process with the credentials of role.
func open(t testing.TB, s Service, store vault.Store, role string, timeout time.Duration) *vault.Admin {
	v, err := vault.OpenAdmin(t.Context(), store, s.KEK(t, role, s.Keys()), &vault.Options{Timeout: timeout, Refresh: time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	return v
}

// stored returns a store with keys of the three purposes.
func stored(t testing.TB, s Service) vault.Store {
	store := vault.Memory()
	v := open(t, s, store, Admin, long)
	require.NoError(t, v.Generate(t.Context(), Security, Advertising, Billing))
	return store
}

// refused and unavailable check that err is of that class alone, names the purpose and
// its key, and quotes no answer.
func refused(t testing.TB, s Service, err error, p purpose.Purpose) {
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.NotErrorIs(t, err, vault.ErrUnavailable)
	explained(t, s.Keys(), err, p)
}

func unavailable(t testing.TB, s Service, err error, p purpose.Purpose) {
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.NotErrorIs(t, err, vault.ErrNoKeys)
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		explained(t, s.Keys(), err, p)
	}
	require.NotContains(t, err.Error(), Leak)
}

func explained(t testing.TB, keys kms.Keys, err error, p purpose.Purpose) {
	key, keyErr := keys.Key(p)
	require.NoError(t, keyErr)
	require.Contains(t, err.Error(), p.String())
	require.Contains(t, err.Error(), key.String())
	require.NotContains(t, err.Error(), Leak)
	require.NotContains(t, err.Error(), "\n")
	require.Less(t, len(err.Error()), 400)
}

const address = "alice@example.com"

func endToEnd(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	scope, err := open(t, s, store, Secure, long).Scope(ctx, Security)
	require.NoError(t, err)
	email, err := pii.SealEmail(ctx, address, scope)
	require.NoError(t, err)
	index, err := pii.IndexEmail(ctx, address, scope)
	require.NoError(t, err)

	// Another process of the same role, after the keys were rotated.
	require.NoError(t, open(t, s, store, Admin, long).Rotate(ctx, Security, vault.RoleSeal))
	other, err := open(t, s, store, Secure, long).Scope(ctx, Security)
	require.NoError(t, err)
	got, err := email.Reveal(ctx, other)
	require.NoError(t, err)
	require.True(t, got == address, "revealed something else")
	again, err := pii.IndexEmail(ctx, address, other)
	require.NoError(t, err)
	require.True(t, index.Equal(again), "another index")

	// The ads process opens its own scope and has no way to this value.
	ads, err := open(t, s, store, Ads, long).Scope(ctx, Advertising)
	require.NoError(t, err)
	_, err = email.Reveal(ctx, ads)
	require.ErrorIs(t, err, purpose.ErrMismatch)
}

func countsCalls(t *testing.T, s Service) {
	ctx := t.Context()
	before := s.Server().Calls()
	calls := func() int { return s.Server().Calls() - before }
	store := stored(t, s)
	require.Equal(t, 3*callsPerGenerate, calls())
	before = s.Server().Calls()

	kek := s.KEK(t, Admin, s.Keys())
	_, err := kek.For(ctx, Security)
	require.NoError(t, err)
	v, err := vault.OpenAdmin(ctx, store, kek, nil)
	require.NoError(t, err)
	defer v.Close()
	require.Zero(t, calls(), "before a scope is opened")

	for i, p := range []purpose.Purpose{Security, Advertising, Billing} {
		scope, err := v.Scope(ctx, p)
		require.NoError(t, err)
		require.Equal(t, (i+1)*callsPerScope, calls())
		for range 100 {
			email, err := pii.SealEmail(ctx, address, scope)
			require.NoError(t, err)
			_, err = email.Reveal(ctx, scope)
			require.NoError(t, err)
			_, err = pii.IndexEmail(ctx, address, scope)
			require.NoError(t, err)
			_, err = v.Scope(ctx, p)
			require.NoError(t, err)
		}
		require.Equal(t, (i+1)*callsPerScope, calls(), "whatever the traffic")
	}

	before = s.Server().Calls()
	_, err = v.Erase(ctx, "user-1", Security)
	require.NoError(t, err)
	require.Zero(t, calls())
	require.NoError(t, v.Rotate(ctx, Security, vault.RoleSeal))
	require.Equal(t, callsPerChange, calls())

	before = s.Server().Calls()
	require.NoError(t, open(t, s, store, Nobody, long).CheckDenied(ctx, Security))
	require.LessOrEqual(t, calls(), 2, "one, and where a refusal is a riddle one about the token")
}

func grants(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	opens := map[string][]purpose.Purpose{
		Admin:   {Security, Advertising, Billing},
		Secure:  {Security, Billing},
		Ads:     {Advertising},
		Nobody:  nil,
		Unknown: nil,
	}
	for role, mine := range opens {
		v := open(t, s, store, role, long)
		for _, p := range []purpose.Purpose{Security, Advertising, Billing} {
			_, err := v.Scope(ctx, p)
			if purpose.NewSet(mine...).Contains(p) {
				require.NoError(t, err, "%s, %s", role, p)
			} else {
				refused(t, s, err, p)
			}
		}
	}
	// A role that only opens can change no keys, not even its own.
	ads := open(t, s, store, Ads, long)
	refused(t, s, ads.Rotate(ctx, Advertising, vault.RoleSeal), Advertising)
	refused(t, s, open(t, s, vault.Memory(), Ads, long).Generate(ctx, Advertising), Advertising)
	_, err := ads.Scope(ctx, Advertising)
	require.NoError(t, err)
}

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
				_, err := aead.(vault.ContextAEAD).EncryptWithContext(ctx, []byte("key"), []byte("onlyfor purpose-keys security"))
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
	require.NoError(t, admin.Rotate(ctx, Security, vault.RoleSeal)) // so that a refresh calls the key service
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
	require.NoError(t, open(t, s, store, Admin, long).Rotate(ctx, Security, vault.RoleSeal))

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

		s.Grant(t, Roles()...)
		_, err = v.Scope(ctx, Security)
		require.NoError(t, err)
	}
}

func disabled(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	key, err := s.Keys().Key(Security)
	require.NoError(t, err)
	v := open(t, s, store, Secure, long)
	scope, err := v.Scope(ctx, Security)
	require.NoError(t, err)

	s.Keyring().SetDisabled(key.Name(), true)
	_, err = pii.SealEmail(ctx, address, scope)
	require.NoError(t, err, "opened before")
	late := open(t, s, store, Secure, long)
	_, err = late.Scope(ctx, Security)
	refused(t, s, err, Security)
	require.False(t, denied(err), "who asked would be let in")
	refused(t, s, open(t, s, store, Admin, long).Rotate(ctx, Security, vault.RoleSeal), Security)

	s.Keyring().SetDisabled(key.Name(), false)
	_, err = late.Scope(ctx, Security)
	require.NoError(t, err, "a refusal is not remembered")
}

// denied reports whether err says that the credentials have no grant.
func denied(err error) bool {
	return errors.Is(err, vault.ErrAccessDenied)
}

func revoked(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	scope, err := open(t, s, store, Secure, long).Scope(ctx, Security)
	require.NoError(t, err)

	s.Grant(t, kms.Role{Name: Secure, Opens: purpose.NewSet(Billing)})
	_, err = pii.SealEmail(ctx, address, scope)
	require.NoError(t, err, "opened before")
	late := open(t, s, store, Secure, long)
	_, err = late.Scope(ctx, Security)
	refused(t, s, err, Security)
	require.True(t, denied(err), "has no grant")
	_, err = late.Scope(ctx, Billing)
	require.NoError(t, err, "the other grant is untouched")

	s.Grant(t, Roles()...)
	_, err = late.Scope(ctx, Security)
	require.NoError(t, err, "a refusal is not remembered")
}

func swapped(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	a, err := s.Keys().Key(Security)
	require.NoError(t, err)
	b, err := s.Keys().Key(Advertising)
	require.NoError(t, err)
	t.Run("in the configuration", func(t *testing.T) {
		keys := kms.URIs{Security: b.String(), Advertising: a.String()}
		for _, role := range []string{Admin, Secure, Ads} {
			v, err := vault.OpenAdmin(ctx, store, s.KEK(t, role, keys), nil)
			require.NoError(t, err)
			defer v.Close()
			for _, p := range []purpose.Purpose{Security, Advertising} {
				_, err = v.Scope(ctx, p)
				require.ErrorIs(t, err, vault.ErrNoKeys)
				explained(t, keys, err, p)
				if role == Secure && p == Security || role == Ads && p == Advertising {
					require.True(t, denied(err), "%s has no grant on the other's key", role)
				}
			}
		}
	})
	t.Run("in the key service", func(t *testing.T) {
		s.Keyring().Swap(a.Name(), b.Name())
		defer s.Keyring().Swap(a.Name(), b.Name())
		v := open(t, s, store, Admin, long)
		for _, p := range []purpose.Purpose{Security, Advertising} {
			_, err = v.Scope(ctx, p)
			refused(t, s, err, p)
		}
		_, err := v.Scope(ctx, Billing)
		require.NoError(t, err)
	})
}

func copied(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	found, err := store.Get(ctx, "security/keys", "advertising/keys")
	require.NoError(t, err)
	require.Len(t, found, 2)
	byName := map[string]vault.Record{found[0].Name: found[0], found[1].Name: found[1]}
	forged := byName["advertising/keys"]
	forged.Data = byName["security/keys"].Data
	_, err = store.Put(ctx, forged)
	require.NoError(t, err)
	for _, role := range []string{Admin, Ads} {
		_, err = open(t, s, store, role, long).Scope(ctx, Advertising)
		refused(t, s, err, Advertising)
	}
}

// otherCiphertext checks the words of refusals. That they are refusals is a matter of
// the contract.
func otherCiphertext(t *testing.T, s Service) {
	ctx := t.Context()
	kek := s.KEK(t, Admin, s.Keys())
	aead := func(p purpose.Purpose) vault.AEAD {
		a, err := kek.For(ctx, p)
		require.NoError(t, err)
		return a
	}
	bound := func(p purpose.Purpose) []byte { return []byte("onlyfor purpose-keys " + p.String()) }
	wrapped, err := aead(Security).Encrypt([]byte("a data key"), bound(Security))
	require.NoError(t, err)
	_, err = aead(Advertising).Decrypt(wrapped, bound(Advertising))
	refused(t, s, err, Advertising)
	_, err = aead(Security).Decrypt(wrapped, bound(Advertising))
	refused(t, s, err, Security)
	_, err = aead(Security).Decrypt(append(wrapped, 0), bound(Security))
	refused(t, s, err, Security)

	_, err = kek.For(ctx, purpose.Purpose{})
	require.ErrorIs(t, err, vault.ErrInvalid)
}

func elsewhere(t *testing.T, s Service) {
	ctx := t.Context()
	v, err := vault.OpenAdmin(ctx, stored(t, s), s.KEK(t, Admin, s.Elsewhere()), nil)
	require.NoError(t, err)
	defer v.Close()
	_, err = v.Scope(ctx, Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.NotErrorIs(t, err, vault.ErrUnavailable)
	explained(t, s.Elsewhere(), err, Security)
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

func checkDenied(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	require.NoError(t, open(t, s, store, Ads, long).CheckDenied(ctx, Security, Billing))
	require.ErrorIs(t, open(t, s, store, Secure, long).CheckDenied(ctx, Advertising, Billing), vault.ErrGranted)
	s.Grant(t, kms.Role{Name: Ads, Opens: purpose.NewSet(Advertising, Security)}) // one too many
	require.ErrorIs(t, open(t, s, store, Ads, long).CheckDenied(ctx, Security), vault.ErrGranted)
	require.NoError(t, open(t, s, store, Ads, long).CheckDenied(ctx, Billing))
}

// checkDeniedDisabled checks refusals that prove nothing: of a key that is disabled
// today, of a key that this process has no URI for, and of unknown credentials. (Not
// every service tells a denial from a key in another place.)
func checkDeniedDisabled(t *testing.T, s Service) {
	ctx := t.Context()
	store := stored(t, s)
	billing, err := s.Keys().Key(Billing)
	require.NoError(t, err)
	security, err := s.Keys().Key(Security)
	require.NoError(t, err)
	unproven := func(role string, keys kms.Keys) {
		v, err := vault.OpenAdmin(ctx, store, s.KEK(t, role, keys), nil)
		require.NoError(t, err)
		defer v.Close()
		require.Error(t, v.CheckDenied(ctx, Security))
	}
	unproven(Secure, kms.URIs{Billing: billing.String()})
	unproven(Unknown, s.Keys())
	s.Keyring().SetDisabled(security.Name(), true)
	unproven(Secure, s.Keys())
}
