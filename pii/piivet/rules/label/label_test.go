package label_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/label"
)

func TestLabel(t *testing.T) { vettest.Run(t, label.Analyzer, "./label/...") }
