// Package vaulttest has what the tests of package vault share: purposes, kinds and
// keys; vaults, stores and KEKs that count, fail or are exchanged; and a catalogue of
// sealed values to attack.
//
// The tests beside the code, in package vault_test, use it, and so do the suites
// formattest, faulttest and attacktest. Tests inside package vault can't, as it
// imports vault.
package vaulttest
