package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"

	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

var security = purpose.MustParse("security")

// An Untagged leaves its columns to bun.
type Untagged struct {
	Email      pii.Email
	EmailIndex pii.Index
	Phone      *pii.Phone
	Recovery   sql.Null[pii.Email]
}

// Structs without a type in the tag become JSONB, which takes no sealed text: the
// first insert fails.
func TestUntaggedColumnsBecomeJSONB(t *testing.T) {
	db := testdb.OpenPostgres(t)
	opened := open(db)
	_, err := opened.NewCreateTable().Model((*Untagged)(nil)).Exec(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"email": "jsonb", "email_index": "jsonb", "phone": "jsonb", "recovery": "jsonb",
	}, columnTypes(t, db, "untaggeds"))

	kit := piitest.New(t, security)
	for _, u := range []Untagged{{Email: kit.Email(kit.Scope(security))}, {EmailIndex: indexOf(t, "AAAAAAAAAAAAAAAA")}} {
		_, err := opened.NewInsert().Model(&u).Exec(t.Context())
		require.ErrorContains(t, err, "invalid input syntax for type json")
	}
}

// On the others they become varchar, where MySQL has no room for bytes.
func TestUntaggedColumnsBecomeVarchar(t *testing.T) {
	opened := open(testdb.OpenMySQL(t))
	_, err := opened.NewCreateTable().Model((*Untagged)(nil)).Exec(t.Context())
	require.NoError(t, err)
	_, err = opened.NewInsert().Model(&Untagged{EmailIndex: indexOf(t, "\xff\x00AAAAAAAAAAAAAA")}).Exec(t.Context())
	require.Error(t, err)
}

func TestCreateTable(t *testing.T) {
	db := testdb.OpenPostgres(t)
	_, err := open(db).NewCreateTable().Model((*User)(nil)).Exec(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"id": "bigint", "email": "text", "email_index": "bytea", "phone": "text", "recovery": "text",
	}, columnTypes(t, db, "users"))
}

func columnTypes(t *testing.T, db *testdb.DB, table string) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT column_name, data_type FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name = $1`, table)
	require.NoError(t, err)
	types := map[string]string{}
	for rows.Next() {
		var name, kind string
		require.NoError(t, rows.Scan(&name, &kind))
		types[name] = kind
	}
	require.NoError(t, rows.Err())
	return types
}

// bun writes the error of a Valuer into the statement. No database takes that for
// SQL, and the error is a constant; but errors.Is no longer knows it.
func TestPoisonedIndex(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		db.CreateUsers(t)
		opened := open(db)
		_, err := opened.NewInsert().Model(&[]User{{ID: 1}, {ID: 2}}).Exec(t.Context())
		require.NoError(t, err)
		poisoned, err := pii.IndexEmail(t.Context(), "quokka", nil)
		require.Error(t, err)
		for name, where := range map[string]func(*bun.SelectQuery) *bun.SelectQuery{
			"Where": func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("email_index = ?", poisoned) },
			"List": func(q *bun.SelectQuery) *bun.SelectQuery {
				return q.Where("email_index IN (?)", bun.List([]pii.Index{poisoned}))
			},
			"pointer": func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("email_index = ?", &poisoned) },
			"not":     func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("email_index <> ?", poisoned) },
			"WherePK": func(q *bun.SelectQuery) *bun.SelectQuery {
				return q.Model(&User{EmailIndex: poisoned}).WherePK("email_index")
			},
		} {
			var found []User
			err := where(opened.NewSelect().Model(&found)).Scan(t.Context())
			require.Error(t, err, name)
			require.NotErrorIs(t, err, pii.ErrPoisoned, name)
			require.Empty(t, found, name)
		}
		_, err = opened.NewDelete().Model((*User)(nil)).Where("email_index = ?", poisoned).Exec(t.Context())
		require.Error(t, err)
		_, err = opened.NewUpdate().Model(&User{ID: 1, EmailIndex: poisoned}).WherePK().Exec(t.Context())
		require.Error(t, err)
		require.Contains(t, db.Log.String(), "?!("+pii.ErrPoisoned.Error()+")")
		require.NotContains(t, db.Log.String(), "quokka@")
		count, err := opened.NewSelect().Model((*User)(nil)).Count(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2, count)
	})
}

// bundebug shows indexes; a hook that logs the operation alone does not.
func TestLogs(t *testing.T) {
	db := testdb.OpenSQLite(t)
	db.CreateUsers(t)
	var own testdb.Log
	opened := open(db).WithQueryHook(operations{&own})
	require.NoError(t, opened.NewSelect().Model(&[]User{}).Where("email_index = ?", indexOf(t, "AAAAAAAAAAAAAAAA")).Scan(t.Context()))
	require.Contains(t, db.Log.String(), hex.EncodeToString([]byte("AAAAAAAAAAAAAAAA")))
	require.Equal(t, "SELECT <nil>\n", own.String())
}

type operations struct{ io.Writer }

func (operations) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }
func (o operations) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	fmt.Fprintln(o, e.Operation(), e.Err)
}

// OmitZero leaves out what was to become NULL: an address that a person had
// removed stays.
func TestOmitZeroKeepsWhatWasRemoved(t *testing.T) {
	db := testdb.OpenSQLite(t)
	db.CreateUsers(t)
	opened := open(db)
	_, err := opened.NewInsert().Model(&User{ID: 1, EmailIndex: indexOf(t, "AAAAAAAAAAAAAAAA")}).Exec(t.Context())
	require.NoError(t, err)
	kit := piitest.New(t, security)
	phone := kit.Phone(kit.Scope(security))
	_, err = opened.NewUpdate().Model(&User{ID: 1, Phone: &phone}).OmitZero().WherePK().Exec(t.Context())
	require.NoError(t, err)
	u := User{ID: 1}
	require.NoError(t, opened.NewSelect().Model(&u).WherePK().Scan(t.Context()))
	require.False(t, u.EmailIndex.IsZero())
}

// Relations are joined in memory, by a map whose keys are the values of the joined columns.
// Indexes are comparable, and so they may be the joined columns: each account gets its own
// logins. An account without an index gets none, also if logins have none.
func TestRelationsJoinedByIndex(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		bytes := map[testdb.Dialect]string{testdb.Postgres: "bytea", testdb.MySQL: "varbinary(16)", testdb.SQLite: "blob"}[db.Dialect]
		for _, query := range []string{
			"CREATE TABLE accounts (id integer PRIMARY KEY, email_index " + bytes + ")",
			"CREATE TABLE logins (id integer PRIMARY KEY, email_index " + bytes + ")",
		} {
			_, err := db.ExecContext(t.Context(), query)
			require.NoError(t, err)
		}
		opened := open(db)
		a, b := indexOf(t, "AAAAAAAAAAAAAAAA"), indexOf(t, "BBBBBBBBBBBBBBBB")
		_, err := opened.NewInsert().Model(&[]Account{{ID: 1, EmailIndex: a}, {ID: 2, EmailIndex: b}, {ID: 3}}).Exec(t.Context())
		require.NoError(t, err)
		_, err = opened.NewInsert().Model(&[]Login{{ID: 1, EmailIndex: b}, {ID: 2, EmailIndex: a}, {ID: 3, EmailIndex: b}, {ID: 4}}).Exec(t.Context())
		require.NoError(t, err)

		var accounts []Account
		require.NoError(t, opened.NewSelect().Model(&accounts).Relation("Logins").Order("id").Scan(t.Context()))
		got := map[int64][]int64{}
		for _, account := range accounts {
			for _, login := range account.Logins {
				require.True(t, login.EmailIndex.Equal(account.EmailIndex))
				got[account.ID] = append(got[account.ID], login.ID)
			}
		}
		require.Equal(t, map[int64][]int64{1: {2}, 2: {1, 3}}, got)
	})
}

// An Account has the logins that name its index.
type Account struct {
	ID         int64     `bun:",pk"`
	EmailIndex pii.Index `bun:"type:bytea"`
	Logins     []*Login  `bun:"rel:has-many,join:email_index=email_index"`
}

// A Login names an account by the index of its address.
type Login struct {
	ID         int64     `bun:",pk"`
	EmailIndex pii.Index `bun:"type:bytea"`
}

func indexOf(t *testing.T, bytes string) (x pii.Index) {
	t.Helper()
	require.NoError(t, x.Scan([]byte(bytes)))
	return x
}
