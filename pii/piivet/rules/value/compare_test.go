package value_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/value"
)

func TestCompare(t *testing.T) {
	vettest.RunModule(t, value.Compare, "testdata/compare")
}
