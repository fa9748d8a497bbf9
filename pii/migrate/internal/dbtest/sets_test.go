package dbtest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/vault"
)

// fillKeys inserts people with keys of a type.
func (w *world) fillKeys(t *testing.T, key func(i int) (any, string), people int) {
	t.Helper()
	for i := range people {
		id, _ := key(i)
		w.exec(t, "INSERT INTO @table (id, source, email, phone) VALUES (?, ?, ?, ?)", id, "2fa", address(i), number(i))
	}
}

// A step asks a database over a network as often for 40 rows as for ten, whatever the
// type of their keys: a database far away costs bandwidth and not round trips.
func TestCallsDoNotGrowWithRows(t *testing.T) {
	for _, d := range databases[1:] { // SQLite has no network
		t.Run(d.dialect.String(), func(t *testing.T) {
			for name, key := range keys {
				t.Run(name, func(t *testing.T) {
					d := d
					d.key = keyTypes[d.dialect][name]
					calls := map[string][]int64{}
					for _, people := range []int{10, 26} {
						w := newWorld(t, d)
						w.fillKeys(t, key, people)
						db, n, err := openCrashing(d.driver, w.from, 0, "")
						require.NoError(t, err)
						t.Cleanup(func() { db.Close() })
						m, err := migrate.New(t.Context(), db, w.dialect, w.described())
						require.NoError(t, err)
						run := func(name string, f step, changed int) {
							before := n.Load()
							requireStep(t, f, int64(changed))
							calls[name] = append(calls[name], n.Load()-before)
						}
						run("backfill", m.Backfill, people)
						w.exec(t, "UPDATE @table SET email = 'new@example.com'")
						run("repair", m.Repair, people)
						w.kit.Rotate(forSecurity, vault.RoleSeal)
						run("reseal", m.Reseal, people)
						w.kit.Rotate(forSecurity, vault.RoleIndex)
						run("reindex", m.Reindex, people)
						run("cut-over", m.CutOver, people)
						w.exec(t, "UPDATE @table SET email_sealed = NULL, phone_sealed = NULL")
						run("sweep", m.Sweep, people)
					}
					for step, n := range calls {
						require.Equal(t, n[0], n[1], step)
						require.Less(t, n[0], int64(20), step)
					}
				})
			}
		})
	}
}

// One row of a set is in the way of the others: each gets its own outcome, and the
// others are written.
func TestOneRowOfASet(t *testing.T) {
	const people, bad = 10, 4
	type oneRow struct {
		prepare   func(t *testing.T, w *world, id any) // before the step
		meanwhile func(t *testing.T, w *world, id any) // after the row was read, once
		always    bool                                 // or each time
		want      []migrate.Problem                    // one of them for the bad row; nil for no finding
		changed   int64
		email     string // that is sealed in the bad row afterwards
		gone      bool
	}
	for name, test := range map[string]oneRow{
		"no address": {
			prepare: func(t *testing.T, w *world, id any) {
				w.exec(t, "UPDATE @table SET email = 'no address' WHERE id = ?", id)
			},
			want: []migrate.Problem{migrate.Invalid}, changed: people,
		},
		"an address that another has": {
			prepare: func(t *testing.T, w *world, id any) {
				w.exec(t, "CREATE UNIQUE INDEX "+w.name+"_u ON @table (email_index)")
				w.exec(t, "UPDATE @table SET email = ? WHERE id = ?", " PERSON.1@example.com", id)
			},
			want: []migrate.Problem{migrate.Duplicate}, changed: people,
		},
		"another address meanwhile": {
			meanwhile: func(t *testing.T, w *world, id any) {
				w.exec(t, "UPDATE @table SET email = 'new@example.com' WHERE id = ?", id)
			},
			changed: people, email: "new@example.com",
		},
		"deleted meanwhile": {
			meanwhile: func(t *testing.T, w *world, id any) { w.exec(t, "DELETE FROM @table WHERE id = ?", id) },
			changed:   people - 1, gone: true,
		},
		"sealed by another meanwhile": {
			meanwhile: func(t *testing.T, w *world, id any) {
				sealed, err := pii.SealEmail(t.Context(), "dual@example.com", w.security)
				require.NoError(t, err)
				w.exec(t, "UPDATE @table SET email = 'dual@example.com', email_sealed = ? WHERE id = ?", sealed, id)
			},
			changed: people, email: "dual@example.com",
		},
		"another address each time": {
			meanwhile: func() func(t *testing.T, w *world, id any) {
				n := 0
				return func(t *testing.T, w *world, id any) {
					n++
					w.exec(t, "UPDATE @table SET email = ? WHERE id = ?", fmt.Sprintf("new-%d@example.com", n), id)
				}
			}(),
			always: true, want: []migrate.Problem{migrate.Contended}, changed: people - 1,
		},
		"altered by a trigger": {
			prepare: func(t *testing.T, w *world, _ any) {
				w.triggerOf(t, "NEW.email = '"+address(bad)+"' AND NEW.email_sealed <> 'x'", "email_sealed = 'x'", false)
			},
			want: []migrate.Problem{migrate.Altered}, changed: people, // the column of phones
		},
		"passed over by a trigger": {
			prepare: func(t *testing.T, w *world, _ any) { w.passOver(t, "NEW.email = '"+address(bad)+"'") },
			// MySQL has no trigger that passes over a row, and calls one unchanged that gets
			// its former content back.
			want: []migrate.Problem{migrate.Contended, migrate.Altered}, changed: people - 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEachDatabase(t, func(t *testing.T, d database) {
				for keyName, key := range keys {
					t.Run(keyName, func(t *testing.T) {
						d := d
						d.key = keyTypes[d.dialect][keyName]
						w := newWorld(t, d)
						w.fillKeys(t, key, people)
						id, text := key(bad)
						if test.prepare != nil {
							test.prepare(t, w, id)
						}
						table := w.described()
						if test.meanwhile != nil {
							var once sync.Once
							collected := table.Columns[0].CollectedFor
							table.Columns[0].CollectedFor = func(r migrate.Row) []*vault.Scope {
								switch {
								case r.Key() != text:
								case test.always:
									test.meanwhile(t, w, id)
								default:
									once.Do(func() { test.meanwhile(t, w, id) })
								}
								return collected(r)
							}
						}
						m, err := migrate.New(t.Context(), w.db, w.dialect, table)
						require.NoError(t, err)
						report, err := m.Backfill(t.Context(), &migrate.Options{Workers: 1})
						require.NoError(t, err)
						require.EqualValues(t, test.changed, report.Changed, report.String())
						for _, f := range report.Findings {
							require.Equal(t, text, f.Key)
							require.Contains(t, test.want, f.Problem)
						}
						require.Equal(t, test.want != nil, len(report.Findings) > 0)
						for i := range people {
							if id, _ := key(i); i != bad {
								w.requireSealed(t, id, fmt.Sprintf("Person.%d@example.com", i), fmt.Sprintf("+1415555%04d", i))
							}
						}
						if test.gone {
							require.EqualValues(t, people-1, w.count(t, "source = '2fa'"))
							return
						}
						s := w.row(t, id)
						require.Equal(t, test.email == "", s.email.IsZero())
						if test.email != "" {
							revealed, err := s.email.Reveal(t.Context(), w.security)
							require.NoError(t, err)
							require.Equal(t, test.email, revealed)
						}
						require.True(t, s.plainEmail.Valid)
					})
				}
			})
		})
	}
}

// passOver makes a trigger that keeps updates from the rows that meet a condition.
func (w *world) passOver(t *testing.T, when string) {
	t.Helper()
	name := w.name + "_p"
	switch w.dialect {
	case migrate.SQLite:
		w.exec(t, "CREATE TRIGGER "+name+" BEFORE UPDATE ON @table WHEN "+when+" BEGIN SELECT RAISE(IGNORE); END")
	case migrate.Postgres:
		w.exec(t, "CREATE FUNCTION "+name+"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
		w.exec(t, "CREATE TRIGGER "+name+" BEFORE UPDATE ON @table FOR EACH ROW WHEN ("+when+") EXECUTE FUNCTION "+name+"()")
		t.Cleanup(func() { w.exec(t, "DROP FUNCTION "+name+" CASCADE") })
	default:
		body := ""
		for _, column := range []string{"email", "email_sealed", "email_index", "email_ads", "phone", "phone_sealed", "phone_index"} {
			body += "SET NEW." + column + " = OLD." + column + "; "
		}
		w.exec(t, "CREATE TRIGGER "+name+" BEFORE UPDATE ON @table FOR EACH ROW BEGIN IF "+when+" THEN "+body+" END IF; END")
	}
}

// Keys and contents go through a statement for a set unchanged, whatever they are.
func TestSetsOfHostileText(t *testing.T) {
	hostile := []string{
		"NULL", "null", "true", " ", `"`, `""`, `"NULL"`, `\`, `\\`, `\"`, `{}`, `{`, `},{`, `{"a","b"}`, "a,b", "'", "''", "'); DROP TABLE x; --",
		"\n", "\t", "\r\n", "$1", "?", ":a", "@a", "%s", "\\x41", "0x41", "X'41'", "1", "-1", "1e9", "ß", "\u2028", "\ufeff", "\U0001f600", "/* x */", "\x01", "\x7f",
	}
	onEachDatabase(t, func(t *testing.T, d database) {
		d.key = keyTypes[d.dialect]["text"]
		w := newWorld(t, d)
		w.exec(t, "ALTER TABLE @table ADD COLUMN raw "+map[migrate.Dialect]string{migrate.SQLite: "BLOB", migrate.Postgres: "BYTEA", migrate.MySQL: "VARBINARY(400)"}[d.dialect])
		addresses := map[string]string{}
		for i, text := range hostile {
			key := text + fmt.Sprint(i)
			addresses[key] = fmt.Sprintf("person.%d@example.com", i)
			w.exec(t, "INSERT INTO @table (id, source, email, raw) VALUES (?, '2fa', ?, ?)", key, text+text, append([]byte(text), 0, 0xff, '"', '\\'))
		}
		for i, column := range []string{"email", "raw"} {
			table := w.described()
			table.Columns = table.Columns[:1]
			table.Columns[0].Plain = column
			table.Columns[0].Plaintext = func(r migrate.Row, _ []byte) (string, error) { return addresses[r.Key()], nil }
			db, calls, err := openCrashing(d.driver, w.from, 0, "")
			require.NoError(t, err)
			t.Cleanup(func() { db.Close() })
			m, err := migrate.New(t.Context(), db, w.dialect, table)
			require.NoError(t, err)
			before := calls.Load()
			if i == 0 {
				requireStep(t, m.Backfill, int64(len(hostile)))
			}
			requireStep(t, m.CutOver, int64(len(hostile)))
			if d.dialect != migrate.SQLite {
				require.Less(t, calls.Load()-before, int64((2-i)*len(hostile)), "not one by one, in each step")
			}
		}
		for key, address := range addresses {
			s := w.row(t, key)
			require.False(t, s.plainEmail.Valid)
			revealed, err := s.email.Reveal(t.Context(), w.security)
			require.NoError(t, err)
			require.Equal(t, address, revealed)
		}
		require.Zero(t, w.count(t, "raw IS NOT NULL OR email IS NOT NULL"))
	})
}

// A client of MySQL may ask for the number of rows that met their conditions in the place
// of those that were changed. Either count tells the truth.
func TestFoundRows(t *testing.T) {
	d := databases[2]
	d.source(t)
	for _, found := range []string{"true", "false"} {
		t.Run(found, func(t *testing.T) {
			w := newWorld(t, d)
			w.fill(t, 1, 11)
			w.passOver(t, "NEW.id = 7")
			sep := "?"
			if strings.Contains(w.from, "?") {
				sep = "&"
			}
			w.from += sep + "clientFoundRows=" + found
			db := w.open(t)
			m, err := migrate.New(t.Context(), db, w.dialect, w.onRow("3", func() { w.exec(t, "UPDATE @table SET email = 'new@example.com' WHERE id = 3") }))
			require.NoError(t, err)
			report, err := m.Backfill(t.Context(), &migrate.Options{Workers: 1})
			require.NoError(t, err)
			want := map[string]migrate.Problem{"true": migrate.Altered, "false": migrate.Contended}[found]
			requireFindings(t, report, "row 7: email: "+string(want), "row 7: phone: "+string(want))
			require.EqualValues(t, 9, report.Changed)
			require.EqualValues(t, 9, w.count(t, "email_sealed IS NOT NULL AND phone_sealed IS NOT NULL"))
			w.requireSealed(t, 3, "new@example.com", "+14155550003")
			require.True(t, w.row(t, 7).email.IsZero())
		})
	}
}

// A connection breaks at each point of a step, when the database has done as it was
// asked, and before it has answered. Another run finishes; nothing is lost, and no row is
// sealed twice.
func TestAnswerIsLost(t *testing.T) {
	const people, batch = 6, 3
	onEachDatabase(t, func(t *testing.T, d database) {
		if d.dialect == migrate.SQLite {
			t.Skip("it has no connections")
		}
		for _, step := range []string{"backfill", "cut-over"} {
			points := 1
			for nth := 0; nth <= points; nth++ {
				w := newWorld(t, d)
				w.fill(t, 0, people)
				if step == "cut-over" {
					requireStep(t, w.migration(t).Backfill, people)
				}
				db, calls, err := openCrashing(d.driver, w.from, nth, "lost")
				require.NoError(t, err)
				m, err := migrate.New(t.Context(), db, w.dialect, w.described())
				if err == nil {
					_, err = crashSteps[step](m, t.Context(), &migrate.Options{Batch: batch})
				}
				if nth == 0 {
					require.NoError(t, err)
					points = int(calls.Load())
					require.Greater(t, points, 4*people/batch)
				} else {
					require.ErrorIs(t, err, vault.ErrUnavailable, "point %d of %d", nth, points)
				}
				db.Close()
				w.requireNothingLost(t, step, people)
			}
			t.Logf("%s: %d answers lost", step, points)
		}
	})
}

// A view with a rule refuses the statement for a set. Its rows are written one by one.
func TestViewWithARule(t *testing.T) {
	d := databases[1]
	w := newWorld(t, d)
	w.fill(t, 1, 11)
	w.exec(t, "CREATE VIEW "+w.name+"_v AS SELECT * FROM @table")
	t.Cleanup(func() { w.exec(t, "DROP VIEW IF EXISTS "+w.name+"_v CASCADE") })
	w.exec(t, "CREATE RULE writes AS ON UPDATE TO "+w.name+"_v DO INSTEAD UPDATE @table SET email = NEW.email, email_sealed = NEW.email_sealed, email_index = NEW.email_index, "+
		"phone = NEW.phone, phone_sealed = NEW.phone_sealed, phone_index = NEW.phone_index WHERE id = OLD.id")
	table := w.described()
	table.Name += "_v"
	m, err := migrate.New(t.Context(), w.db, w.dialect, table)
	require.NoError(t, err)
	requireStep(t, m.Backfill, 10)
	requireStep(t, m.Verify, 0)
	requireStep(t, m.CutOver, 10)
	w.requireSealed(t, 3, "Person.3@example.com", "+14155550003")
}

// A row that another run has written meanwhile is not counted twice, although it holds all
// that this run would have written.
func TestCutOverByAnother(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 1, 6)
		requireStep(t, w.migration(t).Backfill, 5)
		m, err := migrate.New(t.Context(), w.db, w.dialect, w.onRow("2", func() {
			w.exec(t, "UPDATE @table SET email = NULL, phone = NULL WHERE id = 2")
		}))
		require.NoError(t, err)
		report, err := m.CutOver(t.Context(), &migrate.Options{Workers: 1})
		require.NoError(t, err)
		require.True(t, report.OK(), report.String())
		require.EqualValues(t, 4, report.Changed)
		require.Zero(t, w.count(t, "email IS NOT NULL OR phone IS NOT NULL"))
	})
}

// A row that gets another address and another spelling of its key, which is equal to the
// former one in the collation of the column, is written with its new address.
func TestKeyInAnotherCase(t *testing.T) {
	types := map[migrate.Dialect]string{
		migrate.SQLite: "TEXT COLLATE NOCASE PRIMARY KEY", migrate.MySQL: "VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY",
		migrate.Postgres: `VARCHAR(40) COLLATE "onlyfor_test_ci" PRIMARY KEY`,
	}
	onEachDatabase(t, func(t *testing.T, d database) {
		if d.dialect == migrate.Postgres {
			d.collation(t)
		}
		d.key = types[d.dialect]
		w := newWorld(t, d)
		w.fillKeys(t, func(i int) (any, string) { return string(rune('a' + i)), "" }, 6)
		m, err := migrate.New(t.Context(), w.db, w.dialect, w.onRow("c", func() {
			w.exec(t, "UPDATE @table SET id = 'C', email = 'new@example.com' WHERE id = 'c'")
			w.exec(t, "UPDATE @table SET email = 'other@example.com' WHERE id = 'e'")
		}))
		require.NoError(t, err)
		requireStep(t, func(ctx context.Context, _ *migrate.Options) (*migrate.Report, error) {
			return m.Backfill(ctx, &migrate.Options{Workers: 1})
		}, 6)
		w.requireSealed(t, "C", "new@example.com", "+14155550002")
		w.requireSealed(t, "e", "other@example.com", "+14155550004")
		w.requireSealed(t, "d", "Person.3@example.com", "+14155550003")
	})
}
