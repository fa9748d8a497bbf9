package ready_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
	"github.com/onlyfor/onlyfor/vault/ready"
)

var (
	security = purpose.MustParse("security")
	ads      = purpose.MustParse("advertising")
)

// A world is a vault whose store and key service can fail or hang.
type world struct {
	vault.Store
	kek   vault.AEAD
	fault atomic.Pointer[func(ctx context.Context, part string) error]
	asks  atomic.Int64 // of the key service
	admin *vault.Admin
	v     *vault.Vault

	mu     sync.Mutex
	events []audit.Event
}

func (w *world) fail(part string, f func(ctx context.Context) error) {
	all := func(ctx context.Context, at string) error {
		if at == part {
			return f(ctx)
		}
		return nil
	}
	w.fault.Store(&all)
}

func (w *world) faultOf(ctx context.Context, part string) error {
	if f := w.fault.Load(); f != nil {
		return (*f)(ctx, part)
	}
	return nil
}

func (w *world) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	if err := w.faultOf(ctx, "store"); err != nil {
		return nil, err
	}
	return w.Store.Get(ctx, names...)
}

func (w *world) For(ctx context.Context, _ purpose.Purpose) (vault.AEAD, error) {
	w.asks.Add(1)
	return w.kek, w.faultOf(ctx, "kek")
}

func (w *world) Audit(_ context.Context, e audit.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	return nil
}

func newWorld(t *testing.T) *world { return newWorldThatStops(t, 0) }

// newWorldThatStops is newWorld for a vault with that SuspendLifetime.
func newWorldThatStops(t *testing.T, lifetime time.Duration) *world {
	w := &world{Store: vault.Memory(), kek: vaulttest.NewAEAD(t)}
	var err error
	w.admin, err = vault.OpenAdmin(t.Context(), w, w, nil)
	require.NoError(t, err)
	require.NoError(t, w.admin.Generate(t.Context(), security, ads))
	w.v, err = vault.Open(t.Context(), w, w, &vault.Options{Audit: w, SuspendLifetime: lifetime})
	require.NoError(t, err)
	t.Cleanup(func() { w.admin.Close(); w.v.Close() })
	return w
}

func ask(t *testing.T, h http.Handler) (int, ready.Report) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/readyz?verbose=<script>", nil))
	var r ready.Report
	decoder := json.NewDecoder(rec.Body)
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&r))
	require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
	require.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
	require.Equal(t, r.Ready, rec.Code == http.StatusOK)
	require.Equal(t, !r.Ready, rec.Code == http.StatusServiceUnavailable)
	require.Equal(t, r.Ready, r.State == ready.StateReady)
	return rec.Code, r
}

func unavailable(context.Context) error { return vault.ErrUnavailable }

func TestReadyFromFirstKeysToClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := ready.Handler(w.v, &ready.Options{Purposes: purpose.NewSet(security, ads)})
		_, r := ask(t, h)
		require.Equal(t, ready.StateNone, r.State)
		_, err := w.v.Scope(t.Context(), security)
		require.NoError(t, err)
		_, r = ask(t, h)
		require.Equal(t, ready.StateMissing, r.State)
		require.Equal(t, ready.Keys{Purpose: "advertising", State: ready.StateMissing}, r.Keys[1])
		require.True(t, ready.Check(w.v, nil).Ready, "where nobody says which keys are needed")
		_, err = w.v.Lookup(t.Context(), ads)
		require.NoError(t, err)
		_, r = ask(t, h)
		require.True(t, r.Ready)
		require.Equal(t, "lookup", r.Keys[0].Handle)
		require.InDelta(t, 24*3600, r.Keys[0].Lease, 2.4*3600+1)
		require.Equal(t, ready.OK, r.Keys[0].Store)
		require.Equal(t, ready.OK, r.Keys[0].KeyService)
		require.NoError(t, w.v.Close())
		_, r = ask(t, h)
		require.Equal(t, ready.StateNone, r.State)
		for _, nothing := range []*vault.Vault{nil, new(vault.Vault)} {
			require.Equal(t, ready.StateNone, ready.Check(nothing, nil).State)
		}
	})
}

// A process that lost its store is ready for as long as its keys last. It is not ready
// from the margin before that.
func TestReadyWithoutAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldThatStops(t, 30*24*time.Hour)
		s, err := w.v.Scope(t.Context(), security)
		require.NoError(t, err)
		h := ready.Handler(w.v, nil)
		strict := &ready.Options{StoreWithin: 10 * time.Minute}
		w.fail("store", unavailable)
		end := w.v.Status()[0].Lapses
		for time.Until(end) > time.Minute+time.Second {
			_, err = s.Index(t.Context(), vaulttest.Note, "text")
			require.NoError(t, err)
			synctest.Wait()
			code, r := ask(t, h)
			require.Equal(t, http.StatusOK, code, r)
			if time.Until(end) < 20*time.Hour {
				require.Equal(t, "unavailable", r.Keys[0].Store)
				require.Equal(t, ready.StateStore, ready.Check(w.v, strict).State)
			}
			time.Sleep(min(time.Hour, time.Until(end)-time.Minute-time.Second))
		}
		time.Sleep(2 * time.Second)
		_, r := ask(t, h)
		require.Equal(t, ready.StateLapsing, r.State)
		require.InDelta(t, 59, r.Keys[0].Lease, 1)
		require.True(t, ready.Check(w.v, &ready.Options{Margin: -1}).Ready)
		time.Sleep(time.Minute)
		_, r = ask(t, h)
		require.Equal(t, ready.StateLapsed, r.State)
		require.Zero(t, r.Keys[0].Lease)
		synctest.Wait()
		_, err = s.Index(t.Context(), vaulttest.Note, "text")
		require.ErrorIs(t, err, vault.ErrUnavailable)

		w.fault.Store(nil)
		time.Sleep(time.Minute)
		ask(t, h) // has the vault ask
		synctest.Wait()
		_, r = ask(t, h)
		require.True(t, r.Ready, r)
	})
}

// A process that can't know whether values were suspended refuses to use them. It is out of
// service before that, and comes back once the store answers.
func TestNotReadyWhereValuesMayBeSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, err := w.v.Scope(t.Context(), security)
		require.NoError(t, err)
		h := ready.Handler(w.v, nil)
		w.fail("store", unavailable)
		stops := w.v.Status()[0].Stops
		require.InDelta(t, 3600, time.Until(stops).Seconds(), 400)
		for time.Until(stops) > time.Minute+time.Second {
			_, err = s.Index(t.Context(), vaulttest.Note, "text")
			require.NoError(t, err)
			synctest.Wait()
			code, r := ask(t, h)
			require.Equal(t, http.StatusOK, code, r)
			time.Sleep(min(10*time.Minute, time.Until(stops)-time.Minute-time.Second))
		}
		time.Sleep(2 * time.Second)
		_, r := ask(t, h)
		require.Equal(t, ready.StateStore, r.State)
		require.True(t, ready.Check(w.v, &ready.Options{Margin: -1}).Ready)
		time.Sleep(time.Minute)
		_, err = s.Index(t.Context(), vaulttest.Note, "text")
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.False(t, ready.Check(w.v, &ready.Options{Margin: -1}).Ready)

		w.fault.Store(nil)
		time.Sleep(time.Minute)
		ask(t, h) // has the vault look
		synctest.Wait()
		_, r = ask(t, h)
		require.True(t, r.Ready, r)
		_, err = s.Index(t.Context(), vaulttest.Note, "text")
		require.NoError(t, err)
	})
}

// A process out of service is used by nobody, so nothing but the check can renew its keys.
func TestIdleProcessBecomesReadyAgain(t *testing.T) {
	for _, handle := range []string{"scope", "lookup", "reader"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			switch handle {
			case "scope":
				_, err := w.v.Scope(t.Context(), security)
				require.NoError(t, err)
			case "lookup":
				_, err := w.v.Lookup(t.Context(), security)
				require.NoError(t, err)
			case "reader":
				_, err := w.v.Reader(t.Context(), security)
				require.NoError(t, err)
			}
			h := ready.Handler(w.v, nil)
			time.Sleep(48 * time.Hour) // without a probe
			_, r := ask(t, h)
			require.Equal(t, ready.StateLapsed, r.State)
			require.Equal(t, ready.Stale, r.Keys[0].Store)
			require.Equal(t, ready.Stale, r.Keys[0].KeyService)
			synctest.Wait()
			_, r = ask(t, h)
			require.True(t, r.Ready, r)
			require.Len(t, w.v.Status(), 1, "it opened no other handle")

			// With a probe every minute it is ready all the time.
			before := len(w.events)
			for range 3 * 24 * 60 {
				time.Sleep(time.Minute)
				code, r := ask(t, h)
				require.Equal(t, http.StatusOK, code, r)
			}
			synctest.Wait()
			var probes []audit.Event
			for _, e := range w.events[before:] {
				if e.Action == audit.Renew { // the key service was asked again
					require.Equal(t, 1, e.Unwraps)
					require.Empty(t, e.Caller)
					continue
				}
				probes = append(probes, e)
			}
			require.NotEmpty(t, probes)
			require.LessOrEqual(t, len(probes), 8, "once in a lease")
			for _, e := range probes {
				require.Equal(t, audit.Open, e.Action)
				require.Equal(t, "readiness", e.Caller)
			}
		})
	}
}

// An outage does not make the probes a flood of questions or of events.
func TestProbesAskSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, err := w.v.Scope(t.Context(), security)
		require.NoError(t, err)
		h := ready.Handler(w.v, nil)
		time.Sleep(25 * time.Hour)
		w.fail("kek", func(context.Context) error { return vault.ErrAccessDenied })
		before := w.asks.Load()
		for range 600 {
			_, r := ask(t, h)
			require.Equal(t, ready.StateLapsed, r.State)
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		asks := w.asks.Load() - before
		require.GreaterOrEqual(t, asks, int64(6))
		require.LessOrEqual(t, asks, int64(14), "in a minute")
		_, r := ask(t, h)
		require.Equal(t, "access", r.Keys[0].KeyService)
	})
}

// A store and a key service that hang keep no probe waiting, and leave one goroutine.
func TestHangingKeepsNobodyWaiting(t *testing.T) {
	for _, part := range []string{"store", "kek"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			_, err := w.v.Scope(t.Context(), security)
			require.NoError(t, err)
			h := ready.Handler(w.v, nil)
			time.Sleep(25 * time.Hour)
			release := make(chan struct{})
			var hanging atomic.Int64
			w.fail(part, func(context.Context) error { hanging.Add(1); <-release; return vault.ErrUnavailable })
			for range 1000 {
				began := time.Now()
				_, r := ask(t, h)
				require.Equal(t, ready.StateLapsed, r.State)
				require.Equal(t, began, time.Now(), "no time passed")
				time.Sleep(time.Second)
			}
			require.LessOrEqual(t, hanging.Load(), int64(2))
			w.fault.Store(nil)
			close(release)
			time.Sleep(time.Minute)
			ask(t, h)
			synctest.Wait()
			_, r := ask(t, h)
			require.True(t, r.Ready, r)
		})
	}
}

func TestMethods(t *testing.T) {
	w := newWorld(t)
	_, err := w.v.Scope(t.Context(), security)
	require.NoError(t, err)
	server := httptest.NewServer(ready.Handler(w.v, nil))
	defer server.Close()
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "PUT": 405, "DELETE": 405} {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL, strings.NewReader("x"))
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, want, response.StatusCode, method)
	}
}

// No report has anything of a value, a person or a caller, and none of the words of a
// client.
func TestReportTellsNothing(t *testing.T) {
	piitest.NoLeakParallel(t, func(c *piitest.Contact) {
		w := newWorld(t)
		ctx := audit.WithCaller(t.Context(), c.Address)
		s, err := w.v.Scope(ctx, security)
		require.NoError(t, err)
		x, err := pii.SealEmail(ctx, c.Address, s.For(c.Address))
		require.NoError(t, err)
		_, err = x.Reveal(ctx, s)
		require.Error(t, err)
		_, err = w.v.Erase(ctx, c.Address, security)
		require.NoError(t, err)
		h := ready.Handler(w.v, nil)
		for _, part := range []string{"store", "kek"} {
			w.fail(part, func(context.Context) error { return fmt.Errorf("%s: %w", c.Address, errors.New(c.Number)) })
			_, _ = w.v.Scope(ctx, ads)
			_, _ = w.v.Erase(ctx, "another", security)
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+c.Number, nil))
			c.Search("body", rec.Body.String())
			c.Search("header", rec.Header())
			c.Search("report", ready.Check(w.v, nil))
		}
	})
}

func ExampleHandler() {
	ctx := context.Background()
	store, kek := vault.Memory(), vault.KEKFunc(exampleKEK)
	admin, _ := vault.OpenAdmin(ctx, store, kek, nil)
	defer admin.Close()
	_ = admin.Generate(ctx, security)
	v := admin.Vault()
	probe := func() {
		rec := httptest.NewRecorder()
		ready.Handler(v, nil).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		fmt.Println(rec.Code, ready.Check(v, nil).State)
	}
	probe()
	if _, err := v.Scope(ctx, security); err != nil {
		panic(err)
	}
	probe()
	// Output:
	// 503 none
	// 200 ready
}

func exampleKEK(context.Context, purpose.Purpose) (vault.AEAD, error) { return exampleAEAD, nil }
