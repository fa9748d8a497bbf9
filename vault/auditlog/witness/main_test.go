package witness_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
)

func TestMain(m *testing.M) { childtest.Main(m) }

// A tree is a log in memory, of entries that are their numbers behind a name.
type tree struct {
	t      testing.TB
	name   string
	size   int64
	hashes []tlog.Hash
}

func newTree(t testing.TB, name string, size int64) *tree {
	tr := &tree{t: t, name: name}
	tr.grow(name, size)
	return tr
}

// grow adds entries up to the given size.
func (tr *tree) grow(name string, size int64) {
	for ; tr.size < size; tr.size++ {
		h, err := tlog.StoredHashes(tr.size, fmt.Appendf(nil, "%s %d", name, tr.size), tr)
		require.NoError(tr.t, err)
		tr.hashes = append(tr.hashes, h...)
	}
}

// fork returns a tree that is the same up to the given size, and other from there on.
func (tr *tree) fork(at, size int64) *tree {
	f := &tree{t: tr.t, name: tr.name}
	f.grow(tr.name, at)
	f.grow("fork of "+tr.name, size)
	return f
}

func (tr *tree) ReadHashes(indexes []int64) (list []tlog.Hash, err error) {
	for _, i := range indexes {
		list = append(list, tr.hashes[i])
	}
	return list, nil
}

func (tr *tree) root(size int64) tlog.Hash {
	h, err := tlog.TreeHash(size, tr)
	require.NoError(tr.t, err)
	return h
}

// prove returns the lines of a proof.
func (tr *tree) prove(old, size int64) string {
	if old == 0 || old == size {
		return ""
	}
	p, err := tlog.ProveTree(size, old, tr)
	require.NoError(tr.t, err)
	var b strings.Builder
	for _, h := range p {
		b.WriteString(h.String() + "\n")
	}
	return b.String()
}

// A logKey is the key of a log.
type logKey struct {
	t        testing.TB
	signer   note.Signer
	verifier note.Verifier
	public   string
}

func newLogKey(t testing.TB, origin string) logKey {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	require.NoError(t, err)
	k := logKey{t: t, public: vkey}
	k.signer, err = note.NewSigner(skey)
	require.NoError(t, err)
	k.verifier, err = note.NewVerifier(vkey)
	require.NoError(t, err)
	return k
}

// head returns the signed head of a tree at a size.
func (k logKey) head(tr *tree, size int64) string {
	return k.sign(k.signer.Name(), size, tr.root(size))
}

func (k logKey) sign(origin string, size int64, hash tlog.Hash) string {
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, size, hash)}, k.signer)
	require.NoError(k.t, err)
	return string(signed)
}

// request returns the body of a request.
func (k logKey) request(tr *tree, old, size int64) string {
	return fmt.Sprintf("old %d\n%s\n%s", old, tr.prove(old, size), k.head(tr, size))
}

// A witnessKey is the key of a witness.
type witnessKey struct {
	signer       note.Signer
	verifier     note.Verifier
	text, public string
}

func newWitnessKey(t testing.TB, name string) witnessKey {
	t.Helper()
	skey, vkey, err := witness.GenerateKey(name)
	require.NoError(t, err)
	return witnessKeyOf(t, skey, vkey)
}

func witnessKeyOf(t testing.TB, skey, vkey string) witnessKey {
	signer, err := witness.NewSigner(skey)
	require.NoError(t, err)
	verifier, err := witness.NewVerifier(vkey)
	require.NoError(t, err)
	return witnessKey{signer, verifier, skey, vkey}
}

const origin = "example.com/audit/mailer"

// A site is a witness of one log.
type site struct {
	t    testing.TB
	dir  string
	key  witnessKey
	log  logKey
	opts *witness.ServerOptions
	*witness.Server
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "state"), key: newWitnessKey(t, "witness.example"), log: newLogKey(t, origin)}
	s.open()
	return s
}

func (s *site) open() {
	s.t.Helper()
	var err error
	s.Server, err = witness.Open(s.dir, s.key.signer, s.key.verifier, []note.Verifier{s.log.verifier}, s.opts)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { s.Close() })
}

func (s *site) post(body string) *httptest.ResponseRecorder { return post(s.Server, body) }

func post(h http.Handler, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/add-checkpoint", strings.NewReader(body)))
	return w
}

// cosigned requires that an answer has the witness's cosignature on a head.
func (s *site) cosigned(w *httptest.ResponseRecorder, head string) {
	s.t.Helper()
	require.Equal(s.t, http.StatusOK, w.Code, w.Body)
	text, _, _ := strings.Cut(head, "\n\n")
	n, err := note.Open([]byte(text+"\n\n"+w.Body.String()), note.VerifierList(s.key.verifier))
	require.NoError(s.t, err)
	require.Len(s.t, n.Sigs, 1)
	require.Empty(s.t, n.UnverifiedSigs)
}

// state returns the head that the witness serves, or "".
func state(h http.Handler, hash string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+hash+"/checkpoint", nil))
	if w.Code != http.StatusOK {
		return ""
	}
	return w.Body.String()
}
