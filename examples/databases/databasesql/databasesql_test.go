package main

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestProgram(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Equal(t, "pii.Email(security) is A•••@e•••.com\n", out.String())
}

func TestScenario(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *testdb.DB) {
		db.CreateUsers(t)
		scenario.Run(t, db, users{db}, scenario.Known{})
	})
}

// With interpolateParams, MySQL's driver writes arguments into the statement.
func TestInterpolatedParameters(t *testing.T) {
	db := testdb.OpenMySQL(t, func(c *mysql.Config) { c.InterpolateParams = true })
	db.CreateUsers(t)
	scenario.Run(t, db, users{db}, scenario.Known{})
}

// As behind a pooler of connections, which knows no prepared statements.
func TestSimpleProtocol(t *testing.T) {
	db := testdb.OpenPostgres(t)
	db.CreateUsers(t)
	db.Config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	db.DB = stdlib.OpenDB(*db.Config)
	defer db.DB.Close()
	scenario.Run(t, db, users{db}, scenario.Known{})
}

// users is written with statements, and placeholders of the dialect's kind.
type users struct{ db *testdb.DB }

func (s users) exec(ctx context.Context, query string, args ...any) error {
	_, err := s.db.ExecContext(ctx, s.placeholders(query), args...)
	return err
}

// placeholders turns ? into $1, $2 … for PostgreSQL.
func (s users) placeholders(query string) string {
	if s.db.Dialect != testdb.Postgres {
		return query
	}
	parts := strings.Split(query, "?")
	var b strings.Builder
	for i, part := range parts[:len(parts)-1] {
		b.WriteString(part + "$" + strconv.Itoa(i+1))
	}
	return b.String() + parts[len(parts)-1]
}

const insert = "INSERT INTO users (id, email, email_index, phone, recovery) VALUES (?, ?, ?, ?, ?)"

func arguments(u scenario.User) []any {
	return []any{u.ID, u.Email, u.EmailIndex, u.Phone, u.Recovery}
}

func (s users) Insert(ctx context.Context, u scenario.User) error {
	return s.exec(ctx, insert, arguments(u)...)
}

func (s users) InsertAll(ctx context.Context, all []scenario.User) error {
	var args []any
	for _, u := range all {
		args = append(args, arguments(u)...)
	}
	return s.exec(ctx, insert+strings.Repeat(", (?, ?, ?, ?, ?)", len(all)-1), args...)
}

func (s users) Update(ctx context.Context, u scenario.User) error {
	return s.exec(ctx, "UPDATE users SET email = ?, email_index = ?, phone = ?, recovery = ? WHERE id = ?",
		u.Email, u.EmailIndex, u.Phone, u.Recovery, u.ID)
}

func (s users) find(ctx context.Context, where string, args ...any) ([]scenario.User, error) {
	rows, err := s.db.QueryContext(ctx, s.placeholders("SELECT id, email, email_index, phone, recovery FROM users WHERE "+where), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []scenario.User
	for rows.Next() {
		var u scenario.User
		if err := rows.Scan(&u.ID, &u.Email, &u.EmailIndex, &u.Phone, &u.Recovery); err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, rows.Err()
}

func (s users) Get(ctx context.Context, id int64) (scenario.User, error) {
	all, err := s.find(ctx, "id = ?", id)
	if err != nil {
		return scenario.User{}, err
	}
	if len(all) == 0 {
		return scenario.User{}, sql.ErrNoRows
	}
	return all[0], nil
}

func (s users) FindByIndex(ctx context.Context, x pii.Index) ([]scenario.User, error) {
	return s.find(ctx, "email_index = ?", x)
}

func (s users) FindByIndexes(ctx context.Context, indexes []pii.Index) ([]scenario.User, error) {
	args := pii.Args(indexes)
	return s.find(ctx, "email_index IN (?"+strings.Repeat(", ?", len(args)-1)+")", args...)
}

func (s users) FindByEmail(ctx context.Context, e pii.Email) ([]scenario.User, error) {
	return s.find(ctx, "email = ?", e)
}

func (s users) Row(ctx context.Context, id int64) (any, error) { return s.Get(ctx, id) }
