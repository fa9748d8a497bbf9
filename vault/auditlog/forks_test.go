package auditlog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// The holder of the key can write the log anew. Heads that were kept find it out.
func TestForks(t *testing.T) {
	v := newVictim(t)
	other := &place{filepath.Join(t.TempDir(), "audit"), v.signer, v.verifier}
	l := other.open(t, nil)
	for range 400 {
		write(t, l, "another history")
	}
	require.NoError(t, l.Close())
	r := other.verify(t)
	require.Empty(t, r.Findings)
	require.Contains(t, strings.Join(r.NotExcluded, "\n"), "written entries anew")

	r = other.verify(t, v.at[50])
	require.Equal(t, []auditlog.FindingKind{auditlog.FindingFork}, kinds(r))
	require.Equal(t, int64(49), r.Findings[0].Entry)
	r = other.verify(t, l.Head(), v.at[50])
	require.Equal(t, []auditlog.FindingKind{auditlog.FindingFork}, kinds(r))

	t.Run("two kept heads of one size", func(t *testing.T) {
		// The same log has entries that only one of the heads can be of.
		third := &place{filepath.Join(t.TempDir(), "audit"), v.signer, v.verifier}
		l := third.open(t, nil)
		for l.Head().Size < 50 {
			write(t, l, "x")
		}
		r := v.verify(t, v.at[50], l.Head())
		require.Equal(t, []auditlog.FindingKind{auditlog.FindingFork}, kinds(r))
	})
	t.Run("from an older copy", func(t *testing.T) {
		fork := &place{filepath.Join(t.TempDir(), "audit"), v.signer, v.verifier}
		replace(t, fork.dir, v.older)
		l := fork.open(t, nil)
		for range 200 {
			write(t, l, "after the copy")
		}
		require.NoError(t, l.Close())
		require.Empty(t, fork.verify(t, v.at[150]).Findings)
		r := fork.verify(t, v.at[300], v.at[150])
		require.Equal(t, []auditlog.FindingKind{auditlog.FindingFork}, kinds(r))
	})
	t.Run("its published head alone", func(t *testing.T) {
		all := files(t, v.dir)
		// A history with as many entries as the log has.
		third := &place{filepath.Join(t.TempDir(), "audit"), v.signer, v.verifier}
		l := third.open(t, nil)
		for l.Head().Size < v.last.Size-100 {
			write(t, l, "x")
		}
		require.NoError(t, l.Publish(t.Context()))
		all["checkpoint"] = files(t, third.dir)["checkpoint"]
		replace(t, third.dir+"2", all)
		third.dir += "2"
		require.Contains(t, kinds(third.verify(t)), auditlog.FindingFork)
	})
}

// Heads of other logs are refused wherever they stand.
func TestHeadsOfOtherLogs(t *testing.T) {
	v := newVictim(t)
	signer, verifier := keys(t, "example.com/audit/other")
	other := &place{filepath.Join(t.TempDir(), "audit"), signer, verifier}
	l := other.open(t, nil)
	require.NoError(t, l.Close())
	text, err := l.Head().MarshalText()
	require.NoError(t, err)

	_, err = auditlog.ParseHead(text, v.verifier)
	require.ErrorIs(t, err, auditlog.ErrHead)
	_, err = auditlog.Verify(t.Context(), os.DirFS(v.dir), v.verifier, []auditlog.Head{l.Head()}, nil)
	require.ErrorIs(t, err, auditlog.ErrHead)
	_, err = auditlog.Verify(t.Context(), os.DirFS(v.dir), v.verifier, []auditlog.Head{{}}, nil)
	require.ErrorIs(t, err, auditlog.ErrHead)
	// The key of the log may have signed other notes.
	for _, text := range []string{
		"example.com/audit/other\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", origin + "\n", origin + "\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		origin + "\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", origin + "\n1\nAAAA\n", origin + "\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
	} {
		signed, err := note.Sign(&note.Note{Text: text}, v.signer)
		require.NoError(t, err)
		_, err = auditlog.ParseHead(signed, v.verifier)
		require.ErrorIs(t, err, auditlog.ErrHead, text)
	}
	// A key of the same name is another key.
	impostor, _ := keys(t, origin)
	third := &place{filepath.Join(t.TempDir(), "audit"), impostor, nil}
	l = third.open(t, nil)
	require.NoError(t, l.Close())
	_, err = auditlog.Verify(t.Context(), os.DirFS(v.dir), v.verifier, []auditlog.Head{l.Head()}, nil)
	require.ErrorIs(t, err, auditlog.ErrHead)

	for _, from := range []*place{other, third} {
		all := files(t, v.dir)
		all["checkpoint"] = files(t, from.dir)["checkpoint"]
		replace(t, v.dir, all)
		require.Contains(t, kinds(v.verify(t, v.last)), auditlog.FindingHead)
		_, err = auditlog.Open(t.Context(), v.dir, v.signer, nil)
		require.ErrorIs(t, err, auditlog.ErrAltered)

		replace(t, v.dir, files(t, from.dir))
		r := v.verify(t, v.last)
		require.Contains(t, kinds(r), auditlog.FindingHead)
		require.Zero(t, r.Head)
		_, err = auditlog.Open(t.Context(), v.dir, v.signer, nil)
		require.ErrorIs(t, err, auditlog.ErrAltered)
	}
}
