package witness_test

import (
	"bytes"
	"context"
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
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
)

var security = purpose.MustParse("security")

func write(t testing.TB, l *auditlog.Log, n int) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if err := l.Audit(t.Context(), audit.Event{Time: time.Now(), Action: audit.Reveal, Outcome: audit.Allowed, Purpose: security}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// served serves a witness, and returns a client of it.
func served(t testing.TB, s *site) *witness.Client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := witness.NewClient(server.URL, s.key.verifier, nil)
	require.NoError(t, err)
	return c
}

func openLog(t testing.TB, dir string, key logKey, witnesses ...auditlog.Witness) *auditlog.Log {
	t.Helper()
	l, err := auditlog.Open(t.Context(), dir, key.signer, &auditlog.Options{Interval: time.Hour, Witnesses: witnesses})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func verify(t testing.TB, dir string, s *site, kept ...auditlog.Head) *auditlog.Report {
	t.Helper()
	r, err := auditlog.Verify(t.Context(), os.DirFS(dir), s.log.verifier, kept, &auditlog.VerifyOptions{Witnesses: []note.Verifier{s.key.verifier}})
	require.NoError(t, err)
	return r
}

func kinds(r *auditlog.Report) (all []auditlog.FindingKind) {
	for _, f := range r.Findings {
		all = append(all, f.Kind)
	}
	return all
}

// A log has its heads cosigned, over HTTP and in a directory, by processes that run one
// after the other.
func TestLogWithWitnesses(t *testing.T) {
	s := newSite(t)
	c := served(t, s)
	heads := t.TempDir()
	dir := filepath.Join(t.TempDir(), "audit")
	for process := range 3 {
		f, err := witness.NewFolder(heads, s.log.verifier)
		require.NoError(t, err)
		l := openLog(t, dir, s.log, c, f)
		for range 3 {
			write(t, l, 300)
			age, err := l.Unwitnessed()
			require.NoError(t, err)
			require.Positive(t, age)
			require.NoError(t, l.Publish(t.Context()))
			age, err = l.Unwitnessed()
			require.NoError(t, err)
			require.Zero(t, age)
		}
		require.NoError(t, l.Close())
		require.NoError(t, f.Close())
		published, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
		require.NoError(t, err)
		n, err := note.Open(published, note.VerifierList(s.log.verifier, s.key.verifier))
		require.NoError(t, err)
		require.Len(t, n.Sigs, 2)
		require.Equal(t, string(published), state(s, hashOf(origin)), "the witness has the head that is published")
		if process == 1 { // a witness that begins anew with its state
			require.NoError(t, s.Close())
			s.open()
			c = served(t, s)
		}
	}
	kept, other, err := witness.ReadHeads(os.DirFS(heads), s.log.verifier)
	require.NoError(t, err)
	require.Empty(t, other)
	require.Len(t, kept, 12)
	served, err := auditlog.ParseHead([]byte(state(s, hashOf(origin))), s.log.verifier)
	require.NoError(t, err)
	r := verify(t, dir, s, append(kept, served)...)
	require.True(t, r.OK(), r)
	r = verify(t, dir, s)
	require.True(t, r.OK(), r)
	for _, not := range r.NotExcluded {
		require.NotContains(t, not, "anew", "every entry is cosigned")
	}
	entries := 0
	_, err = auditlog.Verify(t.Context(), os.DirFS(dir), s.log.verifier, nil, &auditlog.VerifyOptions{Entry: func(e auditlog.Entry) error {
		if bytes.HasPrefix(e.Body, []byte(`{"entry":"witnessed"`)) {
			entries++
			require.Contains(t, string(e.Body), "— witness.example ")
		}
		return nil
	}})
	require.NoError(t, err)
	require.Equal(t, 3*3+2, entries, "each head but the last one")

	// The operator keeps only the beginning, writes it anew or goes back: the witness
	// refuses, the directory refuses, and both heads are found by Verify.
	require.NoError(t, os.RemoveAll(dir))
	f, err := witness.NewFolder(heads, s.log.verifier)
	require.NoError(t, err)
	l := openLog(t, dir, s.log, c, f)
	write(t, l, 300)
	err = l.Publish(t.Context())
	require.ErrorIs(t, err, witness.ErrInconsistent)
	require.ErrorContains(t, err, "witness 1")
	require.ErrorContains(t, err, "witness 2")
	write(t, l, 5000)
	err = l.Publish(t.Context())
	require.ErrorIs(t, err, witness.ErrInconsistent, "a longer fork")
	require.ErrorContains(t, err, "witness 1")
	require.ErrorContains(t, err, "witness 2")
	_, err = l.Unwitnessed()
	require.ErrorIs(t, err, witness.ErrInconsistent)
	require.ErrorIs(t, l.Close(), witness.ErrInconsistent)
	require.Equal(t, []auditlog.FindingKind{auditlog.FindingFork}, kinds(verify(t, dir, s, served)))
	kept, _, err = witness.ReadHeads(os.DirFS(heads), s.log.verifier)
	require.NoError(t, err)
	require.Len(t, kept, 14, "the forks are kept as proofs, the one that went back is not")
}

// A log that was put back from a backup signs another history of the same entries.
func TestLogThatWasPutBack(t *testing.T) {
	s := newSite(t)
	c := served(t, s)
	dir := filepath.Join(t.TempDir(), "audit")
	l := openLog(t, dir, s.log, c)
	write(t, l, 10)
	require.NoError(t, l.Close())
	backup := filepath.Join(t.TempDir(), "backup")
	copyDir(t, backup, dir)
	l = openLog(t, dir, s.log, c)
	write(t, l, 10)
	require.NoError(t, l.Close())
	served, err := auditlog.ParseHead([]byte(state(s, hashOf(origin))), s.log.verifier)
	require.NoError(t, err)
	r := verify(t, backup, s, served)
	require.Equal(t, []auditlog.FindingKind{auditlog.FindingCut}, kinds(r))
	l = openLog(t, backup, s.log, c)
	write(t, l, 20)
	require.ErrorIs(t, l.Publish(t.Context()), witness.ErrInconsistent)
	require.ErrorIs(t, l.Close(), witness.ErrInconsistent)
	r = verify(t, backup, s, served)
	require.Equal(t, []auditlog.FindingKind{auditlog.FindingFork}, kinds(r))
	require.True(t, verify(t, dir, s, served).OK())
}

func copyDir(t testing.TB, to, from string) {
	t.Helper()
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	require.NoError(t, filepath.WalkDir(to, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return errors.Join(err, os.Chmod(path, 0o600))
	}))
}

// A witness that hangs, or answers anything else than a cosignature, holds up no event,
// leaves the checkpoint as it was, and is visible.
func TestWitnessesThatMisbehave(t *testing.T) {
	s := newSite(t)
	other := newWitnessKey(t, "other.example")
	honest := httptest.NewServer(s)
	defer honest.Close()
	big := strings.Repeat("x", 1<<20)
	hang := make(chan struct{})
	defer close(hang)
	sizes := 0
	for name, h := range map[string]http.HandlerFunc{
		"hang": func(_ http.ResponseWriter, r *http.Request) { <-hang },
		"hang in the answer": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-hang
		},
		"nothing":           func(http.ResponseWriter, *http.Request) {},
		"garbage":           func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "— garbage\n") },
		"huge":              func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, big) },
		"huge conflict":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409); io.WriteString(w, big) },
		"conflict":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409) },
		"conflict, no size": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409); io.WriteString(w, "-1\n") },
		"always another size": func(w http.ResponseWriter, _ *http.Request) {
			sizes = sizes%5 + 1
			w.WriteHeader(409)
			fmt.Fprintf(w, "%d\n", sizes)
		},
		"a size from the future": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409); io.WriteString(w, "1000000\n") },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, honest.URL+"/add-checkpoint", http.StatusTemporaryRedirect)
		},
		"status": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret "+big, http.StatusTeapot) },
		"404":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusNotFound) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "— witness.example AAAA")
		},
		"another witness": func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			_, head, _ := strings.Cut(string(b), "\n\n")
			n, _ := note.Sign(&note.Note{Text: strings.TrimSuffix(textOf(head), "\n")}, other.signer)
			io.WriteString(w, signatureOf(string(n)))
		},
		"cosignature of another head": func(w http.ResponseWriter, r *http.Request) {
			n, _ := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n1\n%s\n", origin, tlog.Hash{})}, s.key.signer)
			io.WriteString(w, signatureOf(string(n)))
		},
		"line of the log": func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			_, head, _ := strings.Cut(string(b), "\n\n")
			io.WriteString(w, signatureOf(head))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(h)
			defer server.CloseClientConnections()
			c, err := witness.NewClient(server.URL, s.key.verifier, nil)
			require.NoError(t, err)
			dir := filepath.Join(t.TempDir(), "audit")
			l, err := auditlog.Open(t.Context(), dir, s.log.signer, &auditlog.Options{Interval: 50 * time.Millisecond, Witnesses: []auditlog.Witness{c}})
			require.NoError(t, err)
			write(t, l, 20)
			err = l.Publish(t.Context())
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
			require.Less(t, len(err.Error()), 500)
			write(t, l, 1)
			age, err := l.Unwitnessed()
			require.Error(t, err)
			require.Positive(t, age)
			require.Error(t, l.Close())
			published, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
			require.NoError(t, err)
			n, err := note.Open(published, note.VerifierList(s.log.verifier))
			require.NoError(t, err)
			require.Empty(t, n.UnverifiedSigs)
			require.True(t, verifyPlain(t, dir, s).OK())
		})
	}
}

func verifyPlain(t testing.TB, dir string, s *site) *auditlog.Report {
	r, err := auditlog.Verify(t.Context(), os.DirFS(dir), s.log.verifier, nil, nil)
	require.NoError(t, err)
	return r
}

func TestNewClientArguments(t *testing.T) {
	k := newWitnessKey(t, "witness.example")
	for _, url := range []string{"", "witness.example", "ftp://witness.example", "https://", "https://x/?a=b", "https://x/#a", "http://a b", "file:///etc/passwd"} {
		_, err := witness.NewClient(url, k.verifier, nil)
		require.ErrorIs(t, err, witness.ErrArgument, url)
	}
	_, err := witness.NewClient("https://witness.example", nil, nil)
	require.ErrorIs(t, err, witness.ErrArgument)
	c, err := witness.NewClient("https://user:secret@127.0.0.1:1/prefix/", k.verifier, nil)
	require.NoError(t, err)
	_, err = c.Cosign(t.Context(), auditlog.Head{}, nil)
	require.ErrorIs(t, err, auditlog.ErrHead)
	s := newSite(t)
	h, err := auditlog.ParseHead([]byte(s.log.head(newTree(t, "a", 3), 3)), s.log.verifier)
	require.NoError(t, err)
	_, err = c.Cosign(t.Context(), h, nil)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = served(t, s).Cosign(ctx, h, nil)
	require.ErrorIs(t, err, context.Canceled)
}
