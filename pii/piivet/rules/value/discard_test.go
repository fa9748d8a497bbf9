package value_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/value"
)

func TestDiscard(t *testing.T) {
	vettest.RunModule(t, value.Discard, "testdata/discard")
}
