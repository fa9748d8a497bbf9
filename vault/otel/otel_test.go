package otel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/otel"
)

var (
	security = purpose.MustParse("security")
	ads      = purpose.MustParse("advertising")
	kind     = vault.MustKind("note", "otel.Note")
)

func newAEAD(t testing.TB) vault.AEAD {
	t.Helper()
	a, err := subtle.NewAESGCM(make([]byte, 32))
	require.NoError(t, err)
	return a
}

func open(t testing.TB, store vault.Store, kek vault.KEK, opts *vault.Options, purposes ...purpose.Purpose) *vault.Admin {
	t.Helper()
	admin, err := vault.OpenAdmin(t.Context(), store, kek, opts)
	require.NoError(t, err)
	t.Cleanup(func() { admin.Close() })
	require.NoError(t, admin.Generate(t.Context(), purposes...))
	return admin
}

func scope(t testing.TB, v *vault.Admin, p purpose.Purpose) *vault.Scope {
	t.Helper()
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	return s
}

func seal(t testing.TB, s *vault.Scope) vault.Sealed {
	t.Helper()
	x, err := vault.Seal(t.Context(), kind, "text", s)
	require.NoError(t, err)
	return x
}

// points collects, and returns the value of each series as "name{attributes}".
func points(t testing.TB, r *metric.ManualReader) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, r.Collect(context.WithoutCancel(t.Context()), &all))
	found := map[string]float64{}
	add := func(name string, set attribute.Set, value float64) {
		key := name + "{" + set.Encoded(attribute.DefaultEncoder()) + "}"
		require.NotContains(t, found, key)
		found[key] = value
	}
	for _, scope := range all.ScopeMetrics {
		require.Equal(t, "github.com/onlyfor/onlyfor/vault/otel", scope.Scope.Name)
		for _, m := range scope.Metrics {
			require.NotEmpty(t, m.Unit, m.Name)
			require.NotEmpty(t, m.Description, m.Name)
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				require.True(t, data.IsMonotonic)
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, float64(p.Value))
				}
			case metricdata.Sum[float64]:
				require.True(t, data.IsMonotonic)
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, float64(p.Count))
				}
			default:
				t.Fatalf("%T", data)
			}
		}
	}
	return found
}

func reader(t testing.TB) (*metric.ManualReader, *otel.Options) {
	r := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(r))
	t.Cleanup(func() { _ = provider.Shutdown(context.WithoutCancel(t.Context())) })
	return r, &otel.Options{MeterProvider: provider}
}

// Each metric has the number that the vault knows.
func TestMetricsAreThoseOfTheVault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := open(t, vault.Memory(), vault.SharedKEK(newAEAD(t)), nil, security, ads)
		s, other := scope(t, v, security), scope(t, v, ads)
		r, opts := reader(t)
		unregister, err := otel.Register(v.Vault(), opts)
		require.NoError(t, err)
		began := time.Now()
		x := seal(t, s)
		for range 3 {
			_, err = s.Reveal(t.Context(), kind, x)
			require.NoError(t, err)
		}
		_, err = other.Reveal(t.Context(), kind, x)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		seal(t, s.For("alice"))
		_, err = vault.Seal(t.Context(), kind, "text", s.For("alice"))
		require.NoError(t, err)
		time.Sleep(time.Hour)

		p := points(t, r)
		require.Equal(t, 3.0, p["onlyfor.operations{onlyfor.action=reveal,onlyfor.kind=note,onlyfor.outcome=allowed,onlyfor.purpose=security}"])
		require.Equal(t, 3.0, p["onlyfor.operations{onlyfor.action=seal,onlyfor.kind=note,onlyfor.outcome=allowed,onlyfor.purpose=security}"])
		require.Equal(t, 1.0, p["onlyfor.operations{onlyfor.action=reveal,onlyfor.kind=note,onlyfor.outcome=denied,onlyfor.purpose=advertising,onlyfor.reason=purpose}"])
		require.Equal(t, 1.0, p["onlyfor.operations{onlyfor.action=generate,onlyfor.outcome=allowed,onlyfor.purpose=security}"])
		require.Equal(t, 1.0, p["onlyfor.subject_cache.lookups{onlyfor.result=hit}"])
		require.Equal(t, 1.0, p["onlyfor.subject_cache.lookups{onlyfor.result=miss}"])
		status := v.Status()[1]
		require.InDelta(t, status.Lapses.Sub(began).Seconds()-3600, p["onlyfor.lease.remaining{onlyfor.handle=scope,onlyfor.purpose=security}"], 1)
		require.InDelta(t, 3600, p["onlyfor.store.age{onlyfor.handle=scope,onlyfor.purpose=security}"], 301)
		require.Equal(t, 1.0, p["onlyfor.generation{onlyfor.handle=scope,onlyfor.purpose=security}"])
		for _, role := range []string{"seal", "index", "subject", "collect"} {
			require.InDelta(t, 3600, p["onlyfor.key.age{onlyfor.handle=scope,onlyfor.purpose=security,onlyfor.role="+role+"}"], 1)
		}
		require.Equal(t, 0.0, p["onlyfor.failing{onlyfor.handle=scope,onlyfor.purpose=security,onlyfor.source=store}"])
		require.Equal(t, 0.0, p["onlyfor.erasure.pending{onlyfor.handle=scope,onlyfor.purpose=security}"])
		require.Equal(t, 2.0, p[fmt.Sprintf("onlyfor.key.seals{onlyfor.key=%08x,onlyfor.purpose=security}", status.Primary[0].ID)], "a value and the key of a person")
		require.Equal(t, 0.0, p[fmt.Sprintf("onlyfor.key.seals{onlyfor.key=%08x,onlyfor.purpose=advertising}", v.Status()[0].Primary[0].ID)])
		stats := v.Stats()
		require.Equal(t, float64(stats.StoreCalls-stats.StoreFailures), p["onlyfor.store.calls{onlyfor.result=ok}"])
		require.Equal(t, float64(stats.KEKFailures), p["onlyfor.kek.calls{onlyfor.result=failed}"])
		require.Equal(t, float64(time.Now().Unix()), p["onlyfor.clock.time{}"])
		require.Equal(t, 0.0, p["onlyfor.clock.step{}"])
		require.Equal(t, 0.0, p["onlyfor.audit.failures{}"])
		require.NotContains(t, p, "onlyfor.audit.unwitnessed{}", "there is no log")
		require.Contains(t, p, "onlyfor.store.time{}")
		require.Contains(t, p, "onlyfor.kek.time{}")

		// A second collection has the same series, with newer numbers.
		again := points(t, r)
		require.Len(t, again, len(p))
		require.NoError(t, v.Close())
		closed := points(t, r)
		require.Contains(t, closed, "onlyfor.operations{onlyfor.action=reveal,onlyfor.kind=note,onlyfor.outcome=allowed,onlyfor.purpose=security}")
		require.NotContains(t, closed, "onlyfor.lease.remaining{onlyfor.handle=scope,onlyfor.purpose=security}")
		require.NoError(t, unregister())
		require.NoError(t, unregister())
		require.Empty(t, points(t, r))
	})
}

func TestRegisterRefuses(t *testing.T) {
	v := open(t, vault.Memory(), vault.SharedKEK(newAEAD(t)), nil, security)
	_, err := otel.Register(nil, nil)
	require.EqualError(t, err, "otel: registering: nil vault: invalid argument")
	for _, name := range []string{"Mailer", "a b", "-", strings.Repeat("a", 64), "alice@example.com"} {
		_, err := otel.Register(v.Vault(), &otel.Options{Name: name})
		require.EqualError(t, err, "otel: registering: malformed name of a vault: invalid argument")
	}
	_, err = otel.Register(v.Vault(), &otel.Options{Keeper: otel.NewKeeper(nil)})
	require.ErrorIs(t, err, vault.ErrInvalid)
	unregister, err := otel.Register(v.Vault(), nil) // at the global provider
	require.NoError(t, err)
	require.NoError(t, unregister())
	require.Nil(t, otel.KEK(nil, nil))
	require.Nil(t, otel.Store(nil, nil))
}

// Two vaults of one process are told apart by their names.
func TestTwoVaults(t *testing.T) {
	r, opts := reader(t)
	for _, name := range []string{"one", "two"} {
		named := *opts
		named.Name = name
		v := open(t, otel.Store(vault.Memory(), &named), vault.SharedKEK(newAEAD(t)), nil, security)
		seal(t, scope(t, v, security))
		_, err := otel.Register(v.Vault(), &named)
		require.NoError(t, err)
	}
	for series := range points(t, r) {
		require.Contains(t, series, "onlyfor.vault=")
	}
	require.Equal(t, 1.0, points(t, r)["onlyfor.operations{onlyfor.action=seal,onlyfor.kind=note,onlyfor.outcome=allowed,onlyfor.purpose=security,onlyfor.vault=two}"])
}

// An outageStore hangs or fails on demand.
type outageStore struct {
	vault.Store
	fault atomic.Pointer[func(ctx context.Context) error]
}

func (s *outageStore) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	if f := s.fault.Load(); f != nil {
		if err := (*f)(ctx); err != nil {
			return nil, err
		}
	}
	return s.Store.Get(ctx, names...)
}

// While the store hangs a collection takes no time, and says so.
func TestHangingStoreKeepsNoCollectionWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &outageStore{Store: vault.Memory()}
		r, opts := reader(t)
		v := open(t, otel.Store(store, opts), vault.SharedKEK(newAEAD(t)), nil, security)
		s := scope(t, v, security)
		_, err := otel.Register(v.Vault(), opts)
		require.NoError(t, err)
		release := make(chan struct{})
		hang := func(context.Context) error { <-release; return nil }
		store.fault.Store(&hang)
		for range 20 {
			time.Sleep(time.Minute)
			_, _ = s.Index(t.Context(), kind, "text")
			began := time.Now()
			points(t, r)
			require.Equal(t, began, time.Now())
		}
		p := points(t, r)
		require.Equal(t, 1.0, p["onlyfor.failing{onlyfor.handle=scope,onlyfor.purpose=security,onlyfor.source=store}"])
		require.Greater(t, p["onlyfor.store.age{onlyfor.handle=scope,onlyfor.purpose=security}"], 1000.0)
		require.Contains(t, p, "onlyfor.lease.remaining{onlyfor.handle=scope,onlyfor.purpose=security}")
		store.fault.Store(nil)
		close(release)
		time.Sleep(time.Minute)
		_, err = s.Index(t.Context(), kind, "text")
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 0.0, points(t, r)["onlyfor.failing{onlyfor.handle=scope,onlyfor.purpose=security,onlyfor.source=store}"])
	})
}

// Events that the auditor refuses are counted.
func TestAuditFailures(t *testing.T) {
	var broken atomic.Bool
	v := open(t, vault.Memory(), vault.SharedKEK(newAEAD(t)), &vault.Options{Audit: auditor(func(audit.Event) error {
		if broken.Load() {
			return errors.New("full")
		}
		return nil
	})}, security)
	s := scope(t, v, security)
	r, opts := reader(t)
	_, err := otel.Register(v.Vault(), opts)
	require.NoError(t, err)
	broken.Store(true)
	_, err = s.Index(t.Context(), kind, "text")
	require.ErrorIs(t, err, vault.ErrUnavailable)
	require.Equal(t, 1.0, points(t, r)["onlyfor.audit.failures{}"])
}

type auditor func(audit.Event) error

func (f auditor) Audit(_ context.Context, e audit.Event) error { return f(e) }

// Several readers may collect while values are sealed, and rotations make new series.
func TestCollectTogether(t *testing.T) {
	v := open(t, vault.Memory(), vault.SharedKEK(newAEAD(t)), nil, security)
	s := scope(t, v, security)
	readers := []*metric.ManualReader{metric.NewManualReader(), metric.NewManualReader()}
	provider := metric.NewMeterProvider(metric.WithReader(readers[0]), metric.WithReader(readers[1]))
	unregister, err := otel.Register(v.Vault(), &otel.Options{MeterProvider: provider})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for _, r := range readers {
		wg.Go(func() {
			for range 50 {
				points(t, r)
			}
		})
	}
	for range 10 {
		seal(t, s)
		require.NoError(t, v.Rotate(t.Context(), security, vault.RoleSeal))
		keys, err := v.Keys(t.Context(), security)
		require.NoError(t, err)
		for _, k := range keys {
			if !k.PrimaryAt.IsZero() {
				require.NoError(t, v.Promote(t.Context(), security, k.ID))
			}
		}
	}
	wg.Wait()
	require.NoError(t, unregister())
}

// BenchmarkReveal puts a value with registered metrics beside one without.
func BenchmarkReveal(b *testing.B) {
	for _, registered := range []bool{false, true} {
		b.Run(fmt.Sprintf("registered=%v", registered), func(b *testing.B) {
			v := open(b, vault.Memory(), vault.SharedKEK(newAEAD(b)), nil, security)
			s := scope(b, v, security)
			x := seal(b, s)
			if registered {
				r, opts := reader(b)
				_, err := otel.Register(v.Vault(), opts)
				require.NoError(b, err)
				points(b, r)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Reveal(b.Context(), kind, x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCollect collects with a few purposes and with many, each in use.
// ONLYFOR_PURPOSES is the number of the many, for which keys are made first.
func BenchmarkCollect(b *testing.B) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	many := 50
	if text := os.Getenv("ONLYFOR_PURPOSES"); text != "" {
		var err error
		many, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	for _, n := range []int{2, many} {
		b.Run(fmt.Sprint(n, " purposes"), func(b *testing.B) {
			var purposes []purpose.Purpose
			for i := range n {
				purposes = append(purposes, purpose.MustParse(fmt.Sprint("p-", i)))
			}
			v := open(b, vault.Memory(), vault.SharedKEK(newAEAD(b)), nil, purposes...)
			for _, p := range purposes {
				s := scope(b, v, p)
				x := seal(b, s)
				_, err := s.Reveal(b.Context(), kind, x)
				require.NoError(b, err)
			}
			r := metric.NewManualReader()
			provider := metric.NewMeterProvider(metric.WithReader(r), metric.WithCardinalityLimit(0))
			_, err := otel.Register(v.Vault(), &otel.Options{MeterProvider: provider})
			require.NoError(b, err)
			var all metricdata.ResourceMetrics
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, r.Collect(b.Context(), &all))
			}
			b.ReportMetric(float64(len(points(b, r))), "series")
		})
	}
}
