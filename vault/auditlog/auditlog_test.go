package auditlog_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

var (
	security = purpose.MustParse("security")
	ads      = purpose.MustParse("advertising")
)

const origin = "example.com/audit/mailer"

// keys makes the key of a log.
func keys(t testing.TB, name string) (note.Signer, note.Verifier) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	require.NoError(t, err)
	signer, err := note.NewSigner(skey)
	require.NoError(t, err)
	verifier, err := note.NewVerifier(vkey)
	require.NoError(t, err)
	return signer, verifier
}

// A place is a directory for a log, with its key.
type place struct {
	dir      string
	signer   note.Signer
	verifier note.Verifier
}

func newPlace(t testing.TB) *place {
	t.Helper()
	signer, verifier := keys(t, origin)
	return &place{filepath.Join(t.TempDir(), "audit"), signer, verifier}
}

func (p *place) open(t testing.TB, opts *auditlog.Options) *auditlog.Log {
	t.Helper()
	l, err := auditlog.Open(t.Context(), p.dir, p.signer, opts)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func (p *place) verify(t testing.TB, kept ...auditlog.Head) *auditlog.Report {
	t.Helper()
	r, err := auditlog.Verify(t.Context(), os.DirFS(p.dir), p.verifier, kept, nil)
	require.NoError(t, err)
	return r
}

// entries returns the bodies of a log.
func (p *place) entries(t testing.TB) (bodies []string) {
	t.Helper()
	opts := &auditlog.VerifyOptions{Entry: func(e auditlog.Entry) error {
		bodies = append(bodies, string(e.Body))
		return nil
	}}
	r, err := auditlog.Verify(t.Context(), os.DirFS(p.dir), p.verifier, nil, opts)
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	return bodies
}

func event(caller string) audit.Event {
	return audit.Event{
		Time: time.Now(), Action: audit.Reveal, Outcome: audit.Allowed, Purpose: security,
		Collected: purpose.NewSet(ads, security), Kind: "email", Caller: caller,
	}
}

func write(t testing.TB, l *auditlog.Log, callers ...string) {
	t.Helper()
	for _, c := range callers {
		require.NoError(t, l.Audit(t.Context(), event(c)))
	}
}

func TestLog(t *testing.T) {
	p := newPlace(t)
	l := p.open(t, &auditlog.Options{Service: "mailer", Granted: purpose.NewSet(security), Shut: purpose.NewSet(ads)})
	write(t, l, "a", "b")
	e := event("c")
	e.Outcome, e.Err = audit.Denied, errors.New("refused")
	require.NoError(t, l.Audit(t.Context(), e))
	head := l.Head()
	require.Equal(t, int64(4), head.Size)
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Audit(t.Context(), e), auditlog.ErrStopped)
	require.NoError(t, l.Close())

	r := p.verify(t, head)
	require.True(t, r.OK(), r)
	require.Equal(t, int64(5), r.Entries)
	require.Equal(t, int64(5), r.Bodies)

	l = p.open(t, nil)
	write(t, l, "d")
	require.NoError(t, l.Close())
	r = p.verify(t, head, r.Head)
	require.True(t, r.OK(), r)
	require.Equal(t, int64(8), r.Entries)
	require.Equal(t, 2, r.Starts)
	require.Empty(t, r.Notes)
	for _, b := range p.entries(t) {
		t.Log(b)
	}
}
