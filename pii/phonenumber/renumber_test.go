package phonenumber_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/phonenumber"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

func TestOldForms(t *testing.T) {
	for number, want := range map[string][]string{
		"+525512345678":   {"+5215512345678"},
		"+2290197123456":  {"+22997123456"},
		"+2250707123456":  {"+22507123456"},
		"+2252721234567":  {"+22521234567"},
		"+5511961234567":  {"+551161234567"},
		"+5511923456789":  nil, // +551123456789 is a landline's
		"+551123456789":   nil,
		"+5215512345678":  nil, // old itself
		"+22997123456":    nil,
		"+14155552671":    nil,
		"+52 5512345678":  nil,
		"525512345678":    nil,
		"":                nil,
		"+":               nil,
		"+52":             nil,
		"+55119612345678": nil,
	} {
		require.Equal(t, want, phonenumber.OldForms(number), number)
	}
}

func TestNewForm(t *testing.T) {
	for old, want := range map[string]string{
		"+5215512345678": "+525512345678",
		"+22997123456":   "+2290197123456",
		"+551161234567":  "+5511961234567",
		"+22507123456":   "", // the operator decides
		"+22521234567":   "",
		"+525512345678":  "", // of today
		"+551123456789":  "",
		"+2290197123456": "",
		"+14155552671":   "",
		"+229 97123456":  "",
		"22997123456":    "",
		"":               "",
		"+52":            "",
		"+521":           "",
	} {
		got, ok := phonenumber.NewForm(old)
		require.Equal(t, want, got, old)
		require.Equal(t, want != "", ok, old)
	}
}

// No old form is a number of today, which somebody else may have; each can be indexed;
// and a new form has the old one among its old forms.
func TestOldFormsAreNobodysOfToday(t *testing.T) {
	_, each := measured(t)
	seed, _ := measured(t)
	forms := 0
	for _, n := range validNumbers(rand.New(rand.NewPCG(seed, 2)), plans(t), 10*each) {
		if n.code != "52" && n.code != "55" && n.code != "225" && n.code != "229" {
			require.Empty(t, phonenumber.OldForms(n.e164))
			continue
		}
		for _, old := range phonenumber.OldForms(n.e164) {
			forms++
			_, err := phonenumber.Parse(old, "")
			require.ErrorIs(t, err, pii.ErrMalformed, "seed %d: %s", seed, old)
			require.True(t, pii.ValidPhone(old), "seed %d: %s", seed, old)
			if now, ok := phonenumber.NewForm(old); ok {
				require.Equal(t, n.e164, now, "seed %d", seed)
			} else {
				require.Equal(t, "225", n.code, "seed %d: %s", seed, old)
			}
		}
	}
	require.Greater(t, forms, 100)
}

func TestRenumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		forSecurity, forBilling, forAds := purpose.MustParse("security"), purpose.MustParse("billing"), purpose.MustParse("advertising")
		kit := piitest.New(t, forSecurity, forBilling, forAds)
		security, billing, ads := kit.Scope(forSecurity).For("alice"), kit.Scope(forBilling).For("alice"), kit.Scope(forAds).For("alice")

		old, err := pii.SealPhone(ctx, "+229 97 12 34 56",
			security.Under(purpose.Basis{Notice: "2fa-prompt-v3", Legal: purpose.Contract}),
			billing.Under(purpose.Basis{Retain: 30 * 24 * time.Hour}))
		require.NoError(t, err)
		old, err = old.Extend(ctx, security, ads.Under(purpose.Basis{Legal: purpose.Consent, Consent: "consent-81f3"}))
		require.NoError(t, err)
		time.Sleep(50 * time.Hour)

		now, changed, err := phonenumber.Renumber(ctx, old, ads, security, billing)
		require.NoError(t, err)
		require.True(t, changed)
		require.Equal(t, old.Purposes(), now.Purposes())
		for _, s := range []*vault.Scope{security, billing, ads} {
			number, err := now.Reveal(ctx, s)
			require.NoError(t, err)
			require.Equal(t, "+2290197123456", number)
			was, _ := old.Provenance(s.Purpose())
			is, _ := now.Provenance(s.Purpose())
			require.True(t, is.Stated)
			is.Stated = false
			require.Equal(t, was, is)
		}
		index, err := now.Index(ctx, security)
		require.NoError(t, err)
		want, err := pii.IndexPhone(ctx, "+2290197123456", security)
		require.NoError(t, err)
		require.True(t, index.Equal(want))

		again, changed, err := phonenumber.Renumber(ctx, now, security, billing, ads)
		require.NoError(t, err)
		require.False(t, changed)
		require.True(t, again.Equal(now))

		// The last day of retention, and of less than a day.
		time.Sleep(28*24*time.Hour - time.Hour)
		now, _, err = phonenumber.Renumber(ctx, old, ads, security, billing)
		require.NoError(t, err)
		was, _ := old.Provenance(forBilling)
		is, _ := now.Provenance(forBilling)
		require.False(t, is.Expires.After(was.Expires), "%v, %v", is.Expires, was.Expires)
		require.Less(t, was.Expires.Sub(is.Expires), 2*time.Second)

		for name, scopes := range map[string][]*vault.Scope{
			"none": nil, "too few": {security, billing}, "nil": {nil, security, billing}, "twice": {security, security, billing}, "too many": {security, billing, ads, security},
		} {
			none, changed, err := phonenumber.Renumber(ctx, old, scopes...)
			require.ErrorIs(t, err, vault.ErrInvalid, name)
			require.True(t, none.IsZero(), name)
			require.False(t, changed, name)
		}
		_, _, err = phonenumber.Renumber(ctx, old, kit.Scope(forSecurity), billing, ads)
		require.ErrorIs(t, err, vault.ErrSubject)
		_, _, err = phonenumber.Renumber(ctx, pii.Phone{}, security)
		require.ErrorIs(t, err, vault.ErrInvalid)
		_, _, err = phonenumber.Renumber(ctx, old.Without(forAds).Without(forBilling), ads)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		_, _, err = phonenumber.Renumber(ctx, old.Without(forSecurity), ads, billing)
		require.ErrorIs(t, err, vault.ErrInvalid)
		time.Sleep(3 * 24 * time.Hour)
		_, _, err = phonenumber.Renumber(ctx, old, ads, security, billing)
		require.ErrorIs(t, err, vault.ErrExpired)
		now, changed, err = phonenumber.Renumber(ctx, old.WithoutExpired(), ads, security)
		require.NoError(t, err)
		require.True(t, changed)
		require.Equal(t, purpose.NewSet(forSecurity, forAds), now.Purposes())
	})
}

// A time of collection that was stated stays, whatever the retention is and whether or
// not the value was extended since. The retention does not get longer.
func TestRenumberKeepsTheDayOfCollection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		forSecurity, forAds := purpose.MustParse("security"), purpose.MustParse("advertising")
		kit := piitest.New(t, forSecurity, forAds)
		time.Sleep(time.Until(time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC)))
		for _, person := range []bool{false, true} {
			security, ads := kit.Scope(forSecurity), kit.Scope(forAds)
			if person {
				security, ads = security.For("alice"), ads.For("alice")
			}
			for _, stated := range []time.Time{{}, time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC), time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)} {
				for _, retain := range []time.Duration{0, 2 * time.Hour, 23 * time.Hour, 24 * time.Hour, 30 * 24 * time.Hour, 3650 * 24 * time.Hour, purpose.MaxRetain} {
					old, err := pii.SealPhone(ctx, "+22997123456", security.Under(purpose.Basis{Notice: "2fa-v3", Retain: retain, Collected: stated}))
					if errors.Is(err, vault.ErrExpired) {
						continue
					}
					require.NoError(t, err)
					old, err = old.Extend(ctx, security, ads.Under(purpose.Basis{Consent: "consent-1"}))
					require.NoError(t, err)
					now, changed, err := phonenumber.Renumber(ctx, old, security, ads)
					require.NoError(t, err)
					require.True(t, changed)
					for _, p := range []purpose.Purpose{forSecurity, forAds} {
						was, _ := old.Provenance(p)
						is, _ := now.Provenance(p)
						require.True(t, is.Stated)
						require.Equal(t, was.Collected, is.Collected.Truncate(24*time.Hour))
						require.False(t, is.Expires.After(was.Expires))
						require.LessOrEqual(t, was.Expires.Sub(is.Expires), time.Second)
					}
				}
			}
		}
	})
}

// exampleScope returns a scope of a vault in memory.
func exampleScope() (*vault.Scope, func()) {
	ctx, security := context.Background(), purpose.MustParse("security")
	dir, err := os.MkdirTemp("", "onlyfor-example-")
	if err != nil {
		panic(err)
	}
	admin, err := vault.OpenAdmin(ctx, vault.Memory(), vault.LocalKEK(dir), nil)
	if err != nil {
		panic(err)
	}
	if err := admin.Generate(ctx, security); err != nil {
		panic(err)
	}
	scope, err := admin.Vault().Scope(ctx, security)
	if err != nil {
		panic(err)
	}
	return scope, func() {
		admin.Close()
		os.RemoveAll(dir)
	}
}

// A person of Benin signed up before 30 November 2024, and signs in today. The row has
// the index of the old form.
func ExampleOldForms() {
	ctx := context.Background()
	security, closeVault := exampleScope()
	defer closeVault()
	rows := map[string]pii.Index{}
	rows["alice"], _ = pii.IndexPhone(ctx, "+229 97 12 34 56", security)

	typed, err := phonenumber.Parse("01 97 12 34 56", "BJ")
	fmt.Println(typed, err)
	for _, form := range append([]string{typed}, phonenumber.OldForms(typed)...) { // WHERE phone_index IN (…)
		index, _ := pii.IndexPhone(ctx, form, security)
		fmt.Println(form, index.Equal(rows["alice"]))
	}
	// Output:
	// +2290197123456 <nil>
	// +2290197123456 false
	// +22997123456 true
}

// A run over a column puts the numbers of today in the place of old forms.
func ExampleRenumber() {
	ctx := context.Background()
	security, closeVault := exampleScope()
	defer closeVault()
	type row struct {
		phone pii.Phone
		index pii.Index
	}
	var rows []row
	for _, number := range []string{"+229 97 12 34 56", "+1 415 555 2671"} { // long ago
		phone, _ := pii.SealPhone(ctx, number, security.Under(purpose.Basis{Notice: "2fa-prompt-v3"}))
		index, _ := phone.Index(ctx, security)
		rows = append(rows, row{phone, index})
	}

	for i, r := range rows {
		phone, changed, err := phonenumber.Renumber(ctx, r.phone, security)
		if err == nil && changed {
			// UPDATE users SET phone = $1, phone_index = $2 WHERE id = $3 AND phone = $4
			r.phone = phone
			r.index, err = phone.Index(ctx, security)
			rows[i] = r
		}
		fmt.Println(i, changed, err)
	}
	number, _ := rows[0].phone.Reveal(ctx, security)
	provenance, _ := rows[0].phone.Provenance(security.Purpose())
	fmt.Println(number, provenance.Notice)
	// Output:
	// 0 true <nil>
	// 1 false <nil>
	// +2290197123456 2fa-prompt-v3
}
