//go:build !race

package vaulttest

// UnderRace reports whether the race detector is on.
const UnderRace = false
