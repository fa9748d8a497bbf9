package main

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
)

// openWitnesses returns the witnesses of the log of the configuration.
func (at *site) openWitnesses() (witnesses []auditlog.Witness, err error) {
	for _, w := range at.AuditLog.Witnesses {
		var opened auditlog.Witness
		if w.Dir != "" {
			opened, err = at.openFolder(w.Dir)
		} else {
			opened, err = openClient(w.URL, w.Key)
		}
		if err != nil {
			return nil, err
		}
		witnesses = append(witnesses, opened)
	}
	return witnesses, nil
}

// openFolder returns the witness that is a directory.
func (at *site) openFolder(dir string) (auditlog.Witness, error) {
	verifier, err := parseVerifier(publicFile(at.AuditLog.Key))
	if err != nil {
		return nil, misuse("the public half of the audit log's key, %s, can't be read", publicFile(at.AuditLog.Key))
	}
	f, err := witness.NewFolder(dir, verifier)
	if err != nil {
		return nil, misuse("the directory %s of witnesses in [audit_log] can't be used", dir)
	}
	at.closers = append(at.closers, f.Close)
	return f, nil
}

func openClient(url, key string) (auditlog.Witness, error) {
	verifier, err := parseWitness(key)
	if err != nil {
		return nil, err
	}
	c, err := witness.NewClient(url, verifier, nil)
	if err != nil {
		return nil, misuse("url of witnesses in [audit_log] is not the URL of a witness")
	}
	return c, nil
}

// closeAuditLog closes the log, and notes a witness that has not cosigned its last head.
// The command has done its work by then, and the record is on the disk.
func (at *site) closeAuditLog(log *auditlog.Log) error {
	err := log.Close()
	_, failed := log.Unwitnessed()
	switch {
	case failed == nil:
	case errors.Is(failed, witness.ErrInconsistent):
		at.session.finding("A witness has cosigned another history of the audit log in %s: the log was cut off, put back or written anew. Find out who did it.", at.AuditLog.Dir)
	default:
		at.session.note("The last entries of the audit log are not cosigned: a witness did not answer as it should. The next command asks again.")
	}
	return err
}

// parseWitness reads the public key of a witness: its text, or the name of a file with it.
func parseWitness(text string) (note.Verifier, error) {
	if data, err := os.ReadFile(text); err == nil {
		text = string(data)
	}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "PRIVATE+KEY+") {
		return nil, misuse("the key of a witness is its signing key: the public one is needed, and the other is for nobody to see")
	}
	v, err := witness.NewVerifier(text)
	if err != nil {
		return nil, misuse("the key of a witness is neither its public key nor a file with it")
	}
	return v, nil
}
