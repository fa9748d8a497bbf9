//go:build unix

package auditlog_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog/internal/syncfloor"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// newFloor returns an auditor that only appends and syncs so many bytes for each event.
func newFloor(b *testing.B, size int) *syncfloor.File {
	f, err := syncfloor.Create(filepath.Join(b.TempDir(), "floor"), size)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, f.Close()) })
	return f
}

// BenchmarkReveal measures the cost of a log to a service that reveals under load. "ratio" is the time of a reveal with
// the log over the time without an auditor, and "floor" the same for an auditor that only
// appends and syncs as many bytes. All of them take turns in one run. "cpu" is the time of
// all processors.
func BenchmarkReveal(b *testing.B) {
	for _, callers := range []int{16, 256, 1024, 4096} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			p := newPlace(b)
			log := p.open(b, nil)
			require.NoError(b, log.Audit(b.Context(), event("mailer@prod-7")))
			floor := newFloor(b, bytesOfAnEvent(b, p))
			file, err := os.Create(filepath.Join(b.TempDir(), "slog"))
			require.NoError(b, err)
			defer file.Close()
			kinds := []struct {
				name    string
				auditor audit.Auditor
				reveal  func() error
				spent   time.Duration
				cpu     time.Duration
				events  int64
			}{{name: "none"}, {name: "slog", auditor: audit.Slog(slog.New(slog.NewJSONHandler(file, nil)))}, {name: "floor", auditor: floor}, {name: "log", auditor: log}}
			for i := range kinds {
				v := vaulttest.Generated(b, &vault.Options{Audit: kinds[i].auditor}, vaulttest.Security)
				scope := vaulttest.Scope(b, v, vaulttest.Security)
				value := vaulttest.Seal(b, scope)
				kinds[i].reveal = func() error {
					_, err := scope.Reveal(b.Context(), vaulttest.Note, value)
					return err
				}
			}
			commits := commitsOf(b, p)
			floorCommits := floor.Commits()
			for b.Loop() {
				for i := range kinds {
					k := &kinds[i]
					cpu, begin := cpuTime(b), time.Now()
					k.events += revealFor(b, callers, k.reveal)
					k.spent += time.Since(begin)
					k.cpu += cpuTime(b) - cpu
				}
			}
			commits = commitsOf(b, p) - commits
			require.NoError(b, log.Close())
			each := func(d time.Duration, events int64) float64 { return float64(d.Nanoseconds()) / float64(events) }
			for _, k := range kinds {
				b.ReportMetric(each(k.spent, k.events), k.name+"-ns")
				b.ReportMetric(each(k.cpu, k.events), k.name+"-cpu-ns")
				if k.auditor != nil {
					b.ReportMetric(each(k.spent, k.events)/each(kinds[0].spent, kinds[0].events), k.name+"-ratio")
				}
			}
			b.ReportMetric(float64(kinds[3].events)/float64(commits), "events/commit")
			b.ReportMetric(float64(kinds[2].events)/float64(floor.Commits()-floorCommits), "events/floor-commit")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// revealFor calls f from so many goroutines for a while, and returns the number of calls.
// Each auditor gets the same time, so that other programs take the same share of each.
func revealFor(b *testing.B, callers int, f func() error) int64 {
	var ended atomic.Bool
	var events atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			n := int64(0)
			for ; !ended.Load(); n++ {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
			events.Add(n)
		})
	}
	time.Sleep(300 * time.Millisecond)
	ended.Store(true)
	all.Wait()
	return events.Load()
}

// cpuTime returns the time that the processors have spent on this process.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bodiesOf returns the files of bodies of a log.
func bodiesOf(b *testing.B, p *place) (text []byte) {
	names, err := filepath.Glob(filepath.Join(p.dir, "bodies", "*"))
	require.NoError(b, err)
	for _, name := range names {
		content, err := os.ReadFile(name)
		require.NoError(b, err)
		text = append(text, content...)
	}
	return text
}

// commitsOf returns the number of commits of a log: an empty line ends each.
func commitsOf(b *testing.B, p *place) int { return bytes.Count(bodiesOf(b, p), []byte("\n\n")) }

// bytesOfAnEvent returns the size of the last entry of a log.
func bytesOfAnEvent(b *testing.B, p *place) int {
	lines := bytes.SplitAfter(bodiesOf(b, p), []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		if bytes.HasSuffix(lines[i], []byte("}\n")) {
			return len(lines[i])
		}
	}
	b.Fatal("a log without entries")
	return 0
}
