package value_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/value"
)

func TestEmbed(t *testing.T) {
	vettest.RunModule(t, value.Embed, "testdata/embed")
}
