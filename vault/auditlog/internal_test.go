package auditlog

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A hashes is the storage of all hashes of a tree, as package tlog numbers them.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) (list []tlog.Hash, err error) {
	for _, i := range indexes {
		list = append(list, h[i])
	}
	return list, nil
}

// An edge has the roots and the tiles that package tlog computes from all hashes, at each
// size, and so has an edge that is read back from tiles.
func TestEdge(t *testing.T) {
	const size = 70_000
	var all hashes
	tiles := map[string][]byte{}
	e := &edge{}
	e.filled = func(tl tile) { tiles[tl.name()] = tl.data }
	check := func() {
		root, err := tlog.TreeHash(e.size, all)
		require.NoError(t, err)
		require.Equal(t, root, e.root(), e.size)
		partial := map[string][]byte{}
		for _, tl := range e.partials() {
			partial[tl.name()] = tl.data
		}
		for _, tl := range tlog.NewTiles(tileHeight, 0, e.size) {
			want, err := tlog.ReadTileData(tl, all)
			require.NoError(t, err)
			name := tile{tl.L, tl.N, tl.W, nil}.name()
			got := partial[name]
			if tl.W == tileWidth {
				got = tiles[name]
			}
			require.True(t, bytes.Equal(want, got), "%s of %d", name, e.size)
		}
		again, ok := edgeOf(e.size, func(tl tile) ([]byte, bool) {
			b, ok := partial[tl.name()]
			return b, ok
		})
		require.True(t, ok)
		require.Equal(t, e.root(), again.root())
		require.Equal(t, len(e.peaks), len(again.peaks))
		_, ok = edgeOf(e.size, func(tl tile) ([]byte, bool) { return partial[tl.name()][1:], true })
		require.Equal(t, e.size == 0 || len(partial) == 0, ok)
	}
	sizes := map[int64]bool{0: true, 1: true, 2: true, 3: true, 255: true, 256: true, 257: true, 511: true, 512: true, 65_535: true, 65_536: true, 65_537: true, 65_792: true, size: true}
	for i := int64(0); ; i++ {
		if sizes[i] && i > 0 {
			check()
		}
		if i == size {
			return
		}
		leaf := leafHash(sha256.Sum256(fmt.Append(nil, i)))
		more, err := tlog.StoredHashesForRecordHash(i, tlog.RecordHash(leaf[:]), all)
		require.NoError(t, err)
		all = append(all, more...)
		e.append(leaf)
	}
}

func newTestLog(t *testing.T) (*Log, string, note.Verifier) {
	skey, vkey, err := note.GenerateKey(rand.Reader, "example.com/audit")
	require.NoError(t, err)
	signer, err := note.NewSigner(skey)
	require.NoError(t, err)
	verifier, err := note.NewVerifier(vkey)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := Open(t.Context(), dir, signer, nil)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l, dir, verifier
}

// Keys that went back to an older generation are found, and two changes that made one
// generation.
func TestKeyStoreThatWentBack(t *testing.T) {
	const restart, later = "restart", "later"
	for _, test := range []struct {
		name   string
		events []string // an action, a purpose and a generation
		want   int64    // the entry of the finding, 0 for none
	}{
		{"in order", []string{"generate p 1", "open p 1", "rotate p 2", "rotate q 2", "list p 2", restart, "open p 2", "retire p 3"}, 0},
		{"back, seen by the next process", []string{"open p 5", "rotate p 6", restart, "open p 5"}, 5},
		{"back, seen by a change", []string{"rotate p 5", "rotate p 6", later, "rotate p 5"}, 3},
		{"back and forth", []string{"rotate p 5", "rotate p 6", "retire p 6"}, 3},
		{"made again", []string{"open p 5", restart, "generate p 1"}, 4},
		{"made again, of the same generation", []string{"generate p 1", later, "generate p 1"}, 2},
		{"a process that has not read its own change yet", []string{"rotate p 6", later, "open p 5"}, 0},
		{"two changes at once, in another order", []string{"rotate p 7", "rotate p 6", "rotate p 8"}, 0},
		{"another purpose", []string{"rotate p 5", later, "rotate q 4", restart, "open q 4", "open p 5"}, 0},
		{"a refusal", []string{"rotate p 5", later, "rotate p 4 denied"}, 0},
		{"one history", []string{"generate p 1 aa", "rotate p 2 bb", "open p 2 bb", "promote p 3 cc", restart, "open p 3 cc", "rewrap p 4 dd", "check-kek p 4 dd", "refresh p 4 dd"}, 0},
		{"put back and changed again", []string{"rotate p 5 aa", "rotate p 6 bb", restart, "list p 6 cc"}, 5},
		{"put back and changed again, once caught up", []string{"open p 5 aa", "open p 6 bb", "open p 6 cc", "open p 6 cc"}, 3},
		{"put back and re-wrapped", []string{"open p 5 aa", "rewrap p 6 bb", "promote p 6 cc"}, 3},
		{"put back while it was suspended", []string{"suspend p 6 aa", "resume p 7 bb", "open p 7 cc"}, 3},
		{"put back and resumed again", []string{"suspend p 6 aa", "resume p 7 bb", "resume p 7 cc"}, 3},
		{"nothing to resume", []string{"open p 6 aa", "resume p 6 aa", "resume p 6 aa"}, 0},
		{"put back, seen by a count of seals", []string{"open p 6 aa", "count p 6 bb"}, 2},
		{"digests of another purpose", []string{"open p 5 aa", "open q 5 bb", "open p 5 aa"}, 0},
		{"a refused digest", []string{"open p 5 aa", "open p 5 denied"}, 0},
		{"a use of keys that are open", []string{"rotate p 5", restart, "reveal p 4"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, dir, verifier := newTestLog(t)
			at := time.Now()
			for _, text := range test.events {
				switch text {
				case restart:
					require.NoError(t, l.Close())
					var err error
					l, err = Open(t.Context(), dir, l.signer, nil)
					require.NoError(t, err)
					continue
				case later:
					at = at.Add(time.Minute)
					continue
				}
				e := audit.Event{Time: at, Outcome: audit.Allowed}
				f := strings.Fields(text)
				e.Action, e.Purpose = audit.Action(f[0]), purpose.MustParse(f[1])
				_, err := fmt.Sscan(f[2], &e.Generation)
				require.NoError(t, err)
				if len(f) > 3 && f[3] == string(audit.Denied) {
					e.Outcome = audit.Denied
				} else if len(f) > 3 {
					e.Digest = f[3]
				}
				require.NoError(t, l.Audit(t.Context(), e))
			}
			require.NoError(t, l.Close())
			r, err := Verify(t.Context(), os.DirFS(dir), verifier, nil, &VerifyOptions{})
			require.NoError(t, err)
			var found []Finding
			for _, f := range r.Findings {
				if f.Kind == FindingKeyStore {
					found = append(found, f)
				}
			}
			if test.want == 0 {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.Equal(t, test.want, found[0].Entry)
		})
	}
}

// A removal that stopped between its entry and the file is noted, and the next removal
// completes it.
func TestRemovalThatStopped(t *testing.T) {
	l, dir, verifier := newTestLog(t)
	for i := range 4 {
		body := fmt.Sprintf(`{"entry":"event","time":%q,"caller":"%d"}`, time.Now().Format(time.RFC3339Nano), i)
		require.NoError(t, l.append(t.Context(), []byte(body)))
	}
	of := func(callers string) func(Entry) bool {
		return func(e Entry) bool {
			var b struct{ Caller string }
			return json.Unmarshal(e.Body, &b) == nil && strings.Contains(callers, b.Caller)
		}
	}
	n, err := l.Remove(t.Context(), "first", of("0"))
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	name := filepath.Join(dir, segmentName(0))
	before, err := os.ReadFile(name)
	require.NoError(t, err)
	_, err = l.Remove(t.Context(), "second", of("12"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, before, 0o600))
	require.NoError(t, l.Publish(t.Context()))

	r, err := Verify(t.Context(), os.DirFS(dir), verifier, nil, nil)
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.Len(t, r.Notes, 1)
	require.Equal(t, NoteRemoval, r.Notes[0].Kind)
	require.Equal(t, map[string]int64{"first": 1, "second": 0}, r.Removed)

	n, err = l.Remove(t.Context(), "second", of("12"))
	require.NoError(t, err)
	require.Equal(t, int64(2), n)
	require.NoError(t, l.Close())
	r, err = Verify(t.Context(), os.DirFS(dir), verifier, nil, nil)
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.Empty(t, r.Notes)
	require.Equal(t, map[string]int64{"first": 1, "second": 2}, r.Removed)
}

// Any content of a file of bodies is read in bounded memory and without a panic, and what
// is read is written in the same way.
func FuzzRecords(f *testing.F) {
	body, _ := appendBody(nil, []byte(`{"entry":"stop"}`))
	head := appendHead(nil, Head{signed: "origin\n1\nAAAA\n\n— origin AAAA\n"})
	for _, seed := range []string{
		"", "\n", "#", "# a\n", "#\n\n", "# a\n\n", string(body), string(body) + string(head), string(head) + string(body),
		string(appendRemoved(nil, leafHash{1})), strings.Repeat("0", 64) + "\n", strings.Repeat("0", 32) + " {}\n", strings.Repeat("A", 64) + "\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		in := newRecords(bytes.NewReader(content))
		var again []byte
		for {
			rec, err := in.next()
			if err == io.EOF {
				require.Equal(t, string(content), string(again))
				return
			}
			if err != nil {
				require.ErrorIs(t, err, errMalformed)
				require.True(t, bytes.HasPrefix(content, again))
				return
			}
			switch {
			case rec.head != nil:
				again = appendHead(again, Head{signed: string(rec.head)})
				claimedHead(rec.head)
			case rec.body != nil:
				again = append(again, rec.line...)
			default:
				again = appendRemoved(again, rec.leaf)
			}
			require.Equal(t, int64(len(again)), in.offset)
		}
	})
}

// A head that is read is written in the same way, and no text without the key's signature
// is one.
func FuzzParseHead(f *testing.F) {
	private, public, err := note.GenerateKey(zeros{}, "example.com/audit")
	require.NoError(f, err)
	signer, err := note.NewSigner(private)
	require.NoError(f, err)
	verifier, err := note.NewVerifier(public)
	require.NoError(f, err)
	h, err := Head{Origin: "example.com/audit", Size: 7, Hash: tlog.Hash{1}}.sign(signer)
	require.NoError(f, err)
	for _, seed := range []string{
		h.signed, "", "\n\n", strings.Replace(h.signed, "\n7\n", "\n07\n", 1), strings.Replace(h.signed, "=\n\n", "=\nextension\n\n", 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if claimed, ok := claimedHead(text); ok {
			require.True(t, strings.HasPrefix(string(text), claimed.text()) || len(text) > len(claimed.text()))
		}
		got, err := ParseHead(text, verifier)
		if err != nil {
			require.ErrorIs(t, err, ErrHead)
			return
		}
		require.Equal(t, h.String(), got.String(), "only one head was signed")
		again, err := got.MarshalText()
		require.NoError(t, err)
		require.Equal(t, text, again)
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A text in an entry is a JSON string that reads back as the text, as far as it is valid
// and fits.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "a", "\"\\\n\x00\x7f", "é\u2028\U0001f469\U000e0001", "\xff", strings.Repeat("é", 600)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out := appendText(nil, text)
		require.Less(t, len(out), 6*maxText+3)
		for _, c := range out {
			require.True(t, c >= ' ' && c != 0x7f)
		}
		var got string
		require.NoError(t, json.Unmarshal(out, &got))
		want := strings.ToValidUTF8(text, "\ufffd")
		if len(text) <= maxText && want == text {
			require.Equal(t, text, got)
		}
		require.LessOrEqual(t, len(got), 3*maxText)
	})
}

// Each field of an event makes a difference to its entry, so that a new field is not
// forgotten here.
func TestEveryFieldOfAnEventIsWritten(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	none := string(appendEvent(nil, audit.Event{Time: at}))
	require.Equal(t, `{"entry":"event","time":"2026-05-04T03:02:01Z"}`, none)
	security := purpose.MustParse("security")
	samples := []any{"text", at.Add(time.Second), audit.Reveal, audit.Denied, security, purpose.NewSet(security), io.ErrUnexpectedEOF, 7, uint32(7), uint64(7), purpose.Provenance{Notice: "v3"}}
	samples = append(samples, true, purpose.Legal(1))
	written := func(name string, set func(e *audit.Event) reflect.Value) {
		for _, sample := range samples {
			e := audit.Event{Time: at}
			if v := reflect.ValueOf(sample); v.Type().AssignableTo(set(&e).Type()) {
				set(&e).Set(v)
				body := appendEvent(nil, e)
				require.NotEqual(t, none, string(body), "appendEvent leaves out %s", name)
				require.True(t, json.Valid(body))
				return
			}
		}
		t.Errorf("%s: add a sample of its type", name)
	}
	for i, field := range reflect.VisibleFields(reflect.TypeFor[audit.Event]()) {
		written(field.Name, func(e *audit.Event) reflect.Value { return reflect.ValueOf(e).Elem().Field(i) })
	}
	for i, field := range reflect.VisibleFields(reflect.TypeFor[purpose.Provenance]()) {
		written(field.Name, func(e *audit.Event) reflect.Value { return reflect.ValueOf(&e.Provenance).Elem().Field(i) })
	}
}
