// Package piibeam seals, re-seals, indexes and matches data sets that have
// outgrown one machine: as transforms of Apache Beam pipelines, which run on
// whatever runner the pipeline does.
//
//	func init() { // in the program of the pipeline, which every worker runs
//		piibeam.Register("company", openVault)
//	}
//
//	sealed, failed := piibeam.Seal(s, piibeam.Job{
//		Vault: "company", Kind: piibeam.Email, Purposes: []string{"security"},
//	}, rows)
//
// Rows are KV<string, string>: the row's id, and what is in it. Each worker opens
// the vault once, with its own grants, however many bundles it gets: keys never
// travel with the pipeline.
//
// # Failures
//
// A row that can't be done for its own sake, such as one that is no e-mail address,
// goes to the second output as KV<string, string>: its id, and why, without
// the value. What is no row's fault, such as a key service that is down or a grant
// that is missing, fails the bundle, which the runner tries again.
//
// # What is not protected
//
// Plaintext that a pipeline reads is in the runner's hands: in its workers' memory
// and, where a runner puts collections between steps on disk, there. Seal in the
// first step that sees the data, and run what reveals on workers of its own purpose.
package piibeam
