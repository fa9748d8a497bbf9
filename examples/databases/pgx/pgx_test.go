package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/tracelog"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"

	"github.com/onlyfor/onlyfor/examples/databases/internal/scenario"
	"github.com/onlyfor/onlyfor/examples/databases/internal/testdb"
)

func TestProgram(t *testing.T) {
	testdb.OpenPostgres(t) // or skip
	var out strings.Builder
	require.NoError(t, run(t.Context(), os.Getenv("ONLYFOR_POSTGRES"), &out))
	require.Equal(t, "pii.Email(security) is A•••@e•••.com\n", out.String())
}

var modes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, // the default
	pgx.QueryExecModeCacheDescribe,
	pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec,
	pgx.QueryExecModeSimpleProtocol,
}

// Native pgx hands its tracer the arguments as they came: labels.
func TestScenario(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			db := testdb.OpenPostgres(t)
			db.CreateUsers(t)
			scenario.Run(t, db, users{connect(t, db, mode)}, scenario.Known{Logs: scenario.Statements})
		})
	}
}

// A batch in place of one statement after another.
func TestScenarioInBatches(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			db := testdb.OpenPostgres(t)
			db.CreateUsers(t)
			scenario.Run(t, db, batches{users{connect(t, db, mode)}}, scenario.Known{Logs: scenario.Statements})
		})
	}
}

func connect(t *testing.T, db *testdb.DB, mode pgx.QueryExecMode) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig("")
	require.NoError(t, err)
	config.ConnConfig = db.Config.Copy()
	config.ConnConfig.DefaultQueryExecMode = mode
	config.ConnConfig.Tracer = &tracelog.TraceLog{LogLevel: tracelog.LogLevelTrace, Logger: db.Log}
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		registerArrays(conn.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// registerArrays tells pgx what a slice is where the server does not say: in the
// simple protocol and in QueryExecModeExec. Other modes need none of it.
func registerArrays(types *pgtype.Map) {
	types.RegisterDefaultPgType([]pii.Index{}, "_bytea")
	types.RegisterDefaultPgType([]*pii.Index{}, "_bytea")
	types.RegisterDefaultPgType([]pii.Email{}, "_text")
}

type users struct{ *pgxpool.Pool }

const insert = "INSERT INTO users (id, email, email_index, phone, recovery) VALUES ($1, $2, $3, $4, $5)"

var columns = []string{"id", "email", "email_index", "phone", "recovery"}

func arguments(u scenario.User) []any {
	return []any{u.ID, u.Email, u.EmailIndex, u.Phone, u.Recovery}
}

func (s users) Insert(ctx context.Context, u scenario.User) error {
	_, err := s.Exec(ctx, insert, arguments(u)...)
	return err
}

func (s users) InsertAll(ctx context.Context, all []scenario.User) error {
	_, err := s.CopyFrom(ctx, pgx.Identifier{"users"}, columns, pgx.CopyFromSlice(len(all), func(i int) ([]any, error) {
		return arguments(all[i]), nil
	}))
	return err
}

func (s users) Update(ctx context.Context, u scenario.User) error {
	_, err := s.Exec(ctx, "UPDATE users SET email = $2, email_index = $3, phone = $4, recovery = $5 WHERE id = $1", arguments(u)...)
	return err
}

func (s users) find(ctx context.Context, where string, arg any) ([]scenario.User, error) {
	rows, _ := s.Query(ctx, "SELECT id, email, email_index, phone, recovery FROM users WHERE "+where, arg)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[scenario.User])
}

func (s users) Get(ctx context.Context, id int64) (scenario.User, error) {
	rows, _ := s.Query(ctx, "SELECT * FROM users WHERE id = $1", id)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByNameLax[scenario.User])
}

func (s users) FindByIndex(ctx context.Context, x pii.Index) ([]scenario.User, error) {
	return s.find(ctx, "email_index = $1", x)
}

func (s users) FindByIndexes(ctx context.Context, indexes []pii.Index) ([]scenario.User, error) {
	return s.find(ctx, "email_index = ANY($1)", indexes)
}

func (s users) FindByEmail(ctx context.Context, e pii.Email) ([]scenario.User, error) {
	return s.find(ctx, "email = @email", pgx.NamedArgs{"email": e})
}

func (s users) Row(ctx context.Context, id int64) (any, error) {
	rows, _ := s.Query(ctx, "SELECT * FROM users WHERE id = $1", id)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[scenario.User])
}

type batches struct{ users }

func (s batches) Insert(ctx context.Context, u scenario.User) error {
	return s.InsertAll(ctx, []scenario.User{u})
}

func (s batches) InsertAll(ctx context.Context, all []scenario.User) error {
	var batch pgx.Batch
	for _, u := range all {
		batch.Queue(insert, arguments(u)...)
	}
	return s.SendBatch(ctx, &batch).Close()
}

// The other ways of naming many: rows of arrays, and arrays of sealed values.
func TestArrays(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			db := testdb.OpenPostgres(t)
			conn := connect(t, db, mode)
			a, b := indexOf(t, "AAAAAAAAAAAAAAAA"), indexOf(t, "aaaaaaaaaaaaaaaa")
			var got []pii.Index
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT $1::bytea[]", []pii.Index{a, {}, b}).Scan(&got))
			require.Len(t, got, 3)
			require.True(t, got[0].Equal(a) && got[1].IsZero() && got[2].Equal(b))
			rows, _ := conn.Query(t.Context(), "SELECT unnest($1::bytea[])", []*pii.Index{&a, nil})
			pointers, err := pgx.CollectRows(rows, pgx.RowTo[*pii.Index])
			require.NoError(t, err)
			require.True(t, pointers[0].Equal(a) && pointers[1] == nil)

			email := sealed(t)
			var emails []pii.Email
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT $1::text[]", []pii.Email{email, {}}).Scan(&emails))
			require.Equal(t, []pii.Email{email, {}}, emails)
		})
	}
}

func indexOf(t *testing.T, bytes string) (x pii.Index) {
	t.Helper()
	require.NoError(t, x.Scan([]byte(bytes)))
	return x
}
