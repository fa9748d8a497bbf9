package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/approval"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// approveCmd has the commands of the second person.
type approveCmd struct {
	Key     approveKeyCmd     `cmd:"" help:"Make the key of a second person, once."`
	Destroy approveDestroyCmd `cmd:"" help:"Print the request to destroy a key."`
	Resume  approveResumeCmd  `cmd:"" help:"Print the request to end a suspension."`
	Sign    approveSignCmd    `cmd:"" help:"Read a request, and sign it: the second person does."`
}

func (c *approveCmd) Help() string {
	return "keys destroy and resume ask for an approval if the configuration has [approval]. It binds this command with this configuration, and nobody who holds the key store and the KEK and uses another program."
}

type approveKeyCmd struct {
	Name string `arg:"" help:"The name of the person, for the audit log."`
	File string `arg:"" help:"The file to write, with mode 0600. It belongs to that person alone."`
}

func (c *approveKeyCmd) Run(_ context.Context, s *session) error {
	if strings.ContainsAny(c.Name, " \t\r\n+") || c.Name == "" {
		return misuse("the name has no blanks and no +")
	}
	private, public, err := note.GenerateKey(rand.Reader, c.Name)
	if err != nil {
		return misuse("no key can be made")
	}
	f, err := os.OpenFile(c.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return refuse("the file %s exists, and it is left alone", c.File)
	}
	if err != nil {
		return misuse("the file %s can't be made", c.File)
	}
	_, err = f.WriteString(private + "\n")
	if errors.Join(err, f.Sync(), f.Close()) != nil {
		return misuse("the file %s can't be written", c.File)
	}
	return s.print(map[string]string{"verifier": public}, func(w io.Writer, _ int) { fmt.Fprintln(w, public) })
}

// validity is how long an approval is valid.
type validity struct {
	Valid string `placeholder:"TIME" default:"24h" help:"How long the approval is valid, up to 30d."`
}

func (v *validity) expires() (time.Time, error) {
	d, err := config.ParseDuration(v.Valid)
	if err != nil || d < time.Second || d > 30*24*time.Hour {
		return time.Time{}, misuse("--valid is a time up to 30d, as in 24h")
	}
	return time.Now().Add(d).Truncate(time.Second), nil
}

type approveDestroyCmd struct {
	oneKey
	validity
}

func (c *approveDestroyCmd) Run(ctx context.Context, s *session) error {
	return s.printRequest(ctx, c.Purpose, c.validity, func(ctx context.Context, at *site, p purpose.Purpose) (approval.Request, error) {
		k, err := c.find(ctx, at, p)
		if err != nil {
			return approval.Request{}, err
		}
		return at.request(ctx, "destroy", p, keyName(k.ID))
	})
}

type approveResumeCmd struct {
	Purpose string `arg:"" help:"The name of the purpose."`
	Notice  string `placeholder:"ID" help:"The notice that is suspended. Default: the whole purpose."`
	validity
}

func (c *approveResumeCmd) Run(ctx context.Context, s *session) error {
	return s.printRequest(ctx, c.Purpose, c.validity, func(ctx context.Context, at *site, p purpose.Purpose) (approval.Request, error) {
		if _, err := at.suspension(ctx, p, c.Notice); err != nil {
			return approval.Request{}, err
		}
		return at.request(ctx, "resume", p, targetOf(c.Notice))
	})
}

// targetOf returns the target of a request to end a suspension. No notice is "(all)".
func targetOf(notice string) string {
	if notice == "" {
		return "(all)"
	}
	return notice
}

// printRequest prints the text of a request.
func (s *session) printRequest(ctx context.Context, name string, v validity, make func(context.Context, *site, purpose.Purpose) (approval.Request, error)) error {
	expires, err := v.expires()
	if err != nil {
		return err
	}
	ctx, at, err := s.open(ctx, options{})
	if err != nil {
		return err
	}
	defer at.Close()
	p, err := at.purpose(name)
	if err != nil {
		return err
	}
	r, err := make(ctx, at, p)
	if err != nil {
		return err
	}
	r.Expires = expires
	return s.print(map[string]string{"request": r.String()}, func(w io.Writer, _ int) { fmt.Fprint(w, r) })
}

// request returns the request for an operation on the present keys of p, without the end of
// its validity. Its state is the Digest of events in the audit log.
func (at *site) request(ctx context.Context, operation string, p purpose.Purpose, target string) (approval.Request, error) {
	r := approval.Request{Operation: operation, Purpose: p, Target: target}
	records, err := at.store.Get(ctx, "0-vault", p.String()+"/keys")
	if err != nil {
		return r, err
	}
	for _, record := range records {
		if id, ok := strings.CutPrefix(string(record.Data), format.VaultMagic); ok && record.Name == "0-vault" {
			r.Vault = hex.EncodeToString([]byte(id))
		} else if record.Name == p.String()+"/keys" {
			digest := sha256.Sum256(record.Data)
			r.State = hex.EncodeToString(digest[:16])
		}
	}
	if r.Vault == "" || r.State == "" {
		return r, fmt.Errorf("keys of %v: %w", p, vault.ErrNoKeys)
	}
	return r, nil
}

type approveSignCmd struct {
	Key string `required:"" placeholder:"FILE" help:"The key of the second person, which onlyfor approve key made."`
}

func (c *approveSignCmd) Run(_ context.Context, s *session) error {
	signer, err := readSigner(c.Key)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(s.in, maxInput))
	if err != nil {
		return misuse("standard input can't be read")
	}
	r, err := approval.Parse(string(data))
	if err != nil {
		return refuse("standard input is no request of onlyfor approve").hinting("It is signed as it was printed, all of it.")
	}
	if !time.Now().Before(r.Expires) {
		return refuse("the request has expired").hinting("Ask for a new one.")
	}
	line, err := approval.Sign(r, signer)
	if err != nil {
		return refuse("the request can't be signed")
	}
	s.note("You approve: %s of %s under %v, until %s.", r.Operation, r.Target, r.Purpose, r.Expires.Format(time.RFC3339))
	return s.print(map[string]string{"approval": line}, func(w io.Writer, _ int) { fmt.Fprintln(w, line) })
}

// readSigner reads the signing key of a person, which nobody else may read.
func readSigner(file string) (note.Signer, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, misuse("the key %s can't be read", file)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, refuse("others may read the key %s", file).hinting("Make a new one with onlyfor approve key, and keep it for yourself.")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, misuse("the key %s can't be read", file)
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, misuse("%s has no key of a person", file).hinting("onlyfor approve key makes one.")
	}
	return signer, nil
}

// approved has the flag of a command that needs an approval.
type approved struct {
	Approval string `placeholder:"LINE" help:"The approval of a second person, where the configuration has [approval]."`
}

// check returns a refusal unless the configuration needs no approval, or the flag has a valid one
// for the operation. The event of the operation names the signer.
func (c *approved) check(ctx context.Context, at *site, operation string, p purpose.Purpose, target string) error {
	conf := at.Config.Approval
	switch {
	case conf == nil && c.Approval == "":
		return nil
	case conf == nil:
		return misuse("the configuration has no [approval], so an approval has no meaning")
	case c.Approval == "":
		return refuse("%s needs the approval of a second person", operation).hinting("onlyfor approve --help shows the way.")
	}
	want, err := at.request(ctx, operation, p, target)
	if err != nil {
		return err
	}
	signer, err := approval.Check(c.Approval, note.VerifierList(conf.Verifiers()...), want, time.Now())
	if err != nil {
		return refuse("%v", err).hinting("onlyfor approve %s makes a new request.", operation)
	}
	at.approvedBy.Store(&signer)
	return nil
}

// noted adds the name of the person who approved an operation to its event.
type noted struct {
	audit.Auditor
	at *site
}

func (n *noted) Audit(ctx context.Context, e audit.Event) error {
	if signer := n.at.approvedBy.Load(); signer != nil && (e.Action == audit.Destroy || e.Action == audit.Resume) {
		e.Note = "approved by " + *signer
	}
	return n.Auditor.Audit(ctx, e)
}
