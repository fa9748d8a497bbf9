package auditlog

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// A leafHash is an entry as the Merkle tree has it: the SHA-256 of the salt and the body.
// It can't be guessed from a likely body, and stays when the body is removed.
type leafHash = tlog.Hash

const saltSize = 16

// maxLine is the size of the longest line in a file of bodies.
const maxLine = 64 << 10

// Files of bodies are written until they have segmentSize bytes. A frame is added whole,
// so they are a little larger. maxSegment bounds the memory for one.
const (
	segmentSize = 4 << 20
	maxBatch    = 4 << 20
	maxSegment  = 32 << 20
)

const bodies = "bodies"

// segmentName returns the name of the file of bodies whose first entry has the number
// first.
func segmentName(first int64) string { return fmt.Sprintf("%s/%012d.log", bodies, first) }

// parseSegmentName is the inverse of segmentName, for a name without its directory.
func parseSegmentName(base string) (first int64, ok bool) {
	digits, ok := strings.CutSuffix(base, ".log")
	if !ok {
		return 0, false
	}
	first, err := strconv.ParseInt(digits, 10, 64)
	return first, err == nil && first >= 0 && segmentName(first) == bodies+"/"+base
}

// A salted is a body behind its salt, with its hashes. The goroutine of its caller makes
// it, so that many are made at once.
type salted struct {
	text   []byte
	leaf   leafHash
	record tlog.Hash
}

// newSalt appends a salt, behind which a body is appended.
func newSalt(dst []byte) []byte {
	var salt [saltSize]byte
	rand.Read(salt[:]) // never fails, by its documentation
	return append(dst, salt[:]...)
}

// saltedOf returns the body that text has behind its salt.
func saltedOf(text []byte) salted {
	leaf := leafHash(sha256.Sum256(text))
	return salted{text, leaf, tlog.RecordHash(leaf[:])}
}

// salt returns a body behind a new salt.
func salt(body []byte) salted { return saltedOf(append(newSalt(nil), body...)) }

// lineSize returns the size of the line that appendTo appends.
func (s *salted) lineSize() int {
	return hex.EncodedLen(saltSize) + len(" \n") + len(s.text) - saltSize
}

// appendTo appends the body as a line.
func (s *salted) appendTo(dst []byte) []byte {
	dst = hex.AppendEncode(dst, s.text[:saltSize])
	return append(append(append(dst, ' '), s.text[saltSize:]...), '\n')
}

// appendBody appends a body with a new salt, as a line, and returns its leaf.
func appendBody(dst, body []byte) ([]byte, leafHash) {
	s := salt(body)
	return s.appendTo(dst), s.leaf
}

func hashBody(salt, body []byte) (leaf leafHash) {
	h := sha256.New()
	h.Write(salt)
	h.Write(body)
	h.Sum(leaf[:0])
	return leaf
}

// appendHead appends a signed head, as lines that end a frame: each begins with "#", and
// an empty line follows.
func appendHead(dst []byte, h Head) []byte {
	for line := range strings.Lines(h.signed) {
		dst = append(dst, '#')
		if line != "\n" {
			dst = append(dst, ' ')
		}
		dst = append(dst, line...)
	}
	return append(dst, '\n')
}

// A record is an element of a file of bodies: an entry, or a head that ends a frame.
type record struct {
	// head is the signed text of a head, or nil for an entry.
	head []byte
	leaf leafHash
	// body is the JSON text of the entry, or nil if it was removed.
	body []byte
	// line is the entry as the file has it. body is a part of it. Both are valid until
	// the next record is read.
	line []byte
}

// errMalformed reports a file of bodies that ends within a frame, or is damaged.
var errMalformed = errors.New("malformed")

// A records reads a file of bodies.
type records struct {
	r *bufio.Reader
	// offset is the place behind the last record.
	offset int64
	head   []byte
}

func newRecords(r io.Reader) *records {
	return &records{r: bufio.NewReaderSize(r, maxLine)}
}

// next returns the next record. It fails with io.EOF at the end of the file, behind a
// frame or at the start, with errMalformed, or with an error of the reader.
func (r *records) next() (record, error) {
	r.head = r.head[:0]
	for read := int64(0); ; {
		line, err := r.r.ReadSlice('\n')
		read += int64(len(line))
		switch {
		case err == io.EOF && read == 0:
			return record{}, io.EOF
		case err == io.EOF, err == bufio.ErrBufferFull:
			return record{}, errMalformed
		case err != nil:
			return record{}, err
		}
		switch text := line[:len(line)-1]; {
		case len(text) > 0 && text[0] == '#':
			if len(r.head)+len(text) > maxLine || len(text) > 1 && text[1] != ' ' || string(text) == "# " {
				return record{}, errMalformed
			}
			r.head = append(append(r.head, bytes.TrimPrefix(text[1:], []byte(" "))...), '\n')
		case len(r.head) > 0:
			if len(text) > 0 {
				return record{}, errMalformed
			}
			r.offset += read
			return record{head: r.head}, nil
		default:
			rec, ok := parseEntry(text)
			if !ok {
				return record{}, errMalformed
			}
			r.offset += read
			rec.line = line
			return rec, nil
		}
	}
}

// parseEntry reads a line with a salt and a body, or with the leaf of a body that was
// removed.
func parseEntry(text []byte) (record, bool) {
	var b [tlog.HashSize]byte
	if len(text) == hex.EncodedLen(tlog.HashSize) {
		ok := decodeHex(b[:], text)
		return record{leaf: b}, ok
	}
	const prefix = 2 * saltSize
	if len(text) < prefix+len(" {}") || text[prefix] != ' ' || text[prefix+1] != '{' {
		return record{}, false
	}
	if !decodeHex(b[:saltSize], text[:prefix]) {
		return record{}, false
	}
	body := text[prefix+1:]
	// Zeros of a sector that a power cut kept from the disk are no body.
	if bytes.ContainsFunc(body, func(r rune) bool { return r < ' ' }) {
		return record{}, false
	}
	return record{leaf: hashBody(b[:saltSize], body), body: body}, true
}

// decodeHex is hex.Decode for lower-case digits alone, so that a line has one spelling.
func decodeHex(dst, src []byte) bool {
	for _, c := range src {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, err := hex.Decode(dst, src)
	return err == nil
}

// appendRemoved appends the line of an entry whose body was removed.
func appendRemoved(dst []byte, leaf leafHash) []byte {
	return append(hex.AppendEncode(dst, leaf[:]), '\n')
}
