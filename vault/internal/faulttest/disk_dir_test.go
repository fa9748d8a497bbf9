//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package faulttest

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/privatefile/faulty"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// The store alone, each call of the disk failing in its turn: a change that
// fails was made or was not, and reading tells, also in the next process; it can
// then be made with what reading told; and what only reads never takes a
// broken disk for an empty one. Every third call is tried, and all of them with
// ONLYFOR_CRASHES set.
func TestDirOnAFailingDisk(t *testing.T) {
	const name = "security/keys"
	put := func(t *testing.T, s vault.Store, revision int64) error {
		_, err := s.Put(t.Context(), vault.Record{Name: name, Data: []byte("new"), Revision: revision})
		return err
	}
	for _, op := range []struct {
		name   string
		exists bool
		do     func(t *testing.T, s vault.Store, revision int64) error
		want   string // what is read when it is done
	}{
		{"put a new record", false, put, "new"},
		{"put", true, put, "new"},
		{"get", true, func(t *testing.T, s vault.Store, _ int64) error {
			records, err := s.Get(t.Context(), "security/none", name)
			if err == nil && len(records) != 1 {
				err = fmt.Errorf("%d records", len(records))
			}
			return err
		}, "old"},
		{"list", true, func(t *testing.T, s vault.Store, _ int64) error {
			n := 0
			for _, err := range s.List(t.Context(), "security/", "") {
				if err != nil {
					return err
				}
				n++
			}
			if n != 1 {
				return fmt.Errorf("%d names", n)
			}
			return nil
		}, "old"},
	} {
		for i, failure := range failures {
			t.Run(op.name+"/"+failure.name, func(t *testing.T) {
				step := 3
				if crashes() > 0 {
					step = 1
				}
				for nth := 1 + i%step; ; nth += step {
					path := filepath.Join(t.TempDir(), "keys")
					disk := &faulty.Disk{}
					store := dirOn(disk.System(), path)
					var revision int64
					old := ""
					if op.exists {
						revision, old = vaulttest.PutRecord(t, store, name, 0, "old"), "old"
					}
					e := diskErrors[(nth+i)%len(diskErrors)]
					fault := failure.fault
					fault.Nth, fault.Err = nth, e.err
					disk.Break(fault)
					err := op.do(t, store, revision)
					hit, _ := disk.Mend()
					at := fmt.Sprintf("call %d, %s: %v", nth, hit, e.err)
					if hit == "" {
						require.NoError(t, err)
						break
					}
					if err != nil {
						requireKind(t, err, e.want, at)
					}
					records, getErr := vault.Dir(path).Get(t.Context(), name)
					require.NoError(t, getErr, at)
					now, got := int64(0), ""
					if len(records) > 0 {
						now, got = records[0].Revision, string(records[0].Data)
					}
					require.Contains(t, []string{old, op.want}, got, at)
					require.True(t, got == op.want || err != nil, at)
					require.Equal(t, got == old, now == revision, at)
					vaulttest.PutRecord(t, store, name, now, "next")
					require.Equal(t, "next", string(vaulttest.GetRecord(t, vault.Dir(path), name).Data), at)
					require.Empty(t, unfinished(t, path), at)
				}
			})
		}
	}
}
