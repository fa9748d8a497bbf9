// Package report answers who is affected: how many people and values there are under a
// notice, since when, on which ground, and which uses were made of them.
//
// [Affected] counts the sealed values of tables, whose headers anybody can read, and so
// needs no keys. [Uses] counts the events of audit logs that it verifies (see package
// auditlog). [Ropa] joins both with the register that piivet makes of the source: the
// record of processing activities of Article 30 GDPR.
//
//	values := report.Values(ctx, db, migrate.Postgres, report.Table{
//		Name: "users", Key: "id", Subject: "id", Columns: []string{"phone_sealed"},
//	})
//	affected, err := report.Affected(ctx, report.Query{Notice: "2fa-prompt-v2"}, nil, values)
//	uses, err := report.Uses(ctx, report.Query{Notice: "2fa-prompt-v2"}, nil, log)
//	err = report.WriteHTML(w, affected, uses)
//
// # Claims and proofs
//
// A header is a claim of whoever wrote the value, until the value is opened with
// the keys of its purpose. With [Options.Verify], Affected opens each value, and counts
// apart how many opened. A count of events is proven by the head of the log that it is
// reported with, as far as the log verifies.
//
// No report holds a value, an index, or the id of a person. Keys of rows go to
// [Options.Row] alone.
package report
