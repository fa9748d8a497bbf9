package witness_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// exampleLog makes the key of a log, and exampleWitness the key of a witness.
func exampleLog() (note.Signer, note.Verifier) {
	private, public, err := note.GenerateKey(rand.Reader, "example.com/audit/mailer-1")
	check(err)
	signer, err := note.NewSigner(private)
	check(err)
	verifier, err := note.NewVerifier(public)
	check(err)
	return signer, verifier
}

func exampleWitness() (note.Signer, note.Verifier) {
	private, public, err := witness.GenerateKey("witness.example")
	check(err)
	signer, err := witness.NewSigner(private)
	check(err)
	verifier, err := witness.NewVerifier(public)
	check(err)
	return signer, verifier
}

func reveal() audit.Event {
	return audit.Event{Time: time.Now(), Action: audit.Reveal, Outcome: audit.Allowed, Purpose: purpose.MustParse("security"), Caller: "eve"}
}

// The auditors run a witness, and the service has its heads cosigned. The administrator of
// the service, who has the log's key, writes the log anew without Eve.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	key, verifier := exampleLog()
	cosigner, coverifier := exampleWitness()

	server, err := witness.Open(filepath.Join(dir, "witness"), cosigner, coverifier, []note.Verifier{verifier}, nil)
	check(err)
	defer server.Close()
	web := httptest.NewServer(server)
	defer web.Close()

	client, err := witness.NewClient(web.URL, coverifier, nil)
	check(err)
	opts := &auditlog.Options{Witnesses: []auditlog.Witness{client}}
	log, err := auditlog.Open(ctx, filepath.Join(dir, "audit"), key, opts)
	check(err)
	check(log.Audit(ctx, reveal()))
	check(log.Close())

	verify := func() *auditlog.Report {
		report, err := auditlog.Verify(ctx, os.DirFS(filepath.Join(dir, "audit")), verifier, nil,
			&auditlog.VerifyOptions{Witnesses: []note.Verifier{coverifier}})
		check(err)
		return report
	}
	fmt.Print(verify())

	check(os.RemoveAll(filepath.Join(dir, "audit")))
	log, err = auditlog.Open(ctx, filepath.Join(dir, "audit"), key, opts)
	check(err)
	fmt.Println(errors.Is(log.Close(), witness.ErrInconsistent))
	// Output:
	// example.com/audit/mailer-1: 3 entries, 3 with a body, 1 processes
	// not excluded: that entries at the end were cut off, or that this is an older copy of the log: no head was kept from after them
	// true
}

// Another department has a directory in which the service can add files alone. Its heads
// prove later that the log was not changed.
func ExampleFolder() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	bucket := filepath.Join(dir, "bucket")
	check(os.Mkdir(bucket, 0o700))
	key, verifier := exampleLog()

	folder, err := witness.NewFolder(bucket, verifier)
	check(err)
	defer folder.Close()
	log, err := auditlog.Open(ctx, filepath.Join(dir, "audit"), key, &auditlog.Options{Witnesses: []auditlog.Witness{folder}})
	check(err)
	check(log.Audit(ctx, reveal()))
	check(log.Close())

	kept, other, err := witness.ReadHeads(os.DirFS(bucket), verifier)
	check(err)
	fmt.Println(len(kept), len(other))
	report, err := auditlog.Verify(ctx, os.DirFS(filepath.Join(dir, "audit")), verifier, kept, nil)
	check(err)
	fmt.Print(report)
	// Output:
	// 1 0
	// example.com/audit/mailer-1: 3 entries, 3 with a body, 1 processes
	// not excluded: that entries after the last kept head, which had 3 entries, were cut off
}
