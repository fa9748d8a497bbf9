package dbtest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// children are what a test runs in processes of their own, by name. Each gets
// the arguments after its name.
var children = map[string]func(args []string) error{}

const childVariable = "ONLYFOR_TEST_CHILD"

// TestMain runs the tests or, in a process that [child] made, one child.
func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		if err := children[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// draw returns sources of random choices, which a test that fails names and which
// can be had again with ONLYFOR_SEED: one for each goroutine.
func draw(t *testing.T) (source func(goroutine int) *rand.Rand) {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("ONLYFOR_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal("ONLYFOR_SEED is no seed")
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d: repeat with ONLYFOR_SEED=%d", seed, seed)
		}
	})
	return func(goroutine int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(goroutine))) }
}

// child returns a command that runs the named child in a process of its own.
// It ends with the test.
func child(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	if children[name] == nil {
		t.Fatalf("no child %q", name)
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
