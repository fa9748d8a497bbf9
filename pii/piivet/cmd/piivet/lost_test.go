package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/govet"
)

// go vet loses the findings of a package if nobody reads its output: it keeps the facts of
// the package, and takes them for the answer of a package without findings in every later
// run. No such run may pass.
func TestLostFindingsAreFoundAgain(t *testing.T) {
	programs(t)
	executable, err := os.Executable()
	require.NoError(t, err)
	tool := t.TempDir() + "/piivet.exe"
	code, err := os.ReadFile(executable)
	require.NoError(t, err)
	// The tool is another one in each run of the test, so that go vet's cache knows nothing.
	require.NoError(t, os.WriteFile(tool, append(code, t.TempDir()...), 0o700))
	all := govet.Run{Tool: tool, Analyzers: []string{"hash"}, Patterns: []string{"./hash"}}

	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	cmd := exec.Command("go", "vet", "-json", "-vettool="+tool, "-answer", "-hash", "./hash")
	cmd.Stdout = w
	require.Error(t, cmd.Run())
	require.NoError(t, w.Close())

	var lost bytes.Buffer
	again := exec.Command(cmd.Args[0], cmd.Args[1:]...)
	again.Stdout, again.Stderr = &lost, io.Discard
	require.NoError(t, again.Run())
	require.NotContains(t, lost.String(), "without a key", "go vet has lost nothing: this test shows nothing")

	found, err := all.Findings(context.Background())
	require.NoError(t, err)
	require.NotEmpty(t, found)
	for _, f := range found {
		require.Equal(t, "hash", f.Rule)
	}
}
