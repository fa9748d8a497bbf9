package auditlog

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Head is the signed statement of a log that it has Size entries, which have the Merkle
// tree hash Hash. It commits the log to each of these entries. A head that is kept where
// the log's operators can't change it proves later that no entry was edited or dropped.
//
// The zero Head is no head.
type Head struct {
	// Origin is the name of the log, which is the name of its key.
	Origin string
	// Size is the number of entries.
	Size int64
	// Hash is the hash of the tree as RFC 6962 defines it.
	Hash tlog.Hash

	signed string
}

// ParseHead reads a signed head: a checkpoint as C2SP tlog-checkpoint has it, whose origin
// is the verifier's name. It returns an [ErrHead] for a text without a signature that
// verifier accepts.
func ParseHead(signed []byte, verifier note.Verifier) (Head, error) {
	if verifier == nil {
		return Head{}, fmt.Errorf("auditlog: no verifier: %w", ErrArgument)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return Head{}, fmt.Errorf("auditlog: signature does not verify: %w", ErrHead)
	}
	h, ok := parseHeadText(n.Text)
	if !ok {
		return Head{}, fmt.Errorf("auditlog: malformed: %w", ErrHead)
	}
	if h.Origin != verifier.Name() {
		return Head{}, fmt.Errorf("auditlog: of another origin: %w", ErrHead)
	}
	h.signed = string(signed)
	return h, nil
}

// MarshalText returns the signed text of the head, which [ParseHead] reads. The zero Head
// is an [ErrHead].
func (h Head) MarshalText() ([]byte, error) {
	if h.signed == "" {
		return nil, fmt.Errorf("auditlog: zero head: %w", ErrHead)
	}
	return []byte(h.signed), nil
}

// String returns the size and the hash of the head, without the signature.
func (h Head) String() string { return fmt.Sprintf("%d %s", h.Size, h.Hash) }

// text returns the text that is signed.
func (h Head) text() string { return fmt.Sprintf("%s\n%d\n%s\n", h.Origin, h.Size, h.Hash) }

// sign returns h with a signature. A signer that panics has failed.
func (h Head) sign(signer note.Signer) (_ Head, err error) {
	panicked := true
	defer func() {
		if panicked {
			recover()
			err = fmt.Errorf("auditlog: signing a head of %s: signer panicked", h.Origin)
		}
	}()
	signed, err := note.Sign(&note.Note{Text: h.text()}, signer)
	panicked = false
	if err != nil {
		return Head{}, fmt.Errorf("auditlog: signing a head of %s: %w", h.Origin, err)
	}
	h.signed = string(signed)
	return h, nil
}

// parseHeadText reads the text of a checkpoint: origin, size, hash, and lines of
// extensions, which are ignored.
func parseHeadText(text string) (Head, bool) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[0] == "" {
		return Head{}, false
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Head{}, false
	}
	hash, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(hash) != tlog.HashSize {
		return Head{}, false
	}
	return Head{Origin: lines[0], Size: size, Hash: tlog.Hash(hash)}, true
}

// claimedHead reads a signed head without its signature. It tells a head that was torn
// from one that is complete.
func claimedHead(signed []byte) (Head, bool) {
	text, signatures, ok := strings.Cut(string(signed), "\n\n")
	if !ok || !strings.HasPrefix(signatures, "— ") || !strings.HasSuffix(signatures, "\n") {
		return Head{}, false
	}
	h, ok := parseHeadText(text + "\n")
	h.signed = string(signed)
	return h, ok
}
