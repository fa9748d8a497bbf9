package vettest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/place"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/value"
)

func TestOddCodeStopsNoRule(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{Mode: packages.LoadAllSyntax, Dir: vettest.Module(t, "testdata")}, "./...")
	require.NoError(t, err)
	require.Len(t, pkgs, 1)
	require.Empty(t, pkgs[0].Errors)
	rules := []*analysis.Analyzer{
		place.Boundary, value.Compare, value.Discard, place.PurposePlace, place.Revealer, place.ScopePlace,
	}
	graph, err := checker.Analyze(rules, pkgs, nil)
	require.NoError(t, err)
	require.Len(t, graph.Roots, len(rules))
	for _, action := range graph.Roots {
		require.NoError(t, action.Err, action)
		for _, d := range action.Diagnostics {
			require.Fail(t, "found something", "%s: %s: %s", action, pkgs[0].Fset.Position(d.Pos), d.Message)
		}
	}
}
