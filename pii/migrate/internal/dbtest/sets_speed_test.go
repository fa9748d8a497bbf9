package dbtest_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// BenchmarkSets runs steps beside the set-based statement that a database's administrator
// would write by hand, without cryptography and without reading back: the same columns,
// conditions and numbers of bytes, 1000 rows in a statement and a transaction. It runs both
// beside the database and behind a proxy that delays. Each iteration is one person with two
// values. The two take turns in several rounds, each over the same rows:
//
//	.ci/databases go -C pii/migrate/internal/dbtest test -run '^$' -bench Sets -benchtime 10000x .
//
// It reports the medians of the microseconds a row of both, and of their ratios, and the
// shortest measured round trip.
func BenchmarkSets(b *testing.B) {
	for _, d := range databases {
		for _, roundTrip := range []time.Duration{0, 500 * time.Microsecond, 2500 * time.Microsecond} {
			if d.dialect == migrate.SQLite && roundTrip > 0 {
				continue
			}
			name := "loopback"
			if roundTrip > 0 {
				name = "behind " + roundTrip.String()
			}
			b.Run(d.dialect.String()+"/"+name, func(b *testing.B) {
				source := d.far(b, roundTrip)
				for _, s := range setSteps {
					b.Run(s.name, func(b *testing.B) { s.bench(b, d, source) })
				}
			})
		}
	}
}

// A setStep is a step with the columns that it writes, those that must be as they were
// read, and those that must be empty.
type setStep struct {
	name              string
	run               func(*migrate.Migration, context.Context, *migrate.Options) (*migrate.Report, error)
	sets, equal, none []string
	rotate            vault.Role // before the step
}

var setSteps = []setStep{
	{
		"Backfill", (*migrate.Migration).Backfill,
		[]string{"email_sealed", "email_index", "email_ads", "phone_sealed", "phone_index"},
		[]string{"email", "phone"}, []string{"email_sealed", "phone_sealed"}, "",
	},
	{
		"Reseal", (*migrate.Migration).Reseal,
		[]string{"email_sealed", "phone_sealed"}, []string{"email_sealed", "phone_sealed"}, nil, vault.RoleSeal,
	},
	{
		"Reindex", (*migrate.Migration).Reindex,
		[]string{"email_index", "phone_index"},
		[]string{"email_sealed", "email_index", "phone_sealed", "phone_index"}, nil, vault.RoleIndex,
	},
	{
		"CutOver", (*migrate.Migration).CutOver,
		[]string{"email", "phone"},
		[]string{"email", "email_sealed", "email_index", "phone", "phone_sealed", "phone_index"}, []string{"email_ads"}, "",
	},
}

func (s setStep) bench(b *testing.B, d database, source string) {
	w, plain := newWorld(b, d), newWorld(b, d)
	admin, err := vault.OpenAdmin(b.Context(), vault.Memory(), newKit(b).KEK, nil)
	require.NoError(b, err)
	b.Cleanup(func() { admin.Close() })
	require.NoError(b, admin.Generate(b.Context(), forSecurity, forAdvertising))
	var scopes []*vault.Scope
	for _, p := range []purpose.Purpose{forSecurity, forAdvertising} {
		scope, err := admin.Scope(b.Context(), p)
		require.NoError(b, err)
		scopes = append(scopes, scope)
	}
	table := w.described()
	table.Scopes = scopes
	w.fill(b, 0, b.N)
	near, err := migrate.New(b.Context(), w.db, d.dialect, byEverybody(table))
	require.NoError(b, err)
	if s.name != "Backfill" {
		report, err := near.Backfill(b.Context(), nil)
		require.NoError(b, err)
		require.EqualValues(b, b.N, report.Changed)
	}
	columns := "id, source, email, email_sealed, email_index, email_ads, phone, phone_sealed, phone_index"
	plain.exec(b, "INSERT INTO @table ("+columns+") SELECT "+columns+" FROM "+w.copyable(plain))
	if s.rotate != "" {
		require.NoError(b, admin.Rotate(b.Context(), forSecurity, s.rotate))
		keys, err := admin.Keys(b.Context(), forSecurity)
		require.NoError(b, err)
		for _, k := range keys {
			if k.Role == s.rotate && !k.PrimaryAt.IsZero() {
				require.NoError(b, admin.Promote(b.Context(), forSecurity, k.ID))
			}
		}
	}
	open := func(u *users) *sql.DB {
		if source == "" || d.dialect == migrate.SQLite {
			return u.db
		}
		db, err := sql.Open(d.driver, source)
		require.NoError(b, err)
		db.SetMaxIdleConns(8)
		b.Cleanup(func() { db.Close() })
		return db
	}
	db, plainDB := open(w.users), open(plain.users)
	m, err := migrate.New(b.Context(), db, d.dialect, byEverybody(table))
	require.NoError(b, err)
	w.keep(b)
	plain.keep(b)

	var steps, byHand []time.Duration
	var ratios []float64
	for round := range setRounds {
		w.restore(b)
		plain.restore(b)
		var step, hand time.Duration
		for turn := range 2 { // who comes first changes with the round
			runtime.GC()
			start := time.Now()
			if (turn+round)%2 == 0 {
				s.byHand(b, plain.users, plainDB)
				hand = time.Since(start)
				continue
			}
			report, err := s.run(m, b.Context(), nil)
			step = time.Since(start)
			require.NoError(b, err)
			require.True(b, report.OK(), report.String())
			require.EqualValues(b, b.N, report.Changed)
		}
		steps, byHand, ratios = append(steps, step), append(byHand, hand), append(ratios, step.Seconds()/hand.Seconds())
	}
	const length = "(email_sealed IS NULL OR length(email_sealed) = length(phone_sealed) AND length(email_sealed) = "
	require.Zero(b, w.count(b, "NOT "+length+strconv.Itoa(sealedLength)+")"), "the statement by hand writes text of another length")

	perRow := func(t time.Duration) float64 { return float64(t.Nanoseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(perRow(median(steps)), "µs/row")
	b.ReportMetric(perRow(median(byHand)), "µs/row-by-hand")
	b.ReportMetric(median(ratios), "times-by-hand")
	b.ReportMetric(float64(measure(b, plainDB).Microseconds())/1000, "ms-round-trip")
	b.ReportMetric(0, "ns/op")
}

const (
	setRounds    = 5   // of which the medians are reported
	sealedLength = 140 // of the texts that the steps write
)

func median[T cmp.Ordered](of []T) T {
	slices.Sort(of)
	return of[len(of)/2]
}

// keep copies the table, for restore.
func (u *users) keep(b *testing.B) {
	u.exec(b, "CREATE TABLE @table_kept AS SELECT * FROM @table")
	b.Cleanup(func() { u.exec(b, "DROP TABLE @table_kept") })
}

// restore gives the table its former rows, and has the database count them, as it does by
// itself some time after they came.
func (u *users) restore(b *testing.B) {
	u.exec(b, map[bool]string{true: "DELETE FROM @table", false: "TRUNCATE TABLE @table"}[u.dialect == migrate.SQLite])
	u.exec(b, "INSERT INTO @table SELECT * FROM @table_kept")
	u.exec(b, map[migrate.Dialect]string{
		migrate.Postgres: "VACUUM ANALYZE @table", migrate.MySQL: "ANALYZE TABLE @table", migrate.SQLite: "ANALYZE",
	}[u.dialect])
}

// copyable returns the name by which another pool can read the table.
func (w *world) copyable(by *world) string {
	if w.dialect != migrate.SQLite {
		return w.name
	}
	by.db.SetMaxOpenConns(1)
	_, err := by.db.Exec("ATTACH '" + strings.TrimPrefix(strings.Split(w.from, "?")[0], "file:") + "' AS other")
	if err != nil {
		panic(err)
	}
	return "other." + w.name
}

// measure returns the shortest of some round trips.
func measure(b *testing.B, db *sql.DB) time.Duration {
	conn, err := db.Conn(b.Context())
	require.NoError(b, err)
	defer conn.Close()
	var all []time.Duration
	for range 20 {
		start := time.Now()
		require.NoError(b, conn.PingContext(b.Context()))
		all = append(all, time.Since(start))
	}
	return slices.Min(all)
}

// byHand does a step's work without cryptography.
func (s setStep) byHand(b *testing.B, u *users, db *sql.DB) {
	const batch = 1000
	ctx := b.Context()
	read := slices.Clone(s.equal)
	after, changed := int64(-1), int64(0)
	for {
		rows, err := db.QueryContext(ctx, u.query("SELECT id, "+strings.Join(read, ", ")+" FROM @table WHERE id > ? ORDER BY id LIMIT ?"), after, batch)
		require.NoError(b, err)
		var ids []int64
		columns := make([][][]byte, len(read))
		for rows.Next() {
			var id int64
			cells := make([][]byte, len(read))
			targets := []any{&id}
			for i := range cells {
				targets = append(targets, &cells[i])
			}
			require.NoError(b, rows.Scan(targets...))
			ids = append(ids, id)
			for i, c := range cells {
				columns[i] = append(columns[i], c)
			}
		}
		require.NoError(b, rows.Err())
		if len(ids) == 0 {
			break
		}
		tx, err := db.BeginTx(ctx, nil)
		require.NoError(b, err)
		changed += s.update(b, u, tx, ids, columns)
		require.NoError(b, tx.Commit())
		after = ids[len(ids)-1]
	}
	require.EqualValues(b, b.N, changed)
}

// update writes rows in one transaction, by one statement where the database takes it.
func (s setStep) update(b *testing.B, u *users, tx *sql.Tx, ids []int64, columns [][][]byte) (changed int64) {
	bytesIn := func(column string) bool { return strings.HasSuffix(column, "_index") }
	value := func(column string, id int64) any { // of the length that the step writes
		switch {
		case !strings.Contains(column, "_"), column == "email_ads":
			return nil
		case bytesIn(column):
			return fmt.Appendf(nil, "%016x", uint64(id)*0x9e3779b97f4a7c15)
		}
		return fmt.Sprintf("%0*d", sealedLength, id)
	}
	row := func(i int) (args []any) {
		for _, column := range s.sets {
			args = append(args, value(column, ids[i]))
		}
		args = append(args, ids[i])
		for j, column := range s.equal {
			if bytesIn(column) {
				args = append(args, columns[j][i])
			} else {
				args = append(args, string(columns[j][i]))
			}
		}
		return args
	}
	var sets, where []string
	n := 0
	next := func() string {
		n++
		switch u.dialect {
		case migrate.SQLite:
			return "?"
		}
		return fmt.Sprintf("n.c%d", n-1)
	}
	on := func(column string) string { return map[bool]string{true: "t."}[u.dialect == migrate.MySQL] + column }
	for _, column := range s.sets {
		sets = append(sets, on(column)+" = "+next())
	}
	key := on("id") + " = " + next()
	for _, column := range s.equal {
		where = append(where, on(column)+" = "+next())
	}
	for _, column := range s.none {
		where = append(where, on(column)+" IS NULL")
	}
	ctx := b.Context()
	var result sql.Result
	var err error
	switch u.dialect {
	case migrate.SQLite: // which has no round trips
		statement, err := tx.PrepareContext(ctx, u.query("UPDATE @table SET "+strings.Join(sets, ", ")+" WHERE "+key+" AND "+strings.Join(where, " AND ")))
		require.NoError(b, err)
		defer statement.Close()
		for i := range ids {
			result, err := statement.ExecContext(ctx, row(i)...)
			require.NoError(b, err)
			n, err := result.RowsAffected()
			require.NoError(b, err)
			changed += n
		}
		return changed
	case migrate.Postgres:
		args, arrays, names := make([]any, n), make([]string, n), make([]string, n)
		all := make([][]any, len(ids))
		for i := range ids {
			all[i] = row(i)
		}
		types := append(append(slices.Clone(s.sets), "id"), s.equal...)
		for c, column := range types {
			names[c] = fmt.Sprintf("c%d", c)
			switch {
			case column == "id":
				args[c], arrays[c] = ids, fmt.Sprintf("$%d::bigint[]", c+1)
			case bytesIn(column) || column == "email_ads":
				list := make([][]byte, len(ids))
				for i := range ids {
					list[i], _ = all[i][c].([]byte)
				}
				args[c], arrays[c] = list, fmt.Sprintf("$%d::bytea[]", c+1)
			default:
				list := make([]*string, len(ids))
				for i := range ids {
					if text, ok := all[i][c].(string); ok {
						list[i] = &text
					}
				}
				args[c], arrays[c] = list, fmt.Sprintf("$%d::text[]", c+1)
			}
		}
		result, err = tx.ExecContext(ctx, u.query("UPDATE @table SET "+strings.Join(sets, ", ")+" FROM unnest("+strings.Join(arrays, ", ")+") AS n("+strings.Join(names, ", ")+
			") WHERE "+key+" AND "+strings.Join(where, " AND ")), args...)
	default:
		var list strings.Builder
		var args []any
		for i := range ids {
			if i > 0 {
				list.WriteString(" UNION ALL ")
			}
			list.WriteString("SELECT ")
			for c, a := range row(i) {
				if c > 0 {
					list.WriteString(", ")
				}
				if _, ok := a.([]byte); ok {
					list.WriteString("CAST(? AS BINARY)")
				} else {
					list.WriteByte('?')
				}
				if i == 0 {
					fmt.Fprintf(&list, " AS c%d", c)
				}
				args = append(args, a)
			}
		}
		result, err = tx.ExecContext(ctx, u.query("UPDATE ("+list.String()+") n STRAIGHT_JOIN @table t ON "+key+" SET "+strings.Join(sets, ", ")+" WHERE "+strings.Join(where, " AND ")), args...)
	}
	require.NoError(b, err)
	changed, err = result.RowsAffected()
	require.NoError(b, err)
	return changed
}
