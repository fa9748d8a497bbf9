package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
)

// auditKeyCmd makes the key that signs an audit log.
type auditKeyCmd struct {
	Name string `arg:"" help:"The name of the log, which no other log may have, such as example.com/audit/ops."`
}

func (c *auditKeyCmd) Run(_ context.Context, s *session) error {
	conf, err := s.config()
	if err != nil {
		return err
	}
	if conf.AuditLog == nil {
		return misuse("the configuration has no [audit_log]")
	}
	if strings.ContainsAny(c.Name, " \t\r\n+") || c.Name == "" {
		return misuse("the name of a log has no blanks and no +")
	}
	private, public, err := note.GenerateKey(rand.Reader, c.Name)
	if err != nil {
		return misuse("no key can be made")
	}
	if err := writeKey(conf.AuditLog.Key, private, public); err != nil {
		return err
	}
	return s.print(map[string]string{"verifier": public}, func(w io.Writer, _ int) { fmt.Fprintln(w, public) })
}

// writeKey writes a signing key to a file that must not exist, and its public half beside it.
func writeKey(file, private, public string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return refuse("there is a key in %s already, and it is left alone", file)
	}
	if err != nil {
		return misuse("%s can't be written", file)
	}
	_, err = f.WriteString(private + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.WriteFile(publicFile(file), []byte(public+"\n"), 0o644)
	}
	if err != nil {
		return misuse("%s can't be written", file)
	}
	return nil
}

// publicFile is the file with the public key beside the file with the signing key.
func publicFile(key string) string { return key + ".pub" }

// openAuditLog returns the log of the configuration as an auditor, or nil. It waits some
// seconds for another process that has the log.
func (at *site) openAuditLog(ctx context.Context, reason string) (audit.Auditor, error) {
	conf := at.AuditLog
	if conf == nil {
		return nil, nil
	}
	data, err := os.ReadFile(conf.Key)
	if err != nil {
		return nil, misuse("the key of the audit log, %s, can't be read, and nothing is done without a record", conf.Key).hinting("onlyfor audit key makes it.")
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, misuse("%s has no key of an audit log", conf.Key).hinting("onlyfor audit key makes one.")
	}
	opts := &auditlog.Options{Service: "onlyfor"}
	if conf.Heads != "" {
		opts.Keep = func(_ context.Context, h auditlog.Head) error { return addHead(conf.Heads, h) }
	}
	witnesses, err := at.openWitnesses()
	if err != nil {
		return nil, err
	}
	opts.Witnesses = witnesses
	var log *auditlog.Log
	for tries := 0; ; tries++ {
		log, err = auditlog.Open(ctx, conf.Dir, signer, opts)
		if !errors.Is(err, auditlog.ErrInUse) || tries == 50 {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	switch {
	case errors.Is(err, auditlog.ErrInUse):
		return nil, misuse("another process writes the audit log %s", conf.Dir).hinting("Each process that runs at the same time has a log of its own.")
	case errors.Is(err, auditlog.ErrAltered):
		return nil, refuse("the audit log %s is not as it was left, and nothing is done without a record", conf.Dir).hinting("onlyfor audit verify tells more.")
	case err != nil:
		return nil, misuse("the audit log %s can't be written, and nothing is done without a record", conf.Dir)
	}
	at.closers = append(at.closers, func() error { return at.closeAuditLog(log) })
	return &justified{log, reason}, nil
}

// justified adds the reason that a person gave to the operation of each event.
type justified struct {
	log    *auditlog.Log
	reason string
}

func (j *justified) Audit(ctx context.Context, e audit.Event) error {
	switch {
	case j.reason == "":
	case e.Operation == "":
		e.Operation = j.reason
	default:
		e.Operation += ": " + j.reason
	}
	return j.log.Audit(ctx, e)
}

// addHead adds a head to a file.
func addHead(file string, h auditlog.Head) error {
	text, err := h.MarshalText()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// maxHeads is the size of the largest file of heads.
const maxHeads = 64 << 20

// readHeads returns the heads of a log in a file, one after the other.
func readHeads(file string, verifier note.Verifier) ([]auditlog.Head, error) {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return readFolder(file, verifier)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, misuse("the heads in %s can't be read", file)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxHeads+1))
	if err != nil || len(data) > maxHeads {
		return nil, misuse("the heads in %s can't be read", file)
	}
	var heads []auditlog.Head
	var text strings.Builder
	signed := false
	end := func() error {
		if !signed {
			return nil
		}
		h, err := auditlog.ParseHead([]byte(text.String()), verifier)
		if err != nil {
			return refuse("%s: head %d is not signed by the key of %s", file, len(heads)+1, verifier.Name())
		}
		heads, signed = append(heads, h), false
		text.Reset()
		return nil
	}
	for line := range strings.Lines(string(data)) {
		signature := strings.HasPrefix(line, "— ")
		if signed && !signature {
			if err := end(); err != nil {
				return nil, err
			}
			if line == "\n" {
				continue
			}
		}
		text.WriteString(line)
		signed = signed || signature
	}
	if err := end(); err != nil {
		return nil, err
	}
	if len(heads) == 0 {
		return nil, misuse("%s has no head of an audit log", file)
	}
	return heads, nil
}

// readFolder returns the heads of a log in the directory of a witness.
func readFolder(dir string, verifier note.Verifier) ([]auditlog.Head, error) {
	heads, _, err := witness.ReadHeads(os.DirFS(dir), verifier)
	if err != nil {
		return nil, misuse("the heads in %s can't be read", dir)
	}
	if len(heads) == 0 {
		return nil, refuse("the directory %s has no head of %s", dir, verifier.Name())
	}
	return heads, nil
}

// parseVerifier reads the public key of a log: its text, or the name of a file with it.
func parseVerifier(text string) (note.Verifier, error) {
	if data, err := os.ReadFile(text); err == nil {
		text = string(data)
	}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "PRIVATE+KEY+") {
		return nil, misuse("--key has the signing key of the log: it needs the public one, and the other is for nobody to see")
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		return nil, misuse("--key is neither the public key of a log nor a file with it")
	}
	return v, nil
}
