package vault_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// idOf returns the value id of v.
func idOf(t testing.TB, v vault.Sealed) string {
	t.Helper()
	value, ok := reference.Parse(string(vaulttest.MustText(t, v)))
	require.True(t, ok)
	return string(value.ID)
}

// Re-sealing all slots takes a new value id: copies of a value that are kept apart are
// not linked any more. Other slots would not open under another id.
func TestResealOfAllSlotsTakesANewID(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	value := vaulttest.Seal(t, sec, ads)
	reseal := func(value vault.Sealed, scopes ...*vault.Scope) vault.Sealed {
		t.Helper()
		resealed, err := vault.Reseal(t.Context(), vaulttest.Note, value, nil, scopes...)
		require.NoError(t, err)
		for _, s := range []*vault.Scope{sec, ads} {
			if value.Purposes().Contains(s.Purpose()) {
				vaulttest.Opens(t, s, resealed)
			}
		}
		return resealed
	}
	require.Equal(t, idOf(t, value), idOf(t, reseal(value, sec)))
	require.Equal(t, idOf(t, value), idOf(t, reseal(value, ads)))
	all := reseal(value, sec, ads)
	require.NotEqual(t, idOf(t, value), idOf(t, all))
	require.NotEqual(t, idOf(t, all), idOf(t, reseal(value, ads, sec)))

	// The halves of a value that were kept apart.
	security, advertising := value.Without(vaulttest.Advertising), value.Without(vaulttest.Security)
	require.Equal(t, idOf(t, security), idOf(t, advertising))
	require.NotEqual(t, idOf(t, reseal(security, sec)), idOf(t, reseal(advertising, ads)))
}

// One value is of one person: a slot is not narrowed beside a slot of a person, unless
// that slot's scope is given too, and says whose it is.
func TestOneValueStaysOfOnePerson(t *testing.T) {
	var v *vault.Admin
	var sec, ads, bill *vault.Scope
	fresh := func() {
		v = vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising, vaulttest.Billing)
		sec, ads, bill = vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising), vaulttest.Scope(t, v, vaulttest.Billing)
	}
	for _, name := range []string{"collected", "of the purpose"} {
		fresh()
		sealer := vault.Sealer(ads)
		if name == "collected" {
			sealer = vaulttest.Collector(t, v, vaulttest.Advertising)
		}
		value := vaulttest.Seal(t, sec.For("alice"), sealer, bill)
		reseal := func(scopes ...*vault.Scope) error {
			_, err := vault.Reseal(t.Context(), vaulttest.Note, value, nil, scopes...)
			return err
		}
		require.EqualError(t, reseal(ads.For("bob")),
			"vault: re-sealing note: another slot is of a person, and its scope is missing: invalid argument", name)
		require.ErrorIs(t, reseal(ads.For("bob")), vault.ErrInvalid)
		require.ErrorIs(t, reseal(ads.For("alice")), vault.ErrInvalid, "nothing says that it is hers")
		require.ErrorIs(t, reseal(ads.For("bob"), bill.For("bob")), vault.ErrInvalid)
		require.ErrorIs(t, reseal(ads.For("bob"), sec.For("alice")), vault.ErrInvalid)
		require.ErrorIs(t, reseal(ads.For("bob"), sec.For("bob")), vault.ErrCorrupt, "it is not his")
		require.ErrorIs(t, reseal(ads.For("alice"), sec), vault.ErrSubject, "and does not get wider")
		require.ErrorIs(t, reseal(sec.For("bob")), vault.ErrCorrupt)
		require.NoError(t, reseal(ads), "which narrows nothing")
		require.NoError(t, reseal(sec.For("alice")))

		taken, err := vault.Reseal(t.Context(), vaulttest.Note, value, nil, ads.For("alice"), sec.For("alice"))
		require.NoError(t, err)
		_, err = v.Erase(t.Context(), "alice", vaulttest.Security, vaulttest.Advertising)
		require.NoError(t, err)
		vaulttest.Refuses(t, sec.For("alice"), taken, vault.ErrErased)
		vaulttest.Refuses(t, ads.For("alice"), taken, vault.ErrErased)
	}
	fresh()
	// Extending beside a slot of a person is narrowing, too.
	value := vaulttest.Seal(t, sec, bill.For("alice"))
	consent := purpose.Basis{Consent: "c-1"}
	_, err := vault.Extend(t.Context(), vaulttest.Note, value, nil, sec, ads.For("bob").Under(consent))
	require.ErrorIs(t, err, vault.ErrInvalid)
	_, err = vault.Extend(t.Context(), vaulttest.Note, value, nil, sec, ads.Under(consent))
	require.NoError(t, err)
	_, err = vault.Extend(t.Context(), vaulttest.Note, value, nil, bill.For("alice"), ads.For("alice").Under(consent))
	require.NoError(t, err)
}

// OnPrimaryKey answers for the scope that Reseal would get: a person's scope has something
// to do with a value that is of nobody yet.
func TestOnPrimaryKeyOfAPerson(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	value := vaulttest.Seal(t, sec, ads.For("alice"))
	require.True(t, value.OnPrimaryKey(sec))
	require.False(t, value.OnPrimaryKey(sec.For("alice")))
	require.True(t, value.OnPrimaryKey(ads), "the key of a person is no key of the purpose")
	require.True(t, value.OnPrimaryKey(ads.For("alice")))
	require.True(t, value.OnPrimaryKey(ads.For("bob")), "it opens nothing")
	value, err := vault.Reseal(t.Context(), vaulttest.Note, value, nil, sec.For("alice"), ads.For("alice"))
	require.NoError(t, err)
	require.True(t, value.OnPrimaryKey(sec.For("alice")))
}

// An extended slot says where the value was first collected, however many steps ago, and
// lives no longer than its source unless its own basis says how long.
func TestExtensionKeepsOriginAndRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		third := purpose.MustParse("partner")
		v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising, third)
		defer v.Close()
		sec, ads, partner := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising), vaulttest.Scope(t, v, third)
		extend := func(value vault.Sealed, from, to *vault.Scope, retain time.Duration) vault.Sealed {
			t.Helper()
			extended, err := vault.Extend(t.Context(), vaulttest.Note, value, nil, from, to.Under(purpose.Basis{Consent: "c-1", Retain: retain}))
			require.NoError(t, err)
			return extended.Without(from.Purpose())
		}
		of := func(value vault.Sealed, s *vault.Scope) purpose.Provenance {
			t.Helper()
			p, ok := value.Provenance(s.Purpose())
			require.True(t, ok)
			return p
		}
		value := vaulttest.Seal(t, sec.Under(purpose.Basis{Retain: time.Hour}))
		source := of(value, sec)
		two := extend(extend(value, sec, ads, 0), ads, partner, 0)
		require.Equal(t, vaulttest.Security, of(two, partner).From)
		require.Equal(t, source.Expires, of(two, partner).Expires)
		stated := extend(value, sec, ads, 2*time.Hour)
		require.Equal(t, time.Now().Add(2*time.Hour).UTC(), of(stated, ads).Expires)
		// Back to the purpose that it came from, it names the step before.
		back := extend(extend(value, sec, ads, 0), ads, sec, 0)
		require.Equal(t, vaulttest.Advertising, of(back, sec).From)

		time.Sleep(time.Hour)
		vaulttest.Refuses(t, partner, two, vault.ErrExpired)
		vaulttest.Opens(t, ads, stated)
	})
}

// By default the time of a sign-up is its day, and a collector that was read from its
// text does the same. Exact times are the vault's choice.
func TestTimesOfDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(10*time.Hour + 20*time.Minute + 3*time.Second) // of 2000-01-01
		begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, exact := range []bool{false, true} {
			v := vaulttest.Generated(t, &vault.Options{ExactTimes: exact}, vaulttest.Security)
			s, c := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Collector(t, v, vaulttest.Security)
			for _, b := range []struct {
				retain       time.Duration
				days, second time.Time
			}{
				{0, time.Time{}, time.Time{}},
				{24*time.Hour - time.Second, time.Now().Add(24*time.Hour - time.Second), time.Now().Add(24*time.Hour - time.Second)},
				{24 * time.Hour, begin.Add(48 * time.Hour), time.Now().Add(24 * time.Hour)},
				{36 * time.Hour, begin.Add(48 * time.Hour), time.Now().Add(36 * time.Hour)},
				{38 * time.Hour, begin.Add(72 * time.Hour), time.Now().Add(38 * time.Hour)},
			} {
				basis := purpose.Basis{Retain: b.retain}
				for i, sealer := range []vault.Sealer{s.Under(basis), s.For("alice").Under(basis), c.Under(basis), abroad(t, c).Under(basis)} {
					p, ok := vaulttest.Seal(t, sealer).Provenance(vaulttest.Security)
					require.True(t, ok)
					collected, expires := begin, b.days
					if exact && i < 3 {
						collected, expires = time.Now(), b.second
					}
					require.True(t, collected.Equal(p.Collected), "%v", p.Collected)
					require.True(t, expires.Equal(p.Expires), "%v", p.Expires)
				}
			}
			v.Close()
		}
	})
}

// A year that JSON can't write does not parse, so that one row fails no export.
func TestProvenanceIsJSON(t *testing.T) {
	v := vaulttest.Generated(t, nil, vaulttest.Security)
	value, ok := reference.Parse(string(vaulttest.MustText(t, vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security)))))
	require.True(t, ok)
	at := func(seconds uint64) (vault.Sealed, error) {
		value.Slots[0].Header = reference.Header{Typ: 1, Collected: seconds}.Bytes()
		return vault.ParseSealed(value.Text())
	}
	for _, seconds := range []uint64{reference.Latest + 1, 1 << 38, 1<<40 - 1} {
		_, err := at(seconds)
		require.ErrorIs(t, err, vault.ErrCorrupt)
	}
	latest, err := at(reference.Latest)
	require.NoError(t, err)
	p, _ := latest.Provenance(vaulttest.Security)
	_, err = json.Marshal(p)
	require.NoError(t, err)
}

// Slots name the key that an operator wants to destroy, and not the key of a person.
func TestKeyIDs(t *testing.T) {
	ctx := context.Background()
	v := vaulttest.Generated(t, nil, vaulttest.Security, vaulttest.Advertising, vaulttest.Billing)
	value := vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Collector(t, v, vaulttest.Advertising), vaulttest.Scope(t, v, vaulttest.Billing).For("alice"))
	role := func(p purpose.Purpose) vault.Role {
		t.Helper()
		id, ok := value.KeyID(p)
		require.True(t, ok)
		keys, err := v.Keys(ctx, p)
		require.NoError(t, err)
		for _, k := range keys {
			if k.ID == id {
				return k.Role
			}
		}
		t.Fatal("no such key")
		return ""
	}
	require.Equal(t, vault.RoleSeal, role(vaulttest.Security))
	require.Equal(t, vault.RoleCollect, role(vaulttest.Advertising))
	_, ok := value.KeyID(vaulttest.Billing)
	require.False(t, ok, "a person's")
	_, ok = value.KeyID(purpose.MustParse("absent"))
	require.False(t, ok)
	_, ok = vault.Sealed{}.KeyID(vaulttest.Security)
	require.False(t, ok)
}
