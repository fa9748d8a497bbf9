package auditlog_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A stranger reads a log with nothing but the specifications C2SP tlog-tiles and
// tlog-checkpoint, and the Go project's reader of tiles.
type stranger struct {
	dir string
	t   testing.TB
}

// c2sp returns the path of a tile. Number 1234067 of level 0 is tile/0/x001/x234/067.
func c2sp(level string, n int64, width int) string {
	digits := fmt.Sprintf("%03d", n)
	for len(digits)%3 != 0 {
		digits = "0" + digits
	}
	path := "tile/" + level
	for i := 0; i < len(digits); i += 3 {
		x := "x"
		if i == len(digits)-3 {
			x = ""
		}
		path += "/" + x + digits[i:i+3]
	}
	if width < 256 {
		path += fmt.Sprintf(".p/%d", width)
	}
	return path
}

func (s stranger) read(level string, n int64, width int) ([]byte, error) {
	return os.ReadFile(filepath.Join(s.dir, c2sp(level, n, width)))
}

func (s stranger) Height() int { return 8 }

func (s stranger) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, t := range tiles {
		b, err := s.read(strconv.Itoa(t.L), t.N, t.W)
		if err != nil {
			return nil, err
		}
		data = append(data, b)
	}
	return data, nil
}

func (s stranger) SaveTiles([]tlog.Tile, [][]byte) {}

// verify returns the entries, each proven to be in the tree of the signed checkpoint.
func (s stranger) verify(verifier note.Verifier) (entries [][]byte) {
	t := s.t
	signed, err := os.ReadFile(filepath.Join(s.dir, "checkpoint"))
	require.NoError(t, err)
	n, err := note.Open(signed, note.VerifierList(verifier))
	require.NoError(t, err)
	lines := strings.Split(n.Text, "\n")
	require.Len(t, lines, 4)
	require.Equal(t, verifier.Name(), lines[0])
	size, err := strconv.ParseInt(lines[1], 10, 64)
	require.NoError(t, err)
	hash, err := base64.StdEncoding.DecodeString(lines[2])
	require.NoError(t, err)
	tree := tlog.Tree{N: size, Hash: tlog.Hash(hash)}
	hashes := tlog.TileHashReader(tree, s) // which checks each tile against the tree
	for bundle := int64(0); bundle*256 < size; bundle++ {
		b, err := s.read("entries", bundle, int(min(256, size-bundle*256)))
		require.NoError(t, err)
		var indexes []int64
		first := len(entries)
		for ; len(b) > 0; b = b[2+int(b[0])<<8+int(b[1]):] {
			indexes = append(indexes, tlog.StoredHashIndex(0, int64(len(entries))))
			entries = append(entries, b[2:][:int(b[0])<<8+int(b[1])])
		}
		records, err := hashes.ReadHashes(indexes)
		require.NoError(t, err)
		for i, r := range records {
			require.Equal(t, r, tlog.RecordHash(entries[first+i]))
		}
	}
	require.Len(t, entries, int(size))
	for _, i := range []int64{0, size / 2, size - 1} {
		proof, err := tlog.ProveRecord(size, i, hashes)
		require.NoError(t, err)
		require.NoError(t, tlog.CheckRecord(proof, size, tree.Hash, i, tlog.RecordHash(entries[i])))
	}
	return entries
}

// The tiles verify without this package, at sizes around the widths of tiles, and after a
// successor has continued the log.
func TestTilesVerifyWithTlogAlone(t *testing.T) {
	p := newPlace(t)
	sizes := []int{1, 2, 255, 256, 257, 511, 512, 700, 66_000} // the last one has three levels
	if testing.Short() {
		sizes = sizes[:len(sizes)-1]
	}
	size := 0
	for _, until := range sizes {
		l := p.open(t, nil)
		size += 2 // start and stop
		var wg sync.WaitGroup
		for ; size < until; size++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := l.Audit(t.Context(), event("x")); err != nil {
					t.Error(err)
				}
			}()
			if size%2000 == 0 {
				wg.Wait()
			}
		}
		wg.Wait()
		require.NoError(t, l.Close())
		require.Len(t, stranger{p.dir, t}.verify(p.verifier), size)
		r := p.verify(t)
		require.True(t, r.OK(), r)
		require.Equal(t, int64(size), r.Entries)
		require.Equal(t, int64(size), r.Bodies)
	}
	// The partial tiles of earlier checkpoints are gone once the tile is full.
	_, err := os.Stat(filepath.Join(p.dir, "tile/0/000.p"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = os.Stat(filepath.Join(p.dir, "tile/entries/000.p"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// An entry of the tree is the hash of the salt and the body, as FORMAT.md has it. No two
// salts are equal, so that equal bodies have unequal entries.
func TestEntriesAreSaltedHashesOfBodies(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, nil)
	e := event("x")
	for range 300 {
		require.NoError(t, l.Audit(t.Context(), e))
	}
	require.NoError(t, l.Close())
	entries := stranger{p.dir, t}.verify(p.verifier)
	content := files(t, p.dir)["bodies/000000000000.log"]
	salts, seen, n := map[string]bool{}, map[string]bool{}, 0
	for line := range strings.Lines(string(content)) {
		salt, body, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || salt == "#" {
			continue
		}
		b, err := hex.DecodeString(salt)
		require.NoError(t, err)
		require.Len(t, b, 16)
		leaf := sha256.Sum256(append(b, body...))
		require.Equal(t, leaf[:], entries[n])
		salts[salt], seen[string(leaf[:])] = true, true
		n++
	}
	require.Len(t, entries, n)
	require.Len(t, salts, n)
	require.Len(t, seen, n)
}

// A log whose tiles are lost computes them again from the bodies, and removed bodies are
// no obstacle.
func TestTilesAreComputedAgain(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, nil)
	for range 600 {
		write(t, l, "x")
	}
	_, err := l.Remove(t.Context(), "retention", func(e auditlog.Entry) bool { return e.Index%3 == 0 })
	require.NoError(t, err)
	require.NoError(t, l.Close())
	before := stranger{p.dir, t}.verify(p.verifier)
	require.NoError(t, os.RemoveAll(filepath.Join(p.dir, "tile")))
	require.False(t, p.verify(t).OK())
	require.NoError(t, p.open(t, nil).Close())
	after := stranger{p.dir, t}.verify(p.verifier)
	require.Equal(t, before, after[:len(before)])
	require.True(t, p.verify(t).OK())
}
