package witness

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// algorithm is the type of a key for Ed25519 cosignatures, as C2SP signed-note has it.
const algorithm = 4

// GenerateKey makes the key of a witness, whose name should be a URL without a scheme such
// as "witness.example/audit". It returns the texts that [NewSigner] and [NewVerifier] read.
// signer is a secret. A name with spaces, "+" or nothing is [ErrArgument].
func GenerateKey(name string) (signer, verifier string, err error) {
	if !validName(name) {
		return "", "", fmt.Errorf("witness: not a name of a key: %w", ErrArgument)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("witness: making a key: %w", err)
	}
	hash := keyHash(name, public)
	return keyText("PRIVATE+KEY+"+name, hash, private.Seed()), keyText(name, hash, public), nil
}

// validName reports whether a name is one that a note can have.
func validName(name string) bool {
	return name != "" && len(name) <= 255 && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsSpace) && !strings.Contains(name, "+")
}

// keyHash returns the id of a key as C2SP tlog-cosignature has it.
func keyHash(name string, public ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n\x04"), public...))
	return binary.BigEndian.Uint32(sum[:])
}

func keyText(name string, hash uint32, key []byte) string {
	return fmt.Sprintf("%s+%08x+%s", name, hash, base64.StdEncoding.EncodeToString(append([]byte{algorithm}, key...)))
}

// parseKey reads the text after "PRIVATE+KEY+", or that of a verifier.
func parseKey(text string) (name string, hash uint32, key []byte, ok bool) {
	f := strings.SplitN(text, "+", 3) // base64 can have "+"
	if len(f) != 3 || !validName(f[0]) || len(f[1]) != 8 {
		return "", 0, nil, false
	}
	n, err := strconv.ParseUint(f[1], 16, 32)
	key, err2 := base64.StdEncoding.Strict().DecodeString(f[2])
	if err != nil || err2 != nil || base64.StdEncoding.EncodeToString(key) != f[2] || len(key) != 1+ed25519.SeedSize || key[0] != algorithm {
		return "", 0, nil, false
	}
	return f[0], uint32(n), key[1:], true
}

// NewSigner returns a signer for cosignatures (C2SP tlog-cosignature, Ed25519) with the
// time. Its text is that of [GenerateKey]; any other text is [ErrArgument]. The signer
// signs checkpoints alone.
func NewSigner(signer string) (note.Signer, error) {
	text, ok := strings.CutPrefix(signer, "PRIVATE+KEY+")
	name, hash, seed, valid := parseKey(text)
	if !ok || !valid {
		return nil, fmt.Errorf("witness: not the private key of a witness: %w", ErrArgument)
	}
	key := ed25519.NewKeyFromSeed(seed)
	if public := key.Public().(ed25519.PublicKey); keyHash(name, public) != hash {
		return nil, fmt.Errorf("witness: private key of another name: %w", ErrArgument)
	}
	return &cosigner{name, hash, key, time.Now}, nil
}

// NewVerifier returns the verifier of the cosignatures of a witness. Its text is that of
// [GenerateKey]; any other text is [ErrArgument].
func NewVerifier(verifier string) (note.Verifier, error) {
	name, hash, key, ok := parseKey(verifier)
	if !ok || keyHash(name, key) != hash {
		return nil, fmt.Errorf("witness: not the public key of a witness: %w", ErrArgument)
	}
	return &coverifier{name, hash, key}, nil
}

type cosigner struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
	now  func() time.Time
}

func (s *cosigner) Name() string    { return s.name }
func (s *cosigner) KeyHash() uint32 { return s.hash }

// Format prints the name and no key, for every verb.
func (s *cosigner) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "witness.Signer(%s)", s.name) }

func (s *cosigner) Sign(text []byte) ([]byte, error) {
	if _, ok := parseCheckpoint(string(text)); !ok {
		return nil, fmt.Errorf("witness: text is no checkpoint: %w", ErrArgument)
	}
	seconds := uint64(max(s.now().Unix(), 1))
	signature := binary.BigEndian.AppendUint64(nil, seconds)
	return append(signature, ed25519.Sign(s.key, cosigned(seconds, text))...), nil
}

type coverifier struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (v *coverifier) Name() string    { return v.name }
func (v *coverifier) KeyHash() uint32 { return v.hash }

func (v *coverifier) Verify(text, signature []byte) bool {
	const timestamp = 8
	if len(signature) != timestamp+ed25519.SignatureSize {
		return false
	}
	seconds := binary.BigEndian.Uint64(signature)
	return seconds != 0 && seconds <= math.MaxInt64 && ed25519.Verify(v.key, cosigned(seconds, text), signature[timestamp:])
}

// cosigned returns the message of a cosignature on the text of a checkpoint.
func cosigned(seconds uint64, text []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "cosignature/v1\ntime %d\n%s", seconds, text)
	return b.Bytes()
}
