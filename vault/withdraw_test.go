package vault_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A withdrawal is the value without the purpose, and one event with the facts of the slot
// that is gone. It needs no key.
func TestWithdraw(t *testing.T) {
	var events []audit.Event
	var failure error
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(e audit.Event) error { events = append(events, e); return failure })},
		vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	value := vaulttest.Seal(t, sec.For("alice"), ads.For("alice").Under(purpose.Basis{Notice: "n-1", Consent: "c-1"}))
	pseudonym, err := ads.Pseudonym(t.Context(), "alice")
	require.NoError(t, err)
	provenance, _ := value.Provenance(vaulttest.Advertising)
	other := vaulttest.Open(t, vault.Memory(), vault.KEKs{}, &vault.Options{Audit: auditFunc(func(e audit.Event) error { events = append(events, e); return failure })})
	ctx := audit.WithCaller(t.Context(), "privacy page")
	for name, c := range map[string]struct {
		by      vault.Recorder
		subject string
	}{
		"vault": {v.Vault(), ""}, "admin": {v, ""}, "scope of another purpose": {sec.For("alice"), ""}, "scope": {ads, ""},
		"narrowed scope": {ads.For("alice"), pseudonym}, "vault without keys": {other, ""},
	} {
		events = nil
		without, err := value.Withdraw(ctx, vaulttest.Advertising, c.by)
		require.NoError(t, err, name)
		require.Equal(t, value.Without(vaulttest.Advertising), without, name)
		require.Len(t, events, 1, name)
		e := events[0]
		require.False(t, e.Time.IsZero())
		want := audit.Event{
			Time: e.Time, Action: audit.Withdraw, Outcome: audit.Allowed, Purpose: vaulttest.Advertising, Generation: e.Generation, Subject: c.subject,
			Collected: value.Purposes(), Kind: "note", Value: value.ID(), Provenance: provenance, Count: 1, Caller: "privacy page",
		}
		require.Equal(t, want, e, name)
	}

	events = nil
	again, err := value.Withdraw(ctx, vaulttest.Billing, v)
	require.NoError(t, err)
	require.Equal(t, value, again)
	require.Equal(t, "absent", events[0].Reason)
	absent, err := vault.Sealed{}.Withdraw(ctx, vaulttest.Billing, v)
	require.NoError(t, err)
	require.True(t, absent.IsZero())
	last, err := value.Without(vaulttest.Security).Withdraw(ctx, vaulttest.Advertising, v)
	require.NoError(t, err)
	require.True(t, last.IsZero())

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	copied := *ads
	for name, refused := range map[string]func() (vault.Sealed, error){
		"no purpose": func() (vault.Sealed, error) { return value.Withdraw(ctx, purpose.Purpose{}, v) },
		"nil":        func() (vault.Sealed, error) { return value.Withdraw(ctx, vaulttest.Advertising, nil) },
		"nil vault":  func() (vault.Sealed, error) { return value.Withdraw(ctx, vaulttest.Advertising, (*vault.Vault)(nil)) },
		"nil admin":  func() (vault.Sealed, error) { return value.Withdraw(ctx, vaulttest.Advertising, (*vault.Admin)(nil)) },
		"nil scope":  func() (vault.Sealed, error) { return value.Sweep(ctx, (*vault.Scope)(nil)) },
		"copied":     func() (vault.Sealed, error) { return value.Withdraw(ctx, vaulttest.Advertising, &copied) },
		"embedded": func() (vault.Sealed, error) {
			return value.Withdraw(ctx, vaulttest.Advertising, struct{ *vault.Scope }{ads})
		},
	} {
		got, err := refused()
		require.ErrorIs(t, err, vault.ErrInvalid, name)
		require.Equal(t, value, got, name)
	}
	_, err = value.Withdraw(ctx, vaulttest.Advertising, nil)
	require.EqualError(t, err, "vault: withdrawing note: no vault or scope to record it: invalid argument")
	_, err = value.Sweep(ctx, nil)
	require.EqualError(t, err, "vault: sweeping note: no vault or scope to record it: invalid argument")
	got, err := value.Withdraw(canceled, vaulttest.Advertising, v)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.Equal(t, value, got)
	require.Equal(t, "unavailable", events[len(events)-1].Reason)
	failure = errors.New("disk full")
	got, err = value.Withdraw(ctx, vaulttest.Advertising, v)
	require.EqualError(t, err, "vault: withdrawing note: audit failed: unavailable")
	require.Equal(t, value, got, "a withdrawal that can't be recorded does not happen")
}

// A sweep makes an event for each purpose that it removes, and none if it removes none.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []audit.Event
		v := vaulttest.Generated(t, &vault.Options{ExactTimes: true, Audit: auditFunc(func(e audit.Event) error { events = append(events, e); return nil })},
			vaulttest.Security, vaulttest.Advertising, vaulttest.Billing)
		hour := purpose.Basis{Retain: time.Hour}
		sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
		value := vaulttest.Seal(t, sec, ads.Under(hour), vaulttest.Scope(t, v, vaulttest.Billing).Under(hour))
		events = nil
		same, err := value.Sweep(t.Context(), sec)
		require.NoError(t, err)
		require.Equal(t, value, same)
		require.Empty(t, events)

		time.Sleep(2 * time.Hour)
		kept, err := value.Sweep(t.Context(), sec)
		require.NoError(t, err)
		require.Equal(t, value.WithoutExpired(), kept)
		require.Equal(t, purpose.NewSet(vaulttest.Security), kept.Purposes())
		require.Len(t, events, 2)
		for i, p := range []purpose.Purpose{vaulttest.Advertising, vaulttest.Billing} {
			require.Equal(t, audit.Sweep, events[i].Action)
			require.Equal(t, p, events[i].Purpose)
			require.Equal(t, value.ID(), events[i].Value)
			require.False(t, events[i].Provenance.Expires.IsZero())
		}
		events = nil
		require.NoError(t, value.RecordClear(t.Context(), vaulttest.Security, sec))
		require.NoError(t, vault.Sealed{}.RecordClear(t.Context(), vaulttest.Security, v))
		require.ErrorIs(t, value.RecordClear(t.Context(), vaulttest.Security, nil), vault.ErrInvalid)
		require.Len(t, events, 2)
		require.Equal(t, audit.Clear, events[0].Action)
		require.Equal(t, value.ID(), events[0].Value)
		require.Empty(t, events[1].Value)
		require.NoError(t, v.Close())
		_, err = value.Sweep(t.Context(), sec)
		require.NoError(t, err, "after Close")
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		got, err := value.Sweep(canceled, sec)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.Equal(t, value, got)
	})
}
