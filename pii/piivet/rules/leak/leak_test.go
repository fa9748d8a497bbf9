package leak_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/leak"
)

func TestLeak(t *testing.T) { vettest.Run(t, leak.Analyzer, "./leak/...") }
