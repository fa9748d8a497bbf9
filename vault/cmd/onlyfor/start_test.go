package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// inspect reads a value, which needs no key and no configuration, and so measures the start
// of the command: initialisation of everything that is linked, and the command line. An empty
// program stands beside it. The processor time says more than the time of a busy machine.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	require.NoError(b, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o600))
	empty := filepath.Join(dir, "empty")
	out, err := exec.Command("go", "build", "-o", empty, filepath.Join(dir, "main.go")).CombinedOutput()
	require.NoError(b, err, string(out))
	run := func(stdin, name string, args ...string) (text string, used time.Duration) {
		c := exec.Command(name, args...)
		c.Dir, c.Stdin = dir, strings.NewReader(stdin)
		out, err := c.Output()
		require.NoError(b, err)
		return string(out), c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	run("", built, "init")
	sealed, _ := run(address, built, "seal", "email", "-p", "security")
	for _, program := range [][]string{{"empty", empty}, {"inspect", built, "inspect"}} {
		b.Run(program[0], func(b *testing.B) {
			var all time.Duration
			for b.Loop() {
				_, used := run(sealed, program[1], program[2:]...)
				all += used
			}
			b.ReportMetric(float64(all.Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}
