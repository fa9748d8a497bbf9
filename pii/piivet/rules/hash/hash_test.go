package hash_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/hash"
)

func TestHash(t *testing.T) { vettest.Run(t, hash.Analyzer, "./hash/...") }
