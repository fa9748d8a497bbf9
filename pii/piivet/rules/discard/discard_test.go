package discard_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/rules/discard"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/internal/ruletest"
)

func TestDiscard(t *testing.T) {
	ruletest.Run(t, discard.Analyzer, "testdata")
}
