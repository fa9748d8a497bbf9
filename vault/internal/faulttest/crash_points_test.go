//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
)

func init() { childtest.Children["crash"] = crash }

// A killer is the real disk in a process that kills itself before it changes
// something for the nth time. If that is writing, it may write half first.
type killer struct {
	nth   int64
	half  bool
	calls atomic.Int64
}

func (k *killer) system() privatefile.System {
	return faulty.System(func(call string, do func() error) error {
		if slices.Contains(faulty.Changes, call) && k.calls.Add(1) == k.nth {
			if !k.half || call != "write" {
				kill()
			}
			return faulty.ErrShort // the next call is to rid us of the file
		}
		if k.calls.Load() >= k.nth {
			kill()
		}
		return do()
	})
}

func kill() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// crash does an operation at a site until it is killed.
func crash(args []string) error {
	ctx := context.Background()
	w := &site{Dir: args[0]}
	b, err := os.ReadFile(w.path("site"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, w); err != nil {
		return errors.New("no site")
	}
	nth, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	k := &killer{nth: nth, half: args[3] == "half"}
	v, err := w.begin(ctx, k.system())
	if err != nil {
		return err
	}
	for _, op := range changes {
		if op.name == args[1] {
			return op.do(ctx, w, k.system(), v)
		}
	}
	return errors.New("no such operation")
}

// A process is killed (kill -9) at each point of each operation: before it
// changes the disk the first time, the second, and so on, and in the middle of
// each write. The next process finds the keys of before or of after, opens all
// that was sealed, and can do what the other could not finish.
//
// A few points of each operation are tried. With ONLYFOR_CRASHES=500 all are, one
// after the other and again until 500 processes of each operation are dead.
func TestKilledAtEachPoint(t *testing.T) {
	template, none := newSite(t), &site{Dir: t.TempDir()}
	var kills atomic.Int64
	t.Run("all", func(t *testing.T) {
		for phase, op := range changes {
			t.Run(op.name, func(t *testing.T) {
				t.Parallel()
				from := template
				if op.nothing {
					from = none
				}
				old, new := statesOf(t, from, op)
				points := callsOf(t, from, op, true)
				require.GreaterOrEqual(t, points, 10)
				runs, stride := 3, max(1, points/3)
				if testing.Short() {
					runs = 1
				}
				if crashes() > 0 {
					runs, stride = crashes(), 1
				}
				point := phase % stride
				for run := range runs {
					// The whole round once in one way, then in the other.
					how := [...]string{"before", "half"}[(run*stride/points+phase)%2]
					killedAt(t, from, op, 1+point%points, how, old, new)
					kills.Add(1)
					point += stride
				}
			})
		}
	})
	t.Logf("%d processes killed", kills.Load())
}

func killedAt(t *testing.T, from *site, op operation, point int, how, old, new string) {
	t.Helper()
	at := fmt.Sprintf("killed %s change %d", how, point)
	w := from.copy(t)
	defer os.RemoveAll(w.Dir)
	b, err := json.Marshal(w)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(w.path("site"), b, 0o600))

	cmd := childtest.Command(t, "crash", w.Dir, op.name, strconv.Itoa(point), how)
	err = cmd.Run()
	require.Error(t, err, "%s: it lived", at)
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok && status.Signal() == syscall.SIGKILL, "%s: %s %s", at, err, cmd.Stderr.(*strings.Builder))

	state := w.freshState(t)
	require.Contains(t, []string{old, new}, state, at)
	v, err := w.begin(t.Context(), disk())
	require.NoError(t, err)
	defer v.Close()
	err = op.do(t.Context(), w, disk(), v)
	if state == new && errors.Is(err, vault.ErrInvalid) {
		err = nil // it was done, and can't be done twice
	}
	require.NoError(t, err, at)
	if len(w.Values) > 0 {
		require.NoError(t, w.check(t.Context(), v), at)
	}
	if old != new {
		require.NotEqual(t, old, w.freshState(t), at)
		require.Empty(t, unfinished(t, w.Dir), at)
	}
}
