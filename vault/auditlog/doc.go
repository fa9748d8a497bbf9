// Package auditlog keeps the record of every use of keys in a log that can't be edited
// unnoticed. A [Log] is an auditor for a vault:
//
//	log, err := auditlog.Open(ctx, "audit", signer, nil)
//	v, err := vault.Open(ctx, store, kek, &vault.Options{Audit: log})
//
// The log is a Merkle tree with signed heads. [Verify] needs the directory, or a copy of
// it, and the public key:
//
//	report, err := auditlog.Verify(ctx, os.DirFS("audit"), verifier, kept, nil)
//
// # What it protects
//
// An event is on the disk, under a signed head, before its action has a result. Whoever
// changes, drops or exchanges an entry later without the key of the log is found by Verify.
// The end of a log can be cut off, or the log replaced by an older copy, and whoever has
// the key can write all of it anew. This is found by whoever kept a head from before: keep
// heads where the log's operators can't change them, as [Options.Keep] does. A [Witness]
// cosigns heads that continue each other, so that old entries can't be written anew even
// with the key. [Log.Unwitnessed] tells the age of entries without a cosignature.
//
// Verify also finds signs of other things that went wrong, in the entries: keys whose
// store was put back, a clock that ran back, one process with two purposes that no role
// may have together, and a program that nobody reviewed.
//
// # What it does not protect
//
// An event that a process does not record is in no log: package reconcile finds such a
// process in the log of the key service. A log of nobody's heads proves nothing about its
// end. The directory has names of purposes, callers and pseudonyms of
// persons: it is for the eyes of those who audit.
//
// # The directory
//
// Each process that runs at the same time has a directory and a key of its own. Processes
// that run one after the other continue one log, and the entry of a start tells whether
// the one before stopped in order. The layout is that of C2SP tlog-tiles, so that other
// programs can read it: FORMAT.md has the details.
//
//	checkpoint            the last published head, with cosignatures
//	tile/0/000, ...       hashes of the tree
//	tile/entries/000, ... entries: hashes of a salt and a body
//	bodies/...            bodies, one JSON text a line
//
// Bodies are apart from the tree, so that [Log.Remove] can remove them at the end of their
// retention while the tree still verifies.
package auditlog
