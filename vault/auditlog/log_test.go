package auditlog_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A start states the program, its rights and its predecessor, and a process that did not
// stop in order is noted.
func TestStartAndStop(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, &auditlog.Options{
		Service: "mailer", Granted: purpose.NewSet(security), Shut: purpose.NewSet(ads),
		Buffered: &auditlog.Buffered{Events: 10, Delay: time.Millisecond},
	})
	require.NoError(t, l.Close())
	head := l.Head()
	p.open(t, nil)
	copied := &place{filepath.Join(t.TempDir(), "audit"), p.signer, p.verifier}
	replace(t, copied.dir, files(t, p.dir)) // as a crash would leave it
	require.NoError(t, copied.open(t, nil).Close())

	r := copied.verify(t, head)
	require.True(t, r.OK(), r)
	require.Equal(t, 3, r.Starts)
	var notes []string
	for _, n := range r.Notes {
		notes = append(notes, n.String())
	}
	require.Equal(t, []string{
		`buffered: entry 0: this process could lose events in a crash: {"events":10,"delay":"1ms"}`,
		"no stop: entry 3: the process before this start did not stop in order",
	}, notes)

	var start struct {
		Entry, Service, Host, Go, Program string
		Process                           int
		Granted, Shut                     []string
		Predecessor                       struct {
			Size    int64
			Hash    string
			Stopped bool
		}
	}
	bodies := copied.entries(t)
	require.NoError(t, json.Unmarshal([]byte(bodies[0]), &start))
	require.Equal(t, "mailer", start.Service)
	require.Equal(t, []string{"security"}, start.Granted)
	require.Equal(t, []string{"advertising"}, start.Shut)
	require.Equal(t, os.Getpid(), start.Process)
	require.NotEmpty(t, start.Program)
	require.Zero(t, start.Predecessor)
	require.NoError(t, json.Unmarshal([]byte(bodies[2]), &start))
	require.Equal(t, head.Size, start.Predecessor.Size)
	require.Equal(t, head.Hash.String(), start.Predecessor.Hash)
	require.True(t, start.Predecessor.Stopped)
	require.NoError(t, json.Unmarshal([]byte(bodies[3]), &start))
	require.False(t, start.Predecessor.Stopped)
	require.Equal(t, int64(3), start.Predecessor.Size)
}

func TestOneLogADirectory(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, nil)
	_, err := auditlog.Open(t.Context(), p.dir, p.signer, nil)
	require.ErrorIs(t, err, auditlog.ErrInUse)
	require.NoError(t, l.Close())
	require.NoError(t, p.open(t, nil).Close())
}

func TestArguments(t *testing.T) {
	p := newPlace(t)
	_, other := keys(t, origin)
	for name, open := range map[string]func() error{
		"no path":           func() error { _, err := auditlog.Open(t.Context(), "", p.signer, nil); return err },
		"no signer":         func() error { _, err := auditlog.Open(t.Context(), p.dir, nil, nil); return err },
		"another key":       func() error { return openWith(t, p, auditlog.Options{Verifier: other}) },
		"buffer of nothing": func() error { return openWith(t, p, auditlog.Options{Buffered: &auditlog.Buffered{}}) },
		"a negative delay": func() error {
			return openWith(t, p, auditlog.Options{Buffered: &auditlog.Buffered{Events: 1, Delay: -1}})
		},
		"negative interval":  func() error { return openWith(t, p, auditlog.Options{Interval: -1}) },
		"no file system":     func() error { _, err := auditlog.Verify(t.Context(), nil, p.verifier, nil, nil); return err },
		"no verifier":        func() error { _, err := auditlog.Verify(t.Context(), os.DirFS("."), nil, nil, nil); return err },
		"no verifier, parse": func() error { _, err := auditlog.ParseHead(nil, nil); return err },
	} {
		require.ErrorIs(t, open(), auditlog.ErrArgument, name)
	}
	_, err := os.Stat(p.dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = auditlog.Open(t.Context(), filepath.Join(p.dir, "missing/audit"), p.signer, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = auditlog.Head{}.MarshalText()
	require.ErrorIs(t, err, auditlog.ErrHead)
}

func openWith(t *testing.T, p *place, opts auditlog.Options) error {
	_, err := auditlog.Open(t.Context(), p.dir, p.signer, &opts)
	return err
}

// Each of many events at once is recorded once, when its Audit has returned.
func TestManyAtOnce(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, nil)
	const workers, each = 50, 40
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				before := l.Head().Size
				if err := l.Audit(t.Context(), event(fmt.Sprint(w, "-", i))); err != nil {
					t.Error(err)
				}
				if l.Head().Size <= before {
					t.Error("recorded without a head")
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, l.Close())
	all := strings.Join(p.entries(t), "\n")
	for w := range workers {
		for i := range each {
			require.Equal(t, 1, strings.Count(all, fmt.Sprintf(`"caller":"%d-%d"`, w, i)))
		}
	}
	r := p.verify(t, l.Head())
	require.True(t, r.OK(), r)
	require.Equal(t, int64(workers*each+2), r.Entries)
}

// A log is verified while it is in use: there are no findings, and nothing is missing that
// was there when Verify began.
func TestVerifyWhileInUse(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, &auditlog.Options{Interval: time.Millisecond})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := l.Audit(t.Context(), event("x")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		head := l.Head()
		r := p.verify(t, head)
		require.Empty(t, r.Findings, r)
		require.GreaterOrEqual(t, r.Entries, head.Size)
	}
	close(stop)
	wg.Wait()
}

// A brokenSigner signs until it is broken.
type brokenSigner struct {
	note.Signer
	broken, panics atomic.Bool
}

func (s *brokenSigner) Sign(msg []byte) ([]byte, error) {
	if s.broken.Load() {
		if s.panics.Load() {
			panic("key service is down")
		}
		return nil, errors.New("key service is down")
	}
	return s.Signer.Sign(msg)
}

// Without a signature nothing is recorded, and so nothing is allowed. What was refused is
// counted once the signer works again.
func TestSignerThatFails(t *testing.T) {
	p := newPlace(t)
	s := &brokenSigner{Signer: p.signer}
	p.signer = s
	l := p.open(t, nil)
	v := vaulttest.Generated(t, &vault.Options{Audit: l}, vaulttest.Security)
	scope := vaulttest.Scope(t, v, vaulttest.Security)
	value := vaulttest.Seal(t, scope)
	size := l.Head().Size
	s.broken.Store(true)
	for i := range 3 {
		s.panics.Store(i == 1)
		_, err := scope.Reveal(t.Context(), vaulttest.Note, value)
		require.ErrorIs(t, err, vault.ErrUnavailable)
	}
	require.Equal(t, size, l.Head().Size)
	require.Error(t, l.Publish(t.Context()))
	_, err := l.Remove(t.Context(), "retention", func(auditlog.Entry) bool { return true })
	require.Error(t, err)
	s.broken.Store(false)
	vaulttest.Opens(t, scope, value)
	require.NoError(t, l.Close())
	r := p.verify(t)
	require.True(t, r.OK(), r)
	// The first of the three stands in the log, because its commit was completed later.
	require.Contains(t, strings.Join(p.entries(t), "\n"), `{"entry":"refused","time":"`)
	require.Contains(t, r.Notes, auditlog.Finding{Kind: auditlog.NoteRefused, Entry: size + 2, Text: "2 events were refused because they could not be written"})

	s.broken.Store(true)
	_, err = auditlog.Open(t.Context(), p.dir, s, nil)
	require.Error(t, err)
	s.broken.Store(false)
	l = p.open(t, nil)
	s.broken.Store(true)
	require.Error(t, l.Close())
	s.broken.Store(false)
	require.Contains(t, kindsOf(p.open(t, nil), p, t), auditlog.NoteStop)
}

func kindsOf(l *auditlog.Log, p *place, t *testing.T) (kinds []auditlog.FindingKind) {
	require.NoError(t, l.Close())
	for _, n := range p.verify(t).Notes {
		kinds = append(kinds, n.Kind)
	}
	return kinds
}

// A randomSigner has another signature each time.
type randomSigner struct{ note.Signer }

func (s randomSigner) Sign(msg []byte) ([]byte, error) {
	sig, err := s.Signer.Sign(msg)
	var b [8]byte
	rand.Read(b[:])
	return append(sig, b[:]...), err
}

type randomVerifier struct{ note.Verifier }

func (v randomVerifier) Verify(msg, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize+8 && v.Verifier.Verify(msg, sig[:len(sig)-8])
}

func TestSignerWithRandomSignatures(t *testing.T) {
	p := newPlace(t)
	p.signer, p.verifier = randomSigner{p.signer}, randomVerifier{p.verifier}
	require.NoError(t, p.open(t, &auditlog.Options{Verifier: p.verifier}).Close())
	_, err := auditlog.Open(t.Context(), p.dir, p.signer, nil)
	require.ErrorIs(t, err, auditlog.ErrAltered)
	require.NoError(t, p.open(t, &auditlog.Options{Verifier: p.verifier}).Close())
	require.True(t, p.verify(t).OK())
}

// A caller does not wait for a log longer than its context says.
func TestAuditEndsWithItsContext(t *testing.T) {
	p := newPlace(t)
	s := &waitingSigner{Signer: p.signer, wait: make(chan struct{})}
	p.signer = s
	l := p.open(t, nil)
	s.waits.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	require.ErrorIs(t, l.Audit(ctx, event("x")), context.Canceled)
	require.ErrorIs(t, l.Publish(ctx), context.Canceled)
	_, err := auditlog.Open(ctx, filepath.Join(t.TempDir(), "audit"), p.signer, nil)
	require.ErrorIs(t, err, context.Canceled)
	close(s.wait)
	require.NoError(t, l.Close())
	require.Contains(t, p.entries(t)[1], `"caller":"x"`, "it was recorded nevertheless")
}

type waitingSigner struct {
	note.Signer
	waits   atomic.Bool
	wait    chan struct{}
	entered chan struct{}
}

func (s *waitingSigner) Sign(msg []byte) ([]byte, error) {
	if s.waits.Load() && !strings.Contains(string(msg), "\n0\n") {
		if s.entered != nil {
			s.entered <- struct{}{}
		}
		<-s.wait
	}
	return s.Signer.Sign(msg)
}

// Buffered events are on the disk after the delay, when there are as many as may be
// buffered, and when the log is closed. After a failure each one is waited for.
func TestBuffered(t *testing.T) {
	p := newPlace(t)
	s := &brokenSigner{Signer: p.signer}
	p.signer = s
	l := p.open(t, &auditlog.Options{Buffered: &auditlog.Buffered{Events: 5, Delay: time.Hour}})
	size := l.Head().Size
	for range 4 {
		write(t, l, "buffered")
	}
	require.Equal(t, size, l.Head().Size)
	write(t, l, "the fifth")
	require.Equal(t, size+5, l.Head().Size)
	write(t, l, "published")
	require.NoError(t, l.Publish(t.Context()))
	require.Equal(t, size+6, l.Head().Size)

	// These were acknowledged, so they stay although their commit fails.
	write(t, l, "kept 1", "kept 2")
	s.broken.Store(true)
	require.Error(t, l.Publish(t.Context()))
	require.Error(t, l.Audit(t.Context(), event("refused")))
	s.broken.Store(false)
	require.NoError(t, l.Audit(t.Context(), event("after")))
	write(t, l, "at the end")
	require.NoError(t, l.Close())
	all := strings.Join(p.entries(t), "\n")
	for _, caller := range []string{"kept 1", "kept 2", "after", "at the end"} {
		require.Equal(t, 1, strings.Count(all, `"`+caller+`"`), caller)
	}
	require.NotContains(t, all, `"caller":"refused"`)
	require.Contains(t, all, `"entry":"refused"`)

	l = p.open(t, &auditlog.Options{Buffered: &auditlog.Buffered{Events: 1000, Delay: time.Millisecond}})
	size = l.Head().Size
	write(t, l, "x")
	require.Eventually(t, func() bool { return l.Head().Size == size+1 }, time.Minute, time.Millisecond)
}

// Events that are acknowledged while a commit is failing stay, too.
func TestBufferedWhileACommitFails(t *testing.T) {
	p := newPlace(t)
	broken := &brokenSigner{Signer: p.signer}
	waiting := &waitingSigner{Signer: broken, wait: make(chan struct{}), entered: make(chan struct{}, 100)}
	p.signer = waiting
	l := p.open(t, &auditlog.Options{Buffered: &auditlog.Buffered{Events: 5, Delay: time.Hour}})
	write(t, l, "first")
	waiting.waits.Store(true)
	broken.broken.Store(true)
	failed := make(chan error, 1)
	go func() { failed <- l.Publish(t.Context()) }()
	<-waiting.entered
	write(t, l, "meanwhile 1", "meanwhile 2")
	close(waiting.wait)
	require.Error(t, <-failed)
	require.Error(t, l.Publish(t.Context()))
	require.Error(t, l.Audit(t.Context(), event("refused")))
	broken.broken.Store(false)
	write(t, l, "after")
	require.NoError(t, l.Close())
	all := strings.Join(p.entries(t), "\n")
	for _, caller := range []string{"first", "meanwhile 1", "meanwhile 2", "after"} {
		require.Equal(t, 1, strings.Count(all, `"`+caller+`"`), caller)
	}
	require.NotContains(t, all, `"caller":"refused"`)
}

// Heads are kept elsewhere: each published one, and again after a failure.
func TestKeep(t *testing.T) {
	p := newPlace(t)
	var mu sync.Mutex
	var kept []auditlog.Head
	fails := errors.New("no network")
	l := p.open(t, &auditlog.Options{Interval: time.Millisecond, Keep: func(ctx context.Context, h auditlog.Head) error {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, h)
		if len(kept) < 3 {
			return fails
		}
		return nil
	}})
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(kept) }
	require.Eventually(t, func() bool { return count() >= 3 }, time.Minute, time.Millisecond)
	n := count()
	write(t, l, "x")
	require.Eventually(t, func() bool { return count() > n }, time.Minute, time.Millisecond)
	require.NoError(t, l.Close())
	require.Equal(t, l.Head(), kept[len(kept)-1])
	r := p.verify(t, kept...)
	require.True(t, r.OK(), r)
	require.Len(t, r.NotExcluded, 1)

	l = p.open(t, &auditlog.Options{Keep: func(context.Context, auditlog.Head) error { return fails }})
	require.ErrorIs(t, l.Publish(t.Context()), fails)
	require.ErrorIs(t, l.Close(), fails)

	for _, end := range []func(){func() { panic("no network") }, runtime.Goexit} {
		l = p.open(t, &auditlog.Options{Keep: func(context.Context, auditlog.Head) error { end(); return nil }})
		require.ErrorContains(t, l.Publish(t.Context()), "keeping a head: ")
		write(t, l, "goes on")
		require.ErrorContains(t, l.Close(), "keeping a head: ")
	}
}

// Bodies are removed under a rule, the log says so, and nothing tells what they were.
func TestRemove(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, nil)
	write(t, l, "+491701234567", "stays", "+491701234567")
	e := event("stays too")
	e.Subject = "0123456789abcdef0123456789abcdef"
	require.NoError(t, l.Audit(t.Context(), e))
	before := l.Head()
	of := func(text string) func(auditlog.Entry) bool {
		return func(e auditlog.Entry) bool { return strings.Contains(string(e.Body), text) }
	}
	n, err := l.Remove(t.Context(), "asked by the person", of("+4917"))
	require.NoError(t, err)
	require.Equal(t, int64(2), n)
	for name, content := range files(t, p.dir) {
		require.NotContains(t, string(content), "+4917", name)
	}
	write(t, l, "later")
	n, err = l.Remove(t.Context(), "retention", func(auditlog.Entry) bool { return true })
	require.NoError(t, err)
	require.Equal(t, int64(3), n, "all events and nothing else")
	n, err = l.Remove(t.Context(), "retention", func(auditlog.Entry) bool { return true })
	require.NoError(t, err)
	require.Zero(t, n)
	for _, rule := range []string{"", strings.Repeat("x", 2000), "\xff"} {
		_, err = l.Remove(t.Context(), rule, of("x"))
		require.ErrorIs(t, err, auditlog.ErrArgument)
	}
	require.NoError(t, l.Close())

	r := p.verify(t, before, l.Head())
	require.True(t, r.OK(), r)
	require.Empty(t, r.Notes)
	require.Equal(t, map[string]int64{"asked by the person": 2, "retention": 3}, r.Removed)
	require.Equal(t, r.Entries-5, r.Bodies)
	require.Contains(t, r.String(), `2 bodies removed under rule "asked by the person"`)
	require.NoError(t, p.open(t, nil).Close())

	// Somebody else's removal is found beside them.
	all := files(t, p.dir)
	for _, name := range bodyFiles(all) {
		f := frames(all[name])
		if i := strings.Index(string(f[0]), ` {"entry":"remove"`); i >= 0 {
			all[name] = []byte(strings.Repeat("0", 64) + string(all[name][strings.Index(string(all[name]), "\n"):]))
			replace(t, p.dir, all)
			require.Contains(t, kinds(p.verify(t)), auditlog.FindingEdited)
			return
		}
	}
	t.Fatal("no removal was found")
}

func TestTee(t *testing.T) {
	fails, panics := auditorFunc(func(context.Context) error { return errors.New("down") }), auditorFunc(func(context.Context) error { panic("broken") })
	hangs := auditorFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	ends := auditorFunc(func(context.Context) error { runtime.Goexit(); return nil })
	var recorded atomic.Int64
	works := auditorFunc(func(context.Context) error { recorded.Add(1); return nil })
	for _, test := range []struct {
		name         string
		short        bool // the time
		a, b         audit.Auditor
		both, either bool
		failed       int
	}{
		{"both work", false, works, works, true, true, 0},
		{"the first fails", false, fails, works, false, true, 1},
		{"the second fails", false, works, fails, false, true, 1},
		{"both fail", false, fails, panics, false, false, 2},
		{"one panics", false, panics, works, false, true, 1},
		{"one ends its goroutine", false, works, ends, false, true, 1},
		{"one is nil", false, works, nil, false, true, 1},
		{"one hangs", true, hangs, works, false, true, 1},
		{"both hang", true, hangs, hangs, false, false, 2},
	} {
		for _, either := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, either: %v", test.name, either), func(t *testing.T) {
				recorded.Store(0)
				failed := 0
				tee := auditlog.Tee(test.a, test.b, &auditlog.TeeOptions{
					Either: either, Wait: time.Minute, Failed: func(i int, err error) { failed++; require.Error(t, err) },
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.short {
					ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
					defer cancel()
				}
				err := tee.Audit(ctx, event("x"))
				require.Equal(t, either && test.either || !either && test.both, err == nil, err)
				require.Equal(t, test.failed, failed)
			})
		}
	}
	t.Run("one is slow", func(t *testing.T) {
		failed := -1
		tee := auditlog.Tee(works, hangs, &auditlog.TeeOptions{Either: true, Wait: time.Millisecond, Failed: func(i int, _ error) { failed = i }})
		require.NoError(t, tee.Audit(t.Context(), event("x")))
		require.Equal(t, 1, failed)
	})
	require.NoError(t, auditlog.Tee(works, works, nil).Audit(t.Context(), event("x")))
	require.Error(t, auditlog.Tee(works, fails, nil).Audit(t.Context(), event("x")))
}

type auditorFunc func(context.Context) error

func (f auditorFunc) Audit(ctx context.Context, _ audit.Event) error { return f(ctx) }

// A log in use is printed without a look at what changes, or at its key.
func TestPrint(t *testing.T) {
	l := newPlace(t).open(t, nil)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		require.Equal(t, "auditlog.Log("+origin+")", fmt.Sprintf(verb, l))
	}
	require.Equal(t, "auditlog.Log(<nil>)", fmt.Sprint((*auditlog.Log)(nil)))
	require.Equal(t, "auditlog.Log(<nil>)", fmt.Sprint(&auditlog.Log{}))
}
