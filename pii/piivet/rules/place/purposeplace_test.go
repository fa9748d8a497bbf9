package place_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/place"
)

func TestGuessed(t *testing.T) {
	analysistest.RunWithSuggestedFixes(t, vettest.Module(t, "testdata/purposeplace/guessed"), place.PurposePlace, "./...")
}

func TestListed(t *testing.T) {
	vettest.RunModule(t, place.PurposePlace, "testdata/purposeplace/listed")
}
