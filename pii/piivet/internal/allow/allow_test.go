package allow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/vettest"
	"github.com/onlyfor/onlyfor/pii/piivet/rules/plaintext"
)

func TestDirectivesThatSayOrDoNothingAreFindings(t *testing.T) {
	check := allow.Check("", []string{"adopt"}, plaintext.Leak, plaintext.Hash)
	vettest.Run(t, check, "./allow")
}

// Rule leak reports the same program except for the lines, statements and functions with
// a directive.
func TestDirectivesAllowTheirLineStatementOrFunction(t *testing.T) {
	require.Equal(t, []int{28, 29, 30, 31, 32, 35, 41}, vettest.Lines(t, plaintext.Leak, "./allow"))
}
