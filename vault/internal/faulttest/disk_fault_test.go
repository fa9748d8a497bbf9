//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// diskErrors are what disks fail with, and what a vault makes of it.
var diskErrors = []struct{ err, want error }{
	{syscall.EIO, vault.ErrUnavailable},
	{syscall.ENOSPC, vault.ErrUnavailable},
	{syscall.EACCES, vault.ErrNoKeys},
	{syscall.EROFS, vault.ErrUnavailable},
	{faulty.ErrShort, vault.ErrUnavailable},
	{syscall.EMFILE, vault.ErrUnavailable},
	{syscall.EDQUOT, vault.ErrUnavailable},
}

// requireKind fails unless err is the one sentinel, and says nothing that is to
// be kept secret.
func requireKind(t *testing.T, err, want error, at string) {
	t.Helper()
	require.Error(t, err, at)
	for _, kind := range []error{
		vault.ErrCorrupt, vault.ErrNoKeys, vault.ErrUnavailable, vault.ErrExpired, vault.ErrErased, vault.ErrSubject, vault.ErrConflict, vault.ErrInvalid,
	} {
		require.Equal(t, kind == want, errors.Is(err, kind), "%s: %v, which is %v", at, err, kind)
	}
	for _, subject := range []string{alice, bob, dave, erin} {
		require.NotContains(t, err.Error(), subject, at)
	}
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip("this system does not list open files")
	}
	return len(entries)
}

// unfinished returns the files that a writer left.
func unfinished(t *testing.T, path string) (left []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), ".tmp") {
			left = append(left, path)
		}
		return err
	}))
	return left
}

// failures are the ways in which a disk fails: a call is not made, or is made
// and its answer lost, or nothing works any more.
var failures = []struct {
	name  string
	fault faulty.Fault
}{
	{"once", faulty.Fault{}},
	{"late", faulty.Fault{Late: true}},
	{"for good", faulty.Fault{Stays: true}},
}

// Each call that an operation makes of the disk fails in its turn. Whatever
// it is: the error says whose fault it is and the vault goes on once the disk
// works again; keys are those before the operation or those after it, for this
// vault and for the next process; whatever was sealed opens, and the erased stay
// erased; and nothing is left over.
//
// A few calls of each operation fail, spread over all of it. With
// ONLYFOR_CRASHES set each one does, one after the other.
func TestEachCallOfTheDiskFails(t *testing.T) {
	template, none := newSite(t), &site{Dir: t.TempDir()}
	tried := 0
	for phase, op := range append(changes, looks...) {
		t.Run(op.name, func(t *testing.T) {
			from := template
			if op.nothing {
				from = none
			}
			old, new := statesOf(t, from, op)
			for i, failure := range failures {
				calls := callsOf(t, from, op, failure.fault.Late)
				if calls == 0 {
					continue // it writes nothing
				}
				stride := max(1, calls/2)
				if crashes() > 0 {
					stride = 1
				}
				t.Run(failure.name, func(t *testing.T) {
					for nth := 1 + phase%stride; nth <= calls; nth += stride {
						e := diskErrors[(nth+i)%len(diskErrors)]
						fault := failure.fault
						fault.Nth, fault.Err = nth, e.err
						failsAt(t, from, op, fault, e.want, old, new)
						tried++
					}
				})
			}
		})
	}
	t.Logf("%d faults", tried)
}

// All calls of one kind fail, as where a file can't be read any more, or a disk
// takes nothing that is written: as above. A few kinds are tried for each
// operation, and all of them with ONLYFOR_CRASHES set.
func TestOneKindOfCallFails(t *testing.T) {
	template, none := newSite(t), &site{Dir: t.TempDir()}
	for i, op := range append(changes, looks...) {
		t.Run(op.name, func(t *testing.T) {
			from := template
			if op.nothing {
				from = none
			}
			old, new := statesOf(t, from, op)
			for j, call := range faulty.Calls {
				if crashes() == 0 && (i+j)%6 != 0 {
					continue
				}
				e := diskErrors[(i+j)%len(diskErrors)]
				failsAt(t, from, op, faulty.Fault{Nth: 1, Stays: true, Only: call, Err: e.err}, e.want, old, new)
			}
		})
	}
}

// statesOf returns what a site is before and after an operation.
func statesOf(t *testing.T, from *site, op operation) (old, new string) {
	t.Helper()
	w := from.copy(t)
	v, err := w.vault(t.Context(), disk())
	require.NoError(t, err)
	defer v.Close()
	old, err = w.state(t.Context(), v)
	require.NoError(t, err)
	require.NoError(t, op.do(t.Context(), w, disk(), v))
	return old, w.freshState(t)
}

// callsOf returns how often an operation calls the disk, or changes it.
func callsOf(t *testing.T, from *site, op operation, changing bool) int {
	t.Helper()
	w, disk := from.copy(t), &faulty.Disk{}
	v := op.vault(t, w, disk)
	defer v.Close()
	disk.Break(faulty.Fault{Late: changing})
	require.NoError(t, op.do(t.Context(), w, disk.System(), v))
	_, calls := disk.Mend()
	return calls
}

// vault returns the one that the operation begins with.
func (op operation) vault(t *testing.T, w *site, disk *faulty.Disk) *vault.Admin {
	t.Helper()
	v, err := w.begin(t.Context(), disk.System())
	require.NoError(t, err)
	if op.warm {
		vaulttest.Scope(t, v, vaulttest.Security)
	}
	return v
}

// freshState is what a process that begins now finds.
func (w *site) freshState(t *testing.T) string {
	t.Helper()
	v, err := w.vault(t.Context(), disk())
	require.NoError(t, err)
	defer v.Close()
	if len(w.Values) > 0 {
		require.NoError(t, w.check(t.Context(), v))
	}
	state, err := w.state(t.Context(), v)
	require.NoError(t, err)
	return state
}

// failsAt has one call of an operation fail.
func failsAt(t *testing.T, from *site, op operation, fault faulty.Fault, want error, old, new string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, disk := from.copy(t), &faulty.Disk{}
	defer os.RemoveAll(w.Dir)
	v := op.vault(t, w, disk)
	defer v.Close()
	open := openFiles(t)
	disk.Break(fault)
	err := op.do(ctx, w, disk.System(), v)
	hit, _ := disk.Mend()
	require.LessOrEqual(t, openFiles(t), open, "%s: something was left open", hit)
	at := fmt.Sprintf("call %d, %s%s: %v", fault.Nth, fault.Only, hit, fault.Err)
	if fault.Only == "" {
		require.NotEmpty(t, hit, at)
	}
	if err != nil {
		requireKind(t, err, want, at)
	}

	state := w.freshState(t)
	require.Contains(t, []string{old, new}, state, at)
	if err == nil {
		require.Equal(t, new, state, at)
	}

	// The same vault goes on.
	err = op.do(ctx, w, disk.System(), v)
	if state == new && errors.Is(err, vault.ErrInvalid) {
		err = nil // it was done, and can't be done twice
	}
	require.NoError(t, err, at)
	if len(w.Values) > 0 {
		require.NoError(t, w.check(ctx, v), at)
	}
	if old != new {
		require.NotEqual(t, old, w.freshState(t), at)
		require.Empty(t, unfinished(t, w.Dir), at)
	}
}
