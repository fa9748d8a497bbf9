package scrapetest_test

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"
)

// A history is the scrapes of a day.
type history struct {
	t       *testing.T
	storage *teststorage.TestStorage
	at      time.Time // of the last scrape
}

const every = time.Minute

func newHistory(t *testing.T) *history {
	return &history{t: t, storage: teststorage.New(t), at: time.Now().Add(-26 * time.Hour).Truncate(time.Second)}
}

// scrape adds a scrape for each minute of d. change may change the value of a sample.
func (h *history) scrape(d time.Duration, samples []sample, change func(name string, l labels.Labels, v float64) float64) {
	h.t.Helper()
	for end := h.at.Add(d); h.at.Before(end); {
		h.at = h.at.Add(every)
		app := h.storage.Appender(h.t.Context())
		for _, s := range samples {
			name, v := s.labels.Get(model.MetricNameLabel), s.value
			if name == "onlyfor_clock_time_seconds" { // of the time of the scrape
				v = float64(h.at.UnixMilli()) / 1000
			}
			if change != nil {
				v = change(name, s.labels, v)
			}
			_, err := app.Append(0, s.labels, h.at.UnixMilli(), v)
			require.NoError(h.t, err)
		}
		require.NoError(h.t, app.Commit())
	}
}

// firing returns the names of the alerts that hold now, whatever their "for".
func (h *history) firing() []string {
	h.t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000_000, Timeout: time.Minute})
	defer engine.Close()
	firing := map[string]bool{}
	for _, rule := range alerts(h.t) {
		query, err := engine.NewInstantQuery(context.WithoutCancel(h.t.Context()), storage.Queryable(h.storage), nil, rule.Expr, h.at)
		require.NoError(h.t, err)
		result := query.Exec(h.t.Context())
		require.NoError(h.t, result.Err, rule.Expr)
		vector, err := result.Vector()
		require.NoError(h.t, err)
		for _, s := range vector {
			require.False(h.t, math.IsNaN(s.F))
			for _, m := range labelInText.FindAllStringSubmatch(rule.Annotations["summary"], -1) {
				require.NotEmpty(h.t, s.Metric.Get(m[1]), "%s lacks %s", rule.Alert, m[1])
			}
			firing[rule.Alert] = true
		}
		query.Close()
	}
	return slices.Sorted(maps.Keys(firing))
}

// healthy is a scrape of a service without a fault.
func healthy(t *testing.T) []sample {
	w := newService(t)
	w.work(t)
	return w.scrape(t, "host-1")
}

func TestHealthyServiceFiresNothing(t *testing.T) {
	h := newHistory(t)
	h.scrape(26*time.Hour, healthy(t), nil)
	require.Empty(t, h.firing())
}

// Faults that a vault can have within a test fire the alerts about them.
func TestRealFaultsFire(t *testing.T) {
	h := newHistory(t)
	w := newService(t)
	w.work(t)
	h.scrape(2*time.Hour, w.scrape(t, "host-1"), nil)
	require.Empty(t, h.firing())
	w.fail(t)
	h.scrape(3*time.Minute, w.scrape(t, "host-1"), nil)
	require.Equal(t, []string{
		"OnlyforAuditFailing", "OnlyforErasureFailed", "OnlyforForgedValues", "OnlyforPurposeMismatch", "OnlyforPurposesTogether", "OnlyforShutPurposeOpened",
	}, h.firing())
}

// Faults that take hours, years or another machine are put into the samples of a real
// scrape. Each fires its alert and no other one.
func TestSlowFaultsFire(t *testing.T) {
	samples := healthy(t)
	set := func(metric string, value float64, with ...string) func(string, labels.Labels, float64) float64 {
		return func(name string, l labels.Labels, v float64) float64 {
			if name != metric {
				return v
			}
			for _, w := range with {
				key, value, _ := strings.Cut(w, "=")
				if l.Get(key) != value {
					return v
				}
			}
			return value
		}
	}
	both := func(a, b func(string, labels.Labels, float64) float64) func(string, labels.Labels, float64) float64 {
		return func(name string, l labels.Labels, v float64) float64 { return b(name, l, a(name, l, v)) }
	}
	kek := set("onlyfor_failing", 1, "onlyfor_source=kek")
	for _, test := range []struct {
		name   string
		change func(string, labels.Labels, float64) float64
		want   []string
	}{
		{"key service down", kek, []string{"OnlyforKeyServiceFailing"}},
		{"and the lease runs out", both(kek, set("onlyfor_lease_remaining_seconds", 3600)), []string{"OnlyforKeyServiceFailing", "OnlyforLeaseRunningOut"}},
		{"an idle vault near its lease", set("onlyfor_lease_remaining_seconds", -3600), nil},
		{"store down", set("onlyfor_failing", 1, "onlyfor_source=store"), []string{"OnlyforStoreFailing"}},
		{"half of the seals", set("onlyfor_key_seals", 1<<31+1), []string{"OnlyforKeySealsHalf"}},
		{"nearly all seals", set("onlyfor_key_seals", 4e9), []string{"OnlyforKeySealsHalf", "OnlyforKeySealsNearlyUsed"}},
		{"an old key", set("onlyfor_key_age_seconds", 400*86400, "onlyfor_role=seal"), []string{"OnlyforKeyOld"}},
		{"an older store", set("onlyfor_generation", 0), []string{"OnlyforGenerationWentBack"}},
		{"no witness", set("onlyfor_audit_unwitnessed_seconds", 400), []string{"OnlyforAuditUnwitnessed"}},
		{"an erasure left behind", set("onlyfor_erasure_pending", 1), []string{"OnlyforErasurePending"}},
		{"a clock ahead", func(name string, _ labels.Labels, v float64) float64 {
			if name == "onlyfor_clock_time_seconds" {
				v += 60
			}
			return v
		}, []string{"OnlyforClock"}},
		{"a clock set back", set("onlyfor_clock_step_seconds", -3600), []string{"OnlyforClockSetBack"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHistory(t)
			h.scrape(10*time.Minute, samples, nil)
			require.Empty(t, h.firing())
			h.scrape(10*time.Minute, samples, test.change)
			require.Equal(t, test.want, h.firing())
		})
	}
}

// Another process with other keys, and a rise of refusals and failures.
func TestChangesFire(t *testing.T) {
	one := realScrape(t)
	var two []sample
	for _, s := range one {
		v := s.value
		if s.labels.Get(model.MetricNameLabel) == "onlyfor_generation" {
			v++
		}
		two = append(two, sample{labels.NewBuilder(s.labels).Set("instance", "host-2").Labels(), v})
	}
	h := newHistory(t)
	h.scrape(10*time.Minute, append(slices.Clone(one), two...), nil)
	require.Contains(t, h.firing(), "OnlyforGenerationsDiffer")

	h = newHistory(t)
	h.scrape(25*time.Hour, one, nil)
	require.NotContains(t, h.firing(), "OnlyforRefusalsRising")
	more, began := 0.0, h.at
	h.scrape(10*time.Minute, one, func(name string, l labels.Labels, v float64) float64 {
		if name == "onlyfor_operations_total" && l.Get("onlyfor_outcome") != "allowed" {
			more = h.at.Sub(began).Seconds()
			return v + more
		}
		return v
	})
	firing := h.firing()
	require.Contains(t, firing, "OnlyforRefusalsRising")
	require.Contains(t, firing, "OnlyforFailures")
}

// Every alert fires in one of these tests.
func TestEveryAlertIsTried(t *testing.T) {
	tried := []string{"OnlyforGenerationsDiffer", "OnlyforRefusalsRising", "OnlyforFailures", // TestChangesFire
		"OnlyforAuditFailing", "OnlyforErasureFailed", "OnlyforForgedValues", "OnlyforPurposeMismatch", "OnlyforPurposesTogether", "OnlyforShutPurposeOpened",
		"OnlyforKeyServiceFailing", "OnlyforLeaseRunningOut", "OnlyforStoreFailing", "OnlyforKeySealsHalf", "OnlyforKeySealsNearlyUsed", "OnlyforKeyOld",
		"OnlyforGenerationWentBack", "OnlyforAuditUnwitnessed", "OnlyforErasurePending", "OnlyforClock", "OnlyforClockSetBack"}
	var all []string
	for _, rule := range alerts(t) {
		all = append(all, rule.Alert)
	}
	require.ElementsMatch(t, tried, all)
}
