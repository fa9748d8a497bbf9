package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func TestSubjectsAreApart(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	alice, bob := s.For("alice"), s.For("bob")
	value := vaulttest.Seal(t, alice)
	vaulttest.Opens(t, alice, value)
	vaulttest.Refuses(t, bob, value, vault.ErrCorrupt) // bob has no key
	bobs := vaulttest.Seal(t, bob)
	vaulttest.Refuses(t, bob, value, vault.ErrCorrupt) // bob has another key
	vaulttest.Refuses(t, alice, bobs, vault.ErrCorrupt)
	vaulttest.Refuses(t, s, value, vault.ErrSubject)
	vaulttest.Refuses(t, alice, vaulttest.Seal(t, s), vault.ErrSubject)

	one, err := alice.Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	other, err := s.Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	require.Equal(t, other, one, "indexes are the purpose's")
}

func TestForIsNoWayOut(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	value := vaulttest.Seal(t, s.For("alice"))
	vaulttest.Opens(t, s.For("alice").For("alice"), value)
	for name, narrowed := range map[string]*vault.Scope{
		"another subject":         s.For("bob").For("alice"),
		"back by way of an error": s.For("bob").For("carol").For("alice"),
		"empty":                   s.For(""),
		"too long":                s.For(strings.Repeat("x", 256)),
		"mended by a basis":       s.For("").Under(purpose.Basis{}),
	} {
		t.Run(name, func(t *testing.T) {
			vaulttest.Refuses(t, narrowed, value, vault.ErrInvalid)
			_, err := vault.Seal(t.Context(), vaulttest.Note, "text", narrowed)
			require.ErrorIs(t, err, vault.ErrInvalid)
		})
	}
	require.Nil(t, (*vault.Scope)(nil).For("alice"))
	require.ErrorIs(t, s.For("bob").Prefetch(t.Context(), "alice"), vault.ErrInvalid)
	require.ErrorIs(t, s.Prefetch(t.Context(), ""), vault.ErrInvalid)
	for _, hostile := range []string{"../../etc/passwd", "a/b\x00\n", "\xff", strings.Repeat("é", 127)} {
		vaulttest.Opens(t, s.For(hostile), vaulttest.Seal(t, s.For(hostile)))
	}
}

func TestColdSubjectCostsOneRead(t *testing.T) {
	store, kek := &vaulttest.Counting{Store: vault.Memory()}, vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	s := vaulttest.Scope(t, v, vaulttest.Security)
	values := make(map[string]vault.Sealed)
	for i := range 1000 {
		id := fmt.Sprint("user-", i)
		values[id] = vaulttest.Seal(t, s.For(id))
	}

	fresh := vaulttest.Open(t, store, kek, nil)
	s = vaulttest.Scope(t, fresh, vaulttest.Security)
	store.Gets.Store(0)
	vaulttest.Opens(t, s.For("user-1"), values["user-1"])
	require.EqualValues(t, 1, store.Gets.Load())
	vaulttest.Opens(t, s.For("user-1"), values["user-1"])
	require.EqualValues(t, 1, store.Gets.Load(), "a warm one costs none")

	ids := make([]string, 0, len(values))
	for id := range values {
		ids = append(ids, id)
	}
	require.NoError(t, s.Prefetch(t.Context(), ids...))
	require.EqualValues(t, 2, store.Gets.Load(), "a batch costs one")
	for id, value := range values {
		vaulttest.Opens(t, s.For(id), value)
	}
	require.EqualValues(t, 2, store.Gets.Load())
	require.NoError(t, s.Prefetch(t.Context(), ids...))
	require.EqualValues(t, 2, store.Gets.Load())
}

func TestColdSubjectIsReadOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, kek := &slowStore{Store: vault.Memory()}, vault.SharedKEK(vaulttest.NewAEAD(t))
		v := vaulttest.Open(t, store, kek, nil)
		require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
		value := vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("alice"))
		reads := &vaulttest.Counting{Store: store}
		s := vaulttest.Scope(t, vaulttest.Open(t, reads, kek, nil), vaulttest.Security)
		reads.Gets.Store(0)
		store.delay.Store(int64(time.Second)) // time for all of them to come
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if _, err := s.For("alice").Reveal(context.Background(), vaulttest.Note, value); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, reads.Gets.Load())
	})
}

func TestSubjectCacheIsBounded(t *testing.T) {
	store, kek := &vaulttest.Counting{Store: vault.Memory()}, vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, &vault.Options{SubjectCache: 64})
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	s := vaulttest.Scope(t, v, vaulttest.Security)
	values := make(map[string]vault.Sealed)
	for i := range 1000 {
		id := fmt.Sprint("user-", i)
		values[id] = vaulttest.Seal(t, s.For(id))
	}
	store.Gets.Store(0)
	for id, value := range values {
		vaulttest.Opens(t, s.For(id), value)
	}
	require.Greater(t, store.Gets.Load(), int32(900), "64 of 1,000 are kept")
}

func TestErase(t *testing.T) {
	// The character @ is in no text of random bytes, such as that of a pin.
	const alice = "alice@"
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security, vaulttest.Billing))
	sec, bill := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Billing)
	value := vaulttest.Seal(t, sec.For(alice), bill.For(alice))
	bobs := vaulttest.Seal(t, sec.For("bob"))
	pseudonym, err := sec.Pseudonym(t.Context(), alice)
	require.NoError(t, err)

	before := time.Now()
	c, err := v.Erase(t.Context(), alice, vaulttest.Security)
	require.NoError(t, err)
	require.Len(t, c, 1)
	e := c[0]
	require.Equal(t, vaulttest.Security, e.Purpose)
	require.Equal(t, pseudonym, e.Subject)
	require.Len(t, e.KeyID, 8)
	require.Equal(t, e.Erased.Truncate(24*time.Hour), e.Erased, "a whole day")
	vaulttest.RequireSince(t, before.Add(-24*time.Hour), e.Erased)
	pin, err := v.Pin(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	require.Equal(t, pin, e.Pin)
	text, err := json.Marshal(c)
	require.NoError(t, err)
	require.NotContains(t, string(text), alice)
	var read []vault.Erasure
	require.NoError(t, json.Unmarshal(text, &read))
	require.Equal(t, c, read)

	fresh := vaulttest.Open(t, store, kek, nil)
	for _, vv := range []*vault.Admin{v, fresh} {
		sec, bill := vaulttest.Scope(t, vv, vaulttest.Security), vaulttest.Scope(t, vv, vaulttest.Billing)
		vaulttest.Refuses(t, sec.For(alice), value, vault.ErrErased)
		_, err = vault.Seal(t.Context(), vaulttest.Note, "text", sec.For(alice))
		require.ErrorIs(t, err, vault.ErrErased, "does not come back")
		require.NoError(t, sec.Prefetch(t.Context(), alice))
		vaulttest.Refuses(t, sec.For(alice), value, vault.ErrErased)
		vaulttest.Opens(t, bill.For(alice), value)
		vaulttest.Opens(t, sec.For("bob"), bobs)
	}

	again, err := fresh.Erase(t.Context(), alice, vaulttest.Security)
	require.NoError(t, err)
	require.Equal(t, e.Erased, again[0].Erased, "the first time counts")
	require.Equal(t, e.KeyID, again[0].KeyID)

	c, err = v.Erase(t.Context(), "nobody", vaulttest.Security, vaulttest.Billing)
	require.NoError(t, err)
	require.Len(t, c, 2)
	require.Empty(t, c[0].KeyID)
	require.NotEqual(t, c[0].Subject, c[1].Subject, "pseudonyms do not link purposes")
	_, err = vault.Seal(t.Context(), vaulttest.Note, "text", sec.For("nobody"))
	require.ErrorIs(t, err, vault.ErrErased)

	_, err = v.Erase(t.Context(), alice)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = v.Erase(t.Context(), "", vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrInvalid)
	done, err := v.Erase(t.Context(), "carol", vaulttest.Security, vaulttest.Advertising, vaulttest.Billing)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.Len(t, done, 1, "tells what was done")
}

// In another process an erasure holds once what it believes is out of date.
func TestEraseReachesOtherProcesses(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	synctest.Test(t, func(t *testing.T) {
		here, there := vaulttest.Open(t, store, kek, nil), vaulttest.Open(t, store, kek, &vault.Options{SubjectLifetime: time.Hour})
		require.NoError(t, here.Generate(t.Context(), vaulttest.Security))
		value := vaulttest.Seal(t, vaulttest.Scope(t, here, vaulttest.Security).For("alice"))
		theirs := vaulttest.Scope(t, there, vaulttest.Security).For("alice")
		vaulttest.Opens(t, theirs, value)
		_, err := here.Erase(t.Context(), "alice", vaulttest.Security)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		vaulttest.Refuses(t, theirs, value, vault.ErrErased)
	})
}

// An answer that was on its way while the subject was erased is not believed.
func TestEraseBeatsAnAnswerOnItsWay(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{Store: store}
		v := vaulttest.Open(t, slow, kek, nil)
		require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
		value := vaulttest.Seal(t, vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security).For("alice"))
		s := vaulttest.Scope(t, v, vaulttest.Security).For("alice")
		slow.delay.Store(int64(10 * time.Second))
		result := make(chan error)
		go func() { _, err := s.Reveal(t.Context(), vaulttest.Note, value); result <- err }()
		synctest.Wait() // the answer is on its way
		slow.delay.Store(0)
		_, err := v.Erase(t.Context(), "alice", vaulttest.Security)
		require.NoError(t, err)
		require.ErrorIs(t, <-result, vault.ErrErased)
		vaulttest.Refuses(t, s, value, vault.ErrErased)
		time.Sleep(time.Minute)
		vaulttest.Refuses(t, s, value, vault.ErrErased)
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
	var events []audit.Event
	v := vaulttest.Generated(t, &vault.Options{Audit: auditFunc(func(e audit.Event) error { events = append(events, e); return nil })},
		vaulttest.Security, vaulttest.Billing, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	consent := ads.Under(purpose.Basis{Legal: purpose.Consent, Consent: "consent-81f3"})
	value := vaulttest.Seal(t, sec)

	_, err := vault.Extend(t.Context(), vaulttest.Note, value, nil, sec, ads)
	require.ErrorIs(t, err, purpose.ErrNoConsent)
	_, err = vault.Extend(t.Context(), vaulttest.Note, value, nil, sec, ads.Under(purpose.Basis{Legal: purpose.Consent, Notice: "ads-v1"}))
	require.ErrorIs(t, err, purpose.ErrNoConsent)
	for _, bad := range []string{"consent\n81f3", strings.Repeat("c", 10_000), "alice@example.com"} {
		_, err = vault.Extend(t.Context(), vaulttest.Note, value, nil, sec, ads.Under(purpose.Basis{Consent: bad}))
		require.ErrorIs(t, err, purpose.ErrBasis)
		require.NotContains(t, err.Error(), bad)
	}
	_, err = vault.Extend(t.Context(), vaulttest.Note, value, nil, vaulttest.Scope(t, v, vaulttest.Billing), consent)
	require.ErrorIs(t, err, purpose.ErrMismatch, "from a purpose that has it not")
	_, err = vault.Extend(t.Context(), vaulttest.Note, value, nil, nil, consent)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.Extend(t.Context(), vaulttest.Note, value, nil, sec, nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	vaulttest.Refuses(t, ads, value, purpose.ErrMismatch)

	events = nil
	extended, err := vault.Extend(t.Context(), vaulttest.Note, value, nil, sec, consent)
	require.NoError(t, err)
	require.Len(t, events, 2, "one event for each purpose")
	require.Equal(t, vaulttest.Security, events[0].Purpose)
	require.Equal(t, vaulttest.Advertising, events[0].To)
	require.Zero(t, events[0].From)
	require.Equal(t, vaulttest.Advertising, events[1].Purpose)
	require.Equal(t, vaulttest.Security, events[1].From)
	require.Zero(t, events[1].To)
	vaulttest.Opens(t, ads, extended)
	vaulttest.Opens(t, sec, extended)
	p, ok := extended.Provenance(vaulttest.Advertising)
	require.True(t, ok)
	require.Equal(t, vaulttest.Security, p.From)
	require.Equal(t, "consent-81f3", p.Consent)
	before, _ := value.Provenance(vaulttest.Security)
	after, _ := extended.Provenance(vaulttest.Security)
	require.Equal(t, before, after)

	_, err = vault.Extend(t.Context(), vaulttest.Note, extended, nil, sec, consent)
	require.ErrorIs(t, err, vault.ErrInvalid, "there already")
	_, err = vault.Extend(t.Context(), vaulttest.Note, extended, nil, sec, sec.Under(purpose.Basis{Consent: "c-1"}))
	require.ErrorIs(t, err, vault.ErrInvalid, "to itself")
	vaulttest.Refuses(t, ads, extended.Without(vaulttest.Advertising), purpose.ErrMismatch)
	require.Equal(t, value, extended.Without(vaulttest.Advertising), "withdrawal undoes it")
}

// The origin and the consent of a slot are as authentic as its content.
func TestExtendedSlotCannotBeEdited(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Billing, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	extended, err := vault.Extend(t.Context(), vaulttest.Note, vaulttest.Seal(t, sec), nil, sec, ads.Under(purpose.Basis{Consent: "consent-1"}))
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
		vaulttest.Refuses(t, ads, forged, vault.ErrCorrupt)
		vaulttest.Opens(t, sec, forged)
	}
}

func TestWithout(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Billing, vaulttest.Advertising)
	sec, bill, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Billing), vaulttest.Scope(t, v, vaulttest.Advertising)
	value := vaulttest.Seal(t, sec, bill)
	require.Equal(t, value, value.Without(vaulttest.Advertising))
	require.Equal(t, value, value.Without(purpose.Purpose{}))
	only := value.Without(vaulttest.Billing)
	require.Equal(t, purpose.NewSet(vaulttest.Security), only.Purposes())
	vaulttest.Opens(t, sec, only)
	vaulttest.Refuses(t, bill, only, purpose.ErrMismatch)
	vaulttest.Refuses(t, ads, only, purpose.ErrMismatch)
	require.True(t, only.Without(vaulttest.Security).IsZero())
	require.True(t, vault.Sealed{}.Without(vaulttest.Security).IsZero())
	again, err := vault.ParseSealed(string(vaulttest.MustText(t, only)))
	require.NoError(t, err)
	require.Equal(t, only, again)
}

func TestWithoutExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Billing)
		sec, bill := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Billing)
		value := vaulttest.Seal(t, sec.Under(purpose.Basis{Retain: time.Hour}), bill)
		require.Equal(t, value, value.WithoutExpired())
		time.Sleep(time.Hour)
		vaulttest.Refuses(t, sec, value, vault.ErrExpired)
		kept := value.WithoutExpired()
		require.Equal(t, purpose.NewSet(vaulttest.Billing), kept.Purposes())
		vaulttest.Opens(t, bill, kept)
		_, err := vault.Reseal(t.Context(), vaulttest.Note, value, nil, sec)
		require.ErrorIs(t, err, vault.ErrExpired)
		require.True(t, vaulttest.Seal(t, sec.Under(purpose.Basis{Retain: time.Second})).Without(vaulttest.Security).IsZero())
	})
}

// A clock that was set back does not bring a value back that is limited in time.
func TestClockSetBack(t *testing.T) {
	var value vault.Sealed
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	value = vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).Under(purpose.Basis{Retain: time.Hour}))
	unlimited := vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security))
	synctest.Test(t, func(t *testing.T) { // its clock begins in the year 2000
		s := vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security)
		vaulttest.Refuses(t, s, value, vault.ErrUnavailable)
		vaulttest.Opens(t, s, unlimited)
	})
}

func TestRotate(t *testing.T) {
	before := time.Now()
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	s := vaulttest.Scope(t, v, vaulttest.Security)
	other := vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security) // of another process
	old := vaulttest.Seal(t, s)
	require.True(t, old.OnPrimaryKey(s))

	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	fresh := vaulttest.Seal(t, s)
	require.False(t, old.OnPrimaryKey(s))
	require.True(t, fresh.OnPrimaryKey(s))
	vaulttest.Opens(t, s, old)
	vaulttest.Opens(t, other, fresh) // which makes it look for the new key
	require.True(t, fresh.OnPrimaryKey(other))

	resealed, err := vault.Reseal(t.Context(), vaulttest.Note, old, nil, s)
	require.NoError(t, err)
	require.True(t, resealed.OnPrimaryKey(s))
	collected, _ := old.Provenance(vaulttest.Security)
	after, _ := resealed.Provenance(vaulttest.Security)
	require.Equal(t, collected, after)

	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	require.Len(t, keys, 5)
	require.Equal(t, vault.Key{ID: keys[0].ID, Role: vault.RoleSeal, Status: vault.Active, Created: keys[0].Created, Seals: 1}, keys[0])
	require.Equal(t, vault.Primary, keys[1].Status)
	require.Equal(t, vault.RoleIndex, keys[2].Role)
	require.Equal(t, vault.RoleSubject, keys[3].Role)
	require.Equal(t, vault.RoleCollect, keys[4].Role)
	vaulttest.RequireSince(t, before, keys[0].Created)

	for _, k := range keys {
		if k.Status == vault.Primary {
			require.ErrorIs(t, v.Retire(t.Context(), vaulttest.Security, k.ID), vault.ErrInvalid)
			require.ErrorIs(t, v.Destroy(t.Context(), vaulttest.Security, k.ID), vault.ErrInvalid)
		}
	}
	require.ErrorIs(t, v.Destroy(t.Context(), vaulttest.Security, keys[0].ID), vault.ErrInvalid, "not retired")
	require.ErrorIs(t, v.Retire(t.Context(), vaulttest.Security, keys[0].ID+1), vault.ErrInvalid, "unknown")
	require.NoError(t, v.Retire(t.Context(), vaulttest.Security, keys[0].ID))
	vaulttest.Refuses(t, s, old, vault.ErrCorrupt)
	vaulttest.Opens(t, s, resealed)
	require.NoError(t, v.Reinstate(t.Context(), vaulttest.Security, keys[0].ID))
	vaulttest.Opens(t, s, old)
	require.NoError(t, v.Retire(t.Context(), vaulttest.Security, keys[0].ID))
	require.NoError(t, v.Destroy(t.Context(), vaulttest.Security, keys[0].ID))
	require.ErrorIs(t, v.Reinstate(t.Context(), vaulttest.Security, keys[0].ID), vault.ErrInvalid)
	keys, err = v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	require.Len(t, keys, 4)
	vaulttest.Refuses(t, s, old, vault.ErrCorrupt)
	vaulttest.Opens(t, s, resealed)

	_, err = vault.Reseal(t.Context(), vaulttest.Note, resealed, nil)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.Reseal(t.Context(), vaulttest.Note, resealed, nil, s, s)
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.Reseal(t.Context(), vaulttest.Note, vault.Sealed{}, nil, s)
	require.ErrorIs(t, err, vault.ErrInvalid)
	require.False(t, resealed.OnPrimaryKey(nil))
	require.False(t, vault.Sealed{}.OnPrimaryKey(s))
}

func TestRotateIndex(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	s := vaulttest.Scope(t, v, vaulttest.Security)
	old, err := s.Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	all, err := s.Indexes(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	require.Equal(t, [][vault.IndexSize]byte{old}, all)

	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleIndex)
	fresh, err := s.Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	require.NotEqual(t, old, fresh)
	all, err = s.Indexes(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	require.Equal(t, [][vault.IndexSize]byte{fresh, old}, all)

	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	for _, k := range keys {
		if k.Role == vault.RoleIndex && k.Status == vault.Active {
			require.NoError(t, v.Retire(t.Context(), vaulttest.Security, k.ID))
		}
	}
	all, err = s.Indexes(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	require.Equal(t, [][vault.IndexSize]byte{fresh}, all)
	_, err = s.Indexes(t.Context(), vaulttest.Note, "")
	require.ErrorIs(t, err, vault.ErrInvalid)
}

// The pseudonyms of subjects outlive the rotation of every other key.
func TestSubjectsOutliveRotation(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	s := vaulttest.Scope(t, v, vaulttest.Security)
	values := map[string]vault.Sealed{}
	for i := range 50 {
		id := fmt.Sprint("user-", i)
		values[id] = vaulttest.Seal(t, s.For(id))
	}
	_, err := v.Erase(t.Context(), "user-0", vaulttest.Security)
	require.NoError(t, err)
	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleIndex)

	interrupted := errors.New("enough")
	var at vault.Progress
	err = v.RewrapSubjects(t.Context(), vaulttest.Security, "", func(p vault.Progress) error {
		if at = p; p.Seen == 20 {
			return interrupted
		}
		return nil
	})
	require.ErrorIs(t, err, interrupted)
	require.Equal(t, 20, at.Changed)
	require.NoError(t, v.RewrapSubjects(t.Context(), vaulttest.Security, at.After, func(p vault.Progress) error { at = p; return nil }))
	require.Equal(t, []int{30, 0}, []int{at.Seen, at.Changed}, "their batch was moved before progress ended the run")
	require.NoError(t, v.RewrapSubjects(t.Context(), vaulttest.Security, "", func(p vault.Progress) error { at = p; return nil }))
	require.Equal(t, vault.Progress{Seen: 50, After: at.After}, at, "nothing left to do")
	require.NoError(t, v.RewrapSubjects(t.Context(), vaulttest.Security, "", nil))
	require.ErrorIs(t, v.RewrapSubjects(t.Context(), vaulttest.Security, "billing/keys", nil), vault.ErrInvalid)

	// The old key wraps nothing any more.
	require.NoError(t, v.Retire(t.Context(), vaulttest.Security, keys[0].ID))
	require.NoError(t, v.Destroy(t.Context(), vaulttest.Security, keys[0].ID))
	s = vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security)
	for id, value := range values {
		if id == "user-0" {
			vaulttest.Refuses(t, s.For(id), value, vault.ErrErased)
			continue
		}
		vaulttest.Opens(t, s.For(id), value)
		require.True(t, value.OnPrimaryKey(s.For(id)))
	}
}

func TestRefreshByInterval(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	synctest.Test(t, func(t *testing.T) {
		v := vaulttest.Open(t, store, kek, nil)
		require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
		there := vaulttest.Open(t, store, kek, &vault.Options{Refresh: time.Hour})
		s, other := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, there, vaulttest.Security)
		vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
		require.False(t, vaulttest.Seal(t, other).OnPrimaryKey(s), "does not know yet")
		time.Sleep(time.Hour + time.Second)
		_ = vaulttest.Seal(t, other) // has it look
		synctest.Wait()
		require.True(t, vaulttest.Seal(t, other).OnPrimaryKey(s))
		there.Close()
		v.Close()
	})
}

// Forged key ids make a process look at the store, but not at will.
func TestUnknownKeysAreNotAskedForAtWill(t *testing.T) {
	store, kek := &vaulttest.Counting{Store: vault.Memory()}, vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	s := vaulttest.Scope(t, v, vaulttest.Security)
	stranger := vaulttest.Generated(t, nil, vaulttest.Security)
	store.Gets.Store(0)
	forged := vaulttest.Seal(t, vaulttest.Scope(t, stranger, vaulttest.Security))
	for range 100 {
		vaulttest.Refuses(t, s, forged, vault.ErrCorrupt)
	}
	require.EqualValues(t, 1, store.Gets.Load(), "one id is asked for once")
	synctest.Test(t, func(t *testing.T) { // so that no time passes
		s := vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), vaulttest.Security)
		store.Gets.Store(0)
		for range 100 {
			vaulttest.Rotate(t, stranger, vaulttest.Security, vault.RoleSeal)
			vaulttest.Refuses(t, s, vaulttest.Seal(t, vaulttest.Scope(t, stranger, vaulttest.Security)), vault.ErrCorrupt)
		}
		require.LessOrEqual(t, store.Gets.Load(), int32(10), "many ids are asked for rarely")
	})
}

func TestRotatingAtOnce(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	require.NoError(t, vaulttest.Open(t, store, kek, nil).Generate(t.Context(), vaulttest.Security))
	const n = 8
	var values [n]vault.Sealed
	var rotations atomic.Int32
	var wg sync.WaitGroup
	for i := range n {
		v := vaulttest.Open(t, store, kek, nil)
		wg.Go(func() {
			s, err := v.Scope(t.Context(), vaulttest.Security)
			if err != nil {
				t.Error(err)
				return
			}
			switch err := v.Rotate(t.Context(), vaulttest.Security, vault.RoleSeal); {
			case err == nil:
				rotations.Add(1)
			case !errors.Is(err, vault.ErrConflict):
				t.Error(err)
			}
			if values[i], err = vault.Seal(t.Context(), vaulttest.Note, "text", s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	v := vaulttest.Open(t, store, kek, nil)
	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	require.EqualValues(t, rotations.Load()+1, len(keys)-3, "no rotation is lost")
	for _, value := range values {
		vaulttest.Opens(t, vaulttest.Scope(t, v, vaulttest.Security), value)
	}
}

func TestRewrap(t *testing.T) {
	store := vault.Memory()
	oldKEK, newKEK := vault.SharedKEK(vaulttest.NewAEAD(t)), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, oldKEK, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security, vaulttest.Billing))
	s := vaulttest.Scope(t, v, vaulttest.Security)
	value, subject := vaulttest.Seal(t, s), vaulttest.Seal(t, s.For("alice"))
	index, err := s.Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)

	require.ErrorIs(t, v.Rewrap(t.Context(), nil, vaulttest.Security), vault.ErrInvalid)
	require.ErrorIs(t, v.Rewrap(t.Context(), newKEK), vault.ErrInvalid)
	require.ErrorIs(t, v.Rewrap(t.Context(), vault.SharedKEK(forgetful{vaulttest.NewAEAD(t)}), vaulttest.Security), vault.ErrNoKeys)
	require.ErrorIs(t, v.Rewrap(t.Context(), newKEK, vaulttest.Security, vaulttest.Advertising), vault.ErrNoKeys)
	require.NoError(t, v.Rewrap(t.Context(), newKEK, vaulttest.Security), "again")

	both := vault.EitherKEK(newKEK, oldKEK)
	for name, test := range map[string]struct {
		kek     vault.KEK
		purpose purpose.Purpose
		err     error
	}{
		"new KEK, moved":         {newKEK, vaulttest.Security, nil},
		"old KEK, moved":         {oldKEK, vaulttest.Security, vault.ErrNoKeys},
		"new KEK, not moved":     {newKEK, vaulttest.Billing, vault.ErrNoKeys},
		"old KEK, not moved":     {oldKEK, vaulttest.Billing, nil},
		"either KEK, moved":      {both, vaulttest.Security, nil},
		"either KEK, not moved":  {both, vaulttest.Billing, nil},
		"either, new is down":    {vault.EitherKEK(down, oldKEK), vaulttest.Billing, nil},
		"either, old is down":    {vault.EitherKEK(newKEK, down), vaulttest.Security, nil},
		"the one needed is down": {vault.EitherKEK(newKEK, down), vaulttest.Billing, vault.ErrUnavailable},
		"either of nothing":      {vault.EitherKEK(nil, nil), vaulttest.Billing, vault.ErrNoKeys},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := vaulttest.Open(t, store, test.kek, nil).Scope(t.Context(), test.purpose)
			require.ErrorIs(t, err, test.err)
		})
	}

	// Nothing but the wrapping changed, and this vault goes on with the new KEK.
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	s = vaulttest.Scope(t, vaulttest.Open(t, store, newKEK, nil), vaulttest.Security)
	vaulttest.Opens(t, s, value)
	vaulttest.Opens(t, s.For("alice"), subject)
	again, err := s.Index(t.Context(), vaulttest.Note, "text")
	require.NoError(t, err)
	require.Equal(t, index, again)
}

var down = vault.KEKFunc(func(context.Context, purpose.Purpose) (vault.AEAD, error) { return nil, vault.ErrUnavailable })

func TestPins(t *testing.T) {
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	_ = vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security).For("alice"))
	restored := vaulttest.CopyOf(t, store, "security/keys", "security/erasures")

	certificate, err := v.Erase(t.Context(), "alice", vaulttest.Security)
	require.NoError(t, err)
	pin := vault.FixedPins(certificate[0].Pin)
	_, err = vaulttest.Open(t, store, kek, &vault.Options{Pin: pin}).Scope(t.Context(), vaulttest.Security)
	require.NoError(t, err)

	_, err = vaulttest.Open(t, restored, kek, nil).Scope(t.Context(), vaulttest.Security)
	require.NoError(t, err, "without a pin nobody notices")
	pinned := vaulttest.Open(t, restored, kek, &vault.Options{Pin: pin})
	_, err = pinned.Scope(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	require.ErrorContains(t, err, "older than its pin")
	_, err = pinned.Erase(t.Context(), "alice", vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrCorrupt)
}

// A store that goes back while a vault is open is noticed without a pin.
func TestRollbackIsNoticed(t *testing.T) {
	store, kek := vaulttest.Swappable(vault.Memory()), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	backup := vaulttest.CopyOf(t, store, "security/keys")

	s := vaulttest.Scope(t, v, vaulttest.Security)
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	_, err := v.Erase(t.Context(), "alice", vaulttest.Security)
	require.NoError(t, err)
	value := vaulttest.Seal(t, s)
	store.Swap(backup)
	require.ErrorIs(t, v.RewrapSubjects(t.Context(), vaulttest.Security, "", nil), vault.ErrCorrupt)
	_, err = v.Erase(t.Context(), "bob", vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	vaulttest.Opens(t, s, value) // the keys at hand stay in use
}

// What is one person's does not become another's, nor nobody's in particular.
func TestOneValueIsOfOnePerson(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	_, err := vault.Seal(t.Context(), vaulttest.Note, "text", sec.For("alice"), ads.For("bob"))
	require.ErrorIs(t, err, vault.ErrInvalid)
	value := vaulttest.Seal(t, sec.For("alice"))
	consent := ads.Under(purpose.Basis{Consent: "c-1"})
	for _, to := range []*vault.Scope{consent.For("bob"), consent} {
		_, err = vault.Extend(t.Context(), vaulttest.Note, value, nil, sec.For("alice"), to)
		require.ErrorIs(t, err, vault.ErrInvalid)
	}
	extended, err := vault.Extend(t.Context(), vaulttest.Note, value, nil, sec.For("alice"), consent.For("alice"))
	require.NoError(t, err)
	vaulttest.Opens(t, ads.For("alice"), extended)
}

// A pin and an open scope guard every way to the keys, not only Scope.
func TestRollbackGuardsEveryOperation(t *testing.T) {
	store, kek := vaulttest.Swappable(vault.Memory()), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	old := vaulttest.CopyOf(t, store, "security/keys")
	vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
	_, err := v.Erase(t.Context(), "alice", vaulttest.Security)
	require.NoError(t, err)
	pin, err := v.Pin(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	onlyErasuresBack := vaulttest.CopyOf(t, store, "security/keys")
	vaulttest.Scope(t, v, vaulttest.Security)
	keys, err := v.Keys(t.Context(), vaulttest.Security)
	require.NoError(t, err)

	for state, back := range map[string]vault.Store{"all": old, "erasures": onlyErasuresBack} {
		store.Swap(back)
		for guard, v := range map[string]*vault.Admin{
			"open scope": v,
			"pin":        vaulttest.Open(t, store, kek, &vault.Options{Pin: vault.FixedPins(pin)}),
		} {
			for name, operation := range map[string]func() error{
				"keys":         func() error { _, err := v.Keys(t.Context(), vaulttest.Security); return err },
				"pin":          func() error { _, err := v.Pin(t.Context(), vaulttest.Security); return err },
				"wrapped by":   func() error { _, err := v.WrappedBy(t.Context(), vaulttest.Security); return err },
				"rotate":       func() error { return v.Rotate(t.Context(), vaulttest.Security, vault.RoleSeal) },
				"rotate index": func() error { return v.Rotate(t.Context(), vaulttest.Security, vault.RoleIndex) },
				"retire":       func() error { return v.Retire(t.Context(), vaulttest.Security, keys[0].ID) },
				"reinstate":    func() error { return v.Reinstate(t.Context(), vaulttest.Security, keys[0].ID) },
				"destroy":      func() error { return v.Destroy(t.Context(), vaulttest.Security, keys[0].ID) },
				"rewrap":       func() error { return v.Rewrap(t.Context(), kek, vaulttest.Security) },
				"subjects":     func() error { return v.RewrapSubjects(t.Context(), vaulttest.Security, "", nil) },
				"erase":        func() error { _, err := v.Erase(t.Context(), "bob", vaulttest.Security); return err },
			} {
				t.Run(state+"/"+guard+"/"+name, func(t *testing.T) {
					require.ErrorIs(t, operation(), vault.ErrCorrupt)
				})
			}
		}
	}
}

// Nobody asked for a refresh in the background, so its findings are recorded.
func TestRollbackInTheBackgroundIsRecorded(t *testing.T) {
	store, kek := vaulttest.Swappable(vault.Memory()), vault.SharedKEK(vaulttest.NewAEAD(t))
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var denied []audit.Event
		v := vaulttest.Open(t, store, kek, &vault.Options{Audit: auditFunc(func(e audit.Event) error {
			mu.Lock()
			defer mu.Unlock()
			if e.Outcome == audit.Denied {
				denied = append(denied, e)
			}
			return nil
		})})
		require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
		old := vaulttest.CopyOf(t, store, "security/keys")
		s := vaulttest.Scope(t, v, vaulttest.Security)
		vaulttest.Rotate(t, v, vaulttest.Security, vault.RoleSeal)
		store.Swap(old)
		time.Sleep(4 * time.Minute) // a look is due, and no caller waits for it
		_ = vaulttest.Seal(t, s)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, denied, 1)
		require.Equal(t, audit.Refresh, denied[0].Action)
		require.Equal(t, vaulttest.Security, denied[0].Purpose)
		v.Close()
	})
}

// Both sides of an extension record it, each in its own log, with the pseudonym that the
// person has there.
func TestExtendIsRecordedOnBothSides(t *testing.T) {
	var here, there []audit.Event
	record := func(to *[]audit.Event) *vault.Options {
		return &vault.Options{Audit: auditFunc(func(e audit.Event) error { *to = append(*to, e); return nil })}
	}
	sec := vaulttest.Scope(t, vaulttest.Generated(t, record(&here), vaulttest.Security), vaulttest.Security)
	ads := vaulttest.Scope(t, vaulttest.Generated(t, record(&there), vaulttest.Advertising), vaulttest.Advertising)
	value := vaulttest.Seal(t, sec.For("alice"))
	here, there = nil, nil
	extended, err := vault.Extend(t.Context(), vaulttest.Note, value, nil, sec.For("alice"), ads.For("alice").Under(purpose.Basis{Consent: "c-1"}))
	require.NoError(t, err)
	for _, side := range []struct {
		events []audit.Event
		own    *vault.Scope
		want   audit.Event
	}{
		{here, sec, audit.Event{Purpose: vaulttest.Security, To: vaulttest.Advertising}},
		{there, ads, audit.Event{Purpose: vaulttest.Advertising, From: vaulttest.Security}},
	} {
		require.Len(t, side.events, 1)
		side.want.Time, side.want.Action, side.want.Outcome = side.events[0].Time, audit.Extend, audit.Allowed
		side.want.Kind, side.want.Collected, side.want.Count = "note", purpose.NewSet(vaulttest.Security), 1
		side.want.Generation, side.want.Value = 1, value.ID()
		side.want.Provenance, _ = extended.Provenance(side.want.Purpose)
		side.want.Subject, err = side.own.Pseudonym(t.Context(), "alice")
		require.NoError(t, err)
		require.Equal(t, side.want, side.events[0])
	}
	require.NotEqual(t, here[0].Subject, there[0].Subject)
}

// Who comes second with new keys uses those of the first.
func TestGenerateComesSecond(t *testing.T) {
	kek := vault.SharedKEK(vaulttest.NewAEAD(t))
	store := &vaulttest.Counting{Store: vault.Memory()}
	first := vaulttest.Open(t, store.Store, kek, nil)
	store.Fail = func(vault.Record) error { return first.Generate(context.Background(), vaulttest.Security) }
	second := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, second.Generate(t.Context(), vaulttest.Security))
	value := vaulttest.Seal(t, vaulttest.Scope(t, first, vaulttest.Security))
	vaulttest.Opens(t, vaulttest.Scope(t, second, vaulttest.Security), value)
}

// A vault that is closed while keys are on their way does not take them.
func TestCloseWhileOpening(t *testing.T) {
	kek := vault.SharedKEK(vaulttest.NewAEAD(t))
	memory := vault.Memory()
	require.NoError(t, vaulttest.Open(t, memory, kek, nil).Generate(t.Context(), vaulttest.Security))
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{Store: memory}
		slow.delay.Store(int64(time.Second))
		v := vaulttest.Open(t, slow, kek, nil)
		result := make(chan error)
		go func() { _, err := v.Scope(t.Context(), vaulttest.Security); result <- err }()
		synctest.Wait()
		require.NoError(t, v.Close())
		require.ErrorIs(t, <-result, vault.ErrNoKeys)
	})
}

// What was opened works on while the key service is down, for as long as
// Options.KeyLifetime says, and not for ever.
func TestKeysLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, a := vault.Memory(), vaulttest.NewAEAD(t)
		admin := vaulttest.Open(t, store, vault.SharedKEK(a), nil)
		require.NoError(t, admin.Generate(t.Context(), vaulttest.Security))
		kek := &vaulttest.Spy{AEAD: a}
		v := vaulttest.Open(t, store, kek, &vault.Options{KeyLifetime: 10*time.Hour + time.Minute})
		s, r := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Reader(t, v, vaulttest.Security)
		value := vaulttest.Seal(t, s)
		require.EqualValues(t, 2, kek.Calls.Load())

		// In use, it asks again when half of the time is over, and holds nobody up.
		for range 3 {
			for range 60 {
				time.Sleep(5 * time.Minute)
				vaulttest.Opens(t, s, value)
				synctest.Wait()
			}
		}
		require.InDelta(t, 2+2.5, kek.Calls.Load(), 0.5, "once in some five hours, or up to an hour earlier")

		kek.Meddle(func(context.Context) error { return vault.ErrUnavailable })
		for range 45 {
			time.Sleep(5 * time.Minute)
			vaulttest.Opens(t, s, value)
			synctest.Wait()
		}
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		vaulttest.Refuses(t, s, value, vault.ErrUnavailable)
		_, err := r.Reveal(t.Context(), vaulttest.Note, value)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		_, err = s.Index(t.Context(), vaulttest.Note, "text")
		require.ErrorIs(t, err, vault.ErrUnavailable)
		_, err = v.Scope(t.Context(), vaulttest.Security)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		kek.Meddle(func(context.Context) error { return vault.ErrNoKeys }) // the grant is withdrawn
		vaulttest.Refuses(t, s, value, vault.ErrNoKeys)

		kek.Meddle(nil)
		vaulttest.Opens(t, s, value) // a yes brings them back at once
		_, err = r.Reveal(t.Context(), vaulttest.Note, value)
		require.NoError(t, err)
		before := kek.Calls.Load()
		vaulttest.Opens(t, s, value)
		require.Equal(t, before, kek.Calls.Load())
		v.Close()
		admin.Close()
	})
}

// A process that slept through the night does not fail its first request.
func TestKeysLapseWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vaulttest.Generated(t, nil, vaulttest.Security)
		s := vaulttest.Scope(t, v, vaulttest.Security)
		value := vaulttest.Seal(t, s)
		time.Sleep((24 * time.Hour) + time.Hour)
		vaulttest.Opens(t, s, value)
		v.Close()
	})
}

// A collector's value is of nobody yet. Reseal makes it one person's, never two's.
func TestResealMakesNoValueOfTwoPersons(t *testing.T) {
	ctx := t.Context()
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Billing)
	sec, bill := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Billing)
	one, err := v.Collector(ctx, vaulttest.Security)
	require.NoError(t, err)
	two, err := v.Collector(ctx, vaulttest.Billing)
	require.NoError(t, err)
	value, err := vault.Seal(ctx, vaulttest.Note, "text", one, two)
	require.NoError(t, err)
	_, err = vault.Reseal(ctx, vaulttest.Note, value, nil, sec.For("alice"), bill.For("bob"))
	require.ErrorIs(t, err, vault.ErrInvalid)
	resealed, err := vault.Reseal(ctx, vaulttest.Note, value, nil, sec.For("alice"), bill.For("alice"))
	require.NoError(t, err)
	vaulttest.Opens(t, sec.For("alice"), resealed)
	vaulttest.Opens(t, bill.For("alice"), resealed)
}

// A read makes no key: somebody who tries ids at random leaves nothing in the store.
func TestRevealMakesNoSubjectKey(t *testing.T) {
	ctx, store := t.Context(), vault.Memory()
	v := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
	require.NoError(t, v.Generate(ctx, vaulttest.Security))
	s := vaulttest.Scope(t, v, vaulttest.Security)
	value := vaulttest.Seal(t, s.For("alice"))
	before := vaulttest.Content(t, store)
	vaulttest.Refuses(t, s.For("bob"), value, vault.ErrCorrupt)
	require.Equal(t, before, vaulttest.Content(t, store))
}

// Purposes are opened beside each other: none gets the result of another's call.
func TestPurposesOpenAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, store, aead := t.Context(), vault.Memory(), vaulttest.NewAEAD(t)
		first, err := vault.OpenAdmin(ctx, store, vault.SharedKEK(aead), nil)
		require.NoError(t, err)
		defer first.Close()
		require.NoError(t, first.Generate(ctx, vaulttest.Security, vaulttest.Billing))
		slow := vault.KEKFunc(func(context.Context, purpose.Purpose) (vault.AEAD, error) {
			time.Sleep(time.Second)
			return aead, nil
		})
		v, err := vault.Open(ctx, store, slow, nil)
		require.NoError(t, err)
		defer v.Close()
		var errs [2]error
		for i, p := range []purpose.Purpose{vaulttest.Security, vaulttest.Billing} {
			go func() { _, errs[i] = v.Scope(ctx, p) }()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, [2]error{}, errs)
	})
}

// A stated time of collection is kept, by its day, and told apart from an observed one.
// Retention counts from it.
func TestStatedCollection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		for _, exact := range []bool{false, true} {
			v := vaulttest.Generated(t, &vault.Options{ExactTimes: exact}, vaulttest.Security, vaulttest.Advertising)
			sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
			at := time.Now().AddDate(0, -10, 0).Add(15 * time.Hour).UTC()
			basis := purpose.Basis{Notice: "n-1", Retain: 365 * 24 * time.Hour, Collected: at.In(time.FixedZone("west", -10*60*60))}
			day, end := at.Truncate(24*time.Hour), at.Add(basis.Retain).Truncate(24*time.Hour).Add(24*time.Hour)
			if exact {
				day, end = at, at.Add(basis.Retain)
			}
			want := purpose.Provenance{Collected: day, Stated: true, Notice: "n-1", Expires: end}
			provenance := func(v vault.Sealed, p purpose.Purpose) purpose.Provenance {
				got, ok := v.Provenance(p)
				require.True(t, ok)
				return got
			}
			value := vaulttest.Seal(t, sec.Under(basis))
			require.Equal(t, want, provenance(value, vaulttest.Security))
			vaulttest.Opens(t, sec, value)
			again, err := vault.Reseal(ctx, vaulttest.Note, value, nil, sec)
			require.NoError(t, err)
			require.Equal(t, want, provenance(again, vaulttest.Security), "re-sealed")
			collected := vaulttest.Seal(t, vaulttest.Collector(t, v, vaulttest.Security).Under(basis))
			require.Equal(t, want, provenance(collected, vaulttest.Security), "by a collector")

			// An extension takes place now, unless its own basis states an earlier time.
			consent := purpose.Basis{Consent: "c-1"}
			extended, err := vault.Extend(ctx, vaulttest.Note, value, nil, sec, ads.Under(consent))
			require.NoError(t, err)
			require.False(t, provenance(extended, vaulttest.Advertising).Stated)
			require.Equal(t, time.Now().Unix(), provenance(extended, vaulttest.Advertising).Collected.Unix())
			require.Equal(t, end, provenance(extended, vaulttest.Advertising).Expires)
			consent.Collected = at
			extended, err = vault.Extend(ctx, vaulttest.Note, value, nil, sec, ads.Under(consent))
			require.NoError(t, err)
			require.Equal(t, purpose.Provenance{Collected: day, Stated: true, Consent: "c-1", Expires: end, From: vaulttest.Security}, provenance(extended, vaulttest.Advertising))
			consent.Collected = at.Add(-24 * time.Hour)
			_, err = vault.Extend(ctx, vaulttest.Note, value, nil, sec, ads.Under(consent))
			require.ErrorIs(t, err, purpose.ErrBasis)
			require.ErrorIs(t, err, vault.ErrInvalid)
			require.ErrorContains(t, err, "extension stated before the collection")

			// Nobody could ever reveal a value whose retention is over.
			for _, sealer := range []vault.Sealer{
				sec.Under(purpose.Basis{Retain: 24 * time.Hour, Collected: at}),
				vaulttest.Collector(t, v, vaulttest.Security).Under(purpose.Basis{Retain: 24 * time.Hour, Collected: at}),
			} {
				_, err = vault.Seal(ctx, vaulttest.Note, "text", sealer)
				require.ErrorIs(t, err, vault.ErrExpired)
			}

			// A clock that is ahead by minutes counts as now, one of hours is refused.
			ahead := vaulttest.Seal(t, sec.Under(purpose.Basis{Collected: time.Now().Add(4 * time.Minute)}))
			require.Equal(t, purpose.Provenance{Collected: time.Now().UTC(), Stated: true}, provenance(ahead, vaulttest.Security))
			for _, wrong := range []time.Time{time.Now().Add(2 * time.Hour), time.Unix(0, 0)} {
				_, err = vault.Seal(ctx, vaulttest.Note, "text", sec.Under(purpose.Basis{Collected: wrong}))
				require.ErrorIs(t, err, purpose.ErrBasis)
				require.ErrorIs(t, err, vault.ErrInvalid)
			}
			v.Close()
		}
	})
}
