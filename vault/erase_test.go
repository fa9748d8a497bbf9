package vault

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// eraser is two vaults on one store.
type eraser struct {
	store       *failingStore
	here, there *Admin
	security    purpose.Purpose
	kind        Kind
}

func newEraser(t *testing.T, opts *Options) *eraser {
	t.Helper()
	e := &eraser{store: &failingStore{Store: Memory()}, security: purpose.MustParse("security"), kind: MustKind("note", "vault.Note")}
	kek := testKEK(t)
	var err error
	e.here, err = OpenAdmin(t.Context(), e.store, kek, opts)
	require.NoError(t, err)
	e.there, err = OpenAdmin(t.Context(), e.store.Store, kek, opts)
	require.NoError(t, err)
	t.Cleanup(func() { e.here.Close(); e.there.Close() })
	require.NoError(t, e.here.Generate(t.Context(), e.security))
	return e
}

func (e *eraser) scope(t *testing.T, v *Admin, subject string) *Scope {
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
	e.store.fail(func(method, asked string) error {
		if method == methods && asked == name {
			return err
		}
		return nil
	})
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

	rotateNow(t, e.there, e.security, RoleSeal)
	_, err := Seal(ctx, e.kind, "text", e.scope(t, e.there, "alice"))
	require.NoError(t, err)
	e.down("get", "security/keys", errors.New("down")) // before an erasure the keys are read again
	_, err = e.here.Erase(ctx, "alice", e.security)
	require.EqualError(t, err, "vault: erasing keys of security: key store: unavailable")
	e.store.fail(nil)
	c, err := e.here.Erase(ctx, "alice", e.security)
	require.NoError(t, err)
	require.NotEmpty(t, c[0].KeyID, "her key was there until now")

	e.down("get", e.record(t, "bob"), ErrNoKeys)
	_, err = e.here.Erase(ctx, "bob", e.security)
	require.EqualError(t, err, "vault: erasing keys of security: no usable keys")
	e.down("get", "security/erasures", ErrNoKeys)
	_, err = e.here.Erase(ctx, "bob", e.security)
	require.EqualError(t, err, "vault: erasing keys of security: no usable keys")
	e.store.fail(nil)
	records, err := e.store.Get(ctx, e.record(t, "bob"))
	require.NoError(t, err)
	require.Empty(t, records, "no intent, so not erased")

	e.down("put", e.record(t, "bob"), errors.New("down"))
	_, err = e.here.Erase(ctx, "bob", e.security)
	require.ErrorIs(t, err, ErrUnavailable, "the intent is written")
	e.store.fail(nil)
	again, err := e.here.Erase(ctx, "bob", e.security)
	require.NoError(t, err)
	require.Equal(t, c[0].Pin.erasure.count+1, again[0].Pin.erasure.count, "counted once")
	pin, err := e.here.Pin(ctx, e.security)
	require.NoError(t, err)
	require.Equal(t, again[0].Pin, pin)
}

// An erasure counts on from what this process knows of, or not at all.
func TestEraseOnAnOlderStore(t *testing.T) {
	e := newEraser(t, nil)
	ctx := t.Context()
	_, err := e.here.Erase(ctx, "alice", e.security)
	require.NoError(t, err)
	older, err := e.store.Get(ctx, "security/erasures")
	require.NoError(t, err)

	_, err = e.here.Erase(ctx, "bob", e.security)
	require.NoError(t, err)
	now, err := e.store.Get(ctx, "security/erasures")
	require.NoError(t, err)
	older[0].Revision = now[0].Revision
	_, err = e.store.Put(ctx, older[0])
	require.NoError(t, err)

	_, err = e.here.Erase(ctx, "carol", e.security)
	require.ErrorIs(t, err, errRollback)
	records, err := e.store.Get(ctx, e.record(t, "carol"))
	require.NoError(t, err)
	require.Empty(t, records, "no intent, so not erased")
	_, err = e.here.Pin(ctx, e.security)
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
			e.store.fail(func(method, name string) error {
				if method != "put" || !strings.HasPrefix(name, contended) {
					return nil
				}
				tries++
				time.Sleep(10 * time.Millisecond)
				if tries > 10_000 {
					return errors.New("it has no end")
				}
				return ErrConflict
			})
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
	e.store.fail(func(method, name string) error {
		if method == "put" && name == "security/erasures" {
			e.here.Close()
		}
		return nil
	})
	_, err := e.here.Erase(t.Context(), "alice", e.security)
	require.ErrorIs(t, err, errClosed)
	pk := &purposeKeys{backend: e.here.backend, id: keysID{purpose: e.security}}
	pk.erasure.Store(&erasureState{})
	_, err = pk.erase(t.Context(), [IndexSize]byte{}, func() {})
	require.Equal(t, errClosed, err)
	_, err = pk.pin(t.Context())
	require.Equal(t, errClosed, err)
}

// overtaken is a subject's cipher during whose work the subject is erased.
type overtaken struct {
	cipher.AEAD
	sealing bool // only while it seals
	erase   func()
}

func (o overtaken) Seal(dst, nonce, plaintext, aad []byte) []byte {
	o.erase()
	return o.AEAD.Seal(dst, nonce, plaintext, aad)
}

func (o overtaken) Open(dst, nonce, ciphertext, aad []byte) ([]byte, error) {
	if !o.sealing {
		o.erase()
	}
	return o.AEAD.Open(dst, nonce, ciphertext, aad)
}

// An operation that has a subject's key in hand while the subject is erased does
// not succeed after it.
func TestErasureOvertakesKeysInUse(t *testing.T) {
	kind := MustKind("note", "vault.Note")
	p, other := purpose.MustParse("security"), purpose.MustParse("billing")
	for name, use := range map[string]func(context.Context, *Admin, *Scope, Sealed) error{
		"reveal": func(ctx context.Context, _ *Admin, s *Scope, v Sealed) error {
			_, err := s.Reveal(ctx, kind, v)
			return err
		},
		"seal": func(ctx context.Context, _ *Admin, s *Scope, _ Sealed) error {
			_, err := Seal(ctx, kind, "text", s)
			return err
		},
		"reseal": func(ctx context.Context, _ *Admin, s *Scope, v Sealed) error {
			_, err := Reseal(ctx, kind, v, nil, s)
			return err
		},
		"extend to": func(ctx context.Context, v *Admin, s *Scope, _ Sealed) error {
			other, err := v.Scope(ctx, other)
			if err != nil {
				return err
			}
			plain, err := Seal(ctx, kind, "text", other)
			if err != nil {
				return err
			}
			_, err = Extend(ctx, kind, plain, nil, other, s.Under(purpose.Basis{Consent: "c-1"}))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			kek, err := subtle.NewAESGCM(make([]byte, 32))
			require.NoError(t, err)
			v, err := OpenAdmin(t.Context(), Memory(), SharedKEK(kek), nil)
			require.NoError(t, err)
			defer v.Close()
			require.NoError(t, v.Generate(t.Context(), p, other))
			s, err := v.Scope(t.Context(), p)
			require.NoError(t, err)
			s = s.For("alice")
			value, err := Seal(t.Context(), kind, "text", s)
			require.NoError(t, err)
			require.NoError(t, use(t.Context(), v, s, value))

			key, known := s.opened.subjects.Load().get("alice")
			require.True(t, known)
			key.gcm = overtaken{key.gcm, name == "reseal", func() {
				_, err := v.Erase(t.Context(), "alice", p)
				require.NoError(t, err)
			}}
			require.ErrorIs(t, use(t.Context(), v, s, value), ErrErased)
		})
	}
}

// Of an erasure it is recorded whose it was, by a name that only who has the keys
// can tell, and under which purpose.
func TestErasuresAreRecorded(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	var events []audit.Event
	record := auditorFunc(func(_ context.Context, e audit.Event) error {
		events = append(events, e)
		return nil
	})
	v, err := OpenAdmin(ctx, Memory(), testKEK(t), &Options{Audit: record})
	require.NoError(t, err)
	defer v.Close()
	_, err = v.Erase(ctx, "alice", security)
	require.EqualError(t, err, "vault: erasing keys of security: key store has none: no usable keys")
	_, err = v.Erase(ctx, "alice")
	require.EqualError(t, err, "vault: erasing keys: no purpose: invalid argument")
	require.NoError(t, v.Generate(ctx, security))

	for _, subject := range []string{"", "0", "<nil>", strings.Repeat("s", format.MaxSubject+1)} {
		_, err = v.Erase(ctx, subject, security)
		require.ErrorIs(t, err, ErrInvalid)
	}
	events = nil
	for _, subject := range []string{"alice", strings.Repeat("s", format.MaxSubject)} {
		c, err := v.Erase(ctx, subject, security)
		require.NoError(t, err)
		e := events[len(events)-1]
		require.Equal(t, audit.Erase, e.Action)
		require.Equal(t, audit.Allowed, e.Outcome)
		require.Equal(t, security, e.Purpose)
		require.Len(t, e.Subject, 2*IndexSize)
		require.Equal(t, c[0].Subject, e.Subject)
		require.Equal(t, security, c[0].Purpose)

		again, err := v.Erase(ctx, subject, security)
		require.NoError(t, err)
		require.Equal(t, c, again, "an erasure is one for good")
	}
	require.NotEqual(t, events[len(events)-1].Subject, events[0].Subject)
}

// A store that another process is ahead in is asked again, and one that fails is not
// taken for one that did what it was told.
func TestEraseCountsOnceThoughOthersAreFaster(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	store := &conflictingStore{Store: Memory()}
	v, err := OpenAdmin(ctx, store, testKEK(t), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security))
	var before uint64

	for _, c := range []struct {
		suffix string
		counts uint64
	}{{"/erasures", 1}, {"", 1}} { // of the count, and of the tombstone
		store.suffix, store.left, store.err = c.suffix, 2, ErrConflict
		if c.suffix == "" {
			store.inside = "/subjects/"
		}
		_, err = v.Erase(ctx, "person"+c.suffix, security)
		require.NoError(t, err)
		require.Zero(t, store.left)
		pin, err := v.Pin(ctx, security)
		require.NoError(t, err)
		require.Equal(t, before+c.counts, pin.erasure.count)
		before = pin.erasure.count
	}

	for _, inside := range []string{"/erasures", "/subjects/"} {
		store.suffix, store.inside, store.left, store.err = "", inside, 1, errors.New("disk full")
		_, err = v.Erase(ctx, "another"+inside, security)
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = v.Erase(ctx, "another"+inside, security)
		require.NoError(t, err)
	}
}

// conflictingStore fails the next changes of some records.
type conflictingStore struct {
	Store
	suffix, inside string
	left           int
	err            error
}

func (s *conflictingStore) Put(ctx context.Context, r Record) (int64, error) {
	if s.left > 0 && strings.HasSuffix(r.Name, s.suffix) && strings.Contains(r.Name, s.inside) {
		s.left--
		return 0, s.err
	}
	return s.Store.Put(ctx, r)
}

// The event of every erasure names the person by the pseudonym: of one that is refused, of
// one that stops half-way, and of one that is repeated by its certificate.
func TestErasuresAreRecordedWithThePerson(t *testing.T) {
	ctx := t.Context()
	var last audit.Event
	e := newEraser(t, &Options{Audit: auditorFunc(func(_ context.Context, event audit.Event) error { last = event; return nil })})
	s := e.scope(t, e.here, "alice")
	_, err := Seal(ctx, e.kind, "text", s)
	require.NoError(t, err)
	alice, err := s.withoutSubject().Pseudonym(ctx, "alice")
	require.NoError(t, err)
	recorded := func(outcome audit.Outcome, reason, subject string) {
		t.Helper()
		require.Equal(t, audit.Erase, last.Action)
		require.Equal(t, outcome, last.Outcome)
		require.Equal(t, reason, last.Reason)
		require.Equal(t, subject, last.Subject)
		require.Equal(t, 1, last.Count)
	}

	for method, names := range map[string][]string{
		"get": {keyRecordName(e.security), erasuresName(e.security), e.record(t, "alice")},
		"put": {erasuresName(e.security), e.record(t, "alice")}, // the second one after the intent
	} {
		for _, name := range names {
			e.down(method, name, errors.New("down"))
			_, err := e.here.Erase(ctx, "alice", e.security)
			require.ErrorIs(t, err, ErrUnavailable, "%s %s", method, name)
			recorded(audit.Failed, "unavailable", alice)
		}
	}
	e.store.fail(nil)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = e.here.Erase(canceled, "alice", e.security)
	require.ErrorIs(t, err, ErrUnavailable)
	recorded(audit.Failed, "unavailable", alice)

	done, err := e.here.Erase(ctx, "alice", e.security)
	require.NoError(t, err)
	recorded(audit.Allowed, "", alice)
	require.Equal(t, done[0].KeyID, fmt.Sprintf("%08x", last.KeyID))
	require.EqualValues(t, 1, last.Generation)
	_, err = e.here.Erase(ctx, "nobody", e.security)
	require.NoError(t, err)
	require.Zero(t, last.KeyID, "the person had no key")

	_, err = e.here.EraseAgain(ctx, done...)
	require.NoError(t, err)
	recorded(audit.Allowed, "again", alice)
	_, err = e.here.EraseAgain(canceled, done...)
	require.ErrorIs(t, err, ErrUnavailable)
	recorded(audit.Failed, "unavailable", alice)
	other := done[0]
	other.Purpose = purpose.MustParse("advertising") // which has no keys
	_, err = e.here.EraseAgain(ctx, other)
	require.ErrorIs(t, err, ErrInvalid)
	recorded(audit.Failed, "invalid", alice)
	other.Pin = Pin{}
	_, err = e.here.EraseAgain(ctx, other)
	require.ErrorIs(t, err, ErrNoKeys)
	recorded(audit.Denied, "keys", alice)
	other.Subject = "alice@example.com"
	_, err = e.here.EraseAgain(ctx, other)
	require.ErrorIs(t, err, ErrInvalid)
	recorded(audit.Failed, "invalid", "")

	_, err = e.here.Erase(ctx, "0", e.security)
	require.ErrorIs(t, err, ErrInvalid)
	recorded(audit.Failed, "invalid", "")
	_, err = e.here.Erase(ctx, "alice")
	require.ErrorIs(t, err, ErrInvalid)
	recorded(audit.Failed, "invalid", "")
	_, err = e.here.Erase(ctx, "alice", purpose.MustParse("advertising"))
	require.ErrorIs(t, err, ErrNoKeys)
	recorded(audit.Denied, "keys", "")
}
