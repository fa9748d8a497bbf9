package auditlog_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A victim is a log that is to be attacked, with heads that somebody kept.
type victim struct {
	*place
	// at has the heads that a second party was given, by their size.
	at   map[int64]auditlog.Head
	last auditlog.Head
	// older is a copy of the directory at the time of an earlier head.
	older map[string][]byte
}

func newVictim(t *testing.T) *victim {
	v := &victim{place: newPlace(t), at: map[int64]auditlog.Head{}}
	for process := range 3 {
		l := v.open(t, nil)
		for i := range 110 {
			write(t, l, fmt.Sprintf("caller %d of %d", i, process))
			v.at[l.Head().Size] = l.Head()
		}
		require.NoError(t, l.Close())
		v.last = l.Head()
		if process == 1 {
			v.older = files(t, v.dir)
		}
	}
	require.Empty(t, v.verify(t).Findings)
	return v
}

// files returns the content of all files in a directory, by their names.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		all[path], err = os.ReadFile(filepath.Join(dir, path))
		return err
	}))
	return all
}

// replace makes the directory have exactly these files.
func replace(t testing.TB, dir string, all map[string][]byte) {
	t.Helper()
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.Mkdir(dir, 0o700))
	for name, content := range all {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
}

func kinds(r *auditlog.Report) (kinds []auditlog.FindingKind) {
	for _, f := range r.Findings {
		if !slices.Contains(kinds, f.Kind) {
			kinds = append(kinds, f.Kind)
		}
	}
	return kinds
}

// bodyFiles returns the names of the files of bodies, in order.
func bodyFiles(all map[string][]byte) (names []string) {
	for name := range all {
		if strings.HasPrefix(name, "bodies/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// frames returns the frames of a file of bodies.
func frames(content []byte) [][]byte { return bytes.SplitAfter(content, []byte("\n\n")) }

// Whoever alters the log without its key is found out, by the kind of finding that says
// what was done. Where a head has to have been kept, the report says without it that this
// is not excluded.
func TestAlterations(t *testing.T) {
	v := newVictim(t)
	honest := files(t, v.dir)
	names := bodyFiles(honest)
	require.Len(t, names, 3)
	early, middle := v.at[50], v.at[150]
	// inFile replaces the frames of a file of bodies.
	inFile := func(name string, change func([][]byte) [][]byte) func(map[string][]byte) {
		return func(all map[string][]byte) { all[name] = bytes.Join(change(frames(all[name])), nil) }
	}
	editEntry := func(f [][]byte) [][]byte {
		f[20] = bytes.Replace(f[20], []byte(`"caller":"caller`), []byte(`"caller":"Caller`), 1)
		return f
	}
	const edited, missing, cut, hidden, head, tile = auditlog.FindingEdited, auditlog.FindingMissing, auditlog.FindingCut,
		auditlog.FindingHidden, auditlog.FindingHead, auditlog.FindingTile
	for _, test := range []struct {
		name   string
		attack func(all map[string][]byte)
		// want are kinds of findings, without a kept head and with one.
		want, kept auditlog.FindingKind
	}{
		{"a body is edited", inFile(names[1], editEntry), edited, edited},
		{"a body is edited, and its bundle", func(all map[string][]byte) {
			inFile(names[0], editEntry)(all)
			all["tile/entries/000"][20*34+5] ^= 1
		}, edited, edited},
		{"a salt is edited", inFile(names[1], func(f [][]byte) [][]byte { f[9][0] ^= 1; return f }), edited, edited},
		{"an entry is dropped", inFile(names[1], func(f [][]byte) [][]byte {
			_, after, _ := bytes.Cut(f[20], []byte("\n"))
			f[20] = after
			return f
		}), missing, missing},
		{"a commit is dropped", inFile(names[1], func(f [][]byte) [][]byte { return slices.Delete(f, 20, 21) }), missing, missing},
		{"two commits are exchanged", inFile(names[1], func(f [][]byte) [][]byte { f[20], f[21] = f[21], f[20]; return f }), missing, missing},
		{"two entries are exchanged", inFile(names[1], func(f [][]byte) [][]byte {
			a, restA, _ := bytes.Cut(f[20], []byte("\n"))
			b, restB, _ := bytes.Cut(f[21], []byte("\n"))
			f[20], f[21] = append(append(bytes.Clone(b), '\n'), restA...), append(append(bytes.Clone(a), '\n'), restB...)
			return f
		}), edited, edited},
		{"an entry is added", inFile(names[1], func(f [][]byte) [][]byte {
			f[20] = append(bytes.Clone(f[19][:bytes.IndexByte(f[19], '\n')+1]), f[20]...)
			return f
		}), missing, missing},
		{"a commit is repeated", inFile(names[1], func(f [][]byte) [][]byte { return slices.Insert(f, 20, f[19]) }), missing, missing},
		{"a file is dropped", func(all map[string][]byte) { delete(all, names[1]) }, missing, missing},
		{"the first file is dropped", func(all map[string][]byte) { delete(all, names[0]) }, missing, missing},
		{"all bodies are dropped", func(all map[string][]byte) {
			for _, name := range names {
				delete(all, name)
			}
		}, missing, missing},
		{"a body is replaced by its hash", inFile(names[1], func(f [][]byte) [][]byte {
			_, after, _ := bytes.Cut(f[20], []byte("\n"))
			leaf := honest["tile/entries/000"][(112+20)*34+2:][:32]
			f[20] = append(fmt.Appendf(nil, "%x\n", leaf), after...)
			return f
		}), hidden, hidden},
		{"the hash of a head is edited", inFile(names[1], func(f [][]byte) [][]byte {
			at := bytes.Index(f[20], []byte("=\n#\n"))
			if f[20][at-20] != 'A' {
				f[20][at-20] = 'A'
			} else {
				f[20][at-20] = 'B'
			}
			return f
		}), edited, edited},
		{"the last head is edited", inFile(names[2], func(f [][]byte) [][]byte {
			last := f[len(f)-2]
			last[bytes.LastIndex(last, []byte("— "))+30] ^= 1
			return f
		}), head, head},
		{"a tile is edited", func(all map[string][]byte) { all["tile/0/000"][700] ^= 1 }, tile, tile},
		{"a tile is dropped", func(all map[string][]byte) { delete(all, "tile/0/000") }, missing, missing},
		{"a partial tile is edited", func(all map[string][]byte) { all["tile/1/000.p/1"][7] ^= 1 }, tile, tile},
		{"the published head is edited", func(all map[string][]byte) {
			all["checkpoint"] = bytes.Replace(all["checkpoint"], []byte("\n336\n"), []byte("\n335\n"), 1)
		}, head, head},
		{"the tail is cut, with the checkpoint", func(all map[string][]byte) {
			delete(all, names[2])
			delete(all, "checkpoint")
		}, "", cut},
		{"the tail is cut", func(all map[string][]byte) { delete(all, names[2]) }, cut, cut},
		{"an older copy", func(all map[string][]byte) {
			clear(all)
			for name, content := range v.older {
				all[name] = content
			}
		}, "", cut},
		{"an older checkpoint", func(all map[string][]byte) { all["checkpoint"] = v.older["checkpoint"] }, "", ""},
		{"everything is dropped", func(all map[string][]byte) { clear(all) }, missing, cut},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := map[string][]byte{}
			for name, content := range honest {
				all[name] = bytes.Clone(content)
			}
			test.attack(all)
			fsys := fstest.MapFS{}
			for name, content := range all {
				fsys[name] = &fstest.MapFile{Data: content}
			}
			check := func(want auditlog.FindingKind, kept ...auditlog.Head) *auditlog.Report {
				r, err := auditlog.Verify(t.Context(), fsys, v.verifier, kept, nil)
				require.NoError(t, err)
				if want == "" {
					require.Empty(t, r.Findings)
				} else {
					require.Contains(t, kinds(r), want, r)
				}
				return r
			}
			r := check(test.want)
			require.Contains(t, strings.Join(r.NotExcluded, "\n"), "older copy")
			r = check(test.kept, early, middle, v.last)
			require.NotContains(t, strings.Join(r.NotExcluded, "\n"), "older copy")
			// Without a head from after the cut, nothing can find it, and the report says so.
			r, err := auditlog.Verify(t.Context(), fsys, v.verifier, []auditlog.Head{early}, nil)
			require.NoError(t, err)
			if test.want == "" {
				require.Empty(t, r.Findings)
				require.Contains(t, strings.Join(r.NotExcluded, "\n"), "entries from 50 on")
			}
		})
	}
}

// Every change of one bit in a file of bodies, a tile of the published tree or the
// checkpoint is found, unless it is in a part that says nothing.
func TestEveryBitIsCovered(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, nil)
	for i := range 258 {
		if i < 250 {
			require.NoError(t, l.Audit(t.Context(), audit.Event{Action: "x"}))
			continue
		}
		write(t, l, "caller")
	}
	require.NoError(t, l.Close())
	all := files(t, p.dir)
	fsys := fstest.MapFS{}
	for name, content := range all {
		fsys[name] = &fstest.MapFile{Data: content}
	}
	bits := 0
	for name, content := range all {
		if name == ".lock" {
			continue
		}
		step := 1 + len(content)/200
		for at := bits % step; at < len(content); at += step {
			bits++
			changed := bytes.Clone(content)
			changed[at] ^= 1 << (bits % 8)
			fsys[name] = &fstest.MapFile{Data: changed}
			r, err := auditlog.Verify(t.Context(), fsys, p.verifier, []auditlog.Head{l.Head()}, nil)
			require.NoError(t, err)
			// An intermediate signature is replaced by those of the heads behind it.
			inSignature := strings.HasPrefix(name, "bodies") && bytes.HasPrefix(content[bytes.LastIndexByte(content[:at], '\n')+1:], []byte("# — "))
			if !inSignature {
				require.NotEmpty(t, r.Findings, "%s, byte %d", name, at)
			}
		}
		fsys[name] = &fstest.MapFile{Data: content}
	}
	require.Greater(t, bits, 600)
}

// A log never signs a head over entries that somebody altered: Open refuses them.
func TestOpenRefusesAnAlteredEnd(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, nil)
	for range 10 {
		write(t, l, "caller")
	}
	require.NoError(t, l.Publish(t.Context()))
	for range 10 {
		write(t, l, "caller")
	}
	require.NoError(t, l.Close())
	honest := files(t, p.dir)
	names := bodyFiles(honest)
	require.Len(t, names, 1)
	last := frames(honest[names[0]])
	unpublished := map[string][]byte{}
	for name, content := range honest {
		unpublished[name] = content
	}
	delete(unpublished, "checkpoint")
	for _, test := range []struct {
		name   string
		from   map[string][]byte
		change func(all map[string][]byte)
	}{
		{"an edited body before the end", unpublished, func(all map[string][]byte) {
			all[names[0]] = bytes.Replace(all[names[0]], []byte(`"caller"`), []byte(`"Caller"`), 1)
		}},
		{"a signature of nobody", unpublished, func(all map[string][]byte) {
			i := bytes.LastIndex(all[names[0]], []byte("— "))
			all[names[0]][i+40] ^= 1
		}},
		{"bodies behind the published head are gone", honest, func(all map[string][]byte) {
			all[names[0]] = bytes.Join(last[:5], nil)
		}},
		{"all bodies are gone", honest, func(all map[string][]byte) { delete(all, names[0]) }},
		{"garbage between commits", unpublished, func(all map[string][]byte) {
			all[names[0]] = bytes.Join([][]byte{bytes.Join(last[:5], nil), []byte("garbage\n"), bytes.Join(last[5:], nil)}, nil)
		}},
		{"a file that is not the log's", honest, func(all map[string][]byte) { all["bodies/x"] = []byte("x") }},
		{"a file of a later entry", honest, func(all map[string][]byte) { all["bodies/000000000099.log"] = []byte("x") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := &place{filepath.Join(t.TempDir(), "audit"), p.signer, p.verifier}
			all := map[string][]byte{}
			for name, content := range test.from {
				all[name] = bytes.Clone(content)
			}
			test.change(all)
			replace(t, q.dir, all)
			for _, opts := range []*auditlog.Options{nil, {Verifier: p.verifier}} {
				_, err := auditlog.Open(t.Context(), q.dir, q.signer, opts)
				require.ErrorIs(t, err, auditlog.ErrAltered)
			}
			left := files(t, q.dir)
			delete(left, ".lock")
			delete(all, ".lock")
			require.Equal(t, all, left, "nothing was written")
		})
	}
}

// The directory is the log's own: what others may have read, planted or redirected is
// refused when the log is opened, and what is foreign is found when it is verified.
func TestForeignFiles(t *testing.T) {
	for _, test := range []struct {
		name    string
		plant   func(dir string) error
		refused bool // by Open
		found   bool // by Verify
	}{
		{"open to others", func(dir string) error { return os.Chmod(dir, 0o755) }, true, false},
		{"bodies open to others", func(dir string) error { return os.Chmod(filepath.Join(dir, "bodies"), 0o750) }, true, false},
		{"a body open to others", func(dir string) error { return os.Chmod(filepath.Join(dir, "bodies/000000000000.log"), 0o644) }, true, false},
		{"a checkpoint open to others", func(dir string) error { return os.Chmod(filepath.Join(dir, "checkpoint"), 0o640) }, true, false},
		{"a symbolic link for a body", func(dir string) error {
			name := filepath.Join(dir, "bodies/000000000000.log")
			if err := os.Rename(name, filepath.Join(dir, "moved")); err != nil {
				return err
			}
			return os.Symlink("../moved", name)
		}, true, true},
		{"a symbolic link for the checkpoint", func(dir string) error {
			name := filepath.Join(dir, "checkpoint")
			if err := os.Rename(name, name+"2"); err != nil {
				return err
			}
			return os.Symlink("checkpoint2", name)
		}, true, true},
		{"a symbolic link for the directory of bodies", func(dir string) error {
			name := filepath.Join(dir, "bodies")
			if err := os.Rename(name, name+"2"); err != nil {
				return err
			}
			return os.Symlink("bodies2", name)
		}, true, true},
		{"a hard link to a body", func(dir string) error {
			return os.Link(filepath.Join(dir, "bodies/000000000000.log"), dir+"-copy")
		}, true, false},
		{"a directory for a body", func(dir string) error { return os.Mkdir(filepath.Join(dir, "bodies/000000000007.log"), 0o700) }, true, true},
		{"a foreign file", func(dir string) error { return os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600) }, false, true},
		{"a foreign directory", func(dir string) error { return os.MkdirAll(filepath.Join(dir, "old/bodies"), 0o700) }, false, true},
		{"a foreign tile", func(dir string) error { return os.WriteFile(filepath.Join(dir, "tile/0/x"), nil, 0o600) }, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			l := p.open(t, nil)
			write(t, l, "caller")
			require.NoError(t, l.Close())
			require.NoError(t, test.plant(p.dir))
			require.Equal(t, !test.found, p.verify(t).OK())
			l, err := auditlog.Open(t.Context(), p.dir, p.signer, nil)
			if test.refused {
				require.ErrorIs(t, err, auditlog.ErrAltered)
				return
			}
			require.NoError(t, err)
			require.NoError(t, l.Close())
		})
	}
}

// A growing file system has a file of bodies that is longer each time it is opened.
type growing struct {
	fstest.MapFS
	name    string
	lengths []int
}

func (g *growing) Open(name string) (fs.File, error) {
	if name != g.name {
		return g.MapFS.Open(name)
	}
	n := g.lengths[0]
	if len(g.lengths) > 1 {
		g.lengths = g.lengths[1:]
	}
	return fstest.MapFS{name: {Data: g.MapFS[name].Data[:n]}}.Open(name)
}

// A commit that is half written when Verify comes to it, and done a moment later with
// others behind it, is no damage.
func TestVerifyMeetsACommit(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, nil)
	write(t, l, "1", "2", "3", "4", "5")
	all := files(t, p.dir)
	name := bodyFiles(all)[0]
	f := frames(all[name])
	half := len(f[0]) + len(f[1]) + len(f[2])/2
	fsys := &growing{fstest.MapFS{}, name, []int{half, len(all[name])}}
	for name, content := range all {
		fsys.MapFS[name] = &fstest.MapFile{Data: content}
	}
	r, err := auditlog.Verify(t.Context(), fsys, p.verifier, nil, nil)
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.Equal(t, int64(2), r.Entries)
	require.Len(t, r.Notes, 1)
	require.Equal(t, auditlog.NoteTorn, r.Notes[0].Kind)
}
