package foreign_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/internal/syncfloor"
	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
)

func clientOf(t testing.TB, h http.Handler, verifier note.Verifier) *witness.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := witness.NewClient(server.URL, verifier, nil)
	require.NoError(t, err)
	return c
}

// together makes n calls of f from so many goroutines, and returns the calls a second.
func together(t testing.TB, waiters, n int, f func() error) float64 {
	t.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	begin := time.Now()
	var all sync.WaitGroup
	for range waiters {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return float64(n) / time.Since(begin).Seconds()
}

// BenchmarkAppend appends events that are durable when the call returns, beside Tessera's
// POSIX driver in the same run, with so many waiters. Tessera's entry is durable and
// integrated when its future returns, as an event is here. "ratio" is the log's rate over
// Tessera's. "floor-ratio" is the rate, over Tessera's, of a file that is only appended to and
// synced: no log with one fsync for each group of waiters can exceed it. "fsync-share" is the
// part of the time in which the log waits for an fsync, and "events/commit" counts the events
// that share one.
func BenchmarkAppend(b *testing.B) {
	for _, waiters := range []int{1, 256, 2048} {
		b.Run(fmt.Sprintf("waiters=%d", waiters), func(b *testing.B) {
			var ours, theirs, floor, share, group float64
			for b.Loop() {
				m := measureLog(b, waiters)
				ours, share, group = ours+m.rate, share+m.fsync, group+m.group
				theirs += measureTessera(b, waiters)
				floor += measureFloor(b, waiters)
			}
			b.ReportMetric(ours/float64(b.N), "events/s")
			b.ReportMetric(theirs/float64(b.N), "tessera/s")
			b.ReportMetric(floor/float64(b.N), "floor/s")
			b.ReportMetric(ours/theirs, "ratio")
			b.ReportMetric(floor/theirs, "floor-ratio")
			b.ReportMetric(share/float64(b.N), "fsync-share")
			b.ReportMetric(group/float64(b.N), "events/commit")
		})
	}
}

type measured struct {
	rate  float64 // events a second
	fsync float64 // the part of the time in fsync
	group float64 // events a commit
}

func measureLog(b *testing.B, waiters int) (m measured) {
	signer, _ := keys(b)
	dir := filepath.Join(b.TempDir(), "audit")
	var syncing atomic.Int64
	unmount := privatefile.Mount(faulty.System(func(call string, do func() error) error {
		if call != "sync" {
			return do()
		}
		begin := time.Now()
		defer func() { syncing.Add(int64(time.Since(begin))) }()
		return do()
	}), dir)
	l, err := auditlog.Open(b.Context(), dir, signer, nil)
	unmount()
	require.NoError(b, err)
	n := 100 * min(waiters, 300)
	syncing.Store(0)
	m.rate = together(b, waiters, n, func() error { return l.Audit(b.Context(), event()) })
	m.fsync = time.Duration(syncing.Load()).Seconds() / (float64(n) / m.rate)
	require.NoError(b, l.Close())
	files, err := filepath.Glob(filepath.Join(dir, "bodies", "*"))
	require.NoError(b, err)
	commits := 0
	for _, file := range files { // an empty line ends a commit
		content, err := os.ReadFile(file)
		require.NoError(b, err)
		commits += bytes.Count(content, []byte("\n\n"))
	}
	m.group = float64(n) / float64(commits)
	return m
}

// bytesOfAnEvent is the size of an event's line in the log.
const bytesOfAnEvent = 216

func measureFloor(b *testing.B, waiters int) float64 {
	f, err := syncfloor.Create(filepath.Join(b.TempDir(), "floor"), bytesOfAnEvent)
	require.NoError(b, err)
	defer func() { require.NoError(b, f.Close()) }()
	return together(b, waiters, 100*min(waiters, 300), func() error { return f.Audit(b.Context(), event()) })
}

func measureTessera(b *testing.B, waiters int) float64 {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	signer, _ := keys(b)
	driver, err := posix.New(ctx, posix.Config{Path: filepath.Join(b.TempDir(), "tessera")})
	require.NoError(b, err)
	opts := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(uint(max(1, waiters/2)), 5*time.Millisecond).WithCheckpointInterval(time.Second)
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, opts)
	require.NoError(b, err)
	body := make([]byte, bytesOfAnEvent)
	rate := together(b, waiters, 3*max(waiters, 10), func() error {
		_, err := appender.Add(ctx, tessera.NewEntry(body))()
		return err
	})
	require.NoError(b, shutdown(ctx))
	return rate
}
