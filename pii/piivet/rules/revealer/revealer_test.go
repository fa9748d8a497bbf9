package revealer_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/rules/internal/ruletest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/revealer"
)

func TestWithList(t *testing.T) {
	ruletest.Run(t, revealer.Analyzer, "testdata/listed")
}

func TestWithoutList(t *testing.T) {
	ruletest.Run(t, revealer.Analyzer, "testdata/unlisted")
}
