package place_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/place"
)

func TestBoundary(t *testing.T) {
	vettest.RunModule(t, place.Boundary, "testdata/boundary")
}
