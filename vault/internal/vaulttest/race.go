//go:build race

package vaulttest

// UnderRace reports whether the race detector is on. The detector makes attacks ten
// times as slow, and finds nothing in tests of one goroutine.
const UnderRace = true
