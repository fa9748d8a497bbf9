package vault_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func TestOpenRefusesWhatIsMissing(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	_, err := vault.OpenAdmin(t.Context(), nil, kek, nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.OpenAdmin(t.Context(), store, nil, nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.OpenAdmin(t.Context(), store, kek, &vault.Options{Timeout: -1})
	require.ErrorIs(t, err, vault.ErrInvalid)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = vault.OpenAdmin(ctx, store, kek, nil)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
}

func TestGenerateLeavesKeysThatAreThere(t *testing.T) {
	store := vault.Memory()
	v := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	before, err := store.Get(t.Context(), "security/keys")
	require.NoError(t, err)
	require.Len(t, before, 1)

	require.NoError(t, v.Generate(t.Context(), vaulttest.Security, vaulttest.Billing))
	after, err := store.Get(t.Context(), "security/keys", "billing/keys")
	require.NoError(t, err)
	require.Len(t, after, 2)
	for _, r := range after {
		if r.Name == "security/keys" {
			require.Equal(t, before[0], r)
		}
	}
}

// Two processes that start for the first time must not seal under keys that the
// other throws away.
func TestGenerateAtOnceEndsWithOneKey(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	const n = 8
	values := make([]vault.Sealed, n)
	var wg sync.WaitGroup
	for i := range n {
		v := vaulttest.Open(t, store, kek, nil)
		wg.Go(func() {
			if err := v.Generate(t.Context(), vaulttest.Security); err != nil {
				t.Error(err)
				return
			}
			s, err := v.Scope(t.Context(), vaulttest.Security)
			if err != nil {
				t.Error(err)
				return
			}
			values[i], err = vault.Seal(t.Context(), vaulttest.Note, "text", s)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security)
	for _, value := range values {
		text, err := s.Reveal(t.Context(), vaulttest.Note, value)
		require.NoError(t, err)
		require.Equal(t, "text", text)
	}
}

func TestScopeRefusals(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))

	_, err := v.Scope(t.Context(), vaulttest.Billing)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.EqualError(t, err, "vault: opening keys of billing: key store has none: no usable keys")

	_, err = v.Scope(t.Context(), purpose.Purpose{})
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.ErrorIs(t, v.Generate(t.Context(), purpose.Purpose{}), vault.ErrInvalid)

	_, err = vaulttest.Open(t, store, vault.SharedKEK(vaulttest.NewAEAD(t)), nil).Scope(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys, "another KEK")
	_, err = vaulttest.Open(t, store, vault.SharedKEK(nil), nil).Scope(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys, "nil AEAD")
	_, err = vaulttest.Open(t, store, vault.KEKFunc(nil), nil).Scope(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys, "nil KEKFunc")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = v.Scope(ctx, vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
}

// Who throttles refuses too, but proves nothing.
func TestSelfTestOfAThrottledKeyService(t *testing.T) {
	a := vaulttest.NewAEAD(t)
	kek := &vaulttest.Spy{AEAD: forgetful{a}}
	kek.Meddle(func(context.Context) error {
		if kek.Calls.Load() > 1 {
			return errors.New("429 Too Many Requests")
		}
		return nil
	})
	v := vaulttest.Open(t, vault.Memory(), kek, nil)
	require.ErrorIs(t, v.Generate(t.Context(), vaulttest.Security), vault.ErrNoKeys)
}

// Each purpose's KEK is tested for itself.
func TestCheckKEKOfEach(t *testing.T) {
	store, good, lax := vault.Memory(), vaulttest.NewAEAD(t), vaulttest.NewAEAD(t)
	keks := vault.KEKs{vaulttest.Billing: vault.SharedKEK(good), vaulttest.Security: vault.SharedKEK(lax)}
	require.NoError(t, vaulttest.Open(t, store, keks, nil).Generate(t.Context(), vaulttest.Billing, vaulttest.Security))
	keks[vaulttest.Security] = vault.SharedKEK(lenient{lax, kekAAD(t, store)})
	v := vaulttest.Open(t, store, keks, nil)
	require.NoError(t, v.CheckKEK(t.Context(), vaulttest.Billing))
	err := v.CheckKEK(t.Context(), vaulttest.Billing, vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.ErrorContains(t, err, "ignores associated data")
}

func TestOptionsAreBounded(t *testing.T) {
	for _, o := range []vault.Options{
		{Timeout: math.MaxInt64}, {Refresh: -1}, {SubjectLifetime: math.MaxInt64}, {SubjectLifetime: -1}, {SubjectCache: -1},
	} {
		_, err := vault.OpenAdmin(t.Context(), vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t)), &o)
		require.ErrorIs(t, err, vault.ErrInvalid)
	}
}

func TestKEKs(t *testing.T) {
	dir := t.TempDir()
	keks := vault.KEKs{
		vaulttest.Security:    vault.LocalKEK(filepath.Join(dir, "security")),
		vaulttest.Advertising: vault.LocalKEK(filepath.Join(dir, "advertising")),
	}
	store := vault.Memory()
	v := vaulttest.Open(t, store, keks, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security, vaulttest.Advertising))
	vaulttest.Scope(t, v, vaulttest.Security)
	require.ErrorIs(t, v.Generate(t.Context(), vaulttest.Billing), vault.ErrNoKeys)
	_, err := vaulttest.Open(t, store, keks[vaulttest.Advertising], nil).Scope(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
}

func TestCloseEndsScopes(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	value, err := vault.Seal(t.Context(), vaulttest.Note, "text", s)
	require.NoError(t, err)
	require.NoError(t, v.Close())
	require.NoError(t, v.Close())

	_, err = s.Reveal(t.Context(), vaulttest.Note, value)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = s.Index(t.Context(), vaulttest.Note, "text")
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = vault.Seal(t.Context(), vaulttest.Note, "text", s)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = v.Scope(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.ErrorIs(t, v.Generate(t.Context(), vaulttest.Billing), vault.ErrNoKeys)
}

// The key service is asked when the first scope of a purpose is opened, once,
// whatever the traffic.
func TestKeyServiceIsNotAskedForValues(t *testing.T) {
	store, a := vault.Memory(), vaulttest.NewAEAD(t)
	require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), vaulttest.Security, vaulttest.Billing))

	kek := &vaulttest.Spy{AEAD: a}
	v := vaulttest.Open(t, store, kek, nil)
	require.Zero(t, kek.Calls.Load(), "Open asks nothing")
	for range 3 {
		s := vaulttest.Scope(t, v, vaulttest.Security)
		vaulttest.Scope(t, v, vaulttest.Billing)
		for range 100 {
			value, err := vault.Seal(t.Context(), vaulttest.Note, "text", s)
			require.NoError(t, err)
			_, err = s.Reveal(t.Context(), vaulttest.Note, value)
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, 2, kek.Calls.Load(), "a call for each purpose")
}

func TestFailureIsNotKept(t *testing.T) {
	store, a := vault.Memory(), vaulttest.NewAEAD(t)
	require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), vaulttest.Security))
	down := errors.New("dial tcp: secret-host refused")
	kek := (&vaulttest.Spy{AEAD: a}).Meddle(func(context.Context) error { return fmt.Errorf("%w: %w", vault.ErrUnavailable, down) })
	v := vaulttest.Open(t, store, kek, nil)
	_, err := v.Scope(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrUnavailable)

	kek.Meddle(func(context.Context) error { return down })
	_, err = v.Scope(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.NotContains(t, err.Error(), "secret-host")

	kek.Meddle(nil)
	vaulttest.Scope(t, v, vaulttest.Security)
}

// forgetful is a KEK that ignores associated data, as some clients of key
// services do.
type forgetful struct{ vault.AEAD }

func (f forgetful) Encrypt(plaintext, _ []byte) ([]byte, error) {
	return f.AEAD.Encrypt(plaintext, nil)
}
func (f forgetful) Decrypt(ciphertext, _ []byte) ([]byte, error) {
	return f.AEAD.Decrypt(ciphertext, nil)
}

func TestSelfTest(t *testing.T) {
	kek := vault.SharedKEK(forgetful{vaulttest.NewAEAD(t)})
	store := vault.Memory()
	err := vaulttest.Open(t, store, kek, nil).Generate(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.ErrorContains(t, err, "ignores associated data")
	records, err := store.Get(t.Context(), "security/keys")
	require.NoError(t, err)
	require.Empty(t, records, "nothing is stored")

	t.Run("when checked", func(t *testing.T) {
		// Keys that were made well, read through a client that lost its binding.
		a := vaulttest.NewAEAD(t)
		require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), vaulttest.Security))
		lax := vault.SharedKEK(lenient{a, kekAAD(t, store)})
		v := vaulttest.Open(t, store, lax, nil)
		for range 2 {
			err := v.CheckKEK(t.Context(), vaulttest.Security)
			require.ErrorIs(t, err, vault.ErrNoKeys)
			require.ErrorContains(t, err, "ignores associated data")
		}
		err := v.Rotate(t.Context(), vaulttest.Security, vault.RoleSeal)
		require.ErrorContains(t, err, "ignores associated data")
	})
	t.Run("no answer is no proof", func(t *testing.T) {
		a := vaulttest.NewAEAD(t)
		store := vault.Memory()
		require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), vaulttest.Security))
		kek := &vaulttest.Spy{AEAD: a}
		kek.Meddle(func(context.Context) error {
			if kek.Calls.Load() == 1 { // with the wrong data
				return vault.ErrUnavailable
			}
			return nil
		})
		v := vaulttest.Open(t, store, kek, nil)
		require.ErrorIs(t, v.CheckKEK(t.Context(), vaulttest.Security), vault.ErrUnavailable)
		require.NoError(t, v.CheckKEK(t.Context(), vaulttest.Security))
	})
	t.Run("of what", func(t *testing.T) {
		v := vaulttest.Open(t, vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
		require.ErrorIs(t, v.CheckKEK(t.Context()), vault.ErrInvalid)
		require.ErrorIs(t, v.CheckKEK(t.Context(), purpose.Purpose{}), vault.ErrInvalid)
		require.ErrorIs(t, v.CheckKEK(t.Context(), vaulttest.Security), vault.ErrNoKeys)
	})
}

// lenient opens whatever was wrapped for security, with any associated data.
type lenient struct {
	vault.AEAD
	aad []byte
}

func (l lenient) Decrypt(ciphertext, _ []byte) ([]byte, error) {
	return l.AEAD.Decrypt(ciphertext, l.aad)
}

// kekAAD returns the associated data of security's wrapped key in a store.
func kekAAD(t *testing.T, store vault.Store) []byte {
	return fmt.Appendf(nil, "onlyfor purpose-keys security %x", vaulttest.GetRecord(t, store, "0-vault").Data[4:])
}

// hanging is a KEK without a context whose calls do not return until released.
type hanging struct {
	vault.AEAD
	release chan struct{}
	calls   atomic.Int32
}

func (h *hanging) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	h.calls.Add(1)
	<-h.release
	return h.AEAD.Decrypt(ciphertext, aad)
}

func TestHungKeyServiceLeavesOneGoroutine(t *testing.T) {
	store, a := vault.Memory(), vaulttest.NewAEAD(t)
	require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), vaulttest.Security))

	synctest.Test(t, func(t *testing.T) {
		kek := &hanging{AEAD: a, release: make(chan struct{})}
		v, err := vault.OpenAdmin(t.Context(), store, vault.SharedKEK(kek), &vault.Options{Timeout: time.Minute})
		require.NoError(t, err)
		before := vaulttest.Goroutines(t)
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := v.Scope(ctx, vaulttest.Security)
			require.ErrorIs(t, err, vault.ErrUnavailable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
		}
		// A caller without a deadline is held up until the vault's own timeout.
		start := time.Now()
		_, err = v.Scope(t.Context(), vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.LessOrEqual(t, time.Since(start), time.Minute)
		_, err = v.Scope(t.Context(), vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrUnavailable)

		vaulttest.RequireGoroutines(t, before+1)
		require.EqualValues(t, 1, kek.calls.Load())

		close(kek.release) // the service is back, and what it says after all is of use
		synctest.Wait()
		_, err = v.Scope(t.Context(), vaulttest.Security)
		require.NoError(t, err)
	})
}

func TestOneCallersCancelDoesNotFailOthers(t *testing.T) {
	store, a := vault.Memory(), vaulttest.NewAEAD(t)
	require.NoError(t, vaulttest.Open(t, store, vault.SharedKEK(a), nil).Generate(t.Context(), vaulttest.Security))
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		kek := (&vaulttest.Spy{AEAD: a}).Meddle(func(ctx context.Context) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		v, err := vault.OpenAdmin(t.Context(), store, kek, nil)
		require.NoError(t, err)
		impatient, cancel := context.WithCancel(t.Context())
		results := make(chan error, 2)
		go func() { _, err := v.Scope(impatient, vaulttest.Security); results <- err }()
		synctest.Wait()
		go func() { _, err := v.Scope(t.Context(), vaulttest.Security); results <- err }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-results, context.Canceled)
		close(release)
		require.NoError(t, <-results)
	})
}

// broken is a store and a KEK that panic.
type broken struct{ vault.Store }

func (broken) Get(context.Context, ...string) ([]vault.Record, error)        { panic("secret") }
func (broken) For(context.Context, purpose.Purpose) (vault.AEAD, error)      { panic("secret") }
func (broken) List(context.Context, string, string) iter.Seq2[string, error] { panic("secret") }

func TestPanicsOfOthersAreErrors(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	require.NoError(t, vaulttest.Open(t, store, kek, nil).Generate(t.Context(), vaulttest.Security))
	for name, v := range map[string]*vault.Admin{
		"store": vaulttest.Open(t, broken{}, kek, nil),
		"KEK":   vaulttest.Open(t, store, broken{}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Scope(t.Context(), vaulttest.Security)
			require.ErrorIs(t, err, vault.ErrUnavailable)
			require.NotContains(t, err.Error(), "secret")
			require.ErrorIs(t, v.Generate(t.Context(), vaulttest.Billing), vault.ErrUnavailable)
		})
	}
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Billing)
		sec, bill := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Billing)
		value, err := vault.Seal(t.Context(), vaulttest.Note, "text", sec.Under(purpose.Basis{Retain: time.Hour}), bill)
		require.NoError(t, err)
		got, ok := value.Provenance(vaulttest.Security)
		require.True(t, ok)
		require.Equal(t, got.Collected.Add(time.Hour), got.Expires)

		time.Sleep(time.Hour - time.Second)
		_, err = sec.Reveal(t.Context(), vaulttest.Note, value)
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = sec.Reveal(t.Context(), vaulttest.Note, value)
		require.ErrorIs(t, err, vault.ErrExpired)
		_, err = sec.Hint(t.Context(), vaulttest.Note, value, func(s string) string { return s })
		require.ErrorIs(t, err, vault.ErrExpired)
		_, err = bill.Reveal(t.Context(), vaulttest.Note, value)
		require.NoError(t, err, "the other purpose has no limit")
	})
}

func TestUnderRefusesABadBasis(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	bad := vaulttest.Scope(t, v, vaulttest.Security).Under(purpose.Basis{Notice: "alice@example.com"})
	_, err := vault.Seal(t.Context(), vaulttest.Note, "text", bad)
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.ErrorIs(t, err, purpose.ErrBasis)
	require.NotContains(t, err.Error(), "alice")
	_, err = bad.Index(t.Context(), vaulttest.Note, "text")
	require.ErrorIs(t, err, purpose.ErrBasis)
	_, err = vault.Seal(t.Context(), vaulttest.Note, "text", bad.Under(purpose.Basis{}))
	require.NoError(t, err, "the last basis counts")
	require.Nil(t, (*vault.Scope)(nil).Under(purpose.Basis{}))
}

func TestConcurrentUseLosesNothing(t *testing.T) {
	var events atomic.Int32
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(audit.Event) error { events.Add(1); return nil })}, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	events.Store(0)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				want := fmt.Sprintf("text %d/%d", g, i)
				value, err := vault.Seal(context.Background(), vaulttest.Note, want, s)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := s.Reveal(context.Background(), vaulttest.Note, value)
				if err != nil || got != want {
					t.Error("lost a value", err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 8*200*2, events.Load())
}

type auditFunc func(audit.Event) error

func (f auditFunc) Audit(_ context.Context, e audit.Event) error { return f(e) }

func TestAuditFailsClosed(t *testing.T) {
	var fail func() error
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(audit.Event) error {
		if fail != nil {
			return fail()
		}
		return nil
	})}, vaulttest.Security, vaulttest.Advertising)
	s, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	value, err := vault.Seal(t.Context(), vaulttest.Note, "text", s)
	require.NoError(t, err)

	for name, f := range map[string]func() error{
		"error": func() error { return errors.New("disk full of secrets") },
		"panic": func() error { panic("secrets") },
	} {
		t.Run(name, func(t *testing.T) {
			fail = f
			defer func() { fail = nil }()
			check := func(err error) {
				t.Helper()
				require.ErrorIs(t, err, vault.ErrUnavailable)
				require.NotContains(t, err.Error(), "secrets")
			}
			text, err := s.Reveal(t.Context(), vaulttest.Note, value)
			check(err)
			require.Empty(t, text)
			text, err = s.Hint(t.Context(), vaulttest.Note, value, func(s string) string { return s })
			check(err)
			require.Empty(t, text)
			index, err := s.Index(t.Context(), vaulttest.Note, "text")
			check(err)
			require.Zero(t, index)
			index, err = s.IndexSealed(t.Context(), vaulttest.Note, value, func(s string) (string, bool) { return s, true })
			check(err)
			require.Zero(t, index)
			sealed, err := vault.Seal(t.Context(), vaulttest.Note, "text", s)
			check(err)
			require.True(t, sealed.IsZero())
			_, err = v.Scope(t.Context(), vaulttest.Security)
			check(err)
			check(v.Generate(t.Context(), vaulttest.Billing))

			_, err = ads.Reveal(t.Context(), vaulttest.Note, value)
			check(err)
			require.ErrorIs(t, err, purpose.ErrMismatch, "a refusal stays one")
		})
	}
}

func TestEvents(t *testing.T) {
	var events []audit.Event
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(e audit.Event) error {
		events = append(events, e)
		return nil
	})}, vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	ctx := audit.WithCaller(t.Context(), "sign-in")
	events = nil

	value, err := vault.Seal(ctx, vaulttest.Note, "text", sec, ads)
	require.NoError(t, err)
	only, err := vault.Seal(ctx, vaulttest.Note, "text", sec)
	require.NoError(t, err)
	_, err = vault.Seal(ctx, vaulttest.Note, "", sec)
	require.Error(t, err)
	_, _ = sec.Reveal(ctx, vaulttest.Note, value)
	_, _ = sec.Hint(ctx, vaulttest.Note, value, func(s string) string { return s })
	_, _ = sec.Index(ctx, vaulttest.Note, "text")
	_, _ = sec.IndexSealed(ctx, vaulttest.Note, value, func(s string) (string, bool) { return s, true })
	_, _ = ads.Reveal(ctx, vaulttest.Note, only)
	_, _ = sec.Index(ctx, vaulttest.Note, "")

	both, one := purpose.NewSet(vaulttest.Security, vaulttest.Advertising), purpose.NewSet(vaulttest.Security)
	want := []audit.Event{
		{Action: audit.Seal, Outcome: audit.Allowed, Purpose: vaulttest.Security, Collected: both, Value: value.ID()},
		{Action: audit.Seal, Outcome: audit.Allowed, Purpose: vaulttest.Advertising, Collected: both, Value: value.ID()},
		{Action: audit.Seal, Outcome: audit.Allowed, Purpose: vaulttest.Security, Collected: one, Value: only.ID()},
		{Action: audit.Seal, Outcome: audit.Failed, Reason: "invalid", Purpose: vaulttest.Security, Collected: one},
		{Action: audit.Reveal, Outcome: audit.Allowed, Purpose: vaulttest.Security, Collected: both, Value: value.ID()},
		{Action: audit.Hint, Outcome: audit.Allowed, Purpose: vaulttest.Security, Collected: both, Value: value.ID()},
		{Action: audit.Index, Outcome: audit.Allowed, Purpose: vaulttest.Security},
		{Action: audit.Index, Outcome: audit.Allowed, Purpose: vaulttest.Security, Collected: both, Value: value.ID()},
		{Action: audit.Reveal, Outcome: audit.Denied, Reason: "purpose", Value: only.ID(), Purpose: vaulttest.Advertising, Collected: one},
		{Action: audit.Index, Outcome: audit.Failed, Reason: "invalid", Purpose: vaulttest.Security},
	}
	require.Len(t, events, len(want))
	for i, e := range events {
		require.False(t, e.Time.IsZero())
		require.Equal(t, "sign-in", e.Caller)
		require.Equal(t, "note", e.Kind)
		require.Equal(t, e.Outcome != audit.Allowed, e.Err != nil)
		require.Equal(t, 1, e.Count)
		require.EqualValues(t, 1, e.Generation)
		of := map[string]vault.Sealed{value.ID(): value, only.ID(): only}[e.Value]
		provenance, _ := of.Provenance(e.Purpose)
		require.Equal(t, provenance, e.Provenance, "event %d", i)
		if id, named := of.KeyID(e.Purpose); named || e.Action != audit.Index {
			require.Equal(t, id, e.KeyID, "event %d", i)
		}
		e.Time, e.Caller, e.Kind, e.Err = time.Time{}, "", "", nil
		e.Count, e.Generation, e.Provenance, e.KeyID = 0, 0, purpose.Provenance{}, 0
		require.Equal(t, want[i], e, "event %d", i)
	}
}

// A canonical form that is refused is refused, whatever text comes with it: even the
// text that would be right.
func TestARefusedCanonicalFormIsNeverIndexed(t *testing.T) {
	var last audit.Event
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(e audit.Event) error { last = e; return nil })}, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	for _, c := range []struct {
		by   vault.Sealer
		open *vault.Scope
	}{{s, s}, {s.For("alice"), s.For("alice")}, {vaulttest.Collector(t, v, vaulttest.Security), s}} {
		value := vaulttest.Seal(t, c.by)
		for _, text := range []string{"text", "86095742718", "", " ", strings.Repeat("9", 1024), strings.Repeat("9", 1025)} {
			called := false
			index, err := c.open.IndexSealed(t.Context(), vaulttest.Note, value, func(plaintext string) (string, bool) {
				called = true
				require.Equal(t, "text", plaintext)
				return text, false
			})
			require.True(t, called)
			require.ErrorIs(t, err, vault.ErrCorrupt)
			require.NotErrorIs(t, err, vault.ErrInvalid, "the text is not looked at")
			require.Zero(t, index)
			require.Equal(t, audit.Allowed, last.Outcome, "the value was opened, and that was recorded before")
		}
		_, err := c.open.IndexSealed(t.Context(), vaulttest.Note, value, vaulttest.Accepting(strings.Clone))
		require.NoError(t, err, "it is the refusal that counts")
	}
}

// A plaintext that the caller refuses is not vouched for: no slot of it, in no scope's
// keys, comes out.
func TestARefusedPlaintextIsNotVouchedFor(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Billing, vaulttest.Advertising)
	sec, bill, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Billing), vaulttest.Scope(t, v, vaulttest.Advertising)
	value := vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Security), bill)
	for _, scopes := range [][]*vault.Scope{{sec}, {sec.For("alice")}, {bill}, {sec, bill}} {
		for refused := range scopes {
			asked := 0
			resealed, err := vault.Reseal(t.Context(), vaulttest.Note, value, func(plaintext string) bool {
				require.Equal(t, "text", plaintext)
				asked++
				return asked-1 != refused
			}, scopes...)
			require.ErrorIs(t, err, vault.ErrCorrupt)
			require.True(t, resealed.IsZero())
			require.Equal(t, refused+1, asked, "each slot is judged, until one is refused")
		}
		resealed, err := vault.Reseal(t.Context(), vaulttest.Note, value, func(string) bool { return true }, scopes...)
		require.NoError(t, err)
		require.False(t, resealed.IsZero())
	}
	consent := ads.Under(purpose.Basis{Consent: "c-1"})
	for _, accepts := range []bool{false, true} {
		extended, err := vault.Extend(t.Context(), vaulttest.Note, value, func(plaintext string) bool {
			require.Equal(t, "text", plaintext)
			return accepts
		}, bill, consent)
		require.Equal(t, accepts, err == nil)
		require.Equal(t, !accepts, extended.IsZero())
		if !accepts {
			require.ErrorIs(t, err, vault.ErrCorrupt)
		}
	}
}

// The tests above have every callback that can refuse.
func TestCallbacksThatRefuse(t *testing.T) {
	var found []string
	for _, typ := range []reflect.Type{
		reflect.TypeFor[*vault.Vault](), reflect.TypeFor[*vault.Admin](), reflect.TypeFor[*vault.Scope](), reflect.TypeFor[*vault.Reader](),
		reflect.TypeFor[*vault.Lookup](), reflect.TypeFor[*vault.Collector](), reflect.TypeFor[*vault.Sealed](),
		reflect.TypeOf(vault.Seal), reflect.TypeOf(vault.Extend), reflect.TypeOf(vault.Reseal),
	} {
		refusing := func(name string, f reflect.Type) {
			for i := range f.NumIn() {
				in := f.In(i)
				if in.Kind() == reflect.Func && in.NumOut() > 0 && in.Out(in.NumOut()-1).Kind() == reflect.Bool {
					found = append(found, name)
				}
			}
		}
		if typ.Kind() == reflect.Func {
			refusing(fmt.Sprint("func ", typ.NumIn()), typ)
			continue
		}
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			refusing(typ.String()+"."+m.Name, m.Type)
		}
	}
	require.Equal(t, []string{"*vault.Scope.IndexSealed", "func 6", "func 5"}, found) // and Extend and Reseal
}
