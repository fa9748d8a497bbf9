package piitest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
)

// complaints records failures in place of a test that goes on.
type complaints struct {
	testing.TB
	log []string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.log = append(c.log, fmt.Sprintf(format, args...))
}
func (c *complaints) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// A boundary from a purpose to itself is none, so every check has to say so.
// (Two purposes with one key can't be made with what package vault offers.)
func TestSeparateSeesAMissingBoundary(t *testing.T) {
	p := purpose.MustParse("security")
	kit := New(t, p)
	rec := &complaints{TB: t}
	b := &boundary{rec, kit.Scope(p), kit.Scope(p), "e-mail address"}
	require.Panics(t, func() { // at the header that names one purpose twice
		separate(b, "separate@example.com", pii.SealEmail, pii.IndexEmail)
	})
	log := strings.Join(rec.log, "\n")
	require.Contains(t, log, "reveal of an e-mail address")
	require.Contains(t, log, "hint of an e-mail address")
	require.NotContains(t, log, "separate@")

	rec.log = nil
	b.refused("index", nil, purpose.ErrMismatch, "why")
	require.Len(t, rec.log, 1)
}
