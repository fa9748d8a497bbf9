package scopeplace_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/rules/internal/ruletest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/scopeplace"
)

func TestScopePlace(t *testing.T) {
	ruletest.Run(t, scopeplace.Analyzer, "testdata")
}
