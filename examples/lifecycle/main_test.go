package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// sees are what each purpose has to see at each step, by a part of its line.
var sees = [][3]string{
	{"a•••@e•••.com", "a•••@e•••.com", "not advertising"},
	{"a•••@e•••.com", "a•••@e•••.com", "consent-2026-81f3, from security"},
	{"a•••@e•••.com", "a•••@e•••.com", "not advertising"},
	{"a•••@e•••.com", "a•••@e•••.com", "not advertising"},
	{"a•••@e•••.com", "retention is over", "not advertising"},
	{"a•••@e•••.com", "not billing", "not advertising"},
	{"subject is erased", "not billing", "not advertising"},
}

func TestRun(t *testing.T) {
	var out strings.Builder
	synctest.Test(t, func(t *testing.T) { // in which an hour passes when the story comes to it
		require.NoError(t, run(t.Context(), &out, time.Hour))
	})
	require.NotContains(t, out.String(), "alice@example.com")
	require.Contains(t, out.String(), "no consent on record")
	require.Contains(t, out.String(), `"purpose": "security"`)

	step := -1
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "   the row holds") {
			step++
			continue
		}
		for i, name := range []string{"security ", "billing ", "advertising "} {
			if strings.HasPrefix(line, "   "+name) {
				require.Contains(t, line, sees[step][i], "step %d, %s", step+1, name)
			}
		}
	}
	require.Equal(t, len(sees)-1, step)
}
