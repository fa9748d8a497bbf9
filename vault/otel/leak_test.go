package otel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/otel"
)

// A leakWorld is a service with metrics and traces.
type leakWorld struct {
	store    *outageStore
	aead     vault.AEAD
	broken   atomic.Bool
	metrics  *metric.ManualReader
	spans    *tracetest.InMemoryExporter
	context  context.Context
	v        *vault.Admin
	s, other *vault.Scope

	mu     sync.Mutex
	values map[string]bool // their ids, and the pseudonyms of persons
}

func (w *leakWorld) For(context.Context, purpose.Purpose) (vault.AEAD, error) {
	if w.broken.Load() {
		return nil, errors.New("quoted-by-a-client")
	}
	return w.aead, nil
}

func (w *leakWorld) Audit(_ context.Context, e audit.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.values[e.Value], w.values[e.Subject] = true, true
	return nil
}

func newLeakWorld(t *testing.T) *leakWorld {
	w := &leakWorld{store: &outageStore{Store: vault.Memory()}, aead: newAEAD(t), values: map[string]bool{}}
	spans, provider, opts := traced()
	r, meters := reader(t)
	w.spans, w.metrics, opts.MeterProvider = spans, r, meters.MeterProvider
	w.context, _ = provider.Tracer("service").Start(t.Context(), "request")
	w.v = open(t, otel.Store(w.store, opts), otel.KEK(w, opts), &vault.Options{Audit: w}, security, ads)
	w.s, w.other = scope(t, w.v, security), scope(t, w.v, ads)
	_, err := otel.Register(w.v.Vault(), opts)
	require.NoError(t, err)
	return w
}

// use uses a contact in every way, with everything hostile that a caller can say.
func (w *leakWorld) use(t *testing.T, c *piitest.Contact) {
	ctx := audit.WithOperation(audit.WithCaller(w.context, c.Address+"\n\x00"+c.Number), c.Address)
	email, err := pii.SealEmail(ctx, c.Address, w.s.For(c.Address))
	require.NoError(t, err)
	phone, err := pii.SealPhone(ctx, c.Number, w.s.Under(purpose.Basis{Notice: "n", Consent: "c"}))
	require.NoError(t, err)
	_, _ = email.Reveal(ctx, w.s.For(c.Address))
	_, _ = email.Reveal(ctx, w.s.For(c.Number))
	_, _ = phone.Reveal(ctx, w.other)
	_, _ = pii.IndexEmail(ctx, c.Address, w.s)
	_, _ = phone.Index(ctx, w.s)
	_, _ = pii.SealEmail(ctx, c.Address+"\n", w.s.For(c.Address).Under(purpose.Basis{Notice: c.Address}))

	// Purposes and kinds that somebody made up, as far as the grammar goes.
	made := purpose.MustParse("made-up")
	_, err = w.v.Scope(ctx, made)
	require.Error(t, err)
	_, err = w.v.Erase(ctx, c.Address, made)
	require.Error(t, err)
	_, err = phone.Withdraw(ctx, made, w.v.Vault())
	require.NoError(t, err)
	require.Error(t, w.v.CheckDenied(ctx, made))
	text, err := phone.MarshalText()
	require.NoError(t, err)
	forged, err := vault.ParseSealed(strings.Replace(string(text), ".phone.", ".hostile.", 1))
	require.NoError(t, err)
	_, err = forged.Withdraw(ctx, security, w.v.Vault())
	require.NoError(t, err)

	// Clients whose errors quote a request.
	down := func(context.Context) error { return fmt.Errorf("quoted-by-a-client %s: %s", c.Address, c.Number) }
	w.store.fault.Store(&down)
	_, err = pii.SealEmail(ctx, c.Address, w.other.For(c.Number))
	require.Error(t, err)
	w.store.fault.Store(nil)
	w.broken.Store(true)
	require.Error(t, w.v.CheckKEK(ctx, security))
	w.broken.Store(false)
	_, err = w.v.Erase(ctx, c.Address, security)
	require.NoError(t, err)
}

// said returns everything that metrics and spans say.
func (w *leakWorld) said(t *testing.T) string {
	var all metricdata.ResourceMetrics
	require.NoError(t, w.metrics.Collect(w.context, &all))
	require.NotEmpty(t, all.ScopeMetrics)
	require.NotEmpty(t, w.spans.GetSpans())
	return fmt.Sprintf("%+v\n%+v\n%v", all, w.spans.GetSpans(), points(t, w.metrics))
}

// Neither metrics nor spans have a value, an index, a person or a caller, nor a word that
// an attacker or a client chose.
func TestTelemetryTellsNothing(t *testing.T) {
	w := newLeakWorld(t)
	var said string
	piitest.Canary(t, w.s, func(c *piitest.Contact) {
		w.use(t, c)
		said = w.said(t)
		c.Search("metrics and spans", said)
	}, w.other)
	piitest.NoLeak(t, func(c *piitest.Contact) {
		w.use(t, c)
		c.Search("metrics and spans", w.said(t))
	})
	require.Contains(t, said, "onlyfor.action=reveal", "everything is in it")
	require.Contains(t, said, "onlyfor.store.get")
	for _, word := range []string{"made-up", "hostile", "quoted-by-a-client"} {
		require.NotContains(t, said, word)
	}
	delete(w.values, "")
	require.Greater(t, len(w.values), 2)
	for id := range w.values {
		require.Len(t, id, 32)
		require.NotContains(t, said, id)
	}
}
