package boundary_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/rules/boundary"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/internal/ruletest"
)

func TestBoundary(t *testing.T) {
	ruletest.Run(t, boundary.Analyzer, "testdata")
}
