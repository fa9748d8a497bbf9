package piivet_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet"
)

func TestAnalyzersAreValidAndInOrder(t *testing.T) {
	all := piivet.Analyzers()
	require.NoError(t, analysis.Validate(all))
	for i := range all[1:] {
		require.Less(t, all[i].Name, all[i+1].Name)
	}
}

func TestEveryRuleHasItsPage(t *testing.T) {
	for _, a := range piivet.Analyzers() {
		require.Equal(t, piivet.Docs+a.Name+".md", a.URL, a.Name)
		page, err := os.ReadFile(filepath.Join("docs", a.Name+".md"))
		require.NoError(t, err)
		require.Contains(t, string(page), "# "+a.Name+"\n")
		require.Contains(t, string(page), "//piivet:", a.Name)
	}
}
