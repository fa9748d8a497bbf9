package repurpose_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/repurpose"
)

func TestRepurpose(t *testing.T) { vettest.Run(t, repurpose.Analyzer, "./repurpose/...") }
