//go:build unix

package auditlog_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A floor is an auditor that does nothing but append bytes to a file and sync them, for all
// callers that wait at once: the least that a durable record costs on this disk. It has no
// tree, no salt, no encoding and no signature.
type floor struct {
	file *os.File
	line []byte
	kick chan struct{}
	took time.Duration

	mu      sync.Mutex
	next    *floorBatch
	commits atomic.Int64
}

type floorBatch struct {
	lines []byte
	done  chan struct{}
	err   error
}

// newFloor returns a floor whose events have so many bytes.
func newFloor(b *testing.B, size int) *floor {
	file, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	require.NoError(b, err)
	f := &floor{file: file, line: bytes.Repeat([]byte{'x'}, size), kick: make(chan struct{}, 1), next: &floorBatch{done: make(chan struct{})}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range f.kick {
			f.crowd()
			f.commit()
		}
	}()
	b.Cleanup(func() { close(f.kick); <-ended; file.Close() })
	return f
}

// crowd is that of the log.
func (f *floor) crowd() {
	for end := time.Now().Add(f.took); ; {
		before := f.waiting()
		runtime.Gosched()
		if f.waiting() == before || !time.Now().Before(end) {
			return
		}
	}
}

func (f *floor) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.next.lines)
}

func (f *floor) commit() {
	begin := time.Now()
	defer func() { f.took = time.Since(begin) }()
	f.mu.Lock()
	batch := f.next
	f.next = &floorBatch{done: make(chan struct{})}
	f.mu.Unlock()
	if len(batch.lines) == 0 {
		return
	}
	if _, batch.err = f.file.Write(batch.lines); batch.err == nil {
		batch.err = f.file.Sync()
	}
	f.commits.Add(1)
	close(batch.done)
}

func (f *floor) Audit(context.Context, audit.Event) error {
	f.mu.Lock()
	batch := f.next
	batch.lines = append(batch.lines, f.line...)
	f.mu.Unlock()
	select {
	case f.kick <- struct{}{}:
	default:
	}
	<-batch.done
	return batch.err
}

// What a log costs a service that reveals under load. "ratio" is the time of a reveal with
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
			floor.commits.Store(0)
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
			b.ReportMetric(float64(kinds[2].events)/float64(floor.commits.Load()), "events/floor-commit")
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
