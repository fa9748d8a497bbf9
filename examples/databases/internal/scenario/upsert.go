package scenario

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"

	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

// Upserts is a table of users whose values are sealed for one person at a time, as one
// library writes it.
type Upserts interface {
	// Upsert inserts the user in one statement. If a row has the user's index already, the
	// statement writes the user's email into that row, and leaves the row its id.
	Upsert(context.Context, User) error
	// Save seals the address for the person who has it, or else for a new user with the
	// given id. It returns the id of the row.
	Save(ctx context.Context, security *vault.Scope, id int64, address string) (int64, error)
	Get(ctx context.Context, id int64) (User, error)
}

// RunUpserts runs the rules of upserts. The table of users exists and is empty.
func RunUpserts(t *testing.T, db *testdb.DB, users Upserts) {
	for _, rule := range []struct {
		name string
		run  func(*upserts)
	}{
		{"an upsert by index seals for an id that no row has", (*upserts).loses},
		{"saving keeps a value and the id of its row together", (*upserts).saves},
		{"saving finds a person while the index key rotates", (*upserts).savesRotated},
		{"another process is first", (*upserts).savesSecond},
		{"an upsert for nobody yet, and the person's key later", (*upserts).narrowsLater},
		{"an error saves nothing and changes nobody's row", (*upserts).refuses},
	} {
		t.Run(rule.name, func(t *testing.T) {
			_, err := db.ExecContext(t.Context(), "DELETE FROM users")
			require.NoError(t, err)
			u := &upserts{T: t, db: db, users: users, kit: piitest.New(t, forSecurity)}
			u.security = u.kit.Scope(forSecurity)
			rule.run(u)
		})
	}
}

type upserts struct {
	*testing.T
	db       *testdb.DB
	users    Upserts
	kit      *piitest.Kit
	security *vault.Scope
}

const quokka = "Quokka@example.com"

// own returns the scope of the person whose row has the id.
func own(security *vault.Scope, id int64) *vault.Scope {
	return security.For(strconv.FormatInt(id, 10))
}

// seal returns a user whose email scope seals.
func (u *upserts) seal(id int64, address string, scope *vault.Scope) User {
	u.Helper()
	email, index, err := pii.SealEmailIndexed(u.Context(), address, scope)
	require.NoError(u, err)
	return User{ID: id, Email: email, EmailIndex: index}
}

// only returns the only row, and requires that it has the id.
func (u *upserts) only(id int64) User {
	u.Helper()
	var rows int
	require.NoError(u, u.db.QueryRowContext(u.Context(), "SELECT count(*) FROM users").Scan(&rows))
	require.Equal(u, 1, rows)
	got, err := u.users.Get(u.Context(), id)
	require.NoError(u, err)
	return got
}

// opens requires that the row's email opens for the row's own id, and for no other.
func (u *upserts) opens(row User, address string) {
	u.Helper()
	got, err := row.Email.Reveal(u.Context(), own(u.security, row.ID))
	require.NoError(u, err)
	require.Equal(u, address, got)
	_, err = row.Email.Reveal(u.Context(), own(u.security, row.ID+1))
	require.ErrorIs(u, err, vault.ErrCorrupt)
}

func (u *upserts) migration(subject string) *migrate.Migration {
	u.Helper()
	dialect := map[testdb.Dialect]migrate.Dialect{
		testdb.Postgres: migrate.Postgres, testdb.MySQL: migrate.MySQL, testdb.SQLite: migrate.SQLite,
	}[u.db.Dialect]
	m, err := migrate.New(u.Context(), u.db.DB, dialect, migrate.Table{
		Name: "users", Key: "id", Subject: subject, Scopes: []*vault.Scope{u.security},
		Columns: []migrate.Column{{
			Kind: migrate.Email(), Sealed: "email", Indexes: map[purpose.Purpose]string{forSecurity: "email_index"},
		}},
	})
	require.NoError(u, err)
	return m
}

// loses shows the trap: each time that a person comes, an id is made for the occasion.
// The row keeps the first id, and gets a value that was sealed for the second one.
func (u *upserts) loses() {
	for _, id := range []int64{1, 2} {
		require.NoError(u, u.users.Upsert(u.Context(), u.seal(id, quokka, own(u.security, id))))
	}
	row := u.only(1)
	_, err := row.Email.Reveal(u.Context(), own(u.security, 1))
	require.ErrorIs(u, err, vault.ErrCorrupt, "as if somebody had put another person's value into the row")
	_, err = row.Email.Reveal(u.Context(), u.security)
	require.ErrorIs(u, err, vault.ErrSubject)
	_, err = row.Email.Reveal(u.Context(), own(u.security, 2)) // the id is in no table
	require.NoError(u, err)

	// Verify of package migrate finds such rows.
	report, err := u.migration("id").Verify(u.Context(), nil)
	require.NoError(u, err)
	require.Equal(u, map[migrate.Problem]int64{migrate.Corrupt: 1}, report.Problems)
}

func (u *upserts) saves() {
	for _, id := range []int64{1, 2} { // as in loses
		saved, err := u.users.Save(u.Context(), u.security, id, quokka)
		require.NoError(u, err)
		require.EqualValues(u, 1, saved)
		u.opens(u.only(1), quokka)
	}
	// The spelling is the newest, the index is that of all spellings.
	saved, err := u.users.Save(u.Context(), u.security, 3, "QUOKKA@example.com")
	require.NoError(u, err)
	require.EqualValues(u, 1, saved)
	u.opens(u.only(1), "QUOKKA@example.com")

	saved, err = u.users.Save(u.Context(), u.security, 4, "numbat@example.com")
	require.NoError(u, err)
	require.EqualValues(u, 4, saved)
	report, err := u.migration("id").Verify(u.Context(), nil)
	require.NoError(u, err)
	require.Empty(u, report.Problems)
	require.EqualValues(u, 2, report.Rows)

	// An erasure reaches one of them.
	_, err = u.kit.Vault.Erase(u.Context(), "1", forSecurity)
	require.NoError(u, err)
	erased, err := u.users.Get(u.Context(), 1)
	require.NoError(u, err)
	_, err = erased.Email.Reveal(u.Context(), own(u.security, 1))
	require.ErrorIs(u, err, vault.ErrErased)
	other, err := u.users.Get(u.Context(), 4)
	require.NoError(u, err)
	u.opens(other, "numbat@example.com")
}

func (u *upserts) savesRotated() {
	_, err := u.users.Save(u.Context(), u.security, 1, quokka)
	require.NoError(u, err)
	u.kit.Rotate(forSecurity, vault.RoleIndex)
	saved, err := u.users.Save(u.Context(), u.security, 2, quokka)
	require.NoError(u, err)
	require.EqualValues(u, 1, saved)
	row := u.only(1)
	u.opens(row, quokka)
	primary, err := pii.IndexEmail(u.Context(), quokka, u.security)
	require.NoError(u, err)
	require.True(u, row.EmailIndex.Equal(primary), "the index is that of the new key")
}

// savesSecond lets another process insert the same person after Save has looked for them
// and before it inserts: at the moment at which Save seals.
func (u *upserts) savesSecond() {
	var first sync.Once
	v, err := vault.Open(u.Context(), u.kit.Store, u.kit.KEK, &vault.Options{
		Audit: auditorFunc(func(ctx context.Context, e audit.Event) error {
			if e.Action == audit.Seal {
				first.Do(func() { require.NoError(u, u.users.Upsert(ctx, u.seal(7, quokka, own(u.security, 7)))) })
			}
			return nil
		}),
	})
	require.NoError(u, err)
	defer v.Close()
	security, err := v.Scope(u.Context(), forSecurity)
	require.NoError(u, err)
	saved, err := u.users.Save(u.Context(), security, 8, "QUOKKA@example.com")
	require.NoError(u, err)
	require.EqualValues(u, 7, saved)
	u.opens(u.only(7), "QUOKKA@example.com")
}

type auditorFunc func(context.Context, audit.Event) error

func (f auditorFunc) Audit(ctx context.Context, e audit.Event) error { return f(ctx, e) }

// narrowsLater seals for nobody in particular, which any upsert may write. Once the row
// has an id, its value is brought under the key of the person.
func (u *upserts) narrowsLater() {
	for _, id := range []int64{1, 2} {
		require.NoError(u, u.users.Upsert(u.Context(), u.seal(id, quokka, u.security)))
	}
	row := u.only(1)
	address, err := row.Email.Reveal(u.Context(), u.security)
	require.NoError(u, err)
	require.Equal(u, quokka, address)
	// Until then an erasure does not reach the value.
	_, err = row.Email.Reveal(u.Context(), own(u.security, 1))
	require.ErrorIs(u, err, vault.ErrSubject)

	narrowed, err := row.Email.Reseal(u.Context(), own(u.security, row.ID))
	require.NoError(u, err)
	query := "UPDATE users SET email = ? WHERE id = ? AND email = ?" // not over a later upsert
	if u.db.Dialect == testdb.Postgres {
		query = "UPDATE users SET email = $1 WHERE id = $2 AND email = $3"
	}
	result, err := u.db.ExecContext(u.Context(), query, narrowed, row.ID, row.Email)
	require.NoError(u, err)
	changed, err := result.RowsAffected()
	require.NoError(u, err)
	require.EqualValues(u, 1, changed)
	u.opens(u.only(1), quokka)
}

func (u *upserts) refuses() {
	_, err := u.users.Save(u.Context(), u.security, 1, quokka)
	require.NoError(u, err)
	_, err = u.users.Save(u.Context(), u.security, 2, "no address")
	require.ErrorIs(u, err, pii.ErrMalformed)
	_, err = u.users.Save(u.Context(), u.security, 0, "numbat@example.com")
	require.ErrorIs(u, err, vault.ErrInvalid, "an id that does not exist yet")
	_, err = u.users.Save(u.Context(), u.security, 1, "numbat@example.com")
	require.Error(u, err, "an id that somebody else has")
	u.opens(u.only(1), quokka)
}
