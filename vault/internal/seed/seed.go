// Package seed gives tests random numbers that can be reproduced.
//
// A test that fails prints the seed of its numbers:
//
//	seed 1234: repeat with ONLYFOR_SEED=1234
//
// If the environment has that variable, every test begins with that seed.
package seed

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Variable is the environment variable that sets the seed of all tests.
const Variable = "ONLYFOR_SEED"

// Rand returns a generator for one test and one goroutine. Its seed is random unless
// [Variable] is set, and is printed if the test fails.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	n, ok := Fixed(t)
	if !ok {
		n = rand.Uint64()
	}
	Print(t, n)
	return New(n)
}

// New returns the generator of a seed.
func New(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 0)) }

// Fixed returns the seed that [Variable] holds, and false if it is not set.
func Fixed(t testing.TB) (n uint64, ok bool) {
	t.Helper()
	text := os.Getenv(Variable)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	return n, true
}

// Print prints n at the end of the test if the test has failed.
func Print(t testing.TB, n uint64) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d: repeat with %s=%d", n, Variable, n)
		}
	})
}
