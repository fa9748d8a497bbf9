package piitest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Golden returns a kit that keeps its keys in a file below testdata, such as
// "testdata/golden.keys". It is for services that compare their rows or messages
// with golden files: the sealed values in these open in every later run.
//
// Golden makes the file and the keys of missing purposes if the test runs with
// -update, where the test's package has a flag of that name, or with
// PIITEST_UPDATE=1 in the environment. At the end of such a test it adds the keys of
// subjects that the test made. It never replaces keys that exist. Without an update,
// a missing file or purpose ends the test. Commit the file.
//
// The key that wraps the keys is in the source of this package, which works in tests
// alone: never seal personal data with these keys. Two tests of one process may use
// one file at once.
func Golden(t testing.TB, path string, purposes ...purpose.Purpose) *Kit {
	mustTest()
	t.Helper()
	goldenFiles.Lock()
	defer goldenFiles.Unlock()
	g := &golden{path, readGolden(t, path)}
	store := vault.Memory()
	for _, name := range slices.Sorted(maps.Keys(g.records)) {
		if _, err := store.Put(t.Context(), vault.Record{Name: name, Data: g.records[name]}); err != nil {
			t.Fatalf("piitest: %s holds a record that is none: check it out again, as it was committed", filepath.Base(path))
		}
	}
	for _, p := range purposes {
		if _, ok := g.records[p.String()+"/keys"]; !ok && !updating() {
			t.Fatalf("piitest: %s has no keys of %v: run this test once with -update or PIITEST_UPDATE=1, and commit the file",
				filepath.Base(path), p)
		}
	}
	k := newKit(t, store, goldenKEK{}, purposes)
	if updating() {
		g.save(t, store)
		t.Cleanup(func() {
			goldenFiles.Lock()
			defer goldenFiles.Unlock()
			g.save(t, store)
		})
	}
	return k
}

// goldenFiles is held while a golden file is read or written.
var goldenFiles sync.Mutex

type golden struct {
	path    string
	records map[string][]byte // as last read or written
}

func updating() bool {
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		return true
	}
	return os.Getenv("PIITEST_UPDATE") == "1"
}

const goldenHeader = "# Keys for tests, made by piitest.Golden. They protect nothing."

// readGolden reads a golden file. It has a line for each record: the name, and the
// data in base64.
func readGolden(t testing.TB, path string) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && updating():
		return make(map[string][]byte)
	case errors.Is(err, fs.ErrNotExist):
		t.Fatalf("piitest: there is no %s: run this test once with -update or PIITEST_UPDATE=1, and commit the file", filepath.Base(path))
	case err != nil:
		t.Fatalf("piitest: %s can't be read", filepath.Base(path))
	}
	records := make(map[string][]byte)
	text, ok := strings.CutPrefix(strings.ReplaceAll(string(b), "\r\n", "\n"), goldenHeader+"\n")
	for line := range strings.Lines(text) {
		name, data, found := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		record, err := base64.StdEncoding.DecodeString(data)
		ok = ok && found && err == nil && records[name] == nil
		records[name] = record
	}
	if !ok {
		t.Fatalf("piitest: %s is not a file that Golden wrote: check it out again, as it was committed", filepath.Base(path))
	}
	return records
}

// save adds to the file the records of store that it lacks.
func (g *golden) save(t testing.TB, store vault.Store) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // it is done when cleanup functions run
	now := readGolden(t, g.path)              // another test may have written meanwhile
	before := len(now)
	names, err := namesIn(ctx, store)
	if err != nil {
		t.Fatalf("piitest: %v", err)
	}
	for _, name := range names {
		records, err := store.Get(ctx, name)
		if err != nil || len(records) != 1 {
			t.Fatalf("piitest: %v", err)
		}
		old, ok := now[name]
		if ok && !bytes.Equal(old, records[0].Data) {
			t.Errorf("piitest: the record %s in %s was changed by this test: a golden vault keeps its keys, "+
				"so rotate, erase and re-wrap in a vault of piitest.New", name, filepath.Base(g.path))
			return
		}
		now[name] = records[0].Data
	}
	if len(now) == before {
		return
	}
	var b strings.Builder
	b.WriteString(goldenHeader + "\n")
	for _, name := range slices.Sorted(maps.Keys(now)) {
		fmt.Fprintf(&b, "%s %s\n", name, base64.StdEncoding.EncodeToString(now[name]))
	}
	err = os.MkdirAll(filepath.Dir(g.path), 0o755)
	if err == nil {
		err = os.WriteFile(g.path, []byte(b.String()), 0o644)
	}
	if err != nil {
		t.Errorf("piitest: %s can't be written", filepath.Base(g.path))
	}
}

// goldenKEK has a key for each purpose, which anyone can compute.
type goldenKEK struct{}

func (goldenKEK) For(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
	mustTest()
	key := sha256.Sum256([]byte("piitest golden KEK, not a secret: " + p.String()))
	return newGCM(key[:])
}

// sealedText matches sealed values in other text.
var sealedText = regexp.MustCompile(`pii1\.[a-z0-9-]+\.[a-z0-9~-]+\.[A-Za-z0-9_-]+`)

// Labels returns text with each sealed value replaced by its kind and purposes, such
// as "pii1.email.security.…". Compare the result with a golden file: no two seals of
// an address are alike, but their kinds and purposes are.
func Labels(text string) string {
	mustTest()
	return sealedText.ReplaceAllStringFunc(text, func(found string) string {
		v, err := vault.ParseSealed(found)
		if err != nil {
			return found
		}
		return fmt.Sprintf("pii1.%s.%s.…", v.Kind(), strings.ReplaceAll(v.Purposes().String(), "+", "~"))
	})
}

func namesIn(ctx context.Context, store vault.Store) (names []string, err error) {
	for name, err := range store.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}
