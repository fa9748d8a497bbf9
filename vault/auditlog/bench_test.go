package auditlog_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// together runs b.N calls of f from so many goroutines.
func together(b *testing.B, waiters int, f func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for range min(waiters, b.N) {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// The cost of an event, beside a write and an fsync for each, and beside slog to a file
// without one.
func BenchmarkAudit(b *testing.B) {
	b.Run("fsync", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "file"))
		require.NoError(b, err)
		defer f.Close()
		together(b, 1, func() error {
			if _, err := f.Write(make([]byte, 500)); err != nil {
				return err
			}
			return f.Sync()
		})
	})
	for _, waiters := range []int{1, 16, 256, 2048} {
		b.Run(fmt.Sprintf("log/waiters=%d", waiters), func(b *testing.B) {
			p := newPlace(b)
			l := p.open(b, nil)
			together(b, waiters, func() error { return l.Audit(b.Context(), event("mailer@prod-7")) })
			require.NoError(b, l.Close())
		})
	}
	b.Run("buffered", func(b *testing.B) {
		p := newPlace(b)
		l := p.open(b, &auditlog.Options{Buffered: &auditlog.Buffered{Events: 10_000}})
		together(b, 16, func() error { return l.Audit(b.Context(), event("mailer@prod-7")) })
		require.NoError(b, l.Close())
	})
	b.Run("slog", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "file"))
		require.NoError(b, err)
		defer f.Close()
		a := audit.Slog(slog.New(slog.NewJSONHandler(f, nil)))
		together(b, 16, func() error { return a.Audit(b.Context(), event("mailer@prod-7")) })
	})
}

// A log is verified in memory that does not grow with it. ONLYFOR_ENTRIES is the number of
// entries of a further log, for which 400 bytes of disk each are needed.
func BenchmarkVerify(b *testing.B) {
	sizes := []int{100_000}
	if text := os.Getenv("ONLYFOR_ENTRIES"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(b, err)
		sizes = append(sizes, n)
	}
	for _, entries := range sizes {
		b.Run(fmt.Sprint("entries=", entries), func(b *testing.B) {
			p := newPlace(b)
			l := p.open(b, &auditlog.Options{Buffered: &auditlog.Buffered{Events: 10_000}})
			for range entries {
				require.NoError(b, l.Audit(b.Context(), event("mailer@prod-7")))
			}
			require.NoError(b, l.Close())
			var highest, before uint64 // bytes that are in use
			opts := &auditlog.VerifyOptions{Progress: func(int64) {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				highest = max(highest, max(m.HeapAlloc, before)-before)
			}}
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			before = m.HeapAlloc
			for b.Loop() {
				r, err := auditlog.Verify(b.Context(), os.DirFS(p.dir), p.verifier, []auditlog.Head{l.Head()}, opts)
				require.NoError(b, err)
				require.True(b, r.OK(), r)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(entries), "ns/event")
			b.ReportMetric(float64(highest)/(1<<20), "MiB")
		})
	}
}
