package main

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
	"github.com/onlyfor/onlyfor/examples/databases/sqlc/mysql"
	"github.com/onlyfor/onlyfor/examples/databases/sqlc/postgres"
	"github.com/onlyfor/onlyfor/examples/databases/sqlc/sqlite"
)

func TestProgram(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Equal(t, "pii.Email(security) is A•••@e•••.com\n", out.String())
}

func TestScenario(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		db.CreateUsers(t)
		scenario.Run(t, db, map[testdb.Dialect]func(*testing.T, *testdb.DB) scenario.Users{
			testdb.Postgres: onPostgres, testdb.MySQL: onMySQL, testdb.SQLite: onSQLite,
		}[db.Dialect](t, db), scenario.Known{})
	})
}

func onPostgres(t *testing.T, db *testdb.DB) scenario.Users {
	conn, err := pgx.ConnectConfig(t.Context(), db.Config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	q := postgres.New(conn)
	return users[postgres.User, postgres.InsertParams]{
		queries: q,
		update: func(ctx context.Context, u scenario.User) error {
			return q.Update(ctx, postgres.UpdateParams(u))
		},
		insertAll: func(ctx context.Context, all []scenario.User) error { // by COPY
			rows := make([]postgres.InsertAllParams, len(all))
			for i, u := range all {
				rows[i] = postgres.InsertAllParams(u)
			}
			_, err := q.InsertAll(ctx, rows)
			return err
		},
	}
}

func onMySQL(_ *testing.T, db *testdb.DB) scenario.Users {
	q := mysql.New(db)
	return users[mysql.User, mysql.InsertParams]{
		queries: q,
		update: func(ctx context.Context, u scenario.User) error {
			return q.Update(ctx, mysql.UpdateParams{ID: u.ID, Email: u.Email, EmailIndex: u.EmailIndex, Phone: u.Phone, Recovery: u.Recovery})
		},
		insertAll: func(ctx context.Context, all []scenario.User) error {
			return transaction(ctx, db, func(tx *sql.Tx) error {
				for _, u := range all {
					if err := q.WithTx(tx).Insert(ctx, mysql.InsertParams(u)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func onSQLite(_ *testing.T, db *testdb.DB) scenario.Users {
	q := sqlite.New(db)
	return users[sqlite.User, sqlite.InsertParams]{
		queries: q,
		update: func(ctx context.Context, u scenario.User) error {
			return q.Update(ctx, sqlite.UpdateParams{ID: u.ID, Email: u.Email, EmailIndex: u.EmailIndex, Phone: u.Phone, Recovery: u.Recovery})
		},
		insertAll: func(ctx context.Context, all []scenario.User) error {
			return transaction(ctx, db, func(tx *sql.Tx) error {
				for _, u := range all {
					if err := q.WithTx(tx).Insert(ctx, sqlite.InsertParams(u)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func transaction(ctx context.Context, db *testdb.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// A row is a struct that sqlc generated for all the columns.
type row interface {
	~struct {
		ID         int64
		Email      pii.Email
		EmailIndex pii.Index
		Phone      *pii.Phone
		Recovery   sql.Null[pii.Email]
	}
}

// queries is what sqlc generated for every database alike.
type queries[U, P row] interface {
	Insert(context.Context, P) error
	Get(context.Context, int64) (U, error)
	FindByIndex(context.Context, pii.Index) ([]U, error)
	FindByIndexes(context.Context, []pii.Index) ([]U, error)
	FindByEmail(context.Context, pii.Email) ([]U, error)
}

type users[U, P row] struct {
	queries   queries[U, P]
	update    func(context.Context, scenario.User) error
	insertAll func(context.Context, []scenario.User) error
}

func (s users[U, P]) Insert(ctx context.Context, u scenario.User) error {
	return s.queries.Insert(ctx, P(u))
}

func (s users[U, P]) InsertAll(ctx context.Context, all []scenario.User) error {
	return s.insertAll(ctx, all)
}

func (s users[U, P]) Update(ctx context.Context, u scenario.User) error { return s.update(ctx, u) }

func (s users[U, P]) Get(ctx context.Context, id int64) (scenario.User, error) {
	u, err := s.queries.Get(ctx, id)
	return scenario.User(u), err
}

func (s users[U, P]) FindByIndex(ctx context.Context, x pii.Index) ([]scenario.User, error) {
	found, err := s.queries.FindByIndex(ctx, x)
	return convert(found), err
}

func (s users[U, P]) FindByIndexes(ctx context.Context, indexes []pii.Index) ([]scenario.User, error) {
	found, err := s.queries.FindByIndexes(ctx, indexes)
	return convert(found), err
}

func (s users[U, P]) FindByEmail(ctx context.Context, e pii.Email) ([]scenario.User, error) {
	found, err := s.queries.FindByEmail(ctx, e)
	return convert(found), err
}

func (s users[U, P]) Row(ctx context.Context, id int64) (any, error) { return s.queries.Get(ctx, id) }

func convert[U row](found []U) []scenario.User {
	all := make([]scenario.User, len(found))
	for i, u := range found {
		all[i] = scenario.User(u)
	}
	return all
}
