package scrapetest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/otel"
)

var (
	security = purpose.MustParse("security")
	ads      = purpose.MustParse("advertising")
	email    = vault.MustKind("email", "scrapetest.Email")
)

// A sample is one line of a scrape. Its labels have the name of the metric, and job and
// instance as Prometheus adds them.
type sample struct {
	labels labels.Labels
	value  float64
}

// A service is a process with a vault, an audit log and metrics, whose parts can fail.
type service struct {
	vault.Store
	aead              vault.AEAD
	storeDown, denied atomic.Bool
	full, lost        atomic.Bool // the audit log can't record; its heads are not kept
	log               *auditlog.Log
	admin             *vault.Admin
	s, other          *vault.Scope
	server            *httptest.Server
}

func (w *service) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	if w.storeDown.Load() {
		return nil, vault.ErrUnavailable
	}
	return w.Store.Get(ctx, names...)
}

func (w *service) For(context.Context, purpose.Purpose) (vault.AEAD, error) {
	if w.denied.Load() {
		return nil, vault.ErrAccessDenied
	}
	return w.aead, nil
}

func (w *service) Audit(ctx context.Context, e audit.Event) error {
	if w.full.Load() {
		return errors.New("full")
	}
	return w.log.Audit(ctx, e)
}

func newService(t *testing.T) *service {
	w := &service{Store: vault.Memory()}
	var err error
	w.aead, err = subtle.NewAESGCM(make([]byte, 32))
	require.NoError(t, err)
	registry := prometheus.NewRegistry()
	e, err := exporter.New(exporter.WithRegisterer(registry))
	require.NoError(t, err)
	opts := &otel.Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(e))}
	w.server = httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(w.server.Close)

	opts.Keeper = otel.NewKeeper(func(context.Context, auditlog.Head) error {
		if w.lost.Load() {
			return errors.New("no route")
		}
		return nil
	})
	secret, _, err := note.GenerateKey(rand.Reader, "example.com/audit/test")
	require.NoError(t, err)
	signer, err := note.NewSigner(secret)
	require.NoError(t, err)
	w.log, err = auditlog.Open(t.Context(), filepath.Join(t.TempDir(), "audit"), signer, &auditlog.Options{Keep: opts.Keeper.Keep})
	require.NoError(t, err)
	t.Cleanup(func() { w.log.Close() })
	opts.Log = w.log
	w.admin, err = vault.OpenAdmin(t.Context(), otel.Store(w, opts), otel.KEK(w, opts), &vault.Options{Audit: w})
	require.NoError(t, err)
	t.Cleanup(func() { w.admin.Close() })
	unregister, err := otel.Register(w.admin.Vault(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unregister()) })
	require.NoError(t, w.admin.Generate(t.Context(), security, ads))
	w.s, err = w.admin.Scope(t.Context(), security)
	require.NoError(t, err)
	return w
}

// work does what a healthy service does.
func (w *service) work(t *testing.T) {
	ctx := t.Context()
	for i := range 100 {
		x, err := vault.Seal(ctx, email, "alice@example.com", w.s.For(fmt.Sprint("user-", i)))
		require.NoError(t, err)
		_, err = w.s.For(fmt.Sprint("user-", i)).Reveal(ctx, email, x)
		require.NoError(t, err)
	}
	_, err := w.s.Index(ctx, email, "alice@example.com")
	require.NoError(t, err)
	_, err = w.admin.Erase(ctx, "user-1", security)
	require.NoError(t, err)
	require.NoError(t, w.log.Publish(ctx))
}

// fail makes the faults that a vault can have within a test. The others are a matter of
// time and of years of use.
func (w *service) fail(t *testing.T) {
	ctx := t.Context()
	var err error
	w.other, err = w.admin.Scope(ctx, ads)
	require.NoError(t, err)
	require.ErrorIs(t, w.admin.Vault().CheckDenied(ctx, ads), vault.ErrGranted)
	x, err := vault.Seal(ctx, email, "alice@example.com", w.s)
	require.NoError(t, err)
	for range 100 {
		_, err = w.other.Reveal(ctx, email, x)
		require.ErrorIs(t, err, purpose.ErrMismatch)
	}
	raw, err := x.MarshalBinary() // the last letter of the text has spare bits
	require.NoError(t, err)
	raw[len(raw)-1] ^= 1
	var forged vault.Sealed
	require.NoError(t, forged.UnmarshalBinary(raw))
	_, err = w.s.Reveal(ctx, email, forged)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	w.storeDown.Store(true)
	_, err = w.admin.Erase(ctx, "user-2", security)
	require.ErrorIs(t, err, vault.ErrUnavailable)
	w.storeDown.Store(false)
	w.lost.Store(true)
	require.Error(t, w.log.Publish(ctx))
	w.full.Store(true)
	_, err = w.s.Index(ctx, email, "alice@example.com")
	require.ErrorIs(t, err, vault.ErrUnavailable)
	w.full.Store(false)
}

// scrape returns the samples of a process.
func (w *service) scrape(t testing.TB, instance string) []sample {
	t.Helper()
	response, err := http.Get(w.server.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	require.NoError(t, err)
	var all []sample
	for name, family := range families {
		if name == "target_info" {
			continue
		}
		vector, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.Now()}, family)
		require.NoError(t, err)
		for _, s := range vector {
			b := labels.NewBuilder(labels.EmptyLabels())
			for k, v := range s.Metric {
				b.Set(string(k), string(v))
			}
			b.Set("job", "mailer").Set("instance", instance)
			all = append(all, sample{b.Labels(), float64(s.Value)})
		}
	}
	return all
}

// real is a scrape of a service that has had every fault, which all tests share.
var real = struct {
	once    sync.Once
	samples []sample
}{}

func realScrape(t *testing.T) []sample {
	real.once.Do(func() {
		w := newService(t)
		w.work(t)
		w.fail(t)
		real.samples = w.scrape(t, "host-1")
	})
	require.NotEmpty(t, real.samples)
	return real.samples
}
