package flow

import "testing"

// SetMaxSteps sets how much work a function may take, for one test.
func SetMaxSteps(t *testing.T, n int) {
	before := maxSteps
	maxSteps = n
	t.Cleanup(func() { maxSteps = before })
}

// Steps returns how much work was done so far.
func Steps() int { return int(steps.Load()) }
