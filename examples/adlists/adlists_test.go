package adlists_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/examples/adlists"
	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var people = []string{
	"alice.smith@gmail.com", "Bob.Jones+shop@Gmail.com", "carol.white@googlemail.com",
	"dan@example.com", "Eve.Adams+news@example.com", "frank@müller.example",
}

// recipes are what platforms tell advertisers to do with an address before they hash it.
var recipes = map[string]struct {
	normalise func(string) string
	unfolded  int // people whom pii.IndexEmail finds
}{
	"Meta":           {func(s string) string { return strings.ToLower(strings.TrimSpace(s)) }, 6},
	"UID2":           {func(s string) string { return withoutDots(s, "gmail.com") }, 4},
	"Customer Match": {func(s string) string { return withoutDots(s, "gmail.com", "googlemail.com") }, 3},
}

// withoutDots takes the dots and the tag off addresses at the domains.
func withoutDots(address string, domains ...string) string {
	address = strings.ToLower(strings.TrimSpace(address))
	for _, domain := range domains {
		if local, found := strings.CutSuffix(address, "@"+domain); found {
			local, _, _ = strings.Cut(local, "+")
			return strings.ReplaceAll(local, ".", "") + "@" + domain
		}
	}
	return address
}

func newScope(t testing.TB) *vault.Scope {
	return piitest.New(t, purposes.Advertising).Scope(purposes.Advertising).Under(purposes.AdsConsent("consent-81f3"))
}

type indexer func(context.Context, string, vault.Indexer) (pii.Index, error)

// matches counts the entries of the list that are one user each.
func matches(t *testing.T, scope *vault.Scope, index indexer, users, list []string) (found int) {
	t.Helper()
	for i, entry := range list {
		x, err := index(t.Context(), entry, scope)
		require.NoError(t, err)
		for j, user := range users {
			y, err := index(t.Context(), user, scope)
			require.NoError(t, err)
			if x.Equal(y) {
				require.Equal(t, j, i, "one person is found as another")
				found++
			}
		}
	}
	return found
}

// Whichever side was normalised by whichever recipe, all six people are found.
func TestRecipesFindEverybody(t *testing.T) {
	scope := newScope(t)
	sides := map[string][]string{"as typed": people}
	for name, recipe := range recipes {
		var list []string
		for _, address := range people {
			list = append(list, recipe.normalise(" "+address+" "))
		}
		sides[name] = list
		require.Equal(t, recipe.unfolded, matches(t, scope, pii.IndexEmail, people, list), "%s, without folding", name)
	}
	for name, users := range sides {
		for of, list := range sides {
			require.Equal(t, len(people), matches(t, scope, adlists.IndexEmail, users, list), "users of %s, list of %s", name, of)
		}
	}
}

// A sealed address has the index of its text. Elsewhere than at Gmail that is the index of
// package pii.
func TestStoredAddresses(t *testing.T) {
	scope := newScope(t)
	for _, address := range append([]string{"+tag@gmail.com", "+@x.gmail.com", "a.b@mail.gmail.com", "a.b@gmail.com.example", "a.b@gmail.co", "K.elvin@GMAIL.COM", "\u00a0a.b@gmail.com\u200b"}, people...) {
		email, err := pii.SealEmail(t.Context(), address, scope)
		require.NoError(t, err, address)
		stored, err := adlists.IndexStoredEmail(t.Context(), email, scope)
		require.NoError(t, err, address)
		typed, err := adlists.IndexEmail(t.Context(), address, scope)
		require.NoError(t, err)
		require.True(t, stored.Equal(typed), address)
		plain, err := pii.IndexEmail(t.Context(), address, scope)
		require.NoError(t, err)
		atGmail := strings.Contains(strings.ToLower(address), "@gmail.com") || strings.Contains(address, "@googlemail.com")
		folds := atGmail && !strings.HasPrefix(address, "+") && !strings.HasSuffix(address, ".example")
		require.Equal(t, !folds, plain.Equal(typed), address)
	}
}

// Different mailboxes stay apart: dots and tags at other providers, names of nothing but a
// tag, domains that only look like Gmail's.
func TestOthersAreOthers(t *testing.T) {
	scope := newScope(t)
	seen := make(map[string]string)
	for _, address := range []string{
		"ab@gmail.com", "ac@gmail.com", "a.b@example.com", "ab@example.com", "ab+x@example.com", "ab@gmail.co", "ab@gmail.com.example", "ab@gmaıl.com",
		"+a@gmail.com", "+b@gmail.com", "ab@gmail.comрф", "ab@mail.gmail.com",
	} {
		index, err := adlists.IndexEmail(t.Context(), address, scope)
		require.NoError(t, err, address)
		column, err := index.Value()
		require.NoError(t, err)
		key := string(column.([]byte))
		require.Empty(t, seen[key], address)
		seen[key] = address
	}
}

// Meta's recipe leaves the country code and the digits.
func TestPhoneNumbersWithoutPlus(t *testing.T) {
	scope := newScope(t)
	for user, listed := range map[string]string{
		"+1 (650) 555-1212": "16505551212", "+44 7400 123456": "447400123456", "+49 1512 3456789": "4915123456789",
		"+39 06 6982 1234": "390669821234", "+225 01 02 03 04 05": "2250102030405", "+971 50 123 4567": "971501234567",
	} {
		stored, err := pii.IndexPhone(t.Context(), user, scope)
		require.NoError(t, err)
		for _, entry := range []string{listed, "+" + listed, user} {
			index, err := adlists.IndexPhone(t.Context(), entry, scope)
			require.NoError(t, err, entry)
			require.True(t, index.Equal(stored), entry)
		}
	}
	for _, national := range []string{"07400 123456", "0151 23456789", "0044 7400 123456", "", "12", "4155552671x3"} {
		index, err := adlists.IndexPhone(t.Context(), national, scope)
		require.ErrorIs(t, err, pii.ErrMalformed, national)
		_, err = index.Value()
		require.ErrorIs(t, err, pii.ErrPoisoned)
	}
}

// No failure is an index that matches somebody, and none quotes the address.
func TestFailures(t *testing.T) {
	scope := newScope(t)
	fails := func(index pii.Index, err error) {
		t.Helper()
		require.Error(t, err)
		require.NotContains(t, err.Error(), "alice")
		_, err = index.Value()
		require.ErrorIs(t, err, pii.ErrPoisoned)
	}
	fails(adlists.IndexEmail(t.Context(), "alice", scope))
	fails(adlists.IndexEmail(t.Context(), "alice@gmail.com", nil))
	fails(adlists.IndexStoredEmail(t.Context(), pii.Email{}, scope))
	security := piitest.New(t, purposes.Security).Scope(purposes.Security)
	email, err := pii.SealEmail(t.Context(), "alice@gmail.com", security)
	require.NoError(t, err)
	index, err := adlists.IndexStoredEmail(t.Context(), email, scope)
	fails(index, err)
	require.ErrorIs(t, err, purpose.ErrMismatch)

	// Somebody who seals with package vault seals any text.
	for _, text := range []string{"@gmail.com", "alice", "alice@", "алиса@gmail.com"} {
		value, err := vault.Seal(t.Context(), vault.MustKind("email", "pii.Email"), text, scope)
		require.NoError(t, err)
		sealed, err := value.MarshalText()
		require.NoError(t, err)
		var email pii.Email
		require.NoError(t, email.UnmarshalText(sealed))
		index, err := adlists.IndexStoredEmail(t.Context(), email, scope)
		fails(index, err)
		require.ErrorIs(t, err, vault.ErrCorrupt)
	}
}
