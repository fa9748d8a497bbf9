package witness_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
)

func parsed(t testing.TB, k logKey, signed string) auditlog.Head {
	t.Helper()
	h, err := auditlog.ParseHead([]byte(signed), k.verifier)
	require.NoError(t, err)
	return h
}

func proofOf(tr *tree, size int64) func(int64) (tlog.TreeProof, error) {
	return func(old int64) (tlog.TreeProof, error) { return tlog.ProveTree(size, old, tr) }
}

// A directory gets each head that continues the newest one, and no file is ever changed.
func TestFolder(t *testing.T) {
	k, tr := newLogKey(t, origin), newTree(t, "a", 100)
	fork := tr.fork(30, 100)
	dir := t.TempDir()
	f, err := witness.NewFolder(dir, k.verifier)
	require.NoError(t, err)
	at := filepath.Join(dir, hashOf(origin))
	contents := func() map[string]string {
		all := map[string]string{}
		entries, err := os.ReadDir(at)
		if !errors.Is(err, os.ErrNotExist) {
			require.NoError(t, err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(at, e.Name()))
			require.NoError(t, err)
			all[e.Name()] = string(b)
		}
		return all
	}
	add := func(f *witness.Folder, tr *tree, size int64) error {
		before := contents()
		lines, err := f.Cosign(t.Context(), parsed(t, k, k.head(tr, size)), proofOf(tr, size))
		require.Empty(t, lines)
		after := contents()
		for name, content := range before {
			require.Equal(t, content, after[name], "%s was changed", name)
		}
		return err
	}
	require.NoError(t, add(f, tr, 10))
	require.NoError(t, add(f, tr, 40))
	require.NoError(t, add(f, tr, 40))
	require.Len(t, contents(), 4, "heads, and requests")
	require.ErrorIs(t, add(f, tr, 20), witness.ErrInconsistent)
	require.Len(t, contents(), 4)
	for range 3 {
		require.ErrorIs(t, add(f, fork, 40), witness.ErrInconsistent)
		require.ErrorIs(t, add(f, fork, 60), witness.ErrInconsistent)
		require.Len(t, contents(), 6, "a proof of the fork, once")
	}
	wrong := func(int64) (tlog.TreeProof, error) { return tlog.ProveTree(60, 39, tr) }
	_, err = f.Cosign(t.Context(), parsed(t, k, k.head(tr, 60)), wrong)
	require.ErrorIs(t, err, witness.ErrInconsistent)
	failing := errors.New("tiles are gone")
	_, err = f.Cosign(t.Context(), parsed(t, k, k.head(tr, 70)), func(int64) (tlog.TreeProof, error) { return nil, failing })
	require.ErrorIs(t, err, failing)
	require.NoError(t, f.Close())
	require.Error(t, add(f, tr, 80))

	// A Folder that is opened anew goes on with the history of before.
	f, err = witness.NewFolder(dir, k.verifier)
	require.NoError(t, err)
	defer f.Close()
	heads, other, err := witness.ReadHeads(os.DirFS(dir), k.verifier)
	require.NoError(t, err)
	require.Empty(t, other)
	require.Len(t, heads, 5)
	require.ErrorIs(t, add(f, fork, 70), witness.ErrInconsistent)
	require.NoError(t, add(f, tr, 80))
	require.ErrorIs(t, add(f, fork, 90), witness.ErrInconsistent)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.Cosign(ctx, parsed(t, k, k.head(tr, 90)), proofOf(tr, 90))
	require.ErrorIs(t, err, context.Canceled)
	_, err = f.Cosign(t.Context(), auditlog.Head{}, nil)
	require.ErrorIs(t, err, auditlog.ErrHead)
	mallory := newLogKey(t, origin)
	_, err = f.Cosign(t.Context(), parsed(t, mallory, mallory.head(tr, 90)), proofOf(tr, 90))
	require.ErrorIs(t, err, auditlog.ErrHead)
}

// A file that a crash left incomplete stays, and the head is added beside it.
func TestFolderAfterACrash(t *testing.T) {
	k, tr := newLogKey(t, origin), newTree(t, "a", 100)
	dir := t.TempDir()
	at := filepath.Join(dir, hashOf(origin))
	require.NoError(t, os.Mkdir(at, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(at, "0000000000000000010.0"), []byte(k.head(tr, 10)[:30]), 0o400))
	require.NoError(t, os.WriteFile(filepath.Join(at, "0000000000000000010.1"), nil, 0o400))
	f, err := witness.NewFolder(dir, k.verifier)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Cosign(t.Context(), parsed(t, k, k.head(tr, 10)), proofOf(tr, 10))
	require.NoError(t, err)
	heads, other, err := witness.ReadHeads(os.DirFS(dir), k.verifier)
	require.NoError(t, err)
	require.Len(t, heads, 1)
	require.Equal(t, []string{hashOf(origin) + "/0000000000000000010.0", hashOf(origin) + "/0000000000000000010.1"}, other)

	// A crash behind the file and before the directory: the head is there already.
	g, err := witness.NewFolder(dir, k.verifier)
	require.NoError(t, err)
	defer g.Close()
	_, err = g.Cosign(t.Context(), parsed(t, k, k.head(tr, 10)), proofOf(tr, 10))
	require.NoError(t, err)
	heads, _, err = witness.ReadHeads(os.DirFS(dir), k.verifier)
	require.NoError(t, err)
	require.Len(t, heads, 1)
}

// Files that a Folder has not written are named, and never taken for heads.
func TestReadHeadsOfStrangers(t *testing.T) {
	k, mallory, tr := newLogKey(t, origin), newLogKey(t, origin), newTree(t, "a", 100)
	at := hashOf(origin) + "/"
	fsys := fstest.MapFS{
		at + "0000000000000000010.0":                           {Data: []byte(k.head(tr, 10))},
		at + "0000000000000000011.0":                           {Data: []byte(k.head(tr, 10))}, // under another size
		at + "0000000000000000012.0":                           {Data: []byte(mallory.head(tr, 12))},
		at + "0000000000000000013.0":                           {Data: append([]byte(k.head(tr, 13)), make([]byte, 1<<20)...)},
		at + "14.0":                                            {Data: []byte(k.head(tr, 14))},
		at + "0000000000000000015.00":                          {Data: []byte(k.head(tr, 15))},
		at + "-000000000000000016.0":                           {Data: []byte(k.head(tr, 16))},
		at + "0000000000000000017.0/x":                         {Data: []byte(k.head(tr, 17))},
		at + "9999999999999999999.0":                           {Data: []byte(k.head(tr, 18))},
		at + "README":                                          {Data: []byte("hello")},
		hashOf("example.com/other") + "/0000000000000000010.0": {Data: []byte("another log")},
	}
	heads, other, err := witness.ReadHeads(fsys, k.verifier)
	require.NoError(t, err)
	require.Len(t, heads, 1)
	require.Len(t, other, 9)
	heads, other, err = witness.ReadHeads(fstest.MapFS{}, k.verifier)
	require.NoError(t, err)
	require.Empty(t, heads)
	require.Empty(t, other)
	_, _, err = witness.ReadHeads(nil, k.verifier)
	require.ErrorIs(t, err, witness.ErrArgument)
	_, err = witness.NewFolder("", k.verifier)
	require.ErrorIs(t, err, witness.ErrArgument)
	_, err = witness.NewFolder(filepath.Join(t.TempDir(), "missing"), k.verifier)
	require.ErrorIs(t, err, os.ErrNotExist)

	// A symbolic link does not lead out of the directory.
	dir, outside := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, hashOf(origin))))
	f, err := witness.NewFolder(dir, k.verifier)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Cosign(t.Context(), parsed(t, k, k.head(tr, 10)), proofOf(tr, 10))
	require.Error(t, err)
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, left)
}
