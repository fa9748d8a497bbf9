package ruletest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/onlyfor/onlyfor/pii/piivet/rules/boundary"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/compare"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/discard"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/internal/ruletest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/purposeplace"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/revealer"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/scopeplace"
)

func TestOddCodeStopsNoRule(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{Mode: packages.LoadAllSyntax, Dir: ruletest.Module(t, "testdata")}, "./...")
	require.NoError(t, err)
	require.Len(t, pkgs, 1)
	require.Empty(t, pkgs[0].Errors)
	rules := []*analysis.Analyzer{
		boundary.Analyzer, compare.Analyzer, discard.Analyzer, purposeplace.Analyzer, revealer.Analyzer, scopeplace.Analyzer,
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
