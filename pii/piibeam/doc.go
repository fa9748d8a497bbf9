// Package piibeam seals, re-seals, indexes and matches data sets that have outgrown
// one machine, as transforms of Apache Beam pipelines on any runner.
//
//	func init() { // in the program of the pipeline, which every worker runs
//		piibeam.Register("company", openVault)
//	}
//
//	sealed, failed := piibeam.Seal(s, piibeam.Job{
//		Vault: "company", Kind: piibeam.Email, Purposes: []string{"security"},
//	}, rows)
//
// Rows are KV<string, string>: the row's id, and its value. Each worker opens the
// vault once for all bundles, with its own grants: keys never travel with the
// pipeline.
//
// # Failures
//
// A row whose value is at fault, such as a value that is no e-mail address, goes to
// the second output as KV<string, string>: its id and the reason, without the value.
// Any other failure, such as a key service that is down or a missing grant, fails the
// bundle, and the runner tries it again.
//
// # Audit
//
// The rows of a batch of 500 in a bundle make one event for each action and result, with their
// number and a hash that stands for the ids of their values (see [audit.Batch]). A row leaves
// its step only after its event was recorded. Rows of another window than the global one make
// an event each. A bundle that the runner tries again is recorded again.
//
// # Limits
//
// A runner holds the plaintext that a pipeline reads: in its workers' memory, and on
// disk if the runner writes collections between steps there. Seal in the first step
// that reads the data, and run steps that reveal on workers of their own purpose.
package piibeam
