// Package approval has the consent of a second person to an operation that can't be undone.
//
// A [Request] states one operation on one state of the keys of a purpose. The second person
// signs its text as a note of golang.org/x/mod/sumdb/note, with an Ed25519 key. The result
// is an approval: one line of text. It holds no secret.
package approval

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
)

// The reasons to refuse an approval.
var (
	ErrMalformed = errors.New("the approval is malformed, cut off or altered")
	ErrSigner    = errors.New("the approval is not signed by a key of [approval]")
	ErrOperation = errors.New("the approval is for another operation")
	ErrVault     = errors.New("the approval is for another vault")
	ErrState     = errors.New("the keys of the purpose have changed since the approval was asked for")
	ErrExpired   = errors.New("the approval has expired")
)

// A Request is an operation that needs an approval.
type Request struct {
	Operation string // "destroy" or "resume"
	Purpose   purpose.Purpose
	Target    string // the id of the key to destroy, or the notice to resume, "(all)" without one
	Vault     string // the id of the vault, in hexadecimal
	State     string // the digest of the key record, as in the audit log
	Expires   time.Time
}

const (
	firstLine = "onlyfor approval, version 1"
	magic     = "ofa1."
	// maxLine bounds an approval. The longest request has some 350 bytes, and a signature 100
	// and a name.
	maxLine = 2048
)

// String returns the text that is signed.
func (r Request) String() string {
	return fmt.Sprintf("%s\noperation: %s\npurpose: %v\ntarget: %s\nvault: %s\nstate: %s\nexpires: %s\n",
		firstLine, r.Operation, r.Purpose, r.Target, r.Vault, r.State, r.Expires.UTC().Format(time.RFC3339))
}

// Parse parses the text of a request. Every text but the one of String is ErrMalformed.
func Parse(text string) (Request, error) {
	lines := strings.Split(text, "\n")
	if len(text) > maxLine || len(lines) != 8 || lines[0] != firstLine {
		return Request{}, ErrMalformed
	}
	fields := make([]string, 6)
	for i, line := range lines[1:7] {
		var found bool
		if _, fields[i], found = strings.Cut(line, ": "); !found || !printable(fields[i]) {
			return Request{}, ErrMalformed
		}
	}
	r := Request{Operation: fields[0], Target: fields[2], Vault: fields[3], State: fields[4]}
	var errPurpose, errTime error
	r.Purpose, errPurpose = purpose.Parse(fields[1])
	r.Expires, errTime = time.Parse(time.RFC3339, fields[5])
	if errPurpose != nil || errTime != nil || r.String() != text {
		return Request{}, ErrMalformed
	}
	return r, nil
}

// printable reports whether a field is 1 or more printable characters of ASCII without blanks.
func printable(field string) bool {
	return field != "" && !strings.ContainsFunc(field, func(c rune) bool { return c <= ' ' || c > '~' })
}

// Sign returns the approval of r.
func Sign(r Request, signer note.Signer) (string, error) {
	text := r.String()
	if _, err := Parse(text); err != nil {
		return "", err
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return "", ErrMalformed
	}
	line := magic + base64.RawURLEncoding.EncodeToString(signed)
	if len(line) > maxLine {
		return "", ErrMalformed
	}
	return line, nil
}

// Check returns the name of the key that has signed the approval of want, whose Expires it
// does not read. It returns the first of the errors above that fits. No two lines are one
// approval: a line whose decoding ignores something is ErrMalformed.
func Check(line string, verifiers note.Verifiers, want Request, now time.Time) (signer string, err error) {
	encoded, ok := strings.CutPrefix(line, magic)
	if !ok || len(line) > maxLine {
		return "", ErrMalformed
	}
	signed, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || base64.RawURLEncoding.EncodeToString(signed) != encoded { // even a strict decoder skips line breaks
		return "", ErrMalformed
	}
	n, err := note.Open(signed, verifiers)
	var unsigned *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unsigned):
		return "", ErrSigner
	case errors.As(err, &invalid), err != nil:
		return "", ErrMalformed
	}
	if !exact(n, signed) {
		return "", ErrMalformed
	}
	r, err := Parse(n.Text)
	if err != nil {
		return "", err
	}
	switch {
	case r.Operation != want.Operation || r.Purpose != want.Purpose || r.Target != want.Target:
		return "", ErrOperation
	case r.Vault != want.Vault:
		return "", ErrVault
	case r.State != want.State:
		return "", ErrState
	case !now.Before(r.Expires):
		return "", ErrExpired
	}
	return n.Sigs[0].Name, nil
}

// exact reports whether signed is the text of n with one signature in its only encoding.
// Package note ignores further signatures, and bits behind the last byte of base64.
func exact(n *note.Note, signed []byte) bool {
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return false
	}
	s := n.Sigs[0]
	if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
		return false
	}
	return string(signed) == n.Text+"\n— "+s.Name+" "+s.Base64+"\n"
}
