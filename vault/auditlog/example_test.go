package auditlog_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// exampleKeys makes the key of a log. A service reads its private half as it reads other
// secrets; those who verify have the public half.
func exampleKeys() (note.Signer, note.Verifier) {
	private, public, err := note.GenerateKey(rand.Reader, "example.com/audit/mailer-1")
	check(err)
	signer, err := note.NewSigner(private)
	check(err)
	verifier, err := note.NewVerifier(public)
	check(err)
	return signer, verifier
}

// A vault records each use of a key in a log. Somebody else verifies it.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	signer, verifier := exampleKeys()
	log, err := auditlog.Open(ctx, filepath.Join(dir, "audit"), signer, &auditlog.Options{Service: "mailer"})
	check(err)

	kek := vault.LocalKEK(filepath.Join(dir, "kek"))
	v, err := vault.OpenAdmin(ctx, vault.Memory(), kek, &vault.Options{Audit: log})
	check(err)
	check(v.Generate(audit.WithCaller(ctx, "deploy"), purpose.MustParse("security")))
	check(log.Close())

	report, err := auditlog.Verify(ctx, os.DirFS(filepath.Join(dir, "audit")), verifier, []auditlog.Head{log.Head()}, nil)
	check(err)
	fmt.Print(report)
	// Output:
	// example.com/audit/mailer-1: 3 entries, 3 with a body, 1 processes
	// not excluded: that entries after the last kept head, which had 3 entries, were cut off
}

// A head that another department keeps proves later that nothing was changed before it.
func ExampleVerify() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "audit")
	signer, verifier := exampleKeys()
	var mailbox []byte // of the other department
	log, err := auditlog.Open(ctx, dir, signer, &auditlog.Options{Keep: func(ctx context.Context, h auditlog.Head) error {
		mailbox, err = h.MarshalText()
		return err
	}})
	check(err)
	event := audit.Event{Time: time.Now(), Action: audit.Reveal, Outcome: audit.Allowed, Purpose: purpose.MustParse("security"), Caller: "eve"}
	check(log.Audit(ctx, event))
	check(log.Close())

	// The operator removes the traces, and all that signs the rest.
	check(os.RemoveAll(dir))
	log, err = auditlog.Open(ctx, dir, signer, nil)
	check(err)
	check(log.Close())

	kept, err := auditlog.ParseHead(mailbox, verifier)
	check(err)
	report, err := auditlog.Verify(ctx, os.DirFS(dir), verifier, []auditlog.Head{kept}, nil)
	check(err)
	for _, f := range report.Findings {
		fmt.Println(f)
	}
	// Output: cut: entry 2: the log has 2 entries, and a kept head 3: it was cut off, or is an older copy
}

// The entries of a log are JSON texts.
func ExampleVerifyOptions() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "audit")
	signer, verifier := exampleKeys()
	log, err := auditlog.Open(ctx, dir, signer, nil)
	check(err)
	event := audit.Event{Time: time.Now(), Action: audit.Reveal, Outcome: audit.Allowed, Purpose: purpose.MustParse("security"), Caller: "sign-in"}
	check(log.Audit(ctx, event))
	check(log.Close())

	report, err := auditlog.Verify(ctx, os.DirFS(dir), verifier, nil, &auditlog.VerifyOptions{Entry: func(e auditlog.Entry) error {
		var body struct{ Entry, Action, Outcome, Purpose, Caller string }
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return err
		}
		if body.Entry == auditlog.KindEvent {
			fmt.Println(e.Index, body.Action, body.Outcome, body.Purpose, body.Caller)
		}
		return nil
	}})
	check(err)
	fmt.Println(report.OK())
	// Output:
	// 1 reveal allowed security sign-in
	// true
}

// Bodies are removed at the end of their retention, and the log still verifies.
func ExampleLog_Remove() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "audit")
	signer, verifier := exampleKeys()
	log, err := auditlog.Open(ctx, dir, signer, nil)
	check(err)
	event := audit.Event{Time: time.Now().AddDate(-3, 0, 0), Action: audit.Reveal, Outcome: audit.Allowed, Purpose: purpose.MustParse("security")}
	check(log.Audit(ctx, event))

	limit := time.Now().AddDate(-2, 0, 0)
	n, err := log.Remove(ctx, "two years", func(e auditlog.Entry) bool {
		var body struct{ Time time.Time }
		return json.Unmarshal(e.Body, &body) == nil && body.Time.Before(limit)
	})
	check(err)
	fmt.Println(n)
	check(log.Close())
	report, err := auditlog.Verify(ctx, os.DirFS(dir), verifier, nil, &auditlog.VerifyOptions{ClockTolerance: 4 * 365 * 24 * time.Hour})
	check(err)
	fmt.Println(report.OK(), report.Removed)
	// Output:
	// 1
	// true map[two years:1]
}

// Events go to the log and, for those on call, to the logger. Both must record them.
func ExampleTee() {
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	signer, _ := exampleKeys()
	log, err := auditlog.Open(context.Background(), filepath.Join(dir, "audit"), signer, nil)
	check(err)
	defer log.Close()
	opts := &vault.Options{Audit: auditlog.Tee(log, audit.Slog(slog.Default()), nil)}
	fmt.Println(opts.Audit != nil)
	// Output: true
}
