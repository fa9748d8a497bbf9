//go:build race

package vault_test

// underRace: the race detector makes all of it ten times as slow, and finds nothing
// in tests of one goroutine.
const underRace = true
