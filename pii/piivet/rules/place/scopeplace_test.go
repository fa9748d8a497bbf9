package place_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/place"
)

func TestScopePlace(t *testing.T) {
	vettest.RunModule(t, place.ScopePlace, "testdata/scopeplace")
}
