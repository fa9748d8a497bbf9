// Package witness cosigns heads of audit logs, so that the holder of a log's key can't
// show two histories. A witness belongs to somebody else than the log: another
// department, or the auditor.
//
// A [Server] is a witness over HTTP, as C2SP tlog-witness has it. It knows the public
// keys of the logs:
//
//	server, err := witness.Open("/var/lib/witness", signer, logs, nil)
//	http.ListenAndServe(":8443", server)
//
// The log asks it with a [Client]:
//
//	client, err := witness.NewClient("https://witness.example", verifier, nil)
//	log, err := auditlog.Open(ctx, dir, key, &auditlog.Options{Witnesses: []auditlog.Witness{client}})
//
// A [Folder] is a witness without a program: a directory of another department, or a
// bucket that is mounted, where heads are added as files and never replaced. It signs
// nothing, and [ReadHeads] reads the heads for [auditlog.Verify]. A Server cosigns the heads
// in such a directory with [Server.CosignFolder], from a cron job. The command onlyfor runs
// both: onlyfor audit witness.
//
// # Protection
//
// A witness cosigns a head only if the head continues the last head that it cosigned for
// the log. After that, the holder of the log's key can't change, drop or add an entry
// before this head without a witness that sees it. A cosignature has the time, so that
// auditlog.Verify tells since when an entry can't have been changed.
//
// # Limits
//
// A witness knows nothing of the content. It protects as long as its state lives: a
// witness whose directory was lost or put back from a backup can cosign a second history.
// Such a witness has to stop, and a new one, with a new key, takes its place. Somebody
// who has both the log's key and the witness's key can do everything.
//
// Signers and verifiers are interfaces of package note, so that others work too: package
// github.com/transparency-dev/formats/note has cosignatures by ML-DSA-44.
package witness
