package pii_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A faultyUse is something that an application does with values of a person whom its
// process has not met yet, so that the store is asked.
type faultyUse struct {
	name string
	// run returns what it hands out, which is nothing if it fails, and an index that
	// is poisoned.
	run func(ctx context.Context, f *faultyProcess) (any, error)
}

// A faultyProcess is one whose store, key service and auditor can fail.
type faultyProcess struct {
	security, ads *vault.Scope
	email         pii.Email
	phone         pii.Phone
	outage        *piitest.Outage
	audit         error // what the auditor says
}

func (f *faultyProcess) Audit(context.Context, audit.Event) error { return f.audit }

const faultyPerson = "user-7"

var faultyUses = []faultyUse{
	{"SealEmail", func(ctx context.Context, f *faultyProcess) (any, error) {
		return pii.SealEmail(ctx, testAddress, f.security)
	}},
	{"SealPhone", func(ctx context.Context, f *faultyProcess) (any, error) {
		return pii.SealPhone(ctx, testNumber, f.security)
	}},
	{"SealEmail for two", func(ctx context.Context, f *faultyProcess) (any, error) {
		return pii.SealEmail(ctx, testAddress, f.ads, f.security)
	}},
	{"Email.Reveal", func(ctx context.Context, f *faultyProcess) (any, error) { return f.email.Reveal(ctx, f.security) }},
	{"Phone.Reveal", func(ctx context.Context, f *faultyProcess) (any, error) { return f.phone.Reveal(ctx, f.security) }},
	{"Email.Hint", func(ctx context.Context, f *faultyProcess) (any, error) { return f.email.Hint(ctx, f.security) }},
	{"Email.Index", func(ctx context.Context, f *faultyProcess) (any, error) { return f.email.Index(ctx, f.security) }},
	{"Email.Extend", func(ctx context.Context, f *faultyProcess) (any, error) {
		return f.email.Extend(ctx, f.security, f.ads.Under(purpose.Basis{Consent: "c-1"}))
	}},
	{"Email.Reseal", func(ctx context.Context, f *faultyProcess) (any, error) { return f.email.Reseal(ctx, f.security) }},
	{"batch.Map", func(ctx context.Context, f *faultyProcess) (any, error) {
		var handed string
		var failed error
		for text, err := range batch.Map(ctx, slices.Values([]pii.Email{f.email}), func(ctx context.Context, e pii.Email) (string, error) {
			return e.Reveal(ctx, f.security)
		}) {
			handed, failed = handed+text, errors.Join(failed, err)
		}
		return handed, failed
	}},
}

// behindFaults calls test in a process whose scopes are open and narrowed to a person.
func behindFaults(t *testing.T, test func(t *testing.T, f *faultyProcess)) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Hour) // after which nothing may be under way
		kit := piitest.New(t, forSecurity, forAdvertising)
		own := kit.Scope(forSecurity).For(faultyPerson)
		f := &faultyProcess{outage: &piitest.Outage{}}
		var err error
		f.email, err = pii.SealEmail(t.Context(), testAddress, own)
		require.NoError(t, err)
		f.phone, err = pii.SealPhone(t.Context(), testNumber, own)
		require.NoError(t, err)
		v, err := vault.OpenAdmin(t.Context(), f.outage.Store(kit.Store), f.outage.KEK(kit.KEK), &vault.Options{Audit: f})
		require.NoError(t, err)
		defer v.Close()
		security, err := v.Scope(t.Context(), forSecurity)
		require.NoError(t, err)
		ads, err := v.Scope(t.Context(), forAdvertising)
		require.NoError(t, err)
		f.security, f.ads = security.For(faultyPerson), ads.For(faultyPerson)
		test(t, f)
	})
}

// handedNothing checks the result of a use that failed: an index that reached a
// database would find a row, and a zero one all of them.
func handedNothing(t *testing.T, out any, err error) {
	t.Helper()
	require.Error(t, err)
	requireNone(t, err.Error(), testAddress)
	requireNone(t, err.Error(), testNumber)
	require.NotContains(t, err.Error(), faultyPerson)
	if index, ok := out.(driver.Valuer); ok && reflect.TypeOf(out) == reflect.TypeFor[pii.Index]() {
		value, err := index.Value()
		require.Error(t, err)
		require.Empty(t, value)
		return
	}
	require.True(t, reflect.ValueOf(out).IsZero(), "handed out a %T in spite of an error", out)
}

// Whatever the store does when a person is first met, a use fails with the sentinel
// for it, hands out nothing, quotes nobody, and works as soon as the store does.
func TestStoreFaults(t *testing.T) {
	for _, use := range faultyUses {
		for fault, want := range map[piitest.Fault]error{
			piitest.Hang:     vault.ErrUnavailable,
			piitest.Deny:     vault.ErrNoKeys,
			piitest.Throttle: vault.ErrUnavailable,
			piitest.Fail:     vault.ErrUnavailable,
			piitest.Lose:     vault.ErrUnavailable,
			piitest.Panic:    vault.ErrUnavailable,
			piitest.Garbage:  vault.ErrCorrupt,
		} {
			t.Run(use.name+"/"+fault.String(), func(t *testing.T) {
				behindFaults(t, func(t *testing.T, f *faultyProcess) {
					f.outage.Script(piitest.Step{Fault: fault, Times: piitest.Forever})
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					defer cancel()
					began := time.Now()
					out, err := use.run(ctx, f)
					require.LessOrEqual(t, time.Since(began), 3*time.Second)
					require.ErrorIs(t, err, want)
					handedNothing(t, out, err)

					f.outage.Script()
					time.Sleep((30 * time.Second)) // for what hangs to be given up
					synctest.Wait()
					_, err = use.run(t.Context(), f)
					require.NoError(t, err)
				})
			})
		}
	}
}

// The same when nothing can be recorded.
func TestAuditorFaults(t *testing.T) {
	for _, use := range append(faultyUses,
		faultyUse{"IndexEmail", func(ctx context.Context, f *faultyProcess) (any, error) {
			return pii.IndexEmail(ctx, testAddress, f.security)
		}},
		faultyUse{"IndexesEmail", func(ctx context.Context, f *faultyProcess) (any, error) {
			all, err := pii.IndexesEmail(ctx, testAddress, f.security)
			if len(all) == 1 { // of which one is poisoned
				return all[0], err
			}
			return all, err
		}},
	) {
		t.Run(use.name, func(t *testing.T) {
			behindFaults(t, func(t *testing.T, f *faultyProcess) {
				f.audit = fmt.Errorf("disk full at %s %s", testAddress, testNumber)
				out, err := use.run(t.Context(), f)
				require.ErrorIs(t, err, vault.ErrUnavailable)
				handedNothing(t, out, err)
				f.audit = nil
				_, err = use.run(t.Context(), f)
				require.NoError(t, err)
			})
		})
	}
}

// A key service that is gone is nothing to scopes that are open, and to values of
// nobody in particular the store is nothing either.
func TestOpenScopesOutliveAnOutage(t *testing.T) {
	behindFaults(t, func(t *testing.T, f *faultyProcess) {
		f.outage.Script(piitest.Step{Fault: piitest.Panic, Times: piitest.Forever})
		before := len(f.outage.Calls())
		for range 3 {
			index, err := pii.IndexEmail(t.Context(), testAddress, f.security)
			require.NoError(t, err)
			require.False(t, index.IsZero())
		}
		require.Len(t, f.outage.Calls(), before)
	})
}
