package witness

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// maxProof is the number of hashes of the longest proof, by C2SP tlog-witness.
	maxProof = 63
	// maxCheckpoint is the size of the largest signed checkpoint: 100 signatures are read
	// at most, and an ML-DSA-44 signature has 3.3 kB.
	maxCheckpoint = 64 << 10
	// maxRequest is the size of the largest request.
	maxRequest = len("old ") + 20 + maxProof*46 + maxCheckpoint
)

// A request is the body of a call of add-checkpoint.
type request struct {
	old    int64
	proof  tlog.TreeProof
	signed string
}

// appendTo appends the body of the request.
func (r request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", r.old)
	for _, h := range r.proof {
		b.WriteString(h.String() + "\n")
	}
	return b.String() + "\n" + r.signed
}

// parseRequest reads the body of a request.
func parseRequest(body string) (r request, ok bool) {
	head, signed, ok := strings.Cut(body, "\n\n")
	if !ok || len(signed) > maxCheckpoint {
		return r, false
	}
	r.signed = signed
	first, rest, more := strings.Cut(head, "\n")
	size, ok := strings.CutPrefix(first, "old ")
	if !ok {
		return r, false
	}
	if r.old, ok = parseSize(size); !ok {
		return r, false
	}
	if !more {
		return r, true
	}
	lines := strings.SplitN(rest, "\n", maxProof+1)
	if len(lines) > maxProof {
		return r, false
	}
	for _, line := range lines {
		h, ok := parseHash(line)
		if !ok {
			return r, false
		}
		r.proof = append(r.proof, h)
	}
	return r, true
}

// consistent reports whether the proof shows that the tree c continues the tree of old.
func consistent(old, c tlog.Tree, proof tlog.TreeProof) bool {
	switch {
	case c.N == 0 && c.Hash != emptyTree:
		return false
	case old.N == 0:
		return len(proof) == 0
	case old.N == c.N:
		return len(proof) == 0 && old.Hash == c.Hash
	}
	return tlog.CheckTree(proof, c.N, c.Hash, old.N, old.Hash) == nil
}
