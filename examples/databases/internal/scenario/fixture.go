package scenario

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

var (
	forSecurity    = purpose.MustParse("security")
	forAdvertising = purpose.MustParse("advertising")
)

// A fixture is one table of users, with the keys for its values.
type fixture struct {
	*testing.T // of the rule that is running
	db         *testdb.DB
	users      Users
	known      Known

	kit                   *piitest.Kit
	security, advertising *vault.Scope
	people                int
	plaintexts            []string // all that the test has sealed
}

func (f *fixture) setup() {
	f.kit = piitest.New(f.T, forSecurity, forAdvertising)
	f.security, f.advertising = f.kit.Scope(forSecurity), f.kit.Scope(forAdvertising)
}

func (f *fixture) run(name string, rule func(context.Context)) {
	parent := f.T
	parent.Run(name, func(t *testing.T) {
		f.T = t
		defer func() { f.T = parent }()
		rule(t.Context())
	})
}

// A person has the plaintexts of a user's row.
type person struct{ address, recovery, number string }

// person returns a new person, whose plaintexts occur nowhere else.
func (f *fixture) person() person {
	f.people++
	p := person{
		address:  fmt.Sprintf("Quokka-%04d@example.com", f.people),
		recovery: fmt.Sprintf("numbat-%04d@example.org", f.people),
		number:   fmt.Sprintf("+1415555%04d", f.people),
	}
	f.plaintexts = append(f.plaintexts, p.address, p.recovery, p.number)
	return p
}

// seal returns a user with a new id and every field set.
func (f *fixture) seal(p person) User {
	f.Helper()
	ctx := f.Context()
	email, err := pii.SealEmail(ctx, p.address, f.security)
	require.NoError(f, err)
	phone, err := pii.SealPhone(ctx, p.number, f.security)
	require.NoError(f, err)
	recovery, err := pii.SealEmail(ctx, p.recovery, f.security)
	require.NoError(f, err)
	return User{
		ID:         int64(f.people),
		Email:      email,
		EmailIndex: f.index(p.address, f.security),
		Phone:      &phone,
		Recovery:   sql.Null[pii.Email]{V: recovery, Valid: true},
	}
}

func (f *fixture) index(address string, scope *vault.Scope) pii.Index {
	f.Helper()
	x, err := pii.IndexEmail(f.Context(), address, scope)
	require.NoError(f, err)
	return x
}

// poisoned returns the index that a failed IndexEmail returns.
func (f *fixture) poisoned() pii.Index {
	f.Helper()
	x, err := pii.IndexEmail(f.Context(), "no address", f.security)
	require.Error(f, err)
	return x
}

// insert inserts a new user with every field set.
func (f *fixture) insert() (User, person) {
	f.Helper()
	p := f.person()
	u := f.seal(p)
	require.NoError(f, f.users.Insert(f.Context(), u))
	return u, p
}

func (f *fixture) get(id int64) User {
	f.Helper()
	u, err := f.users.Get(f.Context(), id)
	require.NoError(f, err)
	return u
}

// same requires that two users hold the same sealed values and indexes.
func (f *fixture) same(want, got User) {
	f.Helper()
	require.Equal(f, want.ID, got.ID)
	require.True(f, want.Email.Equal(got.Email), "email")
	require.True(f, want.EmailIndex.Equal(got.EmailIndex) || want.EmailIndex.IsZero() && got.EmailIndex.IsZero(), "email_index")
	require.Equal(f, want.Phone == nil, got.Phone == nil, "phone")
	require.True(f, want.Phone == nil || want.Phone.Equal(*got.Phone), "phone")
	require.Equal(f, want.Recovery.Valid, got.Recovery.Valid, "recovery")
	require.True(f, want.Recovery.V.Equal(got.Recovery.V), "recovery")
}

// refused requires an error that shows no plaintext.
func (f *fixture) refused(err error) {
	f.Helper()
	require.Error(f, err)
	f.noPlaintext(err.Error())
}

// stopped requires that a poisoned index failed before it became part of a query.
func (f *fixture) stopped(err error) {
	f.Helper()
	f.refused(err)
	if !f.known.PoisonInSQL {
		require.ErrorContains(f, err, pii.ErrPoisoned.Error())
	}
}

// noPlaintext requires that text shows none of the plaintexts, in clear or in the
// forms that databases and encoders give to text.
func (f *fixture) noPlaintext(text string) {
	f.Helper()
	if hit := findAny(text, f.plaintexts); hit != "" {
		f.Fatalf("%q is in:\n%s", hit, text)
	}
}

// findAny returns the first of the plaintexts that text shows.
func findAny(text string, plaintexts []string) string {
	text = strings.ToLower(text)
	for _, p := range plaintexts {
		local, _, _ := strings.Cut(p, "@")
		for _, needle := range []string{
			strings.TrimPrefix(local, "+"),
			hex.EncodeToString([]byte(local)),
			base64.RawStdEncoding.EncodeToString([]byte(p))[:12],
		} {
			if strings.Contains(text, strings.ToLower(needle)) {
				return p
			}
		}
	}
	return ""
}

// showsIndex reports whether text shows the bytes of an index.
func showsIndex(text string, x pii.Index) bool {
	v, err := x.Value()
	if err != nil || v == nil {
		panic("scenario: an index without bytes")
	}
	raw := v.([]byte)
	if strings.Contains(text, string(raw)) {
		return true
	}
	text = strings.ToLower(text)
	return strings.Contains(text, hex.EncodeToString(raw)) ||
		strings.Contains(text, strings.ToLower(base64.RawStdEncoding.EncodeToString(raw)))
}
