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
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
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
	vaulttest.Rotate(t, open(t, s, store, Admin, long), Security, vault.RoleSeal)
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
