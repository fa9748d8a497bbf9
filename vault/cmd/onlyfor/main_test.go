package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// built is the path of the command, which the tests run as processes of their own. It is
// built without the race detector: hundreds of processes start with it in seconds.
var built string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "onlyfor")
		if err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(dir)
		built = filepath.Join(dir, "onlyfor")
		if out, err := exec.Command("go", "build", "-o", built, ".").CombinedOutput(); err != nil {
			log.Fatalf("%v\n%s", err, out)
		}
		// The tests wait for processes and clocks, and not for this process.
		flag.Parse()
		flag.Set("test.parallel", "8")
		return m.Run()
	}())
}

// Values that no output may have, except the result of reveal.
const (
	address  = "canary-wq7f3@example.com"
	number   = "+14155552671"
	password = "hunter2-canary"
)

// A shell runs the command in a directory.
type shell struct {
	t   *testing.T
	dir string
	env []string
	// binary and uid are another copy of the command, and another user.
	binary string
	uid    uint32
	signal syscall.Signal // of interrupt, if not SIGINT
	mayEnd bool           // before interrupt has sent a signal
}

func newShell(t *testing.T) *shell {
	t.Parallel()
	return &shell{t: t, dir: t.TempDir()}
}

// A result is the output of the command.
type result struct {
	t              *testing.T
	args           []string
	stdout, stderr string
	code           int
}

// command returns the command, not started yet.
func (sh *shell) command(args ...string) *exec.Cmd {
	binary := built
	if sh.binary != "" {
		binary = sh.binary
	}
	c := exec.Command(binary, args...)
	if sh.uid != 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: sh.uid, Gid: sh.uid}}
	}
	c.Dir = sh.dir
	c.Env = append(append(os.Environ(), "ONLYFOR_CALLER=tester", "COLUMNS=100"), sh.env...)
	return c
}

// run runs the command with the given standard input.
func (sh *shell) run(stdin string, args ...string) result {
	sh.t.Helper()
	r := sh.runFreely(stdin, args...)
	r.discreet(r.stdout)
	return r
}

// inside runs the command in the process of the test, where many command lines are tried.
func (sh *shell) inside(stdin string, args ...string) result {
	sh.t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(sh.t.Context(), append([]string{"-c", filepath.Join(sh.dir, "onlyfor.toml")}, args...), strings.NewReader(stdin), &stdout, &stderr)
	r := result{sh.t, args, stdout.String(), stderr.String(), code}
	r.discreet(r.stdout + r.stderr)
	return r
}

// runFreely runs the command, whose standard output may have a value.
func (sh *shell) runFreely(stdin string, args ...string) result {
	sh.t.Helper()
	c := sh.command(args...)
	c.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(sh.t, err)
	}
	r := result{sh.t, args, stdout.String(), stderr.String(), c.ProcessState.ExitCode()}
	r.discreet(r.stderr)
	require.NotContains(sh.t, r.stdout+r.stderr, "\x1b", "ANSI without a terminal")
	return r
}

// discreet requires that text has no value and no secret.
func (r result) discreet(text string) {
	r.t.Helper()
	for _, canary := range []string{address, "canary-wq7f3", number, number[1:], password, "ofkek1."} {
		require.NotContains(r.t, text, canary, r.args)
	}
}

// exits requires an exit code, and returns r.
func (r result) exits(code int) result {
	r.t.Helper()
	require.Equal(r.t, code, r.code, "%q\n%s%s", r.args, r.stdout, r.stderr)
	return r
}

// says requires a text in the output, in which lines are broken anywhere.
func (r result) says(texts ...string) result {
	r.t.Helper()
	for _, text := range texts {
		require.Contains(r.t, strings.Join(strings.Fields(r.stdout+" "+r.stderr), " "), text, r.args)
	}
	return r
}

// json decodes the standard output.
func (r result) json(v any) result {
	r.t.Helper()
	require.NoError(r.t, json.Unmarshal([]byte(r.stdout), v), r.stdout)
	return r
}

// out returns the standard output without the end of its last line.
func (r result) out() string { return strings.TrimSpace(r.stdout) }

// write writes a file in the directory of sh.
func (sh *shell) write(name, text string) {
	require.NoError(sh.t, os.WriteFile(filepath.Join(sh.dir, name), []byte(text), 0o600))
}

// read returns the content of a file.
func (sh *shell) read(name string) string {
	data, err := os.ReadFile(filepath.Join(sh.dir, name))
	require.NoError(sh.t, err)
	return string(data)
}

// config adds lines to the configuration that init wrote.
func (sh *shell) config(text string) {
	name := filepath.Join(sh.dir, "onlyfor.toml")
	old := sh.read("onlyfor.toml")
	require.NoError(sh.t, os.WriteFile(name, []byte(old+text), 0o600))
}

// setting puts lines to the beginning of the configuration.
func (sh *shell) setting(text string) {
	sh.write("onlyfor.toml", text+"\n"+sh.read("onlyfor.toml"))
}
