package allow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/hash"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/leak"
)

func TestDirectivesThatSayOrDoNothingAreFindings(t *testing.T) {
	check := allow.Check("", []string{"adopt"}, leak.Analyzer, hash.Analyzer)
	vettest.Run(t, check, "./allow")
}

// Rule leak reports the same program except for the lines, statements and functions with
// a directive.
func TestDirectivesAllowTheirLineStatementOrFunction(t *testing.T) {
	require.Equal(t, []int{28, 29, 30, 31, 32, 35, 41}, vettest.Lines(t, leak.Analyzer, "./allow"))
}
