package compare_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/rules/compare"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/internal/ruletest"
)

func TestCompare(t *testing.T) {
	ruletest.Run(t, compare.Analyzer, "testdata")
}
