//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulttest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
)

func init() { childtest.Children["audit"] = auditChild }

// A logSite is a directory above that of a log, with the key of the log.
type logSite struct {
	above    string
	skey     string
	signer   note.Signer
	verifier note.Verifier
}

func newLogSite(t testing.TB) *logSite {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, "example.com/audit")
	require.NoError(t, err)
	s := &logSite{above: t.TempDir(), skey: skey}
	s.signer, err = note.NewSigner(skey)
	require.NoError(t, err)
	s.verifier, err = note.NewVerifier(vkey)
	require.NoError(t, err)
	return s
}

// at is the same key over another directory.
func (s *logSite) at(above string) *logSite {
	c := *s
	c.above = above
	return &c
}

func (s *logSite) dir() string { return filepath.Join(s.above, "audit") }

// cosigning is a witness that cosigns each head. Nobody verifies its cosignatures here.
type cosigning struct{}

func (cosigning) Cosign(_ context.Context, head auditlog.Head, prove func(int64) (tlog.TreeProof, error)) ([]byte, error) {
	if _, err := prove(head.Size); err != nil {
		return nil, err
	}
	return []byte("— witness.example AAAAAAAA\n"), nil
}

// open opens the log on a disk, with a witness.
func (s *logSite) open(ctx context.Context, sys privatefile.System) (*auditlog.Log, error) {
	defer privatefile.Mount(sys, s.dir())()
	return auditlog.Open(ctx, s.dir(), s.signer, &auditlog.Options{Interval: time.Hour, Witnesses: []auditlog.Witness{cosigning{}}})
}

func logged(caller string) audit.Event {
	return audit.Event{Time: time.Now(), Action: audit.Reveal, Outcome: audit.Allowed, Purpose: purpose.MustParse("security"), Caller: caller}
}

// work is a process that starts, records events, publishes, removes bodies and stops. It
// calls told with the caller of each event that was recorded.
func work(ctx context.Context, l *auditlog.Log, told func(caller string)) error {
	var errs [2]error
	for i, prefix := range [...]string{"first", "second"} {
		for n := range 130 { // past the width of a tile, from one process to the next
			caller := fmt.Sprintf("%s %d", prefix, n)
			if err := l.Audit(ctx, logged(caller)); err != nil {
				errs[i] = err
				break
			}
			told(caller)
		}
		if i == 0 {
			if _, err := l.Remove(ctx, "retention", removable); err != nil && errs[i] == nil {
				errs[i] = err
			}
			if err := l.Publish(ctx); err != nil && errs[i] == nil {
				errs[i] = err
			}
		}
	}
	return errors.Join(errs[0], errs[1], l.Close())
}

// removable reports whether an event may be removed: that of a caller with an even number.
func removable(e auditlog.Entry) bool {
	text := string(e.Body)
	i := strings.LastIndex(text, `"}`)
	return i > 0 && (text[i-1]-'0')%2 == 0
}

// found returns the callers that a log has, how often each, and those that it may have
// removed. It requires that nothing but a removal that stopped halfway is wrong with it.
func (s *logSite) found(t testing.TB, at string) (callers map[string]int, removed int64) {
	t.Helper()
	callers = map[string]int{}
	opts := &auditlog.VerifyOptions{Entry: func(e auditlog.Entry) error {
		if e.Body == nil {
			removed++
			return nil
		}
		_, caller, ok := strings.Cut(string(e.Body), `"caller":"`)
		if ok {
			callers[strings.TrimSuffix(caller, `"}`)]++
		}
		return nil
	}}
	r, err := auditlog.Verify(t.Context(), os.DirFS(s.dir()), s.verifier, nil, opts)
	require.NoError(t, err, at)
	require.Empty(t, r.Findings, "%s: %s", at, r)
	return callers, removed
}

// check continues a log that a process left, and requires that it has each event that was
// told of.
func (s *logSite) check(t testing.TB, told []string, at string) {
	t.Helper()
	l, err := s.open(t.Context(), privatefile.OperatingSystem())
	require.NoError(t, err, at)
	require.NoError(t, l.Audit(t.Context(), logged("successor 1")), at)
	require.NoError(t, l.Close(), at)
	callers, removed := s.found(t, at)
	missing := int64(0)
	for _, caller := range told {
		require.LessOrEqual(t, callers[caller], 1, "%s: %s", at, caller)
		if callers[caller] == 0 {
			last := caller[len(caller)-1]
			require.Zero(t, (last-'0')%2, "%s: %q is missing", at, caller)
			missing++
		}
	}
	require.LessOrEqual(t, missing, removed, at)
	require.Equal(t, 1, callers["successor 1"], at)
}

// auditChild is a process that works on the log of a site until it is killed. It prints
// the caller of each event that was recorded.
func auditChild(args []string) error {
	nth, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	s := &logSite{above: args[0]}
	if s.signer, err = note.NewSigner(args[1]); err != nil {
		return err
	}
	k := &killer{nth: nth, half: args[3] == "half"}
	ctx := context.Background()
	l, err := s.open(ctx, k.system())
	if err != nil {
		return err
	}
	return work(ctx, l, func(caller string) { fmt.Println(caller) })
}

// A process is killed before each change of the disk, and in the middle of each write. Its
// successor finds each event that was recorded, and none torn. A few points are tried, and
// all of them with ONLYFOR_CRASHES set.
func TestAuditLogKilledAtEachPoint(t *testing.T) {
	// A log that has to be continued, so that all that recovers one is killed as well.
	template := newLogSite(t)
	l, err := template.open(t.Context(), privatefile.OperatingSystem())
	require.NoError(t, err)
	require.NoError(t, l.Audit(t.Context(), logged("before 1")))
	require.NoError(t, l.Close())
	tear(t, template.dir())

	var changes atomic.Int64
	counting := faulty.System(func(call string, do func() error) error {
		if slices.Contains(faulty.Changes, call) {
			changes.Add(1)
		}
		return do()
	})
	s := template.at(copyOf(t, template.above))
	l, err = s.open(t.Context(), counting)
	require.NoError(t, err)
	require.NoError(t, work(t.Context(), l, func(string) {}))
	points := int(changes.Load())
	require.Greater(t, points, 500)

	runs := 12
	if testing.Short() {
		runs = 3
	}
	if crashes() > 0 {
		runs = 2 * points
	}
	var killed atomic.Int64
	t.Run("all", func(t *testing.T) {
		for worker := range 4 {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				for run := worker; run < runs; run += 4 {
					// The points before the first commit are as dense as those after it.
					point := 1 + run*points/runs
					if run%4 == 0 && crashes() == 0 {
						point = 1 + run*3
					}
					how := [...]string{"before", "half"}[(run/4)%2]
					at := fmt.Sprintf("killed %s change %d", how, point)
					s := template.at(copyOf(t, template.above))
					cmd := childtest.Command(t, "audit", s.above, s.skey, strconv.Itoa(point), how)
					out, err := cmd.Output()
					// Goroutines interleave, so a process may end before its last points.
					if err != nil {
						status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
						require.True(t, ok && status.Signal() == syscall.SIGKILL, "%s: %v %s", at, err, cmd.Stderr.(*strings.Builder))
						killed.Add(1)
					}
					s.check(t, append(lines(out), "before 1"), at)
					os.RemoveAll(s.above)
				}
			})
		}
	})
	require.NotZero(t, killed.Load())
	t.Logf("%d processes killed at %d points", killed.Load(), points)
}

func lines(out []byte) (all []string) {
	for line := range bytes.Lines(out) {
		if line, ok := bytes.CutSuffix(line, []byte("\n")); ok {
			all = append(all, string(line))
		}
	}
	return all
}

// tear leaves the beginning of a commit at the end of the bodies.
func tear(t testing.TB, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "bodies", "*"))
	require.NoError(t, err)
	f, err := os.OpenFile(names[len(names)-1], os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString(`00112233445566778899aabbccddeeff {"entry":"event","caller":"torn`)
	require.NoError(t, err)
}

// copyOf returns a copy of a directory.
func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	require.NoError(t, os.Remove(to))
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	require.NoError(t, filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	}))
	return to
}

// The power fails before each change of the disk. The next process finds each event that
// was recorded by then, whatever part of the unfinished write has reached the disk. A few
// points are tried, and all of them with ONLYFOR_CRASHES set.
func TestAuditLogPluggedOutAtEachPoint(t *testing.T) {
	template := newLogSite(t)
	l, err := template.open(t.Context(), privatefile.OperatingSystem())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	for phase, from := range []*logSite{template, newLogSite(t)} {
		site := from.at(copyOf(t, from.above))
		s := plugIn(t, site.above)
		type cut struct {
			site *logSite
			told []string
			at   string
		}
		var cuts []cut
		var mu sync.Mutex
		var told []string
		points := 0
		s.change = func() {
			points++
			for i, how := range []string{"", "early", "half", "zeros"} {
				if crashes() == 0 && (points+phase+21*i)%89 != 0 {
					continue
				}
				mu.Lock()
				c := cut{from.at(t.TempDir()), slices.Clone(told), fmt.Sprintf("before change %d, %s", points, how)}
				mu.Unlock()
				s.pull(t, c.site.above, how != "")
				if how != "" && how != "early" {
					partOf(t, site.dir(), c.site.dir(), how == "zeros")
				}
				cuts = append(cuts, c)
			}
		}
		l, err := site.open(t.Context(), s.system())
		require.NoError(t, err)
		require.NoError(t, work(t.Context(), l, func(caller string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, caller)
		}))
		require.Greater(t, points, 400)
		for _, c := range cuts {
			c.site.check(t, c.told, c.at)
			os.RemoveAll(c.site.above)
		}
		final := from.at(t.TempDir())
		s.pull(t, final.above, false)
		durable := fileTexts(t, final.dir())
		for name, text := range fileTexts(t, site.dir()) {
			require.True(t, durable[name] == text, "%s is not durable after Close", name)
			delete(durable, name)
		}
		for name := range durable {
			require.Contains(t, name, ".p/", "a partial tile may come back")
		}
		t.Logf("%d power cuts at %d points", len(cuts), points)
	}
}

// partOf has a part of the writes that were not synced reach the other directory: a half of
// what was added to the last file of bodies, or all of it but for a sector of zeros.
func partOf(t testing.TB, from, to string, zeros bool) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(from, "bodies", "*.log"))
	require.NoError(t, err)
	if len(names) == 0 {
		return
	}
	now, err := os.ReadFile(names[len(names)-1])
	require.NoError(t, err)
	name := filepath.Join(to, "bodies", filepath.Base(names[len(names)-1]))
	synced, err := os.ReadFile(name)
	if err != nil || len(synced) >= len(now) {
		return
	}
	if added := now[len(synced):]; zeros {
		clear(added[len(added)/3 : len(added)/2])
	} else {
		now = now[:len(synced)+len(added)/2]
	}
	require.NoError(t, os.WriteFile(name, now, 0o600))
}

// fileTexts returns the contents of the files in a directory, by their names.
func fileTexts(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			var b []byte
			b, err = os.ReadFile(filepath.Join(dir, path))
			all[path] = string(b)
		}
		return err
	}))
	return all
}

// Each call of the disk fails, once, late or for good, also as a full disk that takes half
// of a write. Events are recorded or refused, and a refusal is an error. When the disk
// works again, so does the same log, and nothing that was recorded is missing.
func TestAuditLogOnAFailingDisk(t *testing.T) {
	errs := []error{syscall.EIO, syscall.ENOSPC, faulty.ErrShort}
	template := newLogSite(t)
	l, err := template.open(t.Context(), privatefile.OperatingSystem())
	require.NoError(t, err)
	for n := range 250 {
		require.NoError(t, l.Audit(t.Context(), logged(fmt.Sprint("before ", n))))
	}
	require.NoError(t, l.Close())
	tear(t, template.dir())
	hits := map[string]int{}
	refused, step := 0, 29
	if crashes() > 0 {
		step = 1
	}
	for i, fault := range []faulty.Fault{{}, {Late: true}, {Stays: true}, {Only: "sync"}, {Only: "write"}, {Only: "sync", Stays: true}} {
		for nth := 1 + i%step; ; nth += step {
			at := fmt.Sprintf("fault %d, call %d", i, nth)
			disk := &faulty.Disk{}
			s := template.at(copyOf(t, template.above))
			fault.Nth, fault.Err = nth, errs[nth%len(errs)]
			disk.Break(fault)
			l, err := s.open(t.Context(), disk.System())
			var told []string
			record := func(n int) {
				caller := fmt.Sprint("during 1", n*2+1) // none may be removed
				if err := l.Audit(t.Context(), logged(caller)); err == nil {
					told = append(told, caller)
				} else {
					refused++
				}
			}
			if err == nil {
				for n := range 10 {
					record(n)
				}
				l.Publish(t.Context())
				l.Remove(t.Context(), "retention", removable)
				record(10)
			}
			hit, _ := disk.Mend()
			hits[hit]++
			if err == nil {
				require.NoError(t, l.Audit(t.Context(), logged("after 1")), at)
				told = append(told, "after 1")
				require.NoError(t, l.Publish(t.Context()), at)
				require.NoError(t, l.Close(), at)
				s.found(t, at)
			}
			s.check(t, told, at)
			os.RemoveAll(s.above)
			if hit == "" {
				break
			}
		}
	}
	require.NotZero(t, refused)
	t.Logf("%d events refused; calls that failed: %v", refused, hits)
}
