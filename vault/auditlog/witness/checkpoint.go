package witness

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Errors unwrap to one of these sentinels, or to an error of the system, of the network
// or of a context.
var (
	// ErrArgument reports an argument that can't be used.
	ErrArgument = errors.New("not a valid argument")
	// ErrInUse reports a directory that another witness has, in this process or in
	// another one.
	ErrInUse = errors.New("in use by another witness")
	// ErrAltered reports a state of a witness that the witness has not written.
	ErrAltered = errors.New("state altered")
	// ErrInconsistent reports a head that does not continue the heads that the witness
	// knows: the log was cut off, put back or written anew, or it signs two histories.
	ErrInconsistent = errors.New("not a continuation of the witnessed log")
	// ErrAnswer reports an answer of a witness that is not one of C2SP tlog-witness, or
	// refuses the log.
	ErrAnswer = errors.New("not an answer of a witness")
)

// A checkpoint is the head of a log.
type checkpoint struct {
	origin string
	size   int64
	hash   tlog.Hash
	text   string // with extension lines
	signed string
}

// tree returns the head as package tlog has it.
func (c checkpoint) tree() tlog.Tree { return tlog.Tree{N: c.size, Hash: c.hash} }

var emptyTree, _ = tlog.TreeHash(0, nil)

// parseCheckpoint reads the text of a checkpoint as C2SP tlog-checkpoint has it.
func parseCheckpoint(text string) (checkpoint, bool) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[0] == "" || len(lines[0]) > 255 {
		return checkpoint{}, false
	}
	size, ok := parseSize(lines[1])
	if !ok {
		return checkpoint{}, false
	}
	hash, ok := parseHash(lines[2])
	return checkpoint{origin: lines[0], size: size, hash: hash, text: text}, ok
}

// parseSize reads a decimal number in its one spelling.
func parseSize(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == s
}

// parseHash reads a hash in base64, in its one spelling.
func parseHash(s string) (h tlog.Hash, ok bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != tlog.HashSize || base64.StdEncoding.EncodeToString(b) != s {
		return h, false
	}
	return tlog.Hash(b), true
}

// openCheckpoint verifies a signed checkpoint with the keys of its log. It drops the
// signatures of others.
func openCheckpoint(signed string, keys []note.Verifier) (checkpoint, bool) {
	n, err := note.Open([]byte(signed), note.VerifierList(keys...))
	if err != nil {
		return checkpoint{}, false
	}
	c, ok := parseCheckpoint(n.Text)
	c.signed = n.Text + "\n" + signatureLines(n.Sigs)
	return c, ok
}

// originOf returns the first line of the checkpoint.
func originOf(signed string) string {
	origin, _, _ := strings.Cut(signed, "\n")
	return origin
}

func signatureLines(sigs []note.Signature) string {
	var b strings.Builder
	for _, s := range sigs {
		b.WriteString("— " + s.Name + " " + s.Base64 + "\n")
	}
	return b.String()
}
