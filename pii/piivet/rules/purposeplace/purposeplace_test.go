package purposeplace_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/onlyfor/onlyfor/pii/piivet/rules/internal/ruletest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/purposeplace"
)

func TestGuessed(t *testing.T) {
	analysistest.RunWithSuggestedFixes(t, ruletest.Module(t, "testdata/guessed"), purposeplace.Analyzer, "./...")
}

func TestListed(t *testing.T) {
	ruletest.Run(t, purposeplace.Analyzer, "testdata/listed")
}
