package vaulttest

import (
	"regexp"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// Goroutines returns the number of goroutines in the caller's bubble. The number in the
// process is of no use: goroutines of the runtime come and go, and a goroutine that has
// ended in a bubble is counted until its thread is next scheduled.
func Goroutines(t testing.TB) int {
	t.Helper()
	synctest.Wait()
	buffer := make([]byte, 1<<20)
	n := runtime.Stack(buffer, true) // the caller comes first
	require.Less(t, n, len(buffer))
	heads := regexp.MustCompile(`(?m)^goroutine \d+ .*\b(synctest bubble \d+)\b`).FindAllStringSubmatch(string(buffer[:n]), -1)
	require.NotEmpty(t, heads)
	count := 0
	for _, head := range heads {
		if head[1] == heads[0][1] {
			count++
		}
	}
	return count
}

// RequireGoroutines fails the test if there are more than most goroutines.
func RequireGoroutines(t testing.TB, most int) {
	t.Helper()
	require.LessOrEqual(t, Goroutines(t), most, "left behind")
}
