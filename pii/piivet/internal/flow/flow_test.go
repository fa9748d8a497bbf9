package flow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/leak"
)

func TestStrangeCodeIsFollowed(t *testing.T) { vettest.Run(t, leak.Analyzer, "./strange") }

func TestTestFilesAreLeftOut(t *testing.T) {
	require.Empty(t, vettest.Lines(t, leak.Analyzer, "./tested"))
}
