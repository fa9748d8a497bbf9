//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package witness_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
)

func init() { childtest.Children["witness"] = witnessChild }

// sizes are those of the heads that are cosigned one after the other.
var sizes = []int64{5, 9, 20, 33}

// witnessChild is a witness that is killed at a change of the disk. It prints the size of
// each head that it cosigned.
func witnessChild(args []string) error {
	nth, err := strconv.ParseInt(args[4], 10, 64)
	if err != nil {
		return err
	}
	var changes atomic.Int64
	sys := faulty.System(func(call string, do func() error) error {
		if !slices.Contains(faulty.Changes, call) || changes.Add(1) < nth {
			return do()
		}
		if args[5] == "half" && call == "write" && changes.Load() == nth {
			return faulty.ErrShort // the next change is the last one
		}
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	})
	defer privatefile.Mount(sys, args[0])()
	signer, err := witness.NewSigner(args[1])
	if err != nil {
		return err
	}
	verifier, err := witness.NewVerifier(args[2])
	if err != nil {
		return err
	}
	log, err := note.NewVerifier(args[3])
	if err != nil {
		return err
	}
	s, err := witness.Open(args[0], signer, verifier, []note.Verifier{log}, nil)
	if err != nil {
		return err
	}
	for i, size := range sizes {
		if w := post(s, args[6+i]); w.Code == http.StatusOK {
			fmt.Println(size)
		}
	}
	return s.Close()
}

// A witness that is killed at any change of its disk, and in the middle of each write, is
// never behind a head that it cosigned, and cosigns no second history.
func TestKilledAtEachPoint(t *testing.T) {
	log, tr := newLogKey(t, origin), newTree(t, "a", 40)
	fork := tr.fork(2, 40)
	var requests []string
	for i, size := range sizes {
		old := int64(0)
		if i > 0 {
			old = sizes[i-1]
		}
		requests = append(requests, log.request(tr, old, size))
	}
	step := 7
	if os.Getenv("ONLYFOR_CRASHES") != "" {
		step = 1
	}
	killed := 0
	for point := 1; ; point += step {
		for _, how := range []string{"before", "half"} {
			s := &site{t: t, dir: filepath.Join(t.TempDir(), "state"), key: newWitnessKey(t, "witness.example"), log: log}
			cmd := childtest.Command(t, "witness", append([]string{s.dir, s.key.text, s.key.public, log.public, strconv.Itoa(point), how}, requests...)...)
			out, err := cmd.Output()
			if err == nil && how == "before" {
				require.Greater(t, killed, 3)
				return
			}
			if err != nil {
				status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
				require.True(t, ok && status.Signal() == syscall.SIGKILL, "%v %s", err, cmd.Stderr)
				killed++
			}
			told := int64(0)
			for line := range strings.Lines(string(out)) {
				told, err = strconv.ParseInt(strings.TrimSpace(line), 10, 64)
				require.NoError(t, err)
			}
			s.open()
			at := fmt.Sprintf("killed %s change %d, after %d", how, point, told)
			size := int64(0)
			if head := state(s, hashOf(origin)); head != "" {
				_, err := fmt.Sscanf(head, origin+"\n%d\n", &size)
				require.NoError(t, err)
				require.Contains(t, head, tr.root(size).String(), at)
			}
			require.GreaterOrEqual(t, size, told, at)
			for _, old := range append([]int64{0}, sizes...) {
				w := s.post(log.request(fork, old, 40))
				if old == 0 && told == 0 && size == 0 {
					continue
				}
				require.NotEqual(t, http.StatusOK, w.Code, at)
			}
			if size > 0 {
				s.cosigned(s.post(log.request(tr, size, 40)), log.head(tr, 40))
			}
			require.NoError(t, s.Close())
		}
	}
}

// A disk that fails at any call, and works again, leads to no second history either.
func TestFailingDisk(t *testing.T) {
	log, tr := newLogKey(t, origin), newTree(t, "a", 40)
	fork := tr.fork(6, 40)
	failed := 0
	for point := int64(1); ; point++ {
		s := &site{t: t, dir: filepath.Join(t.TempDir(), "state"), key: newWitnessKey(t, "witness.example"), log: log}
		var calls, armed atomic.Int64
		hit := ""
		sys := faulty.System(func(call string, do func() error) error {
			if armed.Load() == 1 && calls.Add(1) == point {
				hit = call
				return syscall.EIO
			}
			return do()
		})
		unmount := privatefile.Mount(sys, s.dir)
		s.open()
		unmount()
		s.cosigned(s.post(log.request(tr, 0, 5)), log.head(tr, 5))
		armed.Store(1)
		w := s.post(log.request(tr, 5, 20))
		armed.Store(0)
		if hit == "" {
			require.Greater(t, failed, 5)
			require.NoError(t, s.Close())
			return
		}
		cosigned := w.Code == http.StatusOK
		if !cosigned {
			failed++
			require.Equal(t, http.StatusInternalServerError, w.Code, hit)
			require.NotContains(t, w.Body.String(), "— ")
		}
		// The write that failed can be on the disk nevertheless. Whichever history the
		// witness has now, it goes on with it alone.
		content, err := os.ReadFile(filepath.Join(s.dir, hashOf(origin)))
		require.NoError(t, err)
		stored := strings.Contains(string(content), tr.root(20).String())
		f := s.post(log.request(fork, 5, 20)).Code == http.StatusOK
		require.False(t, f && (cosigned || stored), "two histories after a failing %s", hit)
		won, lost := tr, fork
		if f {
			won, lost = fork, tr
		} else if !cosigned {
			// The write that failed is on the disk nevertheless.
			require.Contains(t, state(s, hashOf(origin)), "\n20\n", hit)
		}
		require.NotEqual(t, http.StatusOK, s.post(log.request(lost, 20, 40)).Code, hit)
		require.NoError(t, s.Close())
		s.open()
		require.NotEqual(t, http.StatusOK, s.post(log.request(lost, 20, 40)).Code, hit)
		s.cosigned(s.post(log.request(won, 20, 40)), log.head(won, 40))
		require.NoError(t, s.Close())
	}
}
