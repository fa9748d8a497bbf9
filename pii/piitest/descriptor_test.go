//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package piitest_test

import (
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piitest"
)

// Loggers that took their file when the program started, as logrus does.
var (
	atStart      = log.New(os.Stderr, "", 0)
	slogAtStart  = slog.New(slog.NewTextHandler(os.Stdout, nil))
	stdoutAtInit = os.Stdout
)

func TestNoLeakCapturesDescriptors(t *testing.T) {
	for name, test := range map[string]struct {
		leak func(c *piitest.Contact)
		want string
	}{
		"log made at start":  {func(c *piitest.Contact) { atStart.Print("hello ", c.Address) }, "file descriptor 2 ("},
		"slog made at start": {func(c *piitest.Contact) { slogAtStart.Info("in", "user", c.Number) }, "file descriptor 1 ("},
		"println":            {func(c *piitest.Contact) { println(c.Address) }, "file descriptor 2 ("},
		"system call":        {func(c *piitest.Contact) { _, _ = syscall.Write(1, []byte(c.Address)) }, "file descriptor 1 ("},
		"child process": {func(c *piitest.Contact) {
			cmd := exec.Command("sh", "-c", "echo \"$0\" >&2", c.Address)
			cmd.Stderr = atStart.Writer().(*os.File)
			if err := cmd.Run(); err != nil {
				panic("no shell")
			}
		}, "file descriptor 2 ("},
	} {
		t.Run(name, func(t *testing.T) {
			complains(t, func(tb testing.TB) { piitest.NoLeak(tb, test.leak) }, "piitest: "+test.want, "made up for this test")
		})
	}
}

// The program that the test starts has its own descriptors to look at.
func TestNoLeakForwardsDescriptors(t *testing.T) {
	if step := os.Getenv("PIITEST_DESCRIPTORS"); step != "" {
		piitest.NoLeak(t, func(c *piitest.Contact) {
			atStart.Print("to standard error")
			fmt.Fprintln(stdoutAtInit, "to standard output")
			if step == "crash" {
				done := make(chan bool)
				go func() {
					defer close(done)
					panic("crashed on purpose")
				}()
				<-done
			}
		})
		atStart.Print("afterwards")
		return
	}
	run := func(step string) (stdout, stderr string, err error) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoLeakForwardsDescriptors$", "-test.count=1")
		cmd.Env = append(os.Environ(), "PIITEST_DESCRIPTORS="+step)
		dir := t.TempDir()
		out, oerr := os.Create(filepath.Join(dir, "out"))
		require.NoError(t, oerr)
		errs, oerr := os.Create(filepath.Join(dir, "err"))
		require.NoError(t, oerr)
		cmd.Stdout, cmd.Stderr = out, errs
		err = cmd.Run()
		o, _ := os.ReadFile(out.Name())
		e, _ := os.ReadFile(errs.Name())
		return string(o), string(e), err
	}
	stdout, stderr, err := run("pass")
	require.NoError(t, err, stdout+stderr)
	require.Contains(t, stdout, "to standard output\n")
	require.Equal(t, "to standard error\nafterwards\n", stderr)

	stdout, stderr, err = run("crash")
	require.Error(t, err)
	require.Contains(t, stderr, "crashed on purpose", "a crash within NoLeak must not vanish in a temporary file: %s", stdout)
}

// Descriptors do not pile up.
func TestNoLeakClosesDescriptors(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Skip("this system does not list open files")
		}
		return len(entries)
	}
	piitest.NoLeak(t, func(*piitest.Contact) {})
	before := count()
	for range 20 {
		piitest.NoLeak(t, func(*piitest.Contact) { atStart.Print(strings.Repeat(" ", 3)) })
	}
	require.LessOrEqual(t, count(), before+2)
}
