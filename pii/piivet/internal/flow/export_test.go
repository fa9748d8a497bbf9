package flow

import (
	"testing"

	"golang.org/x/tools/go/analysis/checker"
)

// SetMaxSteps sets how much work a function may take, for one test.
func SetMaxSteps(t *testing.T, n int) {
	before := maxSteps
	maxSteps = n
	t.Cleanup(func() { maxSteps = before })
}

// Steps returns how much work was done so far.
func Steps() int { return int(steps.Load()) }

// FactSize returns the number of bytes that a package adds to the facts of those that
// import it.
func FactSize(a *checker.Action) int {
	var f fact
	if !a.PackageFact(a.Package.Types, &f) {
		return 0
	}
	return len(f.packages[a.Package.PkgPath])
}
