package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

func seal(t testing.TB, sealers ...vault.Sealer) vault.Sealed {
	t.Helper()
	v, err := vault.Seal(t.Context(), note, "text", sealers...)
	require.NoError(t, err)
	return v
}

// opens and refuses state what a scope sees of a value.
func opens(t testing.TB, s *vault.Scope, v vault.Sealed) {
	t.Helper()
	text, err := s.Reveal(t.Context(), note, v)
	require.NoError(t, err)
	require.Equal(t, "text", text)
}

func refuses(t testing.TB, s *vault.Scope, v vault.Sealed, want error) {
	t.Helper()
	_, err := s.Reveal(t.Context(), note, v)
	require.ErrorIs(t, err, want)
}

// requireSince fails unless at, in whole seconds, is between before and now.
func requireSince(t testing.TB, before, at time.Time) {
	t.Helper()
	require.False(t, at.Before(before.Truncate(time.Second)), "%v is before %v", at, before)
	require.False(t, at.After(time.Now()), "%v is to come", at)
}

// counting is a store that counts reads and can be told to fail writes.
type counting struct {
	vault.Store
	gets, puts atomic.Int32
	put        func(vault.Record) error
}

func (c *counting) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	c.gets.Add(1)
	return c.Store.Get(ctx, names...)
}

func (c *counting) Put(ctx context.Context, r vault.Record) (int64, error) {
	c.puts.Add(1)
	if c.put != nil {
		if err := c.put(r); err != nil {
			return 0, err
		}
	}
	return c.Store.Put(ctx, r)
}

func TestSubjectsAreApart(t *testing.T) {
	v := generated(t, nil, security)
	s := scope(t, v, security)
	alice, bob := s.For("alice"), s.For("bob")
	value := seal(t, alice)
	opens(t, alice, value)
	refuses(t, bob, value, vault.ErrCorrupt) // bob has no key
	bobs := seal(t, bob)
	refuses(t, bob, value, vault.ErrCorrupt) // bob has another key
	refuses(t, alice, bobs, vault.ErrCorrupt)
	refuses(t, s, value, vault.ErrSubject)
	refuses(t, alice, seal(t, s), vault.ErrSubject)

	one, err := alice.Index(t.Context(), note, "text")
	require.NoError(t, err)
	other, err := s.Index(t.Context(), note, "text")
	require.NoError(t, err)
	require.Equal(t, other, one, "indexes are the purpose's")
}

func TestForIsNoWayOut(t *testing.T) {
	v := generated(t, nil, security)
	s := scope(t, v, security)
	value := seal(t, s.For("alice"))
	opens(t, s.For("alice").For("alice"), value)
	for name, narrowed := range map[string]*vault.Scope{
		"another subject":         s.For("bob").For("alice"),
		"back by way of an error": s.For("bob").For("carol").For("alice"),
		"empty":                   s.For(""),
		"too long":                s.For(strings.Repeat("x", 256)),
		"mended by a basis":       s.For("").Under(purpose.Basis{}),
	} {
		t.Run(name, func(t *testing.T) {
			refuses(t, narrowed, value, vault.ErrInvalid)
			_, err := vault.Seal(t.Context(), note, "text", narrowed)
			require.ErrorIs(t, err, vault.ErrInvalid)
		})
	}
	require.Nil(t, (*vault.Scope)(nil).For("alice"))
	require.ErrorIs(t, s.For("bob").Prefetch(t.Context(), "alice"), vault.ErrInvalid)
	require.ErrorIs(t, s.Prefetch(t.Context(), ""), vault.ErrInvalid)
	for _, hostile := range []string{"../../etc/passwd", "a/b\x00\n", "\xff", strings.Repeat("é", 127)} {
		opens(t, s.For(hostile), seal(t, s.For(hostile)))
	}
}

func TestColdSubjectCostsOneRead(t *testing.T) {
	store, kek := &counting{Store: vault.Memory()}, vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security))
	s := scope(t, v, security)
	values := make(map[string]vault.Sealed)
	for i := range 1000 {
		id := fmt.Sprint("user-", i)
		values[id] = seal(t, s.For(id))
	}

	fresh := open(t, store, kek, nil)
	s = scope(t, fresh, security)
	store.gets.Store(0)
	opens(t, s.For("user-1"), values["user-1"])
	require.EqualValues(t, 1, store.gets.Load())
	opens(t, s.For("user-1"), values["user-1"])
	require.EqualValues(t, 1, store.gets.Load(), "a warm one costs none")

	ids := make([]string, 0, len(values))
	for id := range values {
		ids = append(ids, id)
	}
	require.NoError(t, s.Prefetch(t.Context(), ids...))
	require.EqualValues(t, 2, store.gets.Load(), "a batch costs one")
	for id, value := range values {
		opens(t, s.For(id), value)
	}
	require.EqualValues(t, 2, store.gets.Load())
	require.NoError(t, s.Prefetch(t.Context(), ids...))
	require.EqualValues(t, 2, store.gets.Load())
}

func TestColdSubjectIsReadOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, kek := &slowStore{Store: vault.Memory()}, vault.SharedKEK(newAEAD(t))
		v := open(t, store, kek, nil)
		require.NoError(t, v.Generate(t.Context(), security))
		value := seal(t, scope(t, v, security).For("alice"))
		reads := &counting{Store: store}
		s := scope(t, open(t, reads, kek, nil), security)
		reads.gets.Store(0)
		store.delay.Store(int64(time.Second)) // time for all of them to come
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if _, err := s.For("alice").Reveal(context.Background(), note, value); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, reads.gets.Load())
	})
}

func TestSubjectCacheIsBounded(t *testing.T) {
	store, kek := &counting{Store: vault.Memory()}, vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, &vault.Options{SubjectCache: 64})
	require.NoError(t, v.Generate(t.Context(), security))
	s := scope(t, v, security)
	values := make(map[string]vault.Sealed)
	for i := range 1000 {
		id := fmt.Sprint("user-", i)
		values[id] = seal(t, s.For(id))
	}
	store.gets.Store(0)
	for id, value := range values {
		opens(t, s.For(id), value)
	}
	require.Greater(t, store.gets.Load(), int32(900), "64 of 1,000 are kept")
}

func TestErase(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security, billing))
	sec, bill := scope(t, v, security), scope(t, v, billing)
	value := seal(t, sec.For("alice"), bill.For("alice"))
	bobs := seal(t, sec.For("bob"))
	pseudonym, err := sec.Pseudonym(t.Context(), "alice")
	require.NoError(t, err)

	before := time.Now()
	c, err := v.Erase(t.Context(), "alice", security)
	require.NoError(t, err)
	require.Len(t, c.Erasures, 1)
	e := c.Erasures[0]
	require.Equal(t, security, e.Purpose)
	require.Equal(t, pseudonym, e.Subject)
	require.Len(t, e.KeyID, 8)
	requireSince(t, before, e.Erased)
	generation, err := v.Generation(t.Context(), security)
	require.NoError(t, err)
	require.Equal(t, generation, e.Generation)
	text, err := json.Marshal(c)
	require.NoError(t, err)
	require.NotContains(t, string(text), "alice")
	var read vault.Certificate
	require.NoError(t, json.Unmarshal(text, &read))
	require.Equal(t, c, read)

	fresh := open(t, store, kek, nil)
	for _, vv := range []*vault.Vault{v, fresh} {
		sec, bill := scope(t, vv, security), scope(t, vv, billing)
		refuses(t, sec.For("alice"), value, vault.ErrErased)
		_, err = vault.Seal(t.Context(), note, "text", sec.For("alice"))
		require.ErrorIs(t, err, vault.ErrErased, "does not come back")
		require.NoError(t, sec.Prefetch(t.Context(), "alice"))
		refuses(t, sec.For("alice"), value, vault.ErrErased)
		opens(t, bill.For("alice"), value)
		opens(t, sec.For("bob"), bobs)
	}

	again, err := fresh.Erase(t.Context(), "alice", security)
	require.NoError(t, err)
	require.Equal(t, e.Erased, again.Erasures[0].Erased, "the first time counts")
	require.Equal(t, e.KeyID, again.Erasures[0].KeyID)

	c, err = v.Erase(t.Context(), "nobody", security, billing)
	require.NoError(t, err)
	require.Len(t, c.Erasures, 2)
	require.Empty(t, c.Erasures[0].KeyID)
	require.NotEqual(t, c.Erasures[0].Subject, c.Erasures[1].Subject, "pseudonyms do not link purposes")
	_, err = vault.Seal(t.Context(), note, "text", sec.For("nobody"))
	require.ErrorIs(t, err, vault.ErrErased)

	_, err = v.Erase(t.Context(), "alice")
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = v.Erase(t.Context(), "", security)
	require.ErrorIs(t, err, vault.ErrInvalid)
	done, err := v.Erase(t.Context(), "carol", security, advertising, billing)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.Len(t, done.Erasures, 1, "tells what was done")
}

// In another process an erasure holds once what it believes is out of date.
func TestEraseReachesOtherProcesses(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	synctest.Test(t, func(t *testing.T) {
		here, there := open(t, store, kek, nil), open(t, store, kek, &vault.Options{SubjectLifetime: time.Hour})
		require.NoError(t, here.Generate(t.Context(), security))
		value := seal(t, scope(t, here, security).For("alice"))
		theirs := scope(t, there, security).For("alice")
		opens(t, theirs, value)
		_, err := here.Erase(t.Context(), "alice", security)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		refuses(t, theirs, value, vault.ErrErased)
	})
}

// An answer that was on its way while the subject was erased is not believed.
func TestEraseBeatsAnAnswerOnItsWay(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{Store: store}
		v := open(t, slow, kek, nil)
		require.NoError(t, v.Generate(t.Context(), security))
		value := seal(t, scope(t, open(t, store, kek, nil), security).For("alice"))
		s := scope(t, v, security).For("alice")
		slow.delay.Store(int64(10 * time.Second))
		result := make(chan error)
		go func() { _, err := s.Reveal(t.Context(), note, value); result <- err }()
		synctest.Wait() // the answer is on its way
		slow.delay.Store(0)
		_, err := v.Erase(t.Context(), "alice", security)
		require.NoError(t, err)
		require.ErrorIs(t, <-result, vault.ErrErased)
		refuses(t, s, value, vault.ErrErased)
		time.Sleep(vault.DefaultSubjectLifetime)
		refuses(t, s, value, vault.ErrErased)
	})
}

// slowStore answers with what it read some time before.
type slowStore struct {
	vault.Store
	delay atomic.Int64
}

func (s *slowStore) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	records, err := s.Store.Get(ctx, names...)
	time.Sleep(time.Duration(s.delay.Load()))
	return records, err
}

func TestExtend(t *testing.T) {
	var events []vault.Event
	v := generated(t, &vault.Options{Audit: auditFunc(func(e vault.Event) error { events = append(events, e); return nil })},
		security, billing, advertising)
	sec, ads := scope(t, v, security), scope(t, v, advertising)
	consent := ads.Under(purpose.Basis{Legal: purpose.Consent, Consent: "consent-81f3"})
	value := seal(t, sec)

	_, err := vault.Extend(t.Context(), note, value, sec, ads)
	require.ErrorIs(t, err, purpose.ErrNoConsent)
	_, err = vault.Extend(t.Context(), note, value, sec, ads.Under(purpose.Basis{Legal: purpose.Consent, Notice: "ads-v1"}))
	require.ErrorIs(t, err, purpose.ErrNoConsent)
	for _, bad := range []string{"consent\n81f3", strings.Repeat("c", 10_000), "alice@example.com"} {
		_, err = vault.Extend(t.Context(), note, value, sec, ads.Under(purpose.Basis{Consent: bad}))
		require.ErrorIs(t, err, purpose.ErrBasis)
		require.NotContains(t, err.Error(), bad)
	}
	_, err = vault.Extend(t.Context(), note, value, scope(t, v, billing), consent)
	require.ErrorIs(t, err, purpose.ErrMismatch, "from a purpose that has it not")
	_, err = vault.Extend(t.Context(), note, value, nil, consent)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.Extend(t.Context(), note, value, sec, nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	refuses(t, ads, value, purpose.ErrMismatch)

	events = nil
	extended, err := vault.Extend(t.Context(), note, value, sec, consent)
	require.NoError(t, err)
	require.Len(t, events, 1, "one event with both")
	require.Equal(t, security, events[0].Purpose)
	require.Equal(t, advertising, events[0].To)
	opens(t, ads, extended)
	opens(t, sec, extended)
	p, ok := extended.Provenance(advertising)
	require.True(t, ok)
	require.Equal(t, security, p.From)
	require.Equal(t, "consent-81f3", p.Consent)
	before, _ := value.Provenance(security)
	after, _ := extended.Provenance(security)
	require.Equal(t, before, after)

	_, err = vault.Extend(t.Context(), note, extended, sec, consent)
	require.ErrorIs(t, err, vault.ErrInvalid, "there already")
	_, err = vault.Extend(t.Context(), note, extended, sec, sec.Under(purpose.Basis{Consent: "c-1"}))
	require.ErrorIs(t, err, vault.ErrInvalid, "to itself")
	refuses(t, ads, extended.Without(advertising), purpose.ErrMismatch)
	require.Equal(t, value, extended.Without(advertising), "withdrawal undoes it")
}

// The origin and the consent of a slot are as authentic as its content.
func TestExtendedSlotCannotBeEdited(t *testing.T) {
	v := generated(t, nil, security, billing, advertising)
	sec, ads := scope(t, v, security), scope(t, v, advertising)
	extended, err := vault.Extend(t.Context(), note, seal(t, sec), sec, ads.Under(purpose.Basis{Consent: "consent-1"}))
	require.NoError(t, err)
	raw, err := extended.MarshalBinary()
	require.NoError(t, err)
	for old, replacement := range map[string]string{"consent-1": "consent-2", "\x08security": "\x08securitx"} {
		edited := []byte(strings.Replace(string(raw), old, replacement, 1))
		if old[0] == 8 { // the origin comes after the list of purposes
			i := strings.LastIndex(string(raw), old)
			edited = []byte(string(raw[:i]) + replacement + string(raw[i+len(old):]))
		}
		require.NotEqual(t, raw, edited)
		var forged vault.Sealed
		require.NoError(t, forged.UnmarshalBinary(edited))
		refuses(t, ads, forged, vault.ErrCorrupt)
		opens(t, sec, forged)
	}
}

func TestWithout(t *testing.T) {
	v := generated(t, nil, security, billing, advertising)
	sec, bill, ads := scope(t, v, security), scope(t, v, billing), scope(t, v, advertising)
	value := seal(t, sec, bill)
	require.Equal(t, value, value.Without(advertising))
	require.Equal(t, value, value.Without(purpose.Purpose{}))
	only := value.Without(billing)
	require.Equal(t, purpose.NewSet(security), only.Purposes())
	opens(t, sec, only)
	refuses(t, bill, only, purpose.ErrMismatch)
	refuses(t, ads, only, purpose.ErrMismatch)
	require.True(t, only.Without(security).IsZero())
	require.True(t, vault.Sealed{}.Without(security).IsZero())
	again, err := vault.ParseSealed(string(mustText(t, only)))
	require.NoError(t, err)
	require.Equal(t, only, again)
}

func mustText(t testing.TB, v vault.Sealed) []byte {
	t.Helper()
	text, err := v.MarshalText()
	require.NoError(t, err)
	return text
}

func TestWithoutExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := generated(t, nil, security, billing)
		sec, bill := scope(t, v, security), scope(t, v, billing)
		value := seal(t, sec.Under(purpose.Basis{Retain: time.Hour}), bill)
		require.Equal(t, value, value.WithoutExpired())
		time.Sleep(time.Hour)
		refuses(t, sec, value, vault.ErrExpired)
		kept := value.WithoutExpired()
		require.Equal(t, purpose.NewSet(billing), kept.Purposes())
		opens(t, bill, kept)
		_, err := vault.Reseal(t.Context(), note, value, sec)
		require.ErrorIs(t, err, vault.ErrExpired)
		require.True(t, seal(t, sec.Under(purpose.Basis{Retain: time.Second})).Without(security).IsZero())
	})
}

// A clock that was set back does not bring a value back that is limited in time.
func TestClockSetBack(t *testing.T) {
	var value vault.Sealed
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security))
	value = seal(t, scope(t, v, security).Under(purpose.Basis{Retain: time.Hour}))
	unlimited := seal(t, scope(t, v, security))
	synctest.Test(t, func(t *testing.T) { // its clock begins in the year 2000
		s := scope(t, open(t, store, kek, nil), security)
		refuses(t, s, value, vault.ErrUnavailable)
		opens(t, s, unlimited)
	})
}

func TestRotate(t *testing.T) {
	before := time.Now()
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security))
	s := scope(t, v, security)
	other := scope(t, open(t, store, kek, nil), security) // of another process
	old := seal(t, s)
	require.True(t, old.OnPrimaryKey(s))

	require.NoError(t, v.Rotate(t.Context(), security))
	fresh := seal(t, s)
	require.False(t, old.OnPrimaryKey(s))
	require.True(t, fresh.OnPrimaryKey(s))
	opens(t, s, old)
	opens(t, other, fresh) // which makes it look for the new key
	require.True(t, fresh.OnPrimaryKey(other))

	resealed, err := vault.Reseal(t.Context(), note, old, s)
	require.NoError(t, err)
	require.True(t, resealed.OnPrimaryKey(s))
	collected, _ := old.Provenance(security)
	after, _ := resealed.Provenance(security)
	require.Equal(t, collected, after)

	keys, err := v.Keys(t.Context(), security)
	require.NoError(t, err)
	require.Len(t, keys, 5)
	require.Equal(t, vault.Key{ID: keys[0].ID, Role: vault.RoleSeal, Status: vault.Active, Created: keys[0].Created}, keys[0])
	require.Equal(t, vault.Primary, keys[1].Status)
	require.Equal(t, vault.RoleIndex, keys[2].Role)
	require.Equal(t, vault.RoleSubject, keys[3].Role)
	require.Equal(t, vault.RoleCollect, keys[4].Role)
	requireSince(t, before, keys[0].Created)

	for _, k := range keys {
		if k.Status == vault.Primary {
			require.ErrorIs(t, v.Retire(t.Context(), security, k.ID), vault.ErrInvalid)
			require.ErrorIs(t, v.Destroy(t.Context(), security, k.ID), vault.ErrInvalid)
		}
	}
	require.ErrorIs(t, v.Destroy(t.Context(), security, keys[0].ID), vault.ErrInvalid, "not retired")
	require.ErrorIs(t, v.Retire(t.Context(), security, keys[0].ID+1), vault.ErrInvalid, "unknown")
	require.NoError(t, v.Retire(t.Context(), security, keys[0].ID))
	refuses(t, s, old, vault.ErrCorrupt)
	opens(t, s, resealed)
	require.NoError(t, v.Reinstate(t.Context(), security, keys[0].ID))
	opens(t, s, old)
	require.NoError(t, v.Retire(t.Context(), security, keys[0].ID))
	require.NoError(t, v.Destroy(t.Context(), security, keys[0].ID))
	require.ErrorIs(t, v.Reinstate(t.Context(), security, keys[0].ID), vault.ErrInvalid)
	keys, err = v.Keys(t.Context(), security)
	require.NoError(t, err)
	require.Len(t, keys, 4)
	refuses(t, s, old, vault.ErrCorrupt)
	opens(t, s, resealed)

	_, err = vault.Reseal(t.Context(), note, resealed)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.Reseal(t.Context(), note, resealed, s, s)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.Reseal(t.Context(), note, vault.Sealed{}, s)
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.False(t, resealed.OnPrimaryKey(nil))
	require.False(t, vault.Sealed{}.OnPrimaryKey(s))
}

func TestRotateIndex(t *testing.T) {
	v := generated(t, nil, security)
	s := scope(t, v, security)
	old, err := s.Index(t.Context(), note, "text")
	require.NoError(t, err)
	all, err := s.Indexes(t.Context(), note, "text")
	require.NoError(t, err)
	require.Equal(t, [][vault.IndexSize]byte{old}, all)

	require.NoError(t, v.RotateIndex(t.Context(), security))
	fresh, err := s.Index(t.Context(), note, "text")
	require.NoError(t, err)
	require.NotEqual(t, old, fresh)
	all, err = s.Indexes(t.Context(), note, "text")
	require.NoError(t, err)
	require.Equal(t, [][vault.IndexSize]byte{fresh, old}, all)

	keys, err := v.Keys(t.Context(), security)
	require.NoError(t, err)
	for _, k := range keys {
		if k.Role == vault.RoleIndex && k.Status == vault.Active {
			require.NoError(t, v.Retire(t.Context(), security, k.ID))
		}
	}
	all, err = s.Indexes(t.Context(), note, "text")
	require.NoError(t, err)
	require.Equal(t, [][vault.IndexSize]byte{fresh}, all)
	_, err = s.Indexes(t.Context(), note, "")
	require.ErrorIs(t, err, vault.ErrInvalid)
}

// The pseudonyms of subjects outlive the rotation of every other key.
func TestSubjectsOutliveRotation(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security))
	s := scope(t, v, security)
	values := map[string]vault.Sealed{}
	for i := range 50 {
		id := fmt.Sprint("user-", i)
		values[id] = seal(t, s.For(id))
	}
	_, err := v.Erase(t.Context(), "user-0", security)
	require.NoError(t, err)
	keys, err := v.Keys(t.Context(), security)
	require.NoError(t, err)
	require.NoError(t, v.Rotate(t.Context(), security))
	require.NoError(t, v.RotateIndex(t.Context(), security))

	interrupted := errors.New("enough")
	var at vault.Progress
	err = v.RewrapSubjects(t.Context(), security, "", func(p vault.Progress) error {
		if at = p; p.Seen == 20 {
			return interrupted
		}
		return nil
	})
	require.ErrorIs(t, err, interrupted)
	require.Equal(t, 20, at.Changed)
	require.NoError(t, v.RewrapSubjects(t.Context(), security, at.After, func(p vault.Progress) error { at = p; return nil }))
	require.Equal(t, 30, at.Changed)
	require.NoError(t, v.RewrapSubjects(t.Context(), security, "", func(p vault.Progress) error { at = p; return nil }))
	require.Equal(t, vault.Progress{Seen: 50, After: at.After}, at, "nothing left to do")
	require.NoError(t, v.RewrapSubjects(t.Context(), security, "", nil))
	require.ErrorIs(t, v.RewrapSubjects(t.Context(), security, "billing/keys", nil), vault.ErrInvalid)

	// The old key wraps nothing any more.
	require.NoError(t, v.Retire(t.Context(), security, keys[0].ID))
	require.NoError(t, v.Destroy(t.Context(), security, keys[0].ID))
	s = scope(t, open(t, store, kek, nil), security)
	for id, value := range values {
		if id == "user-0" {
			refuses(t, s.For(id), value, vault.ErrErased)
			continue
		}
		opens(t, s.For(id), value)
		require.True(t, value.OnPrimaryKey(s.For(id)))
	}
}

func TestRefreshByInterval(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	synctest.Test(t, func(t *testing.T) {
		v := open(t, store, kek, nil)
		require.NoError(t, v.Generate(t.Context(), security))
		there := open(t, store, kek, &vault.Options{Refresh: time.Hour})
		s, other := scope(t, v, security), scope(t, there, security)
		require.NoError(t, v.Rotate(t.Context(), security))
		require.False(t, seal(t, other).OnPrimaryKey(s), "does not know yet")
		time.Sleep(time.Hour + time.Second)
		_ = seal(t, other) // has it look
		synctest.Wait()
		require.True(t, seal(t, other).OnPrimaryKey(s))
		there.Close()
		v.Close()
	})
}

// Forged key ids make a process look at the store, but not at will.
func TestUnknownKeysAreNotAskedForAtWill(t *testing.T) {
	store, kek := &counting{Store: vault.Memory()}, vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security))
	s := scope(t, v, security)
	stranger := generated(t, nil, security)
	store.gets.Store(0)
	forged := seal(t, scope(t, stranger, security))
	for range 100 {
		refuses(t, s, forged, vault.ErrCorrupt)
	}
	require.EqualValues(t, 1, store.gets.Load(), "one id is asked for once")
	synctest.Test(t, func(t *testing.T) { // so that no time passes
		s := scope(t, open(t, store, kek, nil), security)
		store.gets.Store(0)
		for range 100 {
			require.NoError(t, stranger.Rotate(context.Background(), security))
			refuses(t, s, seal(t, scope(t, stranger, security)), vault.ErrCorrupt)
		}
		require.LessOrEqual(t, store.gets.Load(), int32(10), "many ids are asked for rarely")
	})
}

func TestRotatingAtOnce(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	require.NoError(t, open(t, store, kek, nil).Generate(t.Context(), security))
	const n = 8
	var values [n]vault.Sealed
	var rotations atomic.Int32
	var wg sync.WaitGroup
	for i := range n {
		v := open(t, store, kek, nil)
		wg.Go(func() {
			s, err := v.Scope(t.Context(), security)
			if err != nil {
				t.Error(err)
				return
			}
			switch err := v.Rotate(t.Context(), security); {
			case err == nil:
				rotations.Add(1)
			case !errors.Is(err, vault.ErrConflict):
				t.Error(err)
			}
			if values[i], err = vault.Seal(t.Context(), note, "text", s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	v := open(t, store, kek, nil)
	keys, err := v.Keys(t.Context(), security)
	require.NoError(t, err)
	require.EqualValues(t, rotations.Load()+1, len(keys)-3, "no rotation is lost")
	for _, value := range values {
		opens(t, scope(t, v, security), value)
	}
}

func TestRewrap(t *testing.T) {
	store := vault.Memory()
	oldKEK, newKEK := vault.SharedKEK(newAEAD(t)), vault.SharedKEK(newAEAD(t))
	v := open(t, store, oldKEK, nil)
	require.NoError(t, v.Generate(t.Context(), security, billing))
	s := scope(t, v, security)
	value, subject := seal(t, s), seal(t, s.For("alice"))
	index, err := s.Index(t.Context(), note, "text")
	require.NoError(t, err)

	require.ErrorIs(t, v.Rewrap(t.Context(), nil, security), vault.ErrInvalid)
	require.ErrorIs(t, v.Rewrap(t.Context(), newKEK), vault.ErrInvalid)
	require.ErrorIs(t, v.Rewrap(t.Context(), vault.SharedKEK(forgetful{newAEAD(t)}), security), vault.ErrNoKeys)
	require.ErrorIs(t, v.Rewrap(t.Context(), newKEK, security, advertising), vault.ErrNoKeys)
	require.NoError(t, v.Rewrap(t.Context(), newKEK, security), "again")

	both := vault.EitherKEK(newKEK, oldKEK)
	for name, test := range map[string]struct {
		kek     vault.KEK
		purpose purpose.Purpose
		err     error
	}{
		"new KEK, moved":         {newKEK, security, nil},
		"old KEK, moved":         {oldKEK, security, vault.ErrNoKeys},
		"new KEK, not moved":     {newKEK, billing, vault.ErrNoKeys},
		"old KEK, not moved":     {oldKEK, billing, nil},
		"either KEK, moved":      {both, security, nil},
		"either KEK, not moved":  {both, billing, nil},
		"either, new is down":    {vault.EitherKEK(down, oldKEK), billing, nil},
		"either, old is down":    {vault.EitherKEK(newKEK, down), security, nil},
		"the one needed is down": {vault.EitherKEK(newKEK, down), billing, vault.ErrUnavailable},
		"either of nothing":      {vault.EitherKEK(nil, nil), billing, vault.ErrNoKeys},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, store, test.kek, nil).Scope(t.Context(), test.purpose)
			require.ErrorIs(t, err, test.err)
		})
	}

	// Nothing but the wrapping changed, and this vault goes on with the new KEK.
	require.NoError(t, v.Rotate(t.Context(), security))
	s = scope(t, open(t, store, newKEK, nil), security)
	opens(t, s, value)
	opens(t, s.For("alice"), subject)
	again, err := s.Index(t.Context(), note, "text")
	require.NoError(t, err)
	require.Equal(t, index, again)
}

var down = vault.KEKFunc(func(context.Context, purpose.Purpose) (vault.AEAD, error) { return nil, vault.ErrUnavailable })

func TestPins(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security))
	_ = seal(t, scope(t, v, security).For("alice"))
	backup, err := store.Get(t.Context(), "security/keys", "security/erasures")
	require.NoError(t, err)
	require.Len(t, backup, 1)

	certificate, err := v.Erase(t.Context(), "alice", security)
	require.NoError(t, err)
	pins := map[purpose.Purpose]uint64{security: certificate.Erasures[0].Generation}
	_, err = open(t, store, kek, &vault.Options{Pins: pins}).Scope(t.Context(), security)
	require.NoError(t, err)

	restored := vault.Memory()
	_, err = restored.Put(t.Context(), vault.Record{Name: backup[0].Name, Data: backup[0].Data})
	require.NoError(t, err)
	_, err = open(t, restored, kek, nil).Scope(t.Context(), security)
	require.NoError(t, err, "without a pin nobody notices")
	pinned := open(t, restored, kek, &vault.Options{Pins: pins})
	_, err = pinned.Scope(t.Context(), security)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	require.ErrorContains(t, err, "older than its pin")
	_, err = pinned.Erase(t.Context(), "alice", security)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	pins[security] = math.MaxUint64
	_, err = open(t, restored, kek, &vault.Options{Pins: pins}).Scope(t.Context(), security)
	require.ErrorIs(t, err, vault.ErrCorrupt)
}

// A store that goes back while a vault is open is noticed without a pin.
func TestRollbackIsNoticed(t *testing.T) {
	store, kek := &swapped{Store: vault.Memory()}, vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security))
	backup := vault.Memory()
	records, err := store.Get(t.Context(), "security/keys")
	require.NoError(t, err)
	_, err = backup.Put(t.Context(), vault.Record{Name: records[0].Name, Data: records[0].Data})
	require.NoError(t, err)

	s := scope(t, v, security)
	require.NoError(t, v.Rotate(t.Context(), security))
	_, err = v.Erase(t.Context(), "alice", security)
	require.NoError(t, err)
	value := seal(t, s)
	store.Store = backup
	require.ErrorIs(t, v.RewrapSubjects(t.Context(), security, "", nil), vault.ErrCorrupt)
	_, err = v.Erase(t.Context(), "bob", security)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	opens(t, s, value) // the keys at hand stay in use
}

type swapped struct{ vault.Store }

// What is one person's does not become another's, nor nobody's in particular.
func TestOneValueIsOfOnePerson(t *testing.T) {
	v := generated(t, nil, security, advertising)
	sec, ads := scope(t, v, security), scope(t, v, advertising)
	_, err := vault.Seal(t.Context(), note, "text", sec.For("alice"), ads.For("bob"))
	require.ErrorIs(t, err, vault.ErrInvalid)
	value := seal(t, sec.For("alice"))
	consent := ads.Under(purpose.Basis{Consent: "c-1"})
	for _, to := range []*vault.Scope{consent.For("bob"), consent} {
		_, err = vault.Extend(t.Context(), note, value, sec.For("alice"), to)
		require.ErrorIs(t, err, vault.ErrInvalid)
	}
	extended, err := vault.Extend(t.Context(), note, value, sec.For("alice"), consent.For("alice"))
	require.NoError(t, err)
	opens(t, ads.For("alice"), extended)
}

// A pin and an open scope guard every way to the keys, not only Scope.
func TestRollbackGuardsEveryOperation(t *testing.T) {
	store, kek := &swapped{Store: vault.Memory()}, vault.SharedKEK(newAEAD(t))
	v := open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), security))
	old := copyOf(t, store, "security/keys")
	require.NoError(t, v.Rotate(t.Context(), security))
	_, err := v.Erase(t.Context(), "alice", security)
	require.NoError(t, err)
	pin, err := v.Generation(t.Context(), security)
	require.NoError(t, err)
	onlyErasuresBack := copyOf(t, store, "security/keys")
	scope(t, v, security)
	keys, err := v.Keys(t.Context(), security)
	require.NoError(t, err)

	for state, back := range map[string]vault.Store{"all": old, "erasures": onlyErasuresBack} {
		store.Store = back
		for guard, v := range map[string]*vault.Vault{
			"open scope": v,
			"pin":        open(t, store, kek, &vault.Options{Pins: map[purpose.Purpose]uint64{security: pin}}),
		} {
			for name, operation := range map[string]func() error{
				"keys":         func() error { _, err := v.Keys(t.Context(), security); return err },
				"generation":   func() error { _, err := v.Generation(t.Context(), security); return err },
				"rotate":       func() error { return v.Rotate(t.Context(), security) },
				"rotate index": func() error { return v.RotateIndex(t.Context(), security) },
				"retire":       func() error { return v.Retire(t.Context(), security, keys[0].ID) },
				"reinstate":    func() error { return v.Reinstate(t.Context(), security, keys[0].ID) },
				"destroy":      func() error { return v.Destroy(t.Context(), security, keys[0].ID) },
				"rewrap":       func() error { return v.Rewrap(t.Context(), kek, security) },
				"subjects":     func() error { return v.RewrapSubjects(t.Context(), security, "", nil) },
				"erase":        func() error { _, err := v.Erase(t.Context(), "bob", security); return err },
			} {
				t.Run(state+"/"+guard+"/"+name, func(t *testing.T) {
					require.ErrorIs(t, operation(), vault.ErrCorrupt)
				})
			}
		}
	}
}

// copyOf returns a store with copies of the named records.
func copyOf(t testing.TB, store vault.Store, names ...string) vault.Store {
	t.Helper()
	records, err := store.Get(t.Context(), names...)
	require.NoError(t, err)
	out := vault.Memory()
	for _, r := range records {
		r.Revision = 0
		_, err := out.Put(t.Context(), r)
		require.NoError(t, err)
	}
	return out
}

// Nobody asked for it, so what a look at the store finds has to be recorded.
func TestRollbackInTheBackgroundIsRecorded(t *testing.T) {
	store, kek := &swapped{Store: vault.Memory()}, vault.SharedKEK(newAEAD(t))
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var denied []vault.Event
		v := open(t, store, kek, &vault.Options{Audit: auditFunc(func(e vault.Event) error {
			mu.Lock()
			defer mu.Unlock()
			if e.Outcome == vault.Denied {
				denied = append(denied, e)
			}
			return nil
		})})
		require.NoError(t, v.Generate(t.Context(), security))
		old := copyOf(t, store, "security/keys")
		s := scope(t, v, security)
		require.NoError(t, v.Rotate(t.Context(), security))
		store.Store = old
		time.Sleep(vault.DefaultRefresh + time.Second)
		_ = seal(t, s)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, denied, 1)
		require.Equal(t, vault.ActionOpen, denied[0].Action)
		require.Equal(t, security, denied[0].Purpose)
		v.Close()
	})
}

// Both sides of an extension record it, each in its own log.
func TestExtendIsRecordedOnBothSides(t *testing.T) {
	var here, there []vault.Event
	record := func(to *[]vault.Event) *vault.Options {
		return &vault.Options{Audit: auditFunc(func(e vault.Event) error { *to = append(*to, e); return nil })}
	}
	sec := scope(t, generated(t, record(&here), security), security)
	ads := scope(t, generated(t, record(&there), advertising), advertising)
	value := seal(t, sec)
	here, there = nil, nil
	_, err := vault.Extend(t.Context(), note, value, sec, ads.Under(purpose.Basis{Consent: "c-1"}))
	require.NoError(t, err)
	for _, events := range [][]vault.Event{here, there} {
		require.Len(t, events, 1)
		require.Equal(t, vault.ActionExtend, events[0].Action)
		require.Equal(t, security, events[0].Purpose)
		require.Equal(t, advertising, events[0].To)
	}
}

// Who comes second with new keys uses those of the first.
func TestGenerateComesSecond(t *testing.T) {
	kek := vault.SharedKEK(newAEAD(t))
	store := &counting{Store: vault.Memory()}
	first := open(t, store.Store, kek, nil)
	store.put = func(vault.Record) error { return first.Generate(context.Background(), security) }
	second := open(t, store, kek, nil)
	require.NoError(t, second.Generate(t.Context(), security))
	value := seal(t, scope(t, first, security))
	opens(t, scope(t, second, security), value)
}

// A vault that is closed while keys are on their way does not take them.
func TestCloseWhileOpening(t *testing.T) {
	kek := vault.SharedKEK(newAEAD(t))
	memory := vault.Memory()
	require.NoError(t, open(t, memory, kek, nil).Generate(t.Context(), security))
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{Store: memory}
		slow.delay.Store(int64(time.Second))
		v := open(t, slow, kek, nil)
		result := make(chan error)
		go func() { _, err := v.Scope(t.Context(), security); result <- err }()
		synctest.Wait()
		require.NoError(t, v.Close())
		require.ErrorIs(t, <-result, vault.ErrNoKeys)
	})
}

// What was opened works on while the key service is down, for as long as
// Options.KeyLifetime says, and not for ever.
func TestKeysLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, a := vault.Memory(), newAEAD(t)
		admin := open(t, store, vault.SharedKEK(a), nil)
		require.NoError(t, admin.Generate(t.Context(), security))
		kek := &spy{AEAD: a}
		v := open(t, store, kek, &vault.Options{KeyLifetime: 10*time.Hour + time.Minute})
		s, r := scope(t, v, security), reader(t, v, security)
		value := seal(t, s)
		require.EqualValues(t, 2, kek.calls.Load())

		// In use, it asks again when half of the time is over, and holds nobody up.
		for range 3 {
			for range 60 {
				time.Sleep(5 * time.Minute)
				opens(t, s, value)
				synctest.Wait()
			}
		}
		require.EqualValues(t, 2+2, kek.calls.Load(), "once in some five hours")

		kek.meddle = func(context.Context) error { return vault.ErrUnavailable }
		for range 50 {
			time.Sleep(5 * time.Minute)
			opens(t, s, value)
			synctest.Wait()
		}
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		refuses(t, s, value, vault.ErrUnavailable)
		_, err := r.Reveal(t.Context(), note, value)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		_, err = s.Index(t.Context(), note, "text")
		require.ErrorIs(t, err, vault.ErrUnavailable)
		_, err = v.Scope(t.Context(), security)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		kek.meddle = func(context.Context) error { return vault.ErrNoKeys } // the grant is withdrawn
		refuses(t, s, value, vault.ErrNoKeys)

		kek.meddle = nil
		opens(t, s, value) // a yes brings them back at once
		_, err = r.Reveal(t.Context(), note, value)
		require.NoError(t, err)
		before := kek.calls.Load()
		opens(t, s, value)
		require.Equal(t, before, kek.calls.Load())
		v.Close()
		admin.Close()
	})
}

// A process that slept through the night does not fail its first request.
func TestKeysLapseWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := generated(t, nil, security)
		s := scope(t, v, security)
		value := seal(t, s)
		time.Sleep(vault.DefaultKeyLifetime + time.Hour)
		opens(t, s, value)
		v.Close()
	})
}
