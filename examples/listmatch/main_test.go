package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
)

// times are the figures of the table, which differ from run to run.
var times = regexp.MustCompile(`(?m) +\d+ ns +\d+ ns +\d+\.\d\d$`)

// Both ways find the same users, in memory and in the database, and nobody is found by the
// indexes of another purpose.
func TestOutput(t *testing.T) {
	every := lineEvery
	lineEvery = 0
	defer func() { lineEvery = every }()
	var out, errs bytes.Buffer
	require.NoError(t, run(t.Context(), &out, &errs, t.TempDir(), 20_000))
	require.Equal(t, `10000 users consented to ads. The list has 20000 entries.

found in memory by blind index:                    10000
found in memory by SHA-256:                        10000
found in SQLite by blind index:                    10000
found in SQLite by SHA-256:                        10000
found by the blind indexes of security:                0
entries that are no addresses:                        20

time of an entry, median of the pages     blind index      SHA-256    ratio
computing TIMES
computing, and a set in memory TIMES
computing, and IN (…) of SQLite TIMES
`, times.ReplaceAllString(out.String(), " TIMES"))
	require.Equal(t, `storing users: 0 of 10000
storing users: 8192 of 10000
matching: 0 of 20000
matching: 8192 of 20000
matching: 16384 of 20000
`, errs.String())
}

// The smallest list is a page that is not full, and a list is matched to its last entry.
func TestSmallLists(t *testing.T) {
	for _, n := range []int{2, 3, 503, pageSize, pageSize + 1} {
		c, err := newCompany(t.Context(), t.TempDir())
		require.NoError(t, err)
		m := &match{company: c, errs: io.Discard, users: n / 2, entries: n}
		require.NoError(t, m.store(t.Context()))
		require.NoError(t, m.run(t.Context()))
		for _, f := range m.found[:4] {
			require.Equal(t, (n+1)/2-(n%2), f.people, "%s of %d", f.by, n)
		}
		require.Equal(t, (n+498)/1_000, m.malformed, n)
		c.close()
	}
}

// A run that is interrupted, or has no place for its keys, ends with an error.
func TestRunsThatFail(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, io.Discard, io.Discard, t.TempDir(), 1_000), vault.ErrUnavailable)
	require.Error(t, run(t.Context(), io.Discard, io.Discard, t.TempDir()+"/none/none\x00", 1_000))
}
