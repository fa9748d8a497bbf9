package auditlog_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A cosigner is a witness in memory, with a clock of its own. It checks proofs and makes
// cosignatures as C2SP tlog-cosignature has them.
type cosigner struct {
	name    string
	public  ed25519.PublicKey
	private ed25519.PrivateKey
	late    time.Duration // how far its clock is ahead

	mu    sync.Mutex
	last  auditlog.Head
	calls int
	spoil func(lines string) string
}

func newCosigner(t testing.TB, name string) *cosigner {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return &cosigner{name: name, public: public, private: private}
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return binary.BigEndian.Uint32(c.public) }

func (c *cosigner) message(seconds uint64, text []byte) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text)
}

func (c *cosigner) Sign(text []byte) ([]byte, error) {
	seconds := uint64(time.Now().Add(c.late).Unix())
	return append(binary.BigEndian.AppendUint64(nil, seconds), ed25519.Sign(c.private, c.message(seconds, text))...), nil
}

func (c *cosigner) Verify(text, sig []byte) bool {
	return len(sig) == 72 && ed25519.Verify(c.public, c.message(binary.BigEndian.Uint64(sig), text), sig[8:])
}

func (c *cosigner) Cosign(_ context.Context, h auditlog.Head, prove func(int64) (tlog.TreeProof, error)) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.last.Size > h.Size || c.last.Size == h.Size && c.last.Hash != h.Hash {
		return nil, errors.New("inconsistent")
	}
	if c.last.Size > 0 {
		p, err := prove(c.last.Size)
		if err != nil {
			return nil, err
		}
		if err := tlog.CheckTree(p, h.Size, h.Hash, c.last.Size, c.last.Hash); err != nil {
			return nil, err
		}
	}
	c.last = h
	lines := c.lines(h.Origin, h.Size, h.Hash)
	if c.spoil != nil {
		lines = c.spoil(lines)
	}
	return []byte(lines), nil
}

// lines returns the cosignature on a head.
func (c *cosigner) lines(origin string, size int64, hash tlog.Hash) string {
	n, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, size, hash)}, c)
	if err != nil {
		panic(err)
	}
	_, lines, _ := strings.Cut(string(n), "\n\n")
	return lines
}

func (p *place) witnessed(t testing.TB, c *cosigner, opts auditlog.VerifyOptions, kept ...auditlog.Head) *auditlog.Report {
	t.Helper()
	opts.Witnesses = append(opts.Witnesses, c)
	r, err := auditlog.Verify(t.Context(), os.DirFS(p.dir), p.verifier, kept, &opts)
	require.NoError(t, err)
	return r
}

// Heads that are cosigned in time are no finding, whatever the number of entries between.
func TestWitnessed(t *testing.T) {
	p, c, d := newPlace(t), newCosigner(t, "witness.example"), newCosigner(t, "other.example")
	for range 3 {
		l := p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{c, d}})
		for range 3 {
			write(t, l, "a", "b")
			require.NoError(t, l.Publish(t.Context()))
		}
		require.NoError(t, l.Close())
	}
	require.Equal(t, 12, c.calls)
	entries := 0
	for _, body := range p.entries(t) {
		if strings.HasPrefix(body, `{"entry":"witnessed"`) {
			entries++
		}
	}
	require.Equal(t, 11, entries, "of each head but the last one")
	r := p.witnessed(t, c, auditlog.VerifyOptions{Witnesses: []note.Verifier{d}})
	require.True(t, r.OK(), r)
	require.Len(t, r.NotExcluded, 1)
	require.Contains(t, r.NotExcluded[0], "cut off")
	r = p.witnessed(t, c, auditlog.VerifyOptions{}, c.last)
	require.True(t, r.OK(), r)
	r = p.witnessed(t, newCosigner(t, "witness.example"), auditlog.VerifyOptions{})
	require.True(t, r.OK(), "entries of less than a minute need no witness: %s", r)
	require.Contains(t, strings.Join(r.NotExcluded, "\n"), "anew")
	_, err := auditlog.Verify(t.Context(), os.DirFS(p.dir), p.verifier, nil, &auditlog.VerifyOptions{Witnesses: []note.Verifier{nil}})
	require.ErrorIs(t, err, auditlog.ErrArgument)
	_, err = auditlog.Verify(t.Context(), os.DirFS(p.dir), p.verifier, nil, &auditlog.VerifyOptions{Witnesses: []note.Verifier{p.verifier}})
	require.ErrorIs(t, err, auditlog.ErrArgument)
	_, err = auditlog.Open(t.Context(), p.dir, p.signer, &auditlog.Options{Witnesses: make([]auditlog.Witness, 1)})
	require.ErrorIs(t, err, auditlog.ErrArgument)
}

// Entries that a witness cosigned late, or not at all, are found, with the first of them.
func TestUnwitnessed(t *testing.T) {
	later := func(t *testing.T, l *auditlog.Log, after time.Duration) {
		e := event("later")
		e.Time = e.Time.Add(after)
		require.NoError(t, l.Audit(t.Context(), e))
	}
	unwitnessed := func(t *testing.T, r *auditlog.Report, entries ...int64) {
		t.Helper()
		var found []int64
		for _, f := range r.Findings {
			if f.Kind == auditlog.FindingClock { // of the entry that a witness wrote after one of the future
				continue
			}
			require.Equal(t, auditlog.FindingUnwitnessed, f.Kind, r)
			require.Contains(t, f.Text, "witness.example")
			found = append(found, f.Entry)
		}
		require.Equal(t, entries, found, r)
	}
	t.Run("late", func(t *testing.T) {
		p, c := newPlace(t), newCosigner(t, "witness.example")
		c.late = 5 * time.Minute
		l := p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{c}})
		write(t, l, "a", "b")
		require.NoError(t, l.Close())
		unwitnessed(t, p.witnessed(t, c, auditlog.VerifyOptions{}), 0)
		require.True(t, p.witnessed(t, c, auditlog.VerifyOptions{Unwitnessed: 10 * time.Minute}).OK())
		require.True(t, p.witnessed(t, c, auditlog.VerifyOptions{ClockTolerance: 10 * time.Minute}).OK())
	})
	t.Run("late once", func(t *testing.T) {
		p, c := newPlace(t), newCosigner(t, "witness.example")
		l := p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{c}})
		write(t, l, "a", "b")
		require.NoError(t, l.Publish(t.Context())) // 3 entries
		write(t, l, "c")                           // and the one of the cosignature
		c.late = time.Hour
		require.NoError(t, l.Publish(t.Context())) // 5 entries
		later(t, l, time.Hour)
		require.NoError(t, l.Publish(t.Context()))
		unwitnessed(t, p.witnessed(t, c, auditlog.VerifyOptions{}), 3)
		unwitnessed(t, p.witnessed(t, c, auditlog.VerifyOptions{}, c.last), 3)
	})
	t.Run("never", func(t *testing.T) {
		p, c := newPlace(t), newCosigner(t, "witness.example")
		l := p.open(t, nil)
		write(t, l, "a")
		later(t, l, time.Hour)
		unwitnessed(t, p.witnessed(t, c, auditlog.VerifyOptions{}), 0)
	})
	t.Run("no more", func(t *testing.T) {
		p, c := newPlace(t), newCosigner(t, "witness.example")
		l := p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{c}})
		write(t, l, "a", "b")
		require.NoError(t, l.Publish(t.Context()))
		write(t, l, "c")
		later(t, l, time.Hour)
		unwitnessed(t, p.witnessed(t, c, auditlog.VerifyOptions{}), 3)
	})
	t.Run("only as a kept head", func(t *testing.T) {
		p, c := newPlace(t), newCosigner(t, "witness.example")
		l := p.open(t, nil)
		write(t, l, "a", "b")
		signed, err := l.Head().MarshalText()
		require.NoError(t, err)
		h := l.Head()
		kept, err := auditlog.ParseHead([]byte(string(signed)+c.lines(h.Origin, h.Size, h.Hash)), p.verifier)
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.True(t, p.witnessed(t, c, auditlog.VerifyOptions{}, kept).OK())
		c.late = time.Hour
		kept, err = auditlog.ParseHead([]byte(string(signed)+c.lines(h.Origin, h.Size, h.Hash)), p.verifier)
		require.NoError(t, err)
		unwitnessed(t, p.witnessed(t, c, auditlog.VerifyOptions{}, kept), 0)
	})
}

// A cosignature that does not verify is found, and one on another history, wherever it is.
func TestFalseCosignatures(t *testing.T) {
	t.Run("damaged", func(t *testing.T) {
		p, c := newPlace(t), newCosigner(t, "witness.example")
		c.spoil = func(lines string) string {
			at := len(lines) - 20
			return lines[:at] + map[bool]string{true: "B", false: "A"}[lines[at] == 'A'] + lines[at+1:]
		}
		l := p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{c}})
		write(t, l, "a")
		require.NoError(t, l.Publish(t.Context()), "the log has not the key of the witness")
		require.NoError(t, l.Close())
		r := p.witnessed(t, c, auditlog.VerifyOptions{})
		require.Equal(t, []auditlog.FindingKind{auditlog.FindingCosignature}, kinds(r))
		require.Len(t, r.Findings, 2, "of the checkpoint and of the entry")
		require.True(t, p.verify(t).OK(), "a reader without the key of the witness")
		require.NoError(t, p.open(t, nil).Close())
	})
	t.Run("another history", func(t *testing.T) {
		p, c := newPlace(t), newCosigner(t, "witness.example")
		c.spoil = func(string) string { return c.lines(origin, 2, tlog.Hash{1}) }
		l := p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{c}})
		write(t, l, "a")
		require.NoError(t, l.Publish(t.Context()))
		c.spoil = nil
		require.NoError(t, l.Close())
		require.Equal(t, []auditlog.FindingKind{auditlog.FindingCosignature}, kinds(p.witnessed(t, c, auditlog.VerifyOptions{})))
	})
	t.Run("a history that the log has signed", func(t *testing.T) {
		p, c := newPlace(t), newCosigner(t, "witness.example")
		l := p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{c}})
		write(t, l, "a")
		require.NoError(t, l.Publish(t.Context()))
		require.NoError(t, l.Close())
		// The operator writes the log anew, and its witness cosigns both.
		require.NoError(t, os.RemoveAll(p.dir))
		before := c.last
		c.last = auditlog.Head{}
		l = p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{c}})
		write(t, l, "b", "c", "d", "e")
		require.NoError(t, l.Close())
		r := p.witnessed(t, c, auditlog.VerifyOptions{}, before)
		require.Equal(t, []auditlog.FindingKind{auditlog.FindingFork}, kinds(r))
	})
	t.Run("an entry about another history", func(t *testing.T) {
		p, c := newPlace(t), newCosigner(t, "witness.example")
		l := p.open(t, nil)
		write(t, l, "a", "b", "c")
		require.NoError(t, l.Publish(t.Context()))
		other := tlog.Hash{1, 2, 3}
		body := fmt.Sprintf(`{"entry":"witnessed","time":%q,"size":2,"hash":%q,"cosignatures":[%q]}`,
			time.Now().UTC().Format(time.RFC3339Nano), other, strings.TrimSuffix(c.lines(origin, 2, other), "\n"))
		auditlog.AppendBody(t, l, []byte(body))
		require.NoError(t, l.Close())
		r := p.witnessed(t, c, auditlog.VerifyOptions{})
		require.Equal(t, []auditlog.FindingKind{auditlog.FindingFork}, kinds(r))
		require.Equal(t, int64(1), r.Findings[0].Entry)
	})
	for name, body := range map[string]string{
		"of the future": `{"entry":"witnessed","size":100,"hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","cosignatures":[]}`,
		"of nothing":    `{"entry":"witnessed","size":0,"hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`,
		"without hash":  `{"entry":"witnessed","size":1,"hash":"x","cosignatures":["x"]}`,
		"negative":      `{"entry":"witnessed","size":-1,"hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`,
		"no signature":  `{"entry":"witnessed","size":1,"hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","cosignatures":["\n\n— x"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			p, c := newPlace(t), newCosigner(t, "witness.example")
			l := p.open(t, nil)
			body := strings.Replace(body, `"size"`, fmt.Sprintf(`"time":%q,"size"`, time.Now().UTC().Format(time.RFC3339Nano)), 1)
			auditlog.AppendBody(t, l, []byte(body))
			require.NoError(t, l.Close())
			require.Equal(t, []auditlog.FindingKind{auditlog.FindingCosignature}, kinds(p.witnessed(t, c, auditlog.VerifyOptions{})))
		})
	}
}

// The age of what a witness has not seen counts from the first entry that it lacks.
func TestUnwitnessedAge(t *testing.T) {
	p, c := newPlace(t), newCosigner(t, "witness.example")
	var down atomic.Bool
	w := witnessFunc(func(context.Context) ([]byte, error) {
		if down.Load() {
			return nil, errors.New("down")
		}
		return nil, nil
	})
	l := p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{c, w}})
	require.NoError(t, l.Publish(t.Context()))
	age, err := l.Unwitnessed()
	require.NoError(t, err)
	require.Zero(t, age)
	down.Store(true)
	begin := time.Now()
	for range 4 {
		write(t, l, "a")
		require.Error(t, l.Publish(t.Context()))
	}
	middle := time.Since(begin)
	write(t, l, "b")
	age, err = l.Unwitnessed()
	require.ErrorContains(t, err, "down")
	require.Greater(t, age, time.Since(begin)-middle, "from the first entry on")
	require.LessOrEqual(t, age, time.Since(begin))
	down.Store(false)
	require.NoError(t, l.Publish(t.Context()))
	age, err = l.Unwitnessed()
	require.NoError(t, err)
	require.Zero(t, age)
	require.NoError(t, l.Close())

	l = p.open(t, nil)
	age, err = l.Unwitnessed()
	require.NoError(t, err)
	require.Zero(t, age, "without witnesses")
}
