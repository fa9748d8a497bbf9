package faulttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// On a disk that is really full, reveals are refused. When there is room again, the same
// log goes on: each value that was revealed has its whole event, before and after.
func TestAuditLogOnAFullDisk(t *testing.T) {
	if !mayMount(t) {
		return
	}
	disk := mount(t, "size=1m")
	s := newLogSite(t).at(disk)
	l, err := auditlog.Open(t.Context(), s.dir(), s.signer, &auditlog.Options{Interval: time.Hour})
	require.NoError(t, err)
	v := vaulttest.Generated(t, &vault.Options{Audit: l}, vaulttest.Security)
	scope := vaulttest.Scope(t, v, vaulttest.Security)
	value := vaulttest.Seal(t, scope)
	revealed, refused := 0, 0
	reveal := func() {
		_, err := scope.Reveal(t.Context(), vaulttest.Note, value)
		if err == nil {
			revealed++
			return
		}
		require.ErrorIs(t, err, vault.ErrUnavailable)
		refused++
	}
	for round := range 4 {
		fill(t, disk, int64(round)*int64(os.Getpagesize()))
		for range 40 {
			reveal()
		}
		require.Error(t, func() error {
			for range 100 {
				if err := l.Publish(t.Context()); err != nil {
					return err
				}
				reveal()
			}
			return nil
		}(), "the disk never filled up")
		require.NoError(t, os.Remove(filepath.Join(disk, "filler")))
		before := refused
		for range 10 {
			reveal()
		}
		require.Equal(t, before, refused, "there is room")
	}
	require.NotZero(t, refused)
	require.NoError(t, l.Close())
	found := 0
	opts := &auditlog.VerifyOptions{Entry: func(e auditlog.Entry) error {
		var action, outcome string
		if n, _ := fmt.Sscanf(behind(string(e.Body), `"action":`), `%q,"outcome":%q`, &action, &outcome); n == 2 && action == "reveal" && outcome == "allowed" {
			found++
		}
		return nil
	}}
	r, err := auditlog.Verify(t.Context(), os.DirFS(s.dir()), s.verifier, []auditlog.Head{l.Head()}, opts)
	require.NoError(t, err)
	require.True(t, r.OK(), r)
	// An event may be in the log although its reveal was refused, and never the reverse.
	require.GreaterOrEqual(t, found, revealed)
	require.Less(t, found, revealed+refused)
	t.Logf("%d revealed, %d refused, %d events", revealed, refused, found)
}

// behind returns the text behind mark, or "".
func behind(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	return rest
}
