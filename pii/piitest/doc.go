// Package piitest is the kit for unit-testing purpose boundaries.
//
//	func TestBoundaries(t *testing.T) {
//		kit := piitest.New(t, purposes.Security, purposes.Advertising)
//		piitest.Separate(t, kit.Vault)
//	}
//
// A [Kit] has a vault with real keys and real cryptography in memory, which costs
// well under a millisecond to start. Give its scopes to the code under test, and
// state in one line what holds:
//
//   - [Separate]: no purpose can read, match or take over what was collected for
//     another, asked honestly or with forged values.
//   - [Kit.Record] and [Recording.Only]: this handler used security and nothing
//     else. [Recording.Denied]: it was refused what it tried. [Recording.Never]:
//     it reveals nothing. For a service that opens its own vault, [Recorder] is
//     the auditor to give it.
//   - [Canary]: what was collected for security does not come out of the ad
//     export, in whatever form. It plants a contact that nobody else has and
//     searches what the code writes, posts, answers and returns, knowing nothing
//     of how the code works.
//   - [NoLeak]: nothing that the process logs, prints, stores or fails with holds
//     personal data. [NoLeakParallel] is for parallel tests.
//   - [Outage]: the service does the right thing while the key store or the key
//     service hangs, refuses or answers nonsense.
//
// [Emails], [Phones] and [Seed] are fixtures for table tests and fuzzing. [Golden]
// keeps the keys of a kit in testdata, so that sealed values in golden files still
// open tomorrow, and [Labels] makes output with sealed values comparable.
//
// # What a failure says
//
// Which purposes, which use, where in the code it was, and what to do about it;
// never an address, a number, an index or a part of one:
//
//	boundaries_test.go:31: piitest: want only security used: found reveal of
//	email under advertising, at exporter.go:52: give this code the scope of its
//	own purpose and no other
//
// # Where it works
//
// In parallel tests, except NoLeak; under the race detector; in the bubbles of
// testing/synctest; in fuzz targets and benchmarks. Outside tests everything here
// panics: the keys protect nothing.
//
// # What it does not show
//
// A test sees what it runs. Canary and NoLeak find what comes out of the code on
// the way that the test takes, Record what that way asked of the vault; neither
// says that there is no other way. And in a process that holds two purposes no
// test makes a boundary of cryptography: that takes two processes with keys of
// their own.
package piitest
