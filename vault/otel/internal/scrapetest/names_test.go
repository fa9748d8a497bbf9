package scrapetest_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/audit"
)

const (
	alertsFile    = "../../monitoring/alerts.yaml"
	dashboardFile = "../../monitoring/dashboard.json"
)

func alerts(t testing.TB) []rulefmt.Rule {
	t.Helper()
	data, err := os.ReadFile(alertsFile)
	require.NoError(t, err)
	groups, errs := rulefmt.Parse(data, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	require.Len(t, groups.Groups, 1)
	require.Greater(t, len(groups.Groups[0].Rules), 15)
	return groups.Groups[0].Rules
}

// A board is the part of a dashboard that has queries.
type board struct {
	Templating struct {
		List []struct{ Name, Query string }
	}
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat string }
	}
}

func dashboard(t testing.TB) (b board) {
	t.Helper()
	data, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &b))
	return b
}

var variables = strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$purpose", ".*")

// checkNames checks that all metrics and labels of an expression exist in the scrape. It
// returns the metrics, and the labels that the result may have.
func checkNames(t *testing.T, expr string, samples []sample) (metrics, result []string) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(variables.Replace(expr))
	require.NoError(t, err, expr)
	var has []string // labels of the selected series
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		metrics = append(metrics, selector.Name)
		found := false
		for _, s := range samples {
			if s.labels.Get(model.MetricNameLabel) == selector.Name {
				found = true
				s.labels.Range(func(l labels.Label) { has = append(has, l.Name) })
			}
		}
		require.True(t, found, "%s is in no scrape: %s", selector.Name, expr)
		for _, m := range selector.LabelMatchers {
			require.True(t, slices.ContainsFunc(samples, func(s sample) bool {
				return s.labels.Get(model.MetricNameLabel) == selector.Name && s.labels.Has(m.Name)
			}), "%s has no label %s: %s", selector.Name, m.Name, expr)
			require.True(t, slices.ContainsFunc(samples, func(s sample) bool {
				return s.labels.Get(model.MetricNameLabel) == selector.Name && m.Matches(s.labels.Get(m.Name))
			}), "no value of %s fits %s: %s", selector.Name, m, expr)
			for _, value := range m.SetMatches() { // each alternative of a|b
				known := slices.ContainsFunc(samples, func(s sample) bool { return s.labels.Get(m.Name) == value })
				if m.Name == "onlyfor_action" { // those that this scrape lacks have a gerund too
					known = known || audit.Action(value).Gerund() != value
				}
				require.True(t, known, "no series has %s=%s: %s", m.Name, value, expr)
			}
		}
		return nil
	})
	require.NotEmpty(t, metrics, expr)
	result = has
	parser.Inspect(parsed, func(node parser.Node, path []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok {
			for _, l := range a.Grouping {
				require.Contains(t, append(has, "le"), l, "no series has %s: %s", l, expr)
			}
			if !slices.ContainsFunc(path, func(n parser.Node) bool { _, inner := n.(*parser.AggregateExpr); return inner }) {
				result = a.Grouping // the outermost one
			}
		}
		return nil
	})
	return metrics, result
}

var (
	labelInText   = regexp.MustCompile(`\$labels\.([a-z_]+)`)
	labelInLegend = regexp.MustCompile(`\{\{ *([a-z_]+) *\}\}`)
)

// Every metric and label of the alert rules is in a scrape of a real vault.
func TestAlertsNameRealMetrics(t *testing.T) {
	samples, names := realScrape(t), map[string]bool{}
	for _, rule := range alerts(t) {
		require.NotEmpty(t, rule.Alert)
		require.False(t, names[rule.Alert], "twice: %s", rule.Alert)
		names[rule.Alert] = true
		require.Contains(t, []string{"page", "ticket"}, rule.Labels["severity"])
		_, result := checkNames(t, rule.Expr, samples)
		for _, text := range rule.Annotations {
			for _, m := range labelInText.FindAllStringSubmatch(text, -1) {
				require.Contains(t, result, m[1], rule.Alert)
			}
		}
		require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
		require.NotEmpty(t, rule.Annotations["description"], rule.Alert)
	}
}

// Every metric and label of the dashboard is in a scrape of a real vault, and every metric
// is on the dashboard.
func TestDashboardNamesRealMetrics(t *testing.T) {
	samples, shown := realScrape(t), map[string]bool{}
	b := dashboard(t)
	for i, p := range b.Panels {
		for _, q := range b.Panels[:i] {
			require.NotEqual(t, p.ID, q.ID)
			apart := p.GridPos.X >= q.GridPos.X+q.GridPos.W || q.GridPos.X >= p.GridPos.X+p.GridPos.W ||
				p.GridPos.Y >= q.GridPos.Y+q.GridPos.H || q.GridPos.Y >= p.GridPos.Y+p.GridPos.H
			require.True(t, apart, "%s lies over %s", p.Title, q.Title)
		}
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		require.Equal(t, p.Type == "row", len(p.Targets) == 0, p.Title)
		for _, target := range p.Targets {
			metrics, result := checkNames(t, target.Expr, samples)
			for _, m := range metrics {
				shown[m] = true
			}
			for _, m := range labelInLegend.FindAllStringSubmatch(target.LegendFormat, -1) {
				require.Contains(t, result, m[1], p.Title)
			}
		}
	}
	valuesOf := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)
	for _, v := range b.Templating.List {
		if v.Query == "prometheus" {
			continue
		}
		m := valuesOf.FindStringSubmatch(v.Query)
		require.NotNil(t, m, v.Query)
		checkNames(t, "sum by ("+m[2]+") ("+m[1]+")", samples)
	}
	for _, s := range samples {
		name := s.labels.Get(model.MetricNameLabel)
		if !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
			require.True(t, shown[name], "%s is nowhere on the dashboard", name)
		}
	}
}
