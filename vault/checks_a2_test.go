package vault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

// countdown is a context that is done once it was asked for as often.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// A context that is done is seen at every step, and what is no name is none for a
// file either.
func TestDirHeedsContextsAndNames(t *testing.T) {
	store := Dir(filepath.Join(t.TempDir(), "keys"))
	_, err := store.Get(t.Context(), "a/b")
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no private files on this system")
	}
	require.NoError(t, err)
	_, err = store.Put(t.Context(), Record{Name: "a/b", Data: []byte("data")})
	require.NoError(t, err)
	for left := range 3 { // before the first record, before the second one, after both
		_, err := store.Get(&countdown{t.Context(), left}, "a/b", "a/c")
		require.ErrorIs(t, err, ErrUnavailable)
	}
	records, err := store.Get(&countdown{t.Context(), 0}, "a/b")
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, records)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = store.Put(cancelled, Record{Name: "a/b", Data: []byte("data"), Revision: 1})
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrConflict, "it was not looked")

	for left := range 100 {
		var names []string
		err = nil
		for name, failure := range store.List(&countdown{t.Context(), left}, "", "") {
			require.NoError(t, err, "an error is the last")
			if err = failure; err == nil {
				names = append(names, name)
			}
		}
		if err == nil {
			require.Equal(t, []string{"a/b"}, names, "a list that says nothing is all there is")
			require.Positive(t, left)
			break
		}
		require.ErrorIs(t, err, ErrUnavailable)
	}
	require.NoError(t, err)

	for _, name := range []string{"", "..", "../b", "a/../b", "/a", "a/", "a//b", "a.b", "A", "a\x00b"} {
		_, err := store.Get(t.Context(), "a/b", name)
		require.ErrorIs(t, err, ErrInvalid, name)
		_, err = store.Put(t.Context(), Record{Name: name, Data: []byte("data")})
		require.ErrorIs(t, err, ErrInvalid, name)
		require.ErrorIs(t, store.Delete(t.Context(), name, 1), ErrInvalid, name)
	}
	_, err = Dir("").Get(t.Context(), "a/b")
	require.EqualError(t, err, "key store: empty path: invalid argument")
}

// A file that lies too deep to be a record is not listed: Get refuses its name.
func TestDirListLeavesOutWhatLiesTooDeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	store := Dir(path)
	_, err := store.Put(t.Context(), Record{Name: "a/b", Data: []byte("data")})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no private files on this system")
	}
	require.NoError(t, err)
	segment := strings.Repeat("a", maxName/2)
	deep := filepath.Join(path, segment)
	require.NoError(t, os.Mkdir(deep, 0o700))
	for _, name := range []string{strings.Repeat("b", maxName-len(segment)-1), strings.Repeat("c", maxName-len(segment))} {
		require.NoError(t, os.WriteFile(filepath.Join(deep, name+recordSuffix), encodeRecord(1, []byte("data")), 0o600))
	}
	var names []string
	for name, err := range store.List(t.Context(), "", "") {
		require.NoError(t, err)
		names = append(names, name)
	}
	require.Equal(t, []string{"a/b", segment + "/" + strings.Repeat("b", maxName-len(segment)-1)}, names)
}

// eraser is two vaults on one store.
type eraser struct {
	store       *failingStore
	here, there *Vault
	security    purpose.Purpose
	kind        Kind
}

func newEraser(t *testing.T, opts *Options) *eraser {
	t.Helper()
	e := &eraser{store: &failingStore{Store: Memory()}, security: purpose.MustParse("security"), kind: MustKind("note", "vault.Note")}
	kek := testKEK(t)
	var err error
	e.here, err = Open(t.Context(), e.store, kek, opts)
	require.NoError(t, err)
	e.there, err = Open(t.Context(), e.store.Store, kek, opts)
	require.NoError(t, err)
	t.Cleanup(func() { e.here.Close(); e.there.Close() })
	require.NoError(t, e.here.Generate(t.Context(), e.security))
	return e
}

func (e *eraser) scope(t *testing.T, v *Vault, subject string) *Scope {
	t.Helper()
	s, err := v.Scope(t.Context(), e.security)
	require.NoError(t, err)
	return s.For(subject)
}

// record returns the name of the record of a subject.
func (e *eraser) record(t *testing.T, subject string) string {
	t.Helper()
	pseudonym, err := e.scope(t, e.there, subject).ring.keys.Load().pseudonymOf(e.security, subject)
	require.NoError(t, err)
	return subjectRecordName(e.security, pseudonym)
}

func (e *eraser) down(methods, name string, err error) {
	e.store.fail = func(method, asked string) error {
		if method == methods && asked == name {
			return err
		}
		return nil
	}
}

// Once Erase has returned nothing succeeds for the person in this process, and so when
// another process was first as well.
func TestErasingTheErasedForgetsThem(t *testing.T) {
	e := newEraser(t, nil)
	s := e.scope(t, e.here, "alice")
	value, err := Seal(t.Context(), e.kind, "text", s)
	require.NoError(t, err)
	first, err := e.there.Erase(t.Context(), "alice", e.security)
	require.NoError(t, err)
	_, err = s.Reveal(t.Context(), e.kind, value)
	require.NoError(t, err, "it is not known here yet")
	again, err := e.here.Erase(t.Context(), "alice", e.security)
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = s.Reveal(t.Context(), e.kind, value)
	require.ErrorIs(t, err, ErrErased)
	_, err = Seal(t.Context(), e.kind, "text", s)
	require.ErrorIs(t, err, ErrErased)
}

// A store that fails on the way ends the erasure with what failed. What was not
// learned is not certified, and the next try does it all.
func TestEraseThatFailsOnTheWay(t *testing.T) {
	e := newEraser(t, nil)
	ctx := t.Context()
	e.scope(t, e.here, "x")

	require.NoError(t, e.there.Rotate(ctx, e.security))
	_, err := Seal(ctx, e.kind, "text", e.scope(t, e.there, "alice"))
	require.NoError(t, err)
	e.down("get", "security/keys", errors.New("down")) // which only alice's record needs
	_, err = e.here.Erase(ctx, "alice", e.security)
	require.EqualError(t, err, "vault: erasing keys of security: key store: unavailable")
	e.store.fail = nil
	c, err := e.here.Erase(ctx, "alice", e.security)
	require.NoError(t, err)
	require.NotEmpty(t, c.Erasures[0].KeyID, "her key was there until now")

	e.down("get", e.record(t, "bob"), ErrNoKeys)
	_, err = e.here.Erase(ctx, "bob", e.security)
	require.EqualError(t, err, "vault: erasing keys of security: no keys for this purpose")
	e.down("get", "security/erasures", ErrNoKeys)
	_, err = e.here.Erase(ctx, "bob", e.security)
	require.EqualError(t, err, "vault: erasing keys of security: no keys for this purpose")
	e.store.fail = nil
	records, err := e.store.Get(ctx, e.record(t, "bob"))
	require.NoError(t, err)
	require.Empty(t, records, "uncounted, so not erased")

	e.down("get", "security/keys", errors.New("down"))
	_, err = e.here.Erase(ctx, "bob", e.security)
	require.ErrorIs(t, err, ErrUnavailable, "it is done, but which generation that is remains unknown")
	e.store.fail = nil
	again, err := e.here.Erase(ctx, "bob", e.security)
	require.NoError(t, err)
	require.Equal(t, c.Erasures[0].Generation+1, again.Erasures[0].Generation)
}

// An erasure counts on from what this process knows of, or not at all.
func TestEraseOnAnOlderStore(t *testing.T) {
	e := newEraser(t, nil)
	ctx := t.Context()
	_, err := e.here.Erase(ctx, "alice", e.security)
	require.NoError(t, err)
	older, err := e.store.Get(ctx, "security/erasures")
	require.NoError(t, err)

	e.down("get", "security/keys", errors.New("down")) // so that nothing else notes the count
	_, err = e.here.Erase(ctx, "bob", e.security)
	require.ErrorIs(t, err, ErrUnavailable)
	e.store.fail = nil
	now, err := e.store.Get(ctx, "security/erasures")
	require.NoError(t, err)
	older[0].Revision = now[0].Revision
	_, err = e.store.Put(ctx, older[0])
	require.NoError(t, err)

	_, err = e.here.Erase(ctx, "carol", e.security)
	require.ErrorIs(t, err, errRollback)
	records, err := e.store.Get(ctx, e.record(t, "carol"))
	require.NoError(t, err)
	require.Empty(t, records, "uncounted, so not erased")
	_, err = e.here.Generation(ctx, e.security)
	require.ErrorIs(t, err, errRollback)
}

// Where others are always faster, on a store that takes its time and no context, an
// erasure is over when its time is, and nothing of it goes on.
func TestEraseThatIsAlwaysOvertakenEnds(t *testing.T) {
	for _, contended := range []string{"security/erasures", "security/subjects/"} {
		synctest.Test(t, func(t *testing.T) {
			e := newEraser(t, &Options{Timeout: time.Second})
			e.store.Store = deaf{e.store.Store}
			tries := 0
			e.store.fail = func(method, name string) error {
				if method != "put" || !strings.HasPrefix(name, contended) {
					return nil
				}
				tries++
				time.Sleep(10 * time.Millisecond)
				if tries > 10_000 {
					return errors.New("it has no end")
				}
				return ErrConflict
			}
			_, err := e.here.Erase(t.Context(), "alice", e.security)
			require.ErrorIs(t, err, ErrUnavailable)
			time.Sleep(time.Hour)
			synctest.Wait()
			require.LessOrEqual(t, tries, 101)
		})
	}
}

// deaf is a store that does not heed contexts.
type deaf struct{ Store }

func (d deaf) Get(ctx context.Context, names ...string) ([]Record, error) {
	return d.Store.Get(context.WithoutCancel(ctx), names...)
}

// A vault that is closed in the midst of an erasure says so.
func TestEraseOfAClosedVault(t *testing.T) {
	e := newEraser(t, nil)
	e.scope(t, e.here, "alice")
	e.store.fail = func(method, name string) error {
		if method == "put" && name == "security/erasures" {
			e.here.Close()
		}
		return nil
	}
	_, err := e.here.Erase(t.Context(), "alice", e.security)
	require.ErrorIs(t, err, errClosed)
	r := &ring{vault: e.here, purpose: e.security}
	_, err = r.erase(t.Context(), "alice")
	require.Equal(t, errClosed, err)
}
