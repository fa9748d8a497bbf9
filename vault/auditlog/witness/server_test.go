package witness_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
)

func hashOf(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// A log that grows is cosigned, and the witness serves the newest head with both
// signatures, also after a new start.
func TestAddCheckpoint(t *testing.T) {
	s := newSite(t)
	tr := newTree(t, "a", 1000)
	require.Empty(t, state(s, hashOf(origin)))
	old := int64(0)
	for _, size := range []int64{0, 1, 1, 2, 3, 4, 7, 8, 255, 256, 257, 1000, 1000} {
		w := s.post(s.log.request(tr, old, size))
		s.cosigned(w, s.log.head(tr, size))
		old = size
		served := state(s, hashOf(origin))
		n, err := note.Open([]byte(served), note.VerifierList(s.key.verifier, s.log.verifier))
		require.NoError(t, err)
		require.Len(t, n.Sigs, 2)
		require.Equal(t, fmt.Sprintf("%s\n%d\n%s\n", origin, size, tr.root(size)), n.Text)
		if size == 7 {
			require.NoError(t, s.Close())
			require.Equal(t, http.StatusInternalServerError, s.post(s.log.request(tr, 7, 8)).Code, "a witness that is closed")
			s.open()
		}
	}
	require.Empty(t, state(s, hashOf("another")))
	require.Empty(t, state(s, "..%2f.lock"))
}

// Every head that is not a continuation, and every malformed request, is refused with the
// status of C2SP tlog-witness, and leaves the state as it was.
func TestRefusals(t *testing.T) {
	var refused [][]byte
	s := newSite(t)
	require.NoError(t, s.Close())
	s.opts = &witness.ServerOptions{Refused: func(head []byte) { refused = append(refused, head) }}
	s.open()
	tr := newTree(t, "a", 100)
	s.cosigned(s.post(s.log.request(tr, 0, 10)), s.log.head(tr, 10))
	s.cosigned(s.post(s.log.request(tr, 10, 40)), s.log.head(tr, 40))
	before := state(s, hashOf(origin))
	fork, other := tr.fork(30, 100), newTree(t, "b", 100)
	mallory := newLogKey(t, origin)
	stranger := newLogKey(t, "example.com/audit/other")
	good := s.log.request(tr, 40, 60)
	inconsistent := 0
	for _, test := range []struct {
		name, body string
		want       int
	}{
		{"rollback", s.log.request(tr, 10, 20), 409},
		{"old head again", s.log.request(tr, 0, 10), 409},
		{"old head, size of the newest", "old 40\n\n" + s.log.head(tr, 10), 400},
		{"size that is not known", s.log.request(tr, 41, 60), 409},
		{"first head again", s.log.request(tr, 0, 40), 409},
		{"other history of this size", s.log.request(fork, 40, 40), 422},
		{"other history of this size, with a proof", "old 40\n" + fork.prove(39, 40) + "\n" + s.log.head(fork, 40), 422},
		{"fork", s.log.request(fork, 40, 60), 422},
		{"other tree", s.log.request(other, 40, 60), 422},
		{"proof of another tree", "old 40\n" + other.prove(40, 60) + "\n" + s.log.head(tr, 60), 422},
		{"proof of another size", "old 40\n" + tr.prove(40, 61) + "\n" + s.log.head(tr, 60), 422},
		{"proof from another size", "old 40\n" + tr.prove(39, 60) + "\n" + s.log.head(tr, 60), 422},
		{"no proof", "old 40\n\n" + s.log.head(tr, 60), 422},
		{"hash too many", "old 40\n" + tr.prove(40, 60) + tr.root(3).String() + "\n\n" + s.log.head(tr, 60), 422},
		{"hashes exchanged", "old 40\n" + exchanged(tr.prove(40, 60)) + "\n" + s.log.head(tr, 60), 422},
		{"proof for the head that is known", "old 40\n" + tr.prove(39, 40) + "\n" + s.log.head(tr, 40), 422},
		{"empty tree", "old 0\n\n" + s.log.sign(origin, 0, tr.root(0)), 409},
		{"size of another head under the hash", "old 40\n" + tr.prove(40, 60) + "\n" + s.log.sign(origin, 100, tr.root(60)), 422},
		{"other key of the origin", mallory.request(tr, 40, 60), 403},
		{"no signature", strings.TrimSuffix(good, good[strings.LastIndex(good, "— "):]), 403},
		{"signature of another head", "old 40\n" + tr.prove(40, 60) + "\n" + textOf(s.log.head(tr, 60)) + signatureOf(s.log.head(tr, 50)), 403},
		{"unknown log", stranger.request(tr, 0, 60), 404},
		{"known key, another origin", "old 0\n\n" + s.log.sign("example.com/audit/other", 60, tr.root(60)), 404},
		{"empty", "", 400},
		{"no head", "old 40\n", 400},
		{"only empty lines", "\n\n\n\n", 400},
		{"no old", strings.TrimPrefix(good, "old 40\n"), 400},
		{"negative", strings.Replace(good, "old 40", "old -40", 1), 400},
		{"plus", strings.Replace(good, "old 40", "old +40", 1), 400},
		{"leading zero", strings.Replace(good, "old 40", "old 040", 1), 400},
		{"hexadecimal", strings.Replace(good, "old 40", "old 0x28", 1), 400},
		{"overflow", strings.Replace(good, "old 40", "old 18446744073709551656", 1), 400},
		{"two spaces", strings.Replace(good, "old 40", "old  40", 1), 400},
		{"carriage return", strings.ReplaceAll(good, "\n", "\r\n"), 400},
		{"short hash", strings.Replace(good, "old 40\n", "old 40\nAAAA\n", 1), 400},
		{"no base64", strings.Replace(good, "old 40\n", "old 40\n!\n", 1), 400},
		{"base64 with a line break", strings.Replace(good, "=\n", "=\r\n", 1), 400},
		{"64 hashes", "old 40\n" + strings.Repeat(tr.root(3).String()+"\n", 64) + "\n" + s.log.head(tr, 60), 400},
		{"63 hashes", "old 40\n" + strings.Repeat(tr.root(3).String()+"\n", 63) + "\n" + s.log.head(tr, 60), 422},
		{"large head", good + strings.Repeat("— x AAAAAAAA\n", 4450), 400},
		{"huge", good + strings.Repeat("x", 1<<20), 413},
		{"huge line", strings.Repeat("x", 1<<20), 413},
		{"many signatures", good + strings.Repeat("— x AAAAAAAA\n", 200), 403},
	} {
		w := s.post(test.body)
		require.Equal(t, test.want, w.Code, "%s: %s", test.name, w.Body)
		require.Equal(t, before, state(s, hashOf(origin)), test.name)
		require.NotContains(t, w.Body.String(), "— ", test.name)
		if test.want == 422 {
			inconsistent++
		}
		if test.want == 409 {
			require.Equal(t, "40\n", w.Body.String(), test.name)
			require.Equal(t, "text/x.tlog.size", w.Header().Get("Content-Type"))
		}
	}
	require.Equal(t, inconsistent, len(refused))
	require.Equal(t, s.log.head(fork, 40), string(refused[0]))
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, "/add-checkpoint", strings.NewReader(good)))
		require.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
	}
	s.cosigned(s.post(good), s.log.head(tr, 60))

	fresh := newSite(t)
	for name, body := range map[string]string{
		"first head with a proof":      "old 0\n" + tr.prove(10, 40) + "\n" + fresh.log.head(tr, 40),
		"empty tree with another hash": "old 0\n\n" + fresh.log.sign(origin, 0, tr.root(1)),
		"empty tree with a proof":      "old 0\n" + tr.root(1).String() + "\n\n" + fresh.log.sign(origin, 0, tr.root(0)),
	} {
		require.Equal(t, http.StatusUnprocessableEntity, fresh.post(body).Code, name)
	}
	require.Equal(t, http.StatusConflict, fresh.post(fresh.log.request(tr, 10, 40)).Code)
	require.Empty(t, state(fresh, hashOf(origin)))
}

func exchanged(proof string) string {
	lines := strings.SplitAfter(proof, "\n")
	lines[0], lines[1] = lines[1], lines[0]
	return strings.Join(lines, "")
}

func textOf(head string) string { text, _, _ := strings.Cut(head, "\n\n"); return text + "\n\n" }

func signatureOf(head string) string { _, s, _ := strings.Cut(head, "\n\n"); return s }

// A request with a byte changed, or cut off anywhere, is refused.
func TestEveryByteOfARequestCounts(t *testing.T) {
	s := newSite(t)
	tr := newTree(t, "a", 100)
	s.cosigned(s.post(s.log.request(tr, 0, 40)), s.log.head(tr, 40))
	good := s.log.request(tr, 40, 60)
	for i := range len(good) {
		b := []byte(good)
		b[i] ^= 1 << (i % 8)
		require.NotEqual(t, http.StatusOK, s.post(good[:i]).Code, "%d bytes", i)
		// A signature has several spellings in base64, and all are of one head.
		if same, err := note.Open(b[strings.Index(good, "\n\n")+2:], note.VerifierList(s.log.verifier)); err == nil && i > strings.LastIndex(good, "— ") {
			require.Equal(t, strings.TrimSuffix(textOf(s.log.head(tr, 60)), "\n"), same.Text)
			continue
		}
		require.NotEqual(t, http.StatusOK, s.post(string(b)).Code, "byte %d", i)
	}
	s.cosigned(s.post(good), s.log.head(tr, 60))
}

// Of several histories that are submitted at once, one is cosigned, once.
func TestConflictingHeadsAtOnce(t *testing.T) {
	for range 10 {
		s := newSite(t)
		tr := newTree(t, "a", 60)
		s.cosigned(s.post(s.log.request(tr, 0, 40)), s.log.head(tr, 40))
		histories := []*tree{tr, tr.fork(40, 60), tr.fork(39, 60), tr.fork(50, 60)}
		var mu sync.Mutex
		cosigned := map[tlog.Hash]int{}
		var all sync.WaitGroup
		for i := range 16 {
			h := histories[i%len(histories)]
			root, body := h.root(60), s.log.request(h, 40, 60)
			all.Go(func() {
				w := s.post(body)
				mu.Lock()
				defer mu.Unlock()
				switch w.Code {
				case http.StatusOK:
					cosigned[root]++
				case http.StatusConflict, http.StatusUnprocessableEntity:
				default:
					t.Errorf("status %d", w.Code)
				}
			})
		}
		all.Wait()
		require.Len(t, cosigned, 1)
		require.NotContains(t, cosigned, histories[2].root(60))
		for root, n := range cosigned {
			require.Equal(t, 1, n)
			require.Contains(t, state(s, hashOf(origin)), root.String())
		}
		require.NoError(t, s.Close())
	}
}

// An origin is any text. None leads out of the state's directory.
func TestHostileOrigins(t *testing.T) {
	origins := []string{
		"../../../../tmp/x", "..", ".", "/etc/passwd", "a/../../b", "C:\\windows", ".lock", ".tmp", "con", "%2e%2e%2f",
		strings.Repeat("é", 120), "\u202e", "example.com/a", "example.com/A",
	}
	above := t.TempDir()
	dir := filepath.Join(above, "a", "b", "state")
	require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o700))
	var keys []note.Verifier
	var logs []logKey
	for _, o := range origins {
		k := newLogKey(t, o)
		logs, keys = append(logs, k), append(keys, k.verifier)
	}
	key := newWitnessKey(t, "witness.example")
	s, err := witness.Open(dir, key.signer, key.verifier, keys, nil)
	require.NoError(t, err)
	defer s.Close()
	want := map[string]bool{".lock": true}
	for i, k := range logs {
		tr := newTree(t, origins[i], 5)
		w := post(s, k.request(tr, 0, 5))
		require.Equal(t, http.StatusOK, w.Code, origins[i])
		want[hashOf(origins[i])] = true
		require.Contains(t, state(s, hashOf(origins[i])), origins[i]+"\n5\n")
	}
	unknown := newLogKey(t, "../unknown")
	require.Equal(t, http.StatusNotFound, post(s, unknown.request(newTree(t, "u", 5), 0, 5)).Code)
	files := 0
	require.NoError(t, filepath.WalkDir(above, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files++
			require.Equal(t, dir, filepath.Dir(path))
			require.True(t, want[e.Name()], path)
		}
		return err
	}))
	require.Equal(t, len(want), files)
}

func init() {
	childtest.Children["open"] = func(args []string) error {
		signer, err := witness.NewSigner(args[1])
		if err != nil {
			return err
		}
		verifier, err := witness.NewVerifier(args[2])
		if err != nil {
			return err
		}
		log, err := note.NewVerifier(args[3])
		if err != nil {
			return err
		}
		_, err = witness.Open(args[0], signer, verifier, []note.Verifier{log}, nil)
		fmt.Println(errors.Is(err, witness.ErrInUse), err == nil)
		return nil
	}
}

// A second witness on the directory is refused, in this process and in another one.
func TestOneWitnessADirectory(t *testing.T) {
	s := newSite(t)
	_, err := witness.Open(s.dir, s.key.signer, s.key.verifier, []note.Verifier{s.log.verifier}, nil)
	require.ErrorIs(t, err, witness.ErrInUse)
	child := func() string {
		cmd := childtest.Command(t, "open", s.dir, s.key.text, s.key.public, s.log.public)
		out, err := cmd.Output()
		require.NoError(t, err, cmd.Stderr)
		return string(out)
	}
	require.Equal(t, "true false\n", child())
	require.NoError(t, s.Close())
	require.Equal(t, "false true\n", child())
}

// A state that the witness has not written, or that is another log's, is refused.
func TestStateThatWasAltered(t *testing.T) {
	s := newSite(t)
	tr := newTree(t, "a", 50)
	s.cosigned(s.post(s.log.request(tr, 0, 40)), s.log.head(tr, 40))
	require.NoError(t, s.Close())
	file := filepath.Join(s.dir, hashOf(origin))
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	other := newWitnessKey(t, "witness.example")
	cosignedBy := func(k witnessKey, head string) string {
		n, err := note.Sign(&note.Note{Text: strings.TrimSuffix(textOf(head), "\n")}, s.log.signer, k.signer)
		require.NoError(t, err)
		return string(n)
	}
	for name, content := range map[string]string{
		"empty":                   "",
		"without the cosignature": s.log.head(tr, 40),
		"without the log's":       strings.Replace(string(good), signatureOf(s.log.head(tr, 40)), "", 1),
		"another head":            s.log.head(tr, 10),
		"cosigned by another":     cosignedBy(other, s.log.head(tr, 10)),
		"bit":                     strings.Replace(string(good), "\n40\n", "\n41\n", 1),
		"half":                    string(good[:len(good)/2]),
		"too large":               string(good) + strings.Repeat("x", 1<<20),
	} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		_, err := witness.Open(s.dir, s.key.signer, s.key.verifier, []note.Verifier{s.log.verifier}, nil)
		require.ErrorIs(t, err, witness.ErrAltered, name)
	}
	require.NoError(t, os.WriteFile(file, good, 0o644))
	require.NoError(t, os.Chmod(file, 0o644))
	_, err = witness.Open(s.dir, s.key.signer, s.key.verifier, []note.Verifier{s.log.verifier}, nil)
	require.ErrorIs(t, err, witness.ErrAltered, "open to others")
	require.NoError(t, os.Chmod(file, 0o600))
	require.NoError(t, os.Rename(file, filepath.Join(s.dir, hashOf("example.com/other"))))
	_, err = witness.Open(s.dir, s.key.signer, s.key.verifier, []note.Verifier{s.log.verifier, newLogKey(t, "example.com/other").verifier}, nil)
	require.ErrorIs(t, err, witness.ErrAltered, "state of another log")
	require.NoError(t, os.Rename(filepath.Join(s.dir, hashOf("example.com/other")), file))
	s.open()
	require.Equal(t, string(good), state(s, hashOf(origin)))
}

func TestOpenArguments(t *testing.T) {
	k, other, log := newWitnessKey(t, "witness.example"), newWitnessKey(t, "witness.example"), newLogKey(t, origin)
	logs := []note.Verifier{log.verifier}
	dir := filepath.Join(t.TempDir(), "state")
	for name, open := range map[string]func() (*witness.Server, error){
		"no directory": func() (*witness.Server, error) { return witness.Open("", k.signer, k.verifier, logs, nil) },
		"no signer":    func() (*witness.Server, error) { return witness.Open(dir, nil, k.verifier, logs, nil) },
		"no verifier":  func() (*witness.Server, error) { return witness.Open(dir, k.signer, nil, logs, nil) },
		"no logs":      func() (*witness.Server, error) { return witness.Open(dir, k.signer, k.verifier, nil, nil) },
		"nil log": func() (*witness.Server, error) {
			return witness.Open(dir, k.signer, k.verifier, []note.Verifier{nil}, nil)
		},
		"another verifier": func() (*witness.Server, error) { return witness.Open(dir, k.signer, other.verifier, logs, nil) },
		"itself as the log": func() (*witness.Server, error) {
			return witness.Open(dir, k.signer, k.verifier, []note.Verifier{k.verifier}, nil)
		},
	} {
		_, err := open()
		require.ErrorIs(t, err, witness.ErrArgument, name)
	}
	require.NoDirExists(t, dir)
}

// A signer that fails, panics or signs under another name cosigns nothing and leaves the
// state as it was.
func TestSignerThatFails(t *testing.T) {
	s := newSite(t)
	tr := newTree(t, "a", 50)
	s.cosigned(s.post(s.log.request(tr, 0, 40)), s.log.head(tr, 40))
	require.NoError(t, s.Close())
	broken := &brokenSigner{Signer: s.key.signer}
	s.key.signer = broken
	s.open()
	for _, how := range []string{"error", "panic"} {
		broken.how = how
		require.Equal(t, http.StatusInternalServerError, s.post(s.log.request(tr, 40, 50)).Code, how)
		require.Contains(t, state(s, hashOf(origin)), "\n40\n")
	}
	broken.how = ""
	s.cosigned(s.post(s.log.request(tr, 40, 50)), s.log.head(tr, 50))
}

type brokenSigner struct {
	note.Signer
	how string
}

func (b *brokenSigner) Sign(text []byte) ([]byte, error) {
	switch b.how {
	case "error":
		return nil, io.ErrUnexpectedEOF
	case "panic":
		panic("no key")
	}
	return b.Signer.Sign(text)
}
