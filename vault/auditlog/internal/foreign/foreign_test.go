package foreign_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	f_note "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
)

const origin = "example.com/audit/mailer"

// keys makes the key of a log.
func keys(t testing.TB) (note.Signer, note.Verifier) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	require.NoError(t, err)
	signer, err := note.NewSigner(skey)
	require.NoError(t, err)
	verifier, err := note.NewVerifier(vkey)
	require.NoError(t, err)
	return signer, verifier
}

var security = purpose.MustParse("security")

func event() audit.Event {
	return audit.Event{
		Time: time.Now(), Action: audit.Reveal, Outcome: audit.Allowed, Purpose: security, Kind: "email", Caller: "mailer@prod-7",
	}
}

// write records n events, from many goroutines.
func write(t testing.TB, l *auditlog.Log, n int) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if err := l.Audit(t.Context(), event()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// leaves returns the leaves of a bundle by RFC 6962.
func leaves(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	hashes := make([][]byte, len(b.Entries))
	for i, e := range b.Entries {
		hashes[i] = rfc6962.DefaultHasher.HashLeaf(e)
	}
	return hashes, nil
}

func check(t testing.TB, dir string, verifier note.Verifier) error {
	return fsck.New(origin, verifier, client.FileFetcher{Root: dir}, leaves, fsck.Opts{N: 2}).Check(t.Context())
}

// Tessera's fsck finds a log to be whole, at each size of its last tiles, with
// cosignatures and with removed bodies, and finds each tile that was altered.
func TestFsck(t *testing.T) {
	signer, verifier := keys(t)
	skey, vkey, err := witness.GenerateKey("witness.example")
	require.NoError(t, err)
	cosigner, err := witness.NewSigner(skey)
	require.NoError(t, err)
	coverifier, err := witness.NewVerifier(vkey)
	require.NoError(t, err)
	server, err := witness.Open(filepath.Join(t.TempDir(), "witness"), cosigner, coverifier, []note.Verifier{verifier}, nil)
	require.NoError(t, err)
	defer server.Close()
	dir := filepath.Join(t.TempDir(), "audit")
	for _, n := range []int{0, 3, 250, 256, 1500} {
		l, err := auditlog.Open(t.Context(), dir, signer, &auditlog.Options{Witnesses: []auditlog.Witness{clientOf(t, server, coverifier)}})
		require.NoError(t, err)
		write(t, l, n)
		if n == 256 {
			removed, err := l.Remove(t.Context(), "retention", func(e auditlog.Entry) bool { return e.Index%2 == 0 })
			require.NoError(t, err)
			require.Positive(t, removed)
		}
		require.NoError(t, l.Close())
		require.NoError(t, check(t, dir, verifier), n)
	}
	r, err := auditlog.Verify(t.Context(), os.DirFS(dir), verifier, nil, &auditlog.VerifyOptions{Witnesses: []note.Verifier{coverifier}})
	require.NoError(t, err)
	require.True(t, r.OK(), r)
	for _, tile := range []string{"tile/0/000", "tile/0/003", "tile/1/000.p/7", "tile/entries/002", "checkpoint"} {
		path := filepath.Join(dir, tile)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		altered := append([]byte(nil), content...)
		altered[40] ^= 1
		require.NoError(t, os.WriteFile(path, altered, 0o600))
		require.Error(t, check(t, dir, verifier), tile)
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
	require.NoError(t, check(t, dir, verifier))
}

// The signers and verifiers of transparency-dev's formats and ours verify each other, and
// a witness and Verify take theirs, also those by ML-DSA-44.
func TestCosignaturesOfOthers(t *testing.T) {
	text := []byte(origin + "\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	skey, vkey, err := witness.GenerateKey("witness.example/w1")
	require.NoError(t, err)
	ours, err := witness.NewSigner(skey)
	require.NoError(t, err)
	oursVerifier, err := witness.NewVerifier(vkey)
	require.NoError(t, err)
	theirs, err := f_note.NewSignerForCosignatureV1(skey)
	require.NoError(t, err)
	theirsVerifier, err := f_note.NewVerifierForCosignatureV1(vkey)
	require.NoError(t, err)
	require.Equal(t, theirsVerifier.KeyHash(), ours.KeyHash())
	for _, signer := range []note.Signer{ours, theirs} {
		signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
		require.NoError(t, err)
		for _, verifier := range []note.Verifier{oursVerifier, theirsVerifier} {
			n, err := note.Open(signed, note.VerifierList(verifier))
			require.NoError(t, err)
			require.Len(t, n.Sigs, 1)
			at, err := f_note.CoSigV1Timestamp(n.Sigs[0])
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), at, time.Hour)
		}
	}

	skey, vkey, err = f_note.GenerateMLDSAKey("witness.example/w2")
	require.NoError(t, err)
	mldsa, err := f_note.NewSignerForCosignatureV1(skey)
	require.NoError(t, err)
	mldsaVerifier, err := f_note.NewVerifierForCosignatureV1(vkey)
	require.NoError(t, err)
	signer, verifier := keys(t)
	state := filepath.Join(t.TempDir(), "witness")
	server, err := witness.Open(state, mldsa, mldsaVerifier, []note.Verifier{verifier}, nil)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "audit")
	for range 2 {
		l, err := auditlog.Open(t.Context(), dir, signer, &auditlog.Options{Witnesses: []auditlog.Witness{clientOf(t, server, mldsaVerifier)}})
		require.NoError(t, err)
		write(t, l, 20)
		require.NoError(t, l.Publish(t.Context()))
		write(t, l, 1)
		require.NoError(t, l.Close())
		require.NoError(t, server.Close())
		server, err = witness.Open(state, mldsa, mldsaVerifier, []note.Verifier{verifier}, nil)
		require.NoError(t, err)
	}
	require.NoError(t, server.Close())
	require.NoError(t, check(t, dir, verifier))
	r, err := auditlog.Verify(t.Context(), os.DirFS(dir), verifier, nil, &auditlog.VerifyOptions{Witnesses: []note.Verifier{mldsaVerifier}})
	require.NoError(t, err)
	require.True(t, r.OK(), r)
	require.Len(t, r.NotExcluded, 1)
	require.NotContains(t, r.NotExcluded[0], "anew", "the cosignatures were read")
}
