// Package piitest is the kit for unit-testing purpose boundaries.
//
//	func TestBoundaries(t *testing.T) {
//		kit := piitest.New(t, purposes.Security, purposes.Advertising)
//		piitest.Separate(t, kit.Vault)
//	}
//
// A [Kit] has a vault with real keys and real cryptography in memory, and starts in
// well under a millisecond. Give its scopes to the code under test, and state a
// rule in one line:
//
//   - [Separate]: no purpose can read, match or take over values collected for
//     another, neither as they are nor with forged headers.
//   - [Kit.Record] and [Recording.Only]: this handler used security and nothing
//     else. [Recording.Denied]: an attempt to use other data was refused.
//     [Recording.Never]: it reveals nothing. A service that opens its own vault
//     gets a [Recorder] as its auditor.
//   - [Canary]: data collected for security does not come out of the ad export, in
//     any rendering. Canary plants a contact that nobody else has and searches
//     everything that the code writes, posts, answers and returns. It knows
//     nothing about the code.
//   - [NoLeak]: no log, output, stored row or error of the process holds personal
//     data. [NoLeakParallel] is for parallel tests.
//   - [Outage]: the service does the right thing while the key store or the key
//     service hangs, refuses or answers nonsense.
//
// [Emails], [Phones] and [Seed] are fixtures for table tests and fuzzing. [Golden]
// keeps the keys of a kit in testdata, so that sealed values in golden files still
// open tomorrow. [Labels] makes output with sealed values comparable.
//
// The package works in parallel tests, except for NoLeak; under the race detector;
// in the bubbles of testing/synctest; in fuzz targets and benchmarks. Outside tests
// its functions panic, since its keys protect nothing.
//
// # Failures
//
// A failure names the purposes, the use, the line of code and the remedy. It never
// has an address, a number, an index or a part of one:
//
//	boundaries_test.go:31: piitest: want only security used: found reveal of
//	email under advertising, at exporter.go:52: give this code the scope of its
//	own purpose and no other
//
// # Limits
//
// A test sees the code that it runs. Canary and NoLeak find data that this run of
// the code writes, and Record the calls of the vault in this run. Neither shows
// that no other run does more. And no test makes a cryptographic boundary inside a
// process that holds two purposes: that takes two processes with keys of their own.
package piitest
