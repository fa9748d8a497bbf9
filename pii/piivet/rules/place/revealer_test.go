package place_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/place"
)

func TestWithList(t *testing.T) {
	vettest.RunModule(t, place.Revealer, "testdata/revealer/listed")
}

func TestWithoutList(t *testing.T) {
	vettest.RunModule(t, place.Revealer, "testdata/revealer/unlisted")
}
