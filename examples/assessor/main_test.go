package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The whole output is compared with the one that README.md explains. It has no times and no
// hashes, and entries are numbered as the story has them.
func TestOutput(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	require.NoError(t, run(t.Context(), &out, dir))
	want, err := os.ReadFile("testdata/output.txt")
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
	for _, secret := range []string{"@example.com", dir, "PRIVATE+KEY"} {
		require.NotContains(t, out.String(), secret)
	}
}

// The assessor finds each of the three, by the words of the report, and finds nothing where
// nothing was done.
func TestTheThreeAreFound(t *testing.T) {
	text, err := os.ReadFile("testdata/output.txt")
	require.NoError(t, err)
	parts := strings.Split(string(text), "\n== ")
	require.Len(t, parts, 8)
	for n, words := range map[int][]string{
		1: {"FOUND key store: ", "FOUND together: ", "FOUND laundering: eve", "sign-in: 6 entries, 1 processes: nothing found"},
		2: {"FOUND edited: "}, 3: {"FOUND missing: "}, 4: {"FOUND cut: "}, 5: {"not excluded: that entries at the end were cut off"}, 6: {"FOUND fork: "},
	} {
		for _, w := range words {
			require.Contains(t, parts[n], w)
		}
	}
	require.NotContains(t, parts[5], "FOUND cut", "without a head nobody can know")
}
