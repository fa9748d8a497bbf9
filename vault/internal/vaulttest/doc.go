// Package vaulttest has the shared helpers of package vault's tests: purposes, kinds and
// keys; vaults, stores and KEKs that count, fail or are exchanged; and a catalogue of
// sealed values to attack.
//
// The tests beside the code, in package vault_test, use it, and so do the suites
// formattest, faulttest and attacktest. Tests inside package vault can't use it, because
// it imports vault.
package vaulttest
