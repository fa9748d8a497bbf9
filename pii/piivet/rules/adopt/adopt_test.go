package adopt_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/adopt"
)

func TestAdopt(t *testing.T) { vettest.Run(t, adopt.Analyzer, "./adopt/...") }
