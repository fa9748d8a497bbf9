// Package childtest lets a test run functions in processes of their own, to kill them or
// to have several at once. The test's program starts itself again, and an environment
// variable tells TestMain to be a child. The tests of vault and of its databases use it.
package childtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Children are functions that tests run in processes of their own, by name. Test files
// add theirs in init.
var Children = map[string]func(args []string) error{}

const childVariable = "ONLYFOR_TEST_CHILD"

// Main runs the tests or, in a process that [Command] made, one child. In a package
// with children, TestMain is this call alone.
func Main(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		if err := Children[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Command returns a command that runs the named child in a process of its own, with a
// strings.Builder as its standard error. The process ends with the test.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	if Children[name] == nil {
		t.Fatalf("no child %q", name)
	}
	if os.Getenv("ONLYFOR_EMULATED") != "" { // as .ci/portable sets it
		t.Skip("the emulator that runs this is not the system, which can't run it")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = new(strings.Builder)
	return cmd
}
