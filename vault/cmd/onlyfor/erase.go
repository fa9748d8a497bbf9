package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// eraseCmd destroys the keys of one person.
type eraseCmd struct {
	Subject string   `arg:"" help:"The id that the person's values were sealed for, or - for standard input."`
	Purpose []string `short:"p" sep:"," placeholder:"NAME" help:"The purposes to erase the person under. Default: all."`
	Reason  string   `required:"" placeholder:"TEXT" help:"Why, for the audit log: the number of the request, say."`
	Unknown bool     `help:"Also for an id that nothing was ever sealed for: it can never be used then."`
}

func (c *eraseCmd) Run(ctx context.Context, s *session) error {
	subject := c.Subject
	if subject == "-" {
		var err error
		if subject, err = s.line("The id of the person: "); err != nil {
			return err
		}
	}
	if !vault.ValidSubject(subject) {
		return misuse("that is no id of a person")
	}
	if strings.TrimSpace(c.Reason) == "" {
		return misuse("--reason is empty: it is for whoever reads the audit log")
	}
	ctx, at, err := s.open(ctx, options{reason: c.Reason})
	if err != nil {
		return err
	}
	defer at.Close()
	purposes, err := at.purposes(c.Purpose)
	if err != nil {
		return err
	}
	if !c.Unknown {
		known, err := at.knows(ctx, subject, purposes)
		if err != nil {
			return err
		}
		if !known {
			return refuse("nothing was ever sealed for this id under %s: it may be mistyped", list(purposes)).
				hinting("With --unknown it is erased nevertheless, and can never be used.")
		}
	}
	erasures, err := at.vault.Erase(ctx, subject, purposes...)
	// The certificates of the purposes that were done are kept also if one failed.
	return errors.Join(err, at.certify(ctx, s, erasures, "Erased"))
}

// knows reports whether the key store has a record of the person under one of the purposes.
func (at *site) knows(ctx context.Context, subject string, purposes []purpose.Purpose) (bool, error) {
	for _, p := range purposes {
		scope, err := at.vault.Scope(ctx, p)
		if err != nil {
			return false, err
		}
		pseudonym, err := scope.Pseudonym(ctx, subject)
		if err != nil {
			return false, err
		}
		records, err := at.store.Get(ctx, p.String()+"/subjects/"+pseudonym[:2]+"/"+pseudonym)
		if err != nil {
			return false, err
		}
		if len(records) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// certify keeps the certificates of erasures, takes the pins anew, and prints them.
func (at *site) certify(ctx context.Context, s *session, erasures []vault.Erasure, word string) error {
	if len(erasures) == 0 {
		return nil
	}
	var purposes []purpose.Purpose
	for _, e := range erasures {
		purposes = append(purposes, e.Purpose)
		if at.Certificates == "" {
			continue
		}
		text, err := json.MarshalIndent(e, "", "  ")
		if err != nil {
			return misuse("a certificate can't be written")
		}
		if err := os.MkdirAll(at.Certificates, 0o700); err != nil {
			return misuse("the directory %s can't be made: keep the certificate of --json", at.Certificates)
		}
		if err := replaceFile(filepath.Join(at.Certificates, e.Purpose.String()+"-"+e.Subject+".json"), string(text)+"\n"); err != nil {
			return misuse("the certificates in %s can't be written: keep the certificate of --json", at.Certificates)
		}
	}
	if err := at.writePins(ctx, slices.Collect(purpose.NewSet(purposes...).All())...); err != nil {
		return err
	}
	return s.print(erasures, func(w io.Writer, width int) {
		for _, e := range erasures {
			term.Text(w, width, fmt.Sprintf("%s under %v: %s", word, e.Purpose, e.Subject))
		}
		if at.Certificates != "" {
			term.Text(w, width, "Certificates are in "+at.Certificates+".")
		}
		term.Text(w, width, "Other processes follow within a minute. Indexes outlive the keys: clear the person's row, or run onlyfor migrate clear-erased.")
	})
}

// restoreCmd has the commands after a restore of the key store.
type restoreCmd struct {
	Replay replayCmd `cmd:"" help:"Repeat the erasures of the certificates, and accept the key store as it is."`
}

type replayCmd struct {
	Reason string `required:"" placeholder:"TEXT" help:"Why the key store was put back, for the audit log."`
}

func (c *replayCmd) Help() string {
	return "Stop all services first. The command opens the key store without its pins, erases everybody again who has a certificate, and writes new pins. Then rotate, move and retire keys again as after the backup, give the new pins to the services, and start them."
}

func (c *replayCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{reason: c.Reason, unpin: true})
	if err != nil {
		return err
	}
	defer at.Close()
	if at.Certificates == "" {
		return misuse("the configuration has no directory of certificates")
	}
	certificates, err := readCertificates(at.Certificates)
	if err != nil {
		return err
	}
	done, err := at.vault.EraseAgain(ctx, certificates...)
	if err != nil {
		s.note("%d of %d erasures were repeated.", len(done), len(certificates))
		return err
	}
	if err := at.writePins(ctx, at.Purposes...); err != nil {
		return err
	}
	if len(done) > 0 {
		return at.certify(ctx, s, done, "Erased again")
	}
	return s.print([]vault.Erasure{}, func(w io.Writer, width int) {
		term.Text(w, width, "There is no certificate to repeat. The key store is accepted as it is, and has new pins.")
	})
}

// readCertificates reads all certificates of a directory.
func readCertificates(dir string) ([]vault.Erasure, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, misuse("the certificates in %s can't be read", dir)
	}
	var certificates []vault.Erasure
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, misuse("the certificate %s can't be read", name)
		}
		var e vault.Erasure
		if err := json.Unmarshal(data, &e); err != nil || e.Purpose.IsZero() || e.Subject == "" {
			return nil, refuse("%s is no certificate of an erasure", name).hinting("Move it elsewhere, or put back the file that onlyfor erase wrote.")
		}
		certificates = append(certificates, e)
	}
	return certificates, nil
}
