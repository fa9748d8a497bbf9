package dbtest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// after returns options with which alter is called once, between two batches.
func after(alter func()) *migrate.Options {
	var once sync.Once
	return &migrate.Options{Batch: 2, Workers: 1, Pause: func(context.Context) error { once.Do(alter); return nil }}
}

// A statement that a connection of the pool has prepared before an ALTER is prepared
// anew: the step goes on, and so does the next step of the same Migration.
func TestStepsGoOnAfterAnAlter(t *testing.T) {
	alters := map[string]map[migrate.Dialect][]string{
		"a further column": {0: {"ALTER TABLE @table ADD COLUMN more INTEGER"}},
		"a column less":    {0: {"ALTER TABLE @table ADD COLUMN more INTEGER", "ALTER TABLE @table DROP COLUMN more"}},
		"a further index":  {0: {"CREATE INDEX @table_i ON @table (email_index)"}},
		"a type of the key": {
			migrate.Postgres: {"ALTER TABLE @table ALTER COLUMN id TYPE INTEGER"},
			migrate.MySQL:    {"ALTER TABLE @table MODIFY id INTEGER"},
		},
		"types of text": {
			migrate.Postgres: {"ALTER TABLE @table ALTER COLUMN email TYPE VARCHAR(400), ALTER COLUMN email_sealed TYPE VARCHAR(4000)"},
			migrate.MySQL:    {"ALTER TABLE @table MODIFY email VARCHAR(400), MODIFY email_sealed VARCHAR(4000)"},
		},
	}
	onEachDatabase(t, func(t *testing.T, d database) {
		for name, statements := range alters {
			alter := statements[d.dialect]
			if alter == nil {
				alter = statements[0]
			}
			if alter == nil {
				continue
			}
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, d)
				w.fill(t, 1, 21)
				m := w.migration(t)
				_, err := m.Plan(t.Context(), &migrate.Options{Batch: 2})
				require.NoError(t, err)
				report, err := m.Backfill(t.Context(), after(func() {
					for _, statement := range alter {
						w.exec(t, statement)
					}
				}))
				require.NoError(t, err)
				require.True(t, report.OK(), report.String())
				require.EqualValues(t, 20, report.Changed)
				requireStep(t, m.Verify, 0)
				requireStep(t, m.CutOver, 20)
			})
		}
	})
}

// A table that changes under a step so that the step can't go on ends it with ErrTable, or
// with findings. Each value is there, sealed or in plaintext.
func TestTablesThatChangeUnderAStep(t *testing.T) {
	alters := map[string]map[migrate.Dialect]string{
		"a sealed column is dropped": {0: "ALTER TABLE @table DROP COLUMN email_sealed"},
		"an index column is dropped": {0: "ALTER TABLE @table DROP COLUMN email_index"},
		"a sealed column is renamed": {0: "ALTER TABLE @table RENAME COLUMN email_sealed TO other"},
		"the plaintext is renamed":   {0: "ALTER TABLE @table RENAME COLUMN email TO other"},
		"the key is renamed":         {0: "ALTER TABLE @table RENAME COLUMN id TO other"},
		"the column read is dropped": {0: "ALTER TABLE @table DROP COLUMN source"},
		"the sealed column is narrow": {
			migrate.Postgres: "ALTER TABLE @table ADD COLUMN narrow VARCHAR(100), DROP COLUMN email_sealed; ALTER TABLE @table RENAME COLUMN narrow TO email_sealed",
			migrate.MySQL:    "ALTER TABLE @table DROP COLUMN email_sealed, ADD COLUMN email_sealed VARCHAR(100)",
		},
		"an index is text": {migrate.Postgres: "ALTER TABLE @table ALTER COLUMN phone_index TYPE TEXT USING NULL"},
	}
	onEachDatabase(t, func(t *testing.T, d database) {
		for name, statements := range alters {
			alter, ok := statements[d.dialect]
			if !ok {
				alter, ok = statements[0]
			}
			if !ok {
				continue
			}
			t.Run(name, func(t *testing.T) {
				for _, cutOver := range []bool{false, true} {
					w := newWorld(t, d)
					w.fill(t, 1, 9)
					m := w.migration(t)
					step := m.Backfill
					if cutOver {
						requireStep(t, m.Backfill, 8)
						step = m.CutOver
					}
					w.exec(t, "UPDATE @table SET phone = phone") // a further transaction
					report, err := step(t.Context(), after(func() { w.exec(t, alter) }))
					if err == nil {
						require.False(t, report.OK())
						require.GreaterOrEqual(t, w.count(t, "email IS NOT NULL"), int64(6), "all but the first batch")
					} else {
						require.ErrorIs(t, err, migrate.ErrTable)
						require.NotErrorIs(t, err, vault.ErrUnavailable)
						require.NotContains(t, err.Error(), "erson")
					}
					require.Positive(t, report.Rows)
					if column, ok := renamed[name]; ok { // the rest can be done later
						w.exec(t, "ALTER TABLE @table RENAME COLUMN other TO "+column)
						done := report.Changed
						if !cutOver {
							requireStep(t, w.migration(t).Backfill, 8-done)
							done = 0
						}
						requireStep(t, w.migration(t).CutOver, 8-done)
						for id := 1; id < 9; id++ {
							w.requireSealed(t, id, fmt.Sprintf("Person.%d@example.com", id), fmt.Sprintf("+1415555%04d", id))
						}
					}
				}
			})
		}
	})
}

// Sweep, Backfill and Repair end when the clock is not the database's: a host whose
// clock is ahead would remove all values.
func TestClockOfAnotherTime(t *testing.T) {
	for _, d := range databases[1:] { // SQLite reads the clock of the process
		t.Run(d.dialect.String(), func(t *testing.T) {
			w := newWorld(t, d)
			w.security = w.security.Under(purpose.Basis{Notice: "n1", Retain: 5 * 365 * 24 * time.Hour})
			w.fill(t, 1, 4)
			requireStep(t, w.migration(t).Backfill, 3)
			requireStep(t, w.migration(t).CutOver, 3)
			was := w.dump(t)
			for name, off := range map[string]string{"ahead": "-", "behind": "+"} {
				db, sent := w.recorded(t)
				db.SetMaxOpenConns(1)
				if d.dialect == migrate.Postgres { // which has no clock of a session
					const clock = "pg_catalog.clock_timestamp()"
					sent.rewrite = func(query string) string {
						return strings.ReplaceAll(query, clock, "("+clock+off+" INTERVAL '1 hour')")
					}
				} else {
					_, err := db.Exec("SET timestamp = UNIX_TIMESTAMP() " + off + " 3600")
					require.NoError(t, err)
				}
				m, err := migrate.New(t.Context(), db, w.dialect, w.described())
				require.NoError(t, err)
				for _, step := range []step{m.Sweep, m.Backfill, m.Repair} {
					report, err := step(t.Context(), nil)
					require.ErrorIs(t, err, migrate.ErrClock, name)
					require.ErrorContains(t, err, "this machine is "+name)
					require.Zero(t, report.Changed)
					require.Equal(t, was, w.dump(t))
				}
				db.Close()
			}
		})
	}
}

// renamed has the former names of columns that are renamed.
var renamed = map[string]string{
	"a sealed column is renamed": "email_sealed", "the plaintext is renamed": "email", "the key is renamed": "id",
}
