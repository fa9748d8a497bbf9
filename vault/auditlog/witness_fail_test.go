package auditlog_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A witness that answers with anything but cosignatures of its own does not spoil the
// checkpoint.
func TestGarbageOfAWitness(t *testing.T) {
	for name, lines := range map[string]string{
		"text":            "hello\n",
		"no newline":      "— witness.example AAAAAAAA",
		"empty line":      "\n",
		"another note":    "\n— witness.example AAAAAAAA\n",
		"not base64":      "— witness.example !\n",
		"two texts":       "— witness.example AAAAAAAA\n\n— witness.example AAAAAAAA\n",
		"the log's name":  "— " + origin + " AAAAAAAA\n",
		"too large":       "— witness.example " + strings.Repeat("AAAA", 2000) + "\n",
		"too many":        strings.Repeat("— w AAAAAAAA\n", 200),
		"an invalid byte": "— witness\xff AAAAAAAA\n",
	} {
		t.Run(name, func(t *testing.T) {
			p, c := newPlace(t), newCosigner(t, "witness.example")
			c.spoil = func(string) string { return lines }
			l := p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{c, newCosigner(t, "good.example")}})
			write(t, l, "a")
			require.ErrorContains(t, l.Publish(t.Context()), "witness 1: malformed cosignatures")
			age, err := l.Unwitnessed()
			require.ErrorContains(t, err, "malformed")
			require.Positive(t, age)
			require.Error(t, l.Close())
			b, err := os.ReadFile(filepath.Join(p.dir, "checkpoint"))
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(b), "— good.example "), "the other witness is heard")
			require.Equal(t, 2, strings.Count(string(b), "— "))
			require.True(t, p.verify(t).OK())
			require.NoError(t, p.open(t, nil).Close())
		})
	}
}

// A witnessFunc is a witness.
type witnessFunc func(context.Context) ([]byte, error)

func (f witnessFunc) Cosign(ctx context.Context, _ auditlog.Head, _ func(int64) (tlog.TreeProof, error)) ([]byte, error) {
	return f(ctx)
}

// A witness that hangs, panics or ends its goroutine holds up neither events nor other
// witnesses nor the end, and one call of it is under way at most.
func TestWitnessThatHangs(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	for name, f := range map[string]witnessFunc{
		"hangs":                func(context.Context) ([]byte, error) { <-hang; return nil, nil },
		"waits":                func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
		"panics":               func(context.Context) ([]byte, error) { panic("no") },
		"ends its goroutine":   func(context.Context) ([]byte, error) { runtime.Goexit(); return nil, nil },
		"fails":                func(context.Context) ([]byte, error) { return nil, errors.New("no") },
		"keeps, but signs not": func(context.Context) ([]byte, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			p, good := newPlace(t), newCosigner(t, "witness.example")
			var calls, now atomic.Int64
			counted := witnessFunc(func(ctx context.Context) ([]byte, error) {
				calls.Add(1)
				if now.Add(1) > 1 {
					t.Error("two calls at once")
				}
				defer now.Add(-1)
				return f(ctx)
			})
			interval := time.Hour
			if name == "hangs" || name == "waits" {
				interval = 20 * time.Millisecond // which is also the time of a witness
			}
			l := p.open(t, &auditlog.Options{Interval: interval, Witnesses: []auditlog.Witness{counted, good}})
			for i := range 5 {
				write(t, l, "a", "b")
				err := l.Publish(t.Context())
				require.Equal(t, name == "keeps, but signs not", err == nil, "%d: %v", i, err)
			}
			err := l.Close()
			require.Equal(t, name == "keeps, but signs not", err == nil, err)
			if name == "hangs" {
				require.EqualValues(t, 1, calls.Load())
			}
			require.Positive(t, good.calls)
			r := p.witnessed(t, good, auditlog.VerifyOptions{})
			require.True(t, r.OK(), r)
		})
	}
}

// The cosignatures of a head come when a later one is published. They don't bring the
// earlier head back.
func TestLateCosignatures(t *testing.T) {
	p, c := newPlace(t), newCosigner(t, "witness.example")
	asked, answer := make(chan bool), make(chan bool)
	first := true
	l := p.open(t, &auditlog.Options{Witnesses: []auditlog.Witness{witnessHeadFunc(func(h auditlog.Head) ([]byte, error) {
		if !first {
			return nil, errors.New("down")
		}
		first = false
		asked <- true
		<-answer
		return []byte(c.lines(h.Origin, h.Size, h.Hash)), nil
	})}})
	errs := make(chan error, 2)
	go func() { errs <- l.Publish(t.Context()) }()
	<-asked
	write(t, l, "a", "b")
	go func() { errs <- l.Publish(t.Context()) }()
	published := func() string {
		b, err := os.ReadFile(filepath.Join(p.dir, "checkpoint"))
		require.NoError(t, err)
		return string(b)
	}
	for !strings.Contains(published(), "\n3\n") {
		runtime.Gosched()
	}
	later := published()
	close(answer)
	require.NotEqual(t, (<-errs) == nil, (<-errs) == nil)
	require.Equal(t, later, published())
	write(t, l, "c")
	require.Error(t, l.Close())
	require.True(t, p.witnessed(t, c, auditlog.VerifyOptions{}).OK())
	require.Contains(t, strings.Join(p.entries(t), "\n"), "— witness.example ", "and are not lost")
}

type witnessHeadFunc func(auditlog.Head) ([]byte, error)

func (f witnessHeadFunc) Cosign(_ context.Context, h auditlog.Head, _ func(int64) (tlog.TreeProof, error)) ([]byte, error) {
	return f(h)
}
