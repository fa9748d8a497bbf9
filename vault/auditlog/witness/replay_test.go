package witness_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
)

// A bucket is the directory of a Folder, and a witness that cosigns what lies in it.
type bucket struct {
	*site
	path string
}

func newBucket(t testing.TB) *bucket {
	return &bucket{newSite(t), t.TempDir()}
}

// add has the log add heads of a tree.
func (b *bucket) add(tr *tree, sizes ...int64) {
	b.t.Helper()
	f, err := witness.NewFolder(b.path, b.log.verifier)
	require.NoError(b.t, err)
	defer f.Close()
	for _, size := range sizes {
		_, err := f.Cosign(b.t.Context(), parsed(b.t, b.log, b.log.head(tr, size)), proofOf(tr, size))
		require.NoError(b.t, err)
	}
}

// cosign has the witness look at the directory once.
func (b *bucket) cosign() witness.FolderReport {
	b.t.Helper()
	reports, err := b.CosignFolder(os.DirFS(b.path))
	require.NoError(b.t, err)
	require.Len(b.t, reports, 1)
	require.Equal(b.t, origin, reports[0].Origin)
	return reports[0]
}

// has requires that the last head of the report has the witness's cosignature.
func (b *bucket) has(r witness.FolderReport, tr *tree, size int64) {
	b.t.Helper()
	require.Equal(b.t, size, r.Head.Size)
	require.Equal(b.t, tr.root(size), r.Head.Hash)
	text, err := r.Head.MarshalText()
	require.NoError(b.t, err)
	n, err := note.Open(text, note.VerifierList(b.key.verifier, b.log.verifier))
	require.NoError(b.t, err)
	require.Len(b.t, n.Sigs, 2)
}

// files returns the names of the files of the log that match a pattern.
func (b *bucket) files(pattern string) []string {
	names, err := filepath.Glob(filepath.Join(b.path, hashOf(origin), pattern))
	require.NoError(b.t, err)
	return names
}

// The newest head in a directory is cosigned once, with the proofs that lie beside the
// heads, by a witness that comes now and then.
func TestCosignFolder(t *testing.T) {
	b, tr := newBucket(t), newTree(t, "a", 300)
	r := b.cosign()
	require.NoError(t, r.Err)
	require.Zero(t, r.Head)
	b.add(tr, 1, 10, 40)
	for i := range 3 {
		r = b.cosign()
		require.NoError(t, r.Err)
		require.Equal(t, i == 0, r.New)
		b.has(r, tr, 40)
	}
	b.add(tr, 41)
	b.add(tr, 100, 300)
	require.NoError(t, b.Close())
	_, err := b.CosignFolder(os.DirFS(b.path))
	require.ErrorIs(t, err, fs.ErrClosed)
	b.open()
	r = b.cosign()
	require.NoError(t, r.Err)
	require.True(t, r.New)
	b.has(r, tr, 300)
	require.NotEmpty(t, state(b, hashOf(origin)), "the state is that of the server")
	kept := t.TempDir()
	f, err := witness.NewFolder(kept, b.log.verifier)
	require.NoError(t, err)
	defer f.Close()
	for range 2 {
		require.NoError(t, f.Keep(r.Head))
	}
	require.ErrorIs(t, f.Keep(auditlog.Head{}), auditlog.ErrHead)
	heads, other, err := witness.ReadHeads(os.DirFS(kept), b.log.verifier)
	require.NoError(t, err)
	require.Empty(t, other)
	require.Equal(t, []auditlog.Head{r.Head}, heads)
	_, err = b.CosignFolder(nil)
	require.ErrorIs(t, err, witness.ErrArgument)
}

// A crash can leave a request without its head, and half a file.
func TestCosignFolderAfterACrash(t *testing.T) {
	b, tr := newBucket(t), newTree(t, "a", 300)
	b.add(tr, 10)
	r := b.cosign()
	require.NoError(t, r.Err)
	b.add(tr, 40)
	for _, name := range b.files("*40.0") {
		require.NoError(t, os.WriteFile(name, []byte(b.log.head(tr, 40)[:30]), 0o600))
	}
	require.NoError(t, b.cosign().Err, "the newest head is the one of before")
	b.add(tr, 60) // continues the head of 10 entries
	r = b.cosign()
	require.NoError(t, r.Err)
	b.has(r, tr, 60)
}

// Who can change the directory, and has the key of the log, gets no cosignature on another
// history.
func TestCosignFolderRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		attack func(b *bucket, tr *tree)
		says   string
	}{
		{"a history written anew", func(b *bucket, tr *tree) {
			require.NoError(b.t, os.RemoveAll(filepath.Join(b.path, hashOf(origin))))
			b.add(tr.fork(30, 200), 40, 60)
		}, "another head of 40 entries"},
		{"a history written anew with other sizes", func(b *bucket, tr *tree) {
			require.NoError(b.t, os.RemoveAll(filepath.Join(b.path, hashOf(origin))))
			b.add(tr.fork(30, 200), 39, 60)
		}, "does not prove"},
		{"a directory that was put back", func(b *bucket, tr *tree) {
			for _, name := range b.files("*40.0*") {
				require.NoError(b.t, os.Remove(name))
			}
		}, "its head of 10 entries"},
		{"a directory that was emptied", func(b *bucket, tr *tree) {
			require.NoError(b.t, os.RemoveAll(filepath.Join(b.path, hashOf(origin))))
		}, "has no head"},
		{"a head without its proof", func(b *bucket, tr *tree) {
			b.add(tr, 60)
			for _, name := range b.files("*60.0.request") {
				require.NoError(b.t, os.Remove(name))
			}
		}, "does not prove"},
		{"a false proof", func(b *bucket, tr *tree) {
			fork := tr.fork(30, 200)
			name := filepath.Join(b.path, hashOf(origin), "0000000000000000060.0")
			require.NoError(b.t, os.WriteFile(name, []byte(b.log.head(fork, 60)), 0o600))
			require.NoError(b.t, os.WriteFile(name+".request", []byte(b.log.request(fork, 40, 60)), 0o600))
		}, "does not prove"},
		{"a proof that names no old head", func(b *bucket, tr *tree) {
			fork := tr.fork(30, 200)
			name := filepath.Join(b.path, hashOf(origin), "0000000000000000060.0")
			require.NoError(b.t, os.WriteFile(name, []byte(b.log.head(fork, 60)), 0o600))
			require.NoError(b.t, os.WriteFile(name+".request", []byte(b.log.request(fork, 0, 60)), 0o600))
		}, "does not prove"},
		{"the proof of another head", func(b *bucket, tr *tree) {
			b.add(tr, 60)
			name := filepath.Join(b.path, hashOf(origin), "0000000000000000060.0")
			require.NoError(b.t, os.WriteFile(name, []byte(b.log.head(tr.fork(30, 200), 60)), 0o600))
		}, "does not prove"},
		{"two heads of one size", func(b *bucket, tr *tree) {
			b.add(tr, 60)
			name := filepath.Join(b.path, hashOf(origin), "0000000000000000060.1")
			require.NoError(b.t, os.WriteFile(name, []byte(b.log.head(tr.fork(30, 200), 60)), 0o600))
		}, "another head of 60 entries"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, tr := newBucket(t), newTree(t, "a", 200)
			b.add(tr, 10, 40)
			require.NoError(t, b.cosign().Err)
			before := state(b, hashOf(origin))
			test.attack(b, tr)
			r := b.cosign()
			require.ErrorIs(t, r.Err, witness.ErrInconsistent)
			require.ErrorContains(t, r.Err, test.says)
			require.False(t, r.New)
			require.Equal(t, before, state(b, hashOf(origin)))
			b.has(r, tr, 40)
		})
	}
}

// Heads that nobody but a stranger signed, and links, are no heads. A head that the log's
// own process was refused is reported each time.
func TestCosignFolderOfStrangers(t *testing.T) {
	b, tr := newBucket(t), newTree(t, "a", 200)
	b.add(tr, 10)
	mallory := newLogKey(t, origin)
	at := filepath.Join(b.path, hashOf(origin))
	for name, content := range map[string]string{
		"0000000000000000060.0":         mallory.head(tr, 60),
		"0000000000000000060.0.request": mallory.request(tr, 10, 60),
		"0000000000000000061.0":         b.log.head(tr, 62),
		"0000000000000000070.0.refused": mallory.head(tr, 70),
		"0000000000000000071.0.request": "old 10\n",
		"0000000000000000072.0":         string(make([]byte, 1<<20)),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(at, name), []byte(content), 0o600))
	}
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(at, "0000000000000000080.0")))
	r := b.cosign()
	require.NoError(t, r.Err)
	require.Empty(t, r.Refused)
	b.has(r, tr, 10)

	f, err := witness.NewFolder(b.path, b.log.verifier)
	require.NoError(t, err)
	defer f.Close()
	fork := tr.fork(5, 100)
	_, err = f.Cosign(t.Context(), parsed(t, b.log, b.log.head(fork, 20)), func(int64) (tlog.TreeProof, error) { return tlog.ProveTree(20, 10, fork) })
	require.ErrorIs(t, err, witness.ErrInconsistent)
	b.add(tr, 30)
	r = b.cosign()
	require.NoError(t, r.Err, "the log is one history beside the head that was refused")
	require.Equal(t, []string{hashOf(origin) + "/0000000000000000020.0.refused"}, r.Refused)
	b.has(r, tr, 30)
}
