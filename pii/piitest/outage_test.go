package piitest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// behind opens a second vault over the kit's keys, behind an outage.
func behind(t *testing.T, kit *piitest.Kit, opts *vault.Options) (*vault.Admin, *piitest.Outage) {
	outage := &piitest.Outage{}
	v, err := vault.OpenAdmin(t.Context(), outage.Store(kit.Store), outage.KEK(kit.KEK), opts)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	return v, outage
}

func TestOutageWhileAScopeOpens(t *testing.T) {
	calls := []piitest.Call{piitest.StoreGet, piitest.KEKFor, piitest.KEKDecrypt}
	for fault, want := range map[piitest.Fault]map[piitest.Call]error{
		piitest.Deny:     {"": vault.ErrNoKeys},
		piitest.Throttle: {"": vault.ErrUnavailable},
		piitest.Lose:     {"": vault.ErrUnavailable},
		piitest.Panic:    {"": vault.ErrUnavailable},
		piitest.Fail:     {piitest.StoreGet: vault.ErrUnavailable, "": vault.ErrNoKeys},
		piitest.Garbage:  {"": nil}, // see below
		piitest.Pass:     {"": nil},
	} {
		for _, call := range calls {
			t.Run(fault.String()+"/"+string(call), func(t *testing.T) {
				kit := piitest.New(t, security)
				v, outage := behind(t, kit, nil)
				outage.Script(piitest.Step{Call: call, Fault: fault})
				_, err := v.Scope(t.Context(), security)
				wanted, ok := want[call]
				if !ok {
					wanted = want[""]
				}
				switch {
				case fault == piitest.Garbage:
					require.Error(t, err)
				case wanted == nil:
					require.NoError(t, err)
				default:
					require.ErrorIs(t, err, wanted)
					require.NotContains(t, err.Error(), "9f86d081")
				}
				require.Contains(t, outage.Calls(), piitest.Step{Call: call, Purpose: security, Fault: fault, Times: 1})
				// It was for one call, and is over.
				_, err = v.Scope(t.Context(), security)
				require.NoError(t, err)
			})
		}
	}
}

func TestOutageHangs(t *testing.T) {
	for _, call := range []piitest.Call{piitest.StoreGet, piitest.KEKFor, piitest.KEKDecrypt} {
		t.Run(string(call), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kit := piitest.New(t, security)
				v, outage := behind(t, kit, &vault.Options{Timeout: time.Hour})
				outage.Script(piitest.Step{Call: call, Fault: piitest.Hang})
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				_, err := v.Scope(ctx, security)
				require.ErrorIs(t, err, vault.ErrUnavailable)
				require.Equal(t, 3*time.Second, time.Since(began)) // by the bubble's clock
				time.Sleep(time.Hour)                              // when the vault gives the call up
				_, err = v.Scope(t.Context(), security)
				require.NoError(t, err)
			})
		})
	}
}

func TestOutageDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := piitest.New(t, security)
		v, outage := behind(t, kit, nil)
		outage.Script(piitest.Step{Call: piitest.StoreGet, Delay: 5 * time.Second})
		began := time.Now()
		_, err := v.Scope(t.Context(), security)
		require.NoError(t, err)
		require.Equal(t, 5*time.Second, time.Since(began))

		v, outage = behind(t, kit, nil)
		outage.Script(piitest.Step{Delay: time.Minute, Times: piitest.Forever})
		_, err = v.Scope(t.Context(), security) // for longer than (30 * time.Second)
		require.ErrorIs(t, err, vault.ErrUnavailable)
	})
}

func TestOutageFollowsItsScript(t *testing.T) {
	kit := piitest.New(t, security, advertising)
	ctx := t.Context()
	outage := &piitest.Outage{}
	store := outage.Store(kit.Store)
	get := func(names ...string) error { _, err := store.Get(ctx, names...); return err }

	outage.Script(
		piitest.Step{Call: piitest.StorePut, Fault: piitest.Deny}, // never comes
		piitest.Step{Call: piitest.StoreGet, Times: 2},
		piitest.Step{Call: piitest.StoreGet, Purpose: advertising, Fault: piitest.Deny, Times: 2},
		piitest.Step{Fault: piitest.Throttle},
	)
	require.NoError(t, get("security/keys"))
	require.NoError(t, get("advertising/keys"))
	require.ErrorIs(t, get("advertising/keys"), vault.ErrNoKeys)
	require.ErrorIs(t, get("security/keys"), vault.ErrUnavailable)
	require.NoError(t, get("security/keys"))
	require.ErrorIs(t, get("security/keys", "advertising/keys"), vault.ErrNoKeys)
	require.NoError(t, get("advertising/keys"))

	outage.Script(piitest.Step{Fault: piitest.Deny, Times: piitest.Forever})
	for range 5 {
		require.ErrorIs(t, get("security/keys"), vault.ErrNoKeys)
	}
	outage.Script()
	require.NoError(t, get("security/keys"))

	calls := outage.Calls()
	require.Len(t, calls, 13)
	require.Equal(t, piitest.Step{Call: piitest.StoreGet, Purpose: advertising, Fault: piitest.Deny, Times: 1}, calls[2])
	require.True(t, calls[5].Purpose.IsZero()) // of two
}

func TestOutageOfChanges(t *testing.T) {
	ctx := t.Context()
	for name, test := range map[string]struct {
		fault  piitest.Fault
		err    error
		stored bool
	}{
		"denied":  {piitest.Deny, vault.ErrNoKeys, false},
		"lost":    {piitest.Lose, vault.ErrUnavailable, true},
		"claimed": {piitest.Garbage, nil, false},
		"passed":  {piitest.Pass, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			outage := &piitest.Outage{}
			inner := vault.Memory()
			store := outage.Store(inner)
			outage.Script(piitest.Step{Call: piitest.StorePut, Fault: test.fault})
			_, err := store.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("x")})
			require.ErrorIs(t, err, test.err)
			records, err := inner.Get(ctx, "security/keys")
			require.NoError(t, err)
			require.Equal(t, test.stored, len(records) == 1)

			outage.Script()
			if !test.stored {
				_, err = store.Put(ctx, vault.Record{Name: "security/keys", Data: []byte("x")})
				require.NoError(t, err)
				records, err = inner.Get(ctx, "security/keys")
				require.NoError(t, err)
				require.Len(t, records, 1)
			}
		})
	}
}

func TestOutageOfLists(t *testing.T) {
	kit := piitest.New(t, security, advertising)
	outage := &piitest.Outage{}
	store := outage.Store(kit.Store)
	list := func(fault piitest.Fault) (names []string, last error) {
		outage.Script(piitest.Step{Call: piitest.StoreList, Fault: fault})
		for name, err := range store.List(t.Context(), "", "") {
			if last = err; err == nil {
				names = append(names, name)
			}
		}
		return names, last
	}
	whole, err := list(piitest.Pass)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(whole), 2)
	names, err := list(piitest.Lose)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.Equal(t, whole[:1], names)
	names, err = list(piitest.Deny)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.Empty(t, names)
	names, err = list(piitest.Garbage)
	require.NoError(t, err)
	require.Len(t, names, 1)
	require.NotContains(t, whole, names[0])
}

// keyMaker is a KEK that makes keys, and whose AEADs take contexts.
type keyMaker struct {
	vault.KEK
	made []purpose.Purpose
}

func (k *keyMaker) Generate(_ context.Context, p purpose.Purpose) error {
	k.made = append(k.made, p)
	return nil
}

func TestOutageOfTheKeyServiceWhileKeysAreMade(t *testing.T) {
	for _, call := range []piitest.Call{piitest.KEKGenerate, piitest.KEKEncrypt} {
		for _, fault := range []piitest.Fault{piitest.Deny, piitest.Lose, piitest.Throttle} {
			t.Run(string(call)+"/"+fault.String(), func(t *testing.T) {
				maker := &keyMaker{KEK: piitest.New(t).KEK}
				outage := &piitest.Outage{}
				v, err := vault.OpenAdmin(t.Context(), vault.Memory(), outage.KEK(maker), nil)
				require.NoError(t, err)
				t.Cleanup(func() { v.Close() })
				outage.Script(piitest.Step{Call: call, Fault: fault})
				require.Error(t, v.Generate(t.Context(), security))
				require.NoError(t, v.Generate(t.Context(), security))
				require.NotEmpty(t, maker.made)
				_, err = v.Scope(t.Context(), security)
				require.NoError(t, err)
			})
		}
	}
	t.Run("of a KEK that makes none", func(t *testing.T) {
		v, outage := behind(t, piitest.New(t), nil)
		outage.Script(piitest.Step{Call: piitest.KEKGenerate, Fault: piitest.Deny})
		require.NoError(t, v.Generate(t.Context(), security))
	})
}

// Whoever calls an AEAD without a context hangs for no longer than For's lasts.
func TestOutageOfAnAEADWithoutContext(t *testing.T) {
	kit := piitest.New(t, security)
	outage := &piitest.Outage{}
	ctx, cancel := context.WithCancel(t.Context())
	a, err := outage.KEK(kit.KEK).For(ctx, security)
	require.NoError(t, err)
	wrapped, err := a.Encrypt([]byte("key"), []byte("aad"))
	require.NoError(t, err)
	plain, err := a.Decrypt(wrapped, []byte("aad"))
	require.NoError(t, err)
	require.Equal(t, "key", string(plain))
	outage.Script(piitest.Step{Call: piitest.KEKDecrypt, Fault: piitest.Hang})
	cancel()
	_, err = a.Decrypt(wrapped, []byte("aad"))
	require.ErrorIs(t, err, context.Canceled)
}

func TestFaultsHaveNames(t *testing.T) {
	require.Equal(t, "pass", piitest.Pass.String())
	require.Equal(t, "panic", piitest.Panic.String())
	require.Equal(t, "unknown fault", piitest.Fault(-1).String())
	require.Equal(t, "unknown fault", (piitest.Panic + 1).String())
}
