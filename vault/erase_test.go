package vault

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

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
	pseudonym, err := e.scope(t, e.there, subject).opened.current.Load().pseudonymOf(e.security, subject)
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
	pk := &purposeKeys{backend: e.here.backend, id: keysID{purpose: e.security}}
	_, err = pk.erase(t.Context(), "alice", func() {})
	require.Equal(t, errClosed, err)
}
