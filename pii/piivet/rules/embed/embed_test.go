package embed_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/rules/embed"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/internal/ruletest"
)

func TestEmbed(t *testing.T) {
	ruletest.Run(t, embed.Analyzer, "testdata")
}
