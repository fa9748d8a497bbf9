package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPatch applies hunks that replace, remove and insert lines at both ends of a file.
func TestPatch(t *testing.T) {
	files, err := parsePatch([]byte("--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+zero\n@@ -1 +2 @@\n-one\n+ONE\n@@ -3 +3,0 @@\n-three\n@@ -4,0 +4,2 @@\n+five\n+-six\n"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	got, err := files[0].apply([]byte("one\ntwo\nthree\nfour\n"))
	require.NoError(t, err)
	require.Equal(t, "zero\nONE\ntwo\nfour\nfive\n-six\n", string(got))

	for name, other := range map[string]string{
		"a changed line":  "one\ntwo\nTHREE\nfour\n",
		"a line too many": "none\none\ntwo\nthree\nfour\n",
		"a line too few":  "one\ntwo\n",
		"nothing":         "",
	} {
		_, err := files[0].apply([]byte(other))
		require.ErrorIs(t, err, errOther, name)
	}
	for name, patch := range map[string]string{
		"context":             "--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n one\n-two\n",
		"no file":             "@@ -1 +1 @@\n-one\n+two\n",
		"another file":        "--- a/x\n+++ b/y\n",
		"the function's name": "--- a/x\n+++ b/x\n@@ -1 +1 @@ func main() {\n-one\n",
	} {
		_, err := parsePatch([]byte(patch))
		require.Error(t, err, name)
	}
}

// TestChange reads the patch of the service, and counts it.
func TestChange(t *testing.T) {
	patch, err := change.ReadFile("testdata/pocketbase/patch")
	require.NoError(t, err)
	files, err := parsePatch(patch)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	require.NoError(t, count())
}

// TestCode tells code from blank lines and comments.
func TestCode(t *testing.T) {
	require.Equal(t, 2, code([]string{"a", "", "\t// b", "\tc // d", "  "}))
}
