package dbtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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

// One row of a set is in the way of the others: in each operation it gets its own outcome,
// no message has its values, and all others are done. When nothing is in its way any more,
// another run does this row, and no other row again.
func TestOneRowOfASet(t *testing.T) {
	const rows, bad = 7, 3
	type oneRow struct {
		prepare   func(t *testing.T, p *people, o operation) (undo func()) // before the operation
		meanwhile func(t *testing.T, p *people, n int)                     // before the nth transaction that writes
		want      func(o operation) outcome
		phone     bool // the number of the row has its outcome too
		gone      bool
		reads     bool                 // operations that only read have this case as well
		also      []migrate.Problem    // other problems that a database may see in it
		except    func(p *people) bool // the database has no such case
	}
	corrupt := func(value string) func(t *testing.T, p *people, o operation) func() {
		return func(t *testing.T, p *people, o operation) func() {
			column, value := "email_sealed", value
			if o.unsealed {
				column, value = "email", "no address"
			}
			if value == "" {
				value = p.was[bad][1].String
				at := len(value) - 20
				value = value[:at] + string(map[bool]rune{true: 'B', false: 'A'}[value[at] == 'A']) + value[at+1:]
			}
			p.exec(t, "UPDATE @table SET "+column+" = ? WHERE id = ?", value, p.ids[bad])
			return nil
		}
	}
	meddle := func(t *testing.T, p *people, n int) {
		require.Less(t, n, len(p.spares))
		p.exec(t, "UPDATE @table SET "+operations[p.name](nil).meddle+" = ? WHERE id = ?", p.spares[n], p.ids[bad])
		p.was[bad] = p.cells(t, p.ids[bad])
	}
	contended := func(operation) outcome { return outcome{problem: migrate.Contended} }
	done := func(operation) outcome { return outcome{} }
	raised := func(late bool) func(t *testing.T, p *people, o operation) func() {
		return func(t *testing.T, p *people, o operation) func() {
			return p.raises(t, "NEW.account = '"+account(bad)+"' AND "+p.differs(o.column), late)
		}
	}
	for name, test := range map[string]oneRow{
		"malformed": {prepare: corrupt("pii1.email.security.x"), want: func(o operation) outcome { return o.malformed }, reads: true},
		"garbled":   {prepare: corrupt(""), want: func(o operation) outcome { return o.garbled }, reads: true},
		"an index that another has": {
			prepare: func(t *testing.T, p *people, o operation) func() {
				if o.column == "email_sealed" && o.plain { // the operations that seal plaintext
					p.exec(t, "CREATE UNIQUE INDEX "+p.world.name+"_u ON @table (email_index)")
					p.exec(t, "UPDATE @table SET email = ? WHERE id = ?", " "+strings.ToUpper(p.was[1][0].String), p.ids[bad])
				}
				return nil
			},
			want: func(o operation) outcome {
				if o.column == "email_sealed" && o.plain {
					return outcome{problem: migrate.Duplicate}
				}
				return outcome{}
			},
		},
		"changed meanwhile": {
			meanwhile: func(t *testing.T, p *people, n int) {
				if n == 0 {
					meddle(t, p, n)
				}
			},
			want: done,
		},
		"done by another meanwhile": {
			meanwhile: func(t *testing.T, p *people, n int) {
				if n == 0 {
					report, err := p.on(t, p.db).run(t.Context(), nil)
					require.NoError(t, err)
					require.EqualValues(t, rows, report.Changed)
				}
			},
			want: func(operation) outcome { return outcome{stays: true} },
		},
		"changed each time": {meanwhile: meddle, want: contended, phone: true},
		"deleted meanwhile": {
			meanwhile: func(t *testing.T, p *people, n int) {
				if n == 0 {
					p.exec(t, "DELETE FROM @table WHERE id = ?", p.ids[bad])
				}
			},
			want: done, gone: true,
		},
		"altered by a trigger": {
			prepare: func(t *testing.T, p *people, o operation) func() {
				return p.triggerOf(t, "NEW.account = '"+account(bad)+"' AND "+p.differs(o.column), "email_sealed = 'x'", false)
			},
			want: func(operation) outcome { return outcome{problem: migrate.Altered} },
		},
		"altered by a late trigger": {
			prepare: func(t *testing.T, p *people, o operation) func() {
				return p.triggerOf(t, "NEW.account = '"+account(bad)+"' AND "+p.differs(o.column), "email_sealed = 'x'", true)
			},
			want:   func(operation) outcome { return outcome{problem: migrate.Altered} },
			except: func(p *people) bool { return p.dialect != migrate.Postgres },
		},
		"passed over by a trigger": {
			prepare: func(t *testing.T, p *people, _ operation) func() {
				return p.passOver(t, "NEW.account = '"+account(bad)+"'")
			},
			// MySQL has no trigger that passes over a row, and calls one unchanged that gets
			// its former content back.
			want: contended, also: []migrate.Problem{migrate.Altered}, phone: true,
		},
		"refused by a trigger":      {prepare: raised(false), want: contended},
		"refused by a late trigger": {prepare: raised(true), want: contended, except: func(p *people) bool { return p.dialect != migrate.Postgres }},
	} {
		for operationName, of := range operations {
			if o := of(nil); o.column == "" && !test.reads {
				continue
			}
			t.Run(operationName+"/"+name, func(t *testing.T) {
				onEachDatabase(t, func(t *testing.T, d database) {
					for keyName, key := range keys {
						if keyName != "int" && operationName != "Backfill" {
							continue // one operation is enough for the types of keys
						}
						t.Run(keyName, func(t *testing.T) {
							d := d
							d.key = keyTypes[d.dialect][keyName]
							w := newWorld(t, d)
							p := peopleFor(t, w, operationName, key, rows, bad)
							if test.except != nil && test.except(p) {
								t.Skip("this database has no such case")
							}
							o := of(nil)
							undo := func() {}
							if test.prepare != nil {
								if f := test.prepare(t, p, o); f != nil {
									undo = f
								}
							}
							p.look(t)
							db, record := w.recorded(t)
							o = p.on(t, db)
							transactions := 0
							record.begin = func() {
								require.NotEmpty(t, o.column, "an operation that only reads writes")
								if test.meanwhile != nil {
									test.meanwhile(t, p, transactions)
								}
								transactions++
							}
							report, err := o.run(t.Context(), nil)
							require.NoError(t, err)
							record.begin = nil
							want := test.want(o)
							p.requireOutcome(t, report, bad, want, test.phone, test.also)
							if o.column == "" {
								return
							}
							byAnother := name == "done by another meanwhile"
							failed := want.problem != "" || want.stays && !byAnother
							changed := int64(rows)
							switch {
							case byAnother:
								changed = 0
							case test.gone, failed && (test.phone || !o.phones):
								changed--
							}
							require.Equal(t, changed, report.Changed, report.String())

							now := make([][]sql.NullString, rows)
							for i, id := range p.ids {
								now[i] = p.cells(t, id)
								switch {
								case i != bad:
									o.done(t, w, i, id, p.was[i])
								case test.gone:
									require.Nil(t, now[i])
								case failed:
									require.Equal(t, p.was[i][:4], now[i][:4], "the row has a part of the change")
								default:
									p.requireBadDone(t, o, bad)
								}
							}
							undo()
							again, err := o.run(t.Context(), nil)
							require.NoError(t, err)
							for i, id := range p.ids {
								if i != bad {
									require.Equal(t, now[i], p.cells(t, id), "row %d is done twice", i)
								}
							}
							switch want.problem {
							case migrate.Contended, migrate.Altered:
								require.True(t, again.OK(), again.String())
								require.EqualValues(t, 1, again.Changed)
								p.requireBadDone(t, o, bad)
							default:
								require.Zero(t, again.Changed)
							}
						})
					}
				})
			})
		}
	}
}

// requireBadDone fails unless the row that was in the way is done.
func (p *people) requireBadDone(t *testing.T, o operation, bad int) {
	t.Helper()
	if text := p.cells(t, p.ids[bad])[0].String; strings.HasPrefix(text, "other-") {
		revealed, err := p.row(t, p.ids[bad]).email.Reveal(t.Context(), p.security)
		require.NoError(t, err)
		require.Equal(t, canonicalAddress(text), revealed)
		return
	}
	o.done(t, p.world, bad, p.ids[bad], p.was[bad])
}

// requireOutcome fails unless a report has the outcome of the bad row, and of no other row.
func (p *people) requireOutcome(t *testing.T, report *migrate.Report, bad int, want outcome, phone bool, also []migrate.Problem) {
	t.Helper()
	o := operations[p.name](nil)
	require.Equal(t, want.problem == "", report.OK(), report.String())
	columns := map[string]bool{}
	for _, f := range report.Findings {
		require.Equal(t, p.texts[bad], f.Key)
		require.Contains(t, append(also, want.problem), f.Problem)
		require.False(t, columns[f.Column], "two findings for a value")
		columns[f.Column] = true
	}
	if want.problem != "" && len(report.Findings) > 0 { // Leftovers counts, and names no row
		require.Equal(t, phone && o.phones, columns["phone"] || columns["phone_sealed"])
		require.True(t, columns["email"] || columns["email_sealed"])
	}
	for _, part := range []string{"erson", "wcomer", "other-", "1415", "no address", "pii1."} {
		require.NotContains(t, report.String()+fmt.Sprintf("%+v", *report), part)
	}
}

// differs returns the condition of a trigger that an update changes a column.
func (w *world) differs(column string) string {
	return map[migrate.Dialect]string{
		migrate.SQLite: "NEW." + column + " IS NOT OLD." + column, migrate.Postgres: "NEW." + column + " IS DISTINCT FROM OLD." + column,
		migrate.MySQL: "NOT (NEW." + column + " <=> OLD." + column + ")",
	}[w.dialect]
}

// raises makes a trigger that raises an error, with the content of the row in its text, for
// updates of the rows that meet a condition. A late trigger of PostgreSQL waits for the commit.
func (w *world) raises(t *testing.T, when string, late bool) (drop func()) {
	t.Helper()
	name := w.name + "_r"
	switch w.dialect {
	case migrate.SQLite:
		w.exec(t, "CREATE TRIGGER "+name+" BEFORE UPDATE ON @table WHEN "+when+" BEGIN SELECT RAISE(ABORT, 'no update of Person'); END")
	case migrate.Postgres:
		w.exec(t, "CREATE FUNCTION "+name+"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no update of Person''; END'")
		kind := "TRIGGER " + name + " BEFORE UPDATE ON @table"
		if late {
			kind = "CONSTRAINT TRIGGER " + name + " AFTER UPDATE ON @table DEFERRABLE INITIALLY DEFERRED"
		}
		w.exec(t, "CREATE "+kind+" FOR EACH ROW WHEN ("+when+") EXECUTE FUNCTION "+name+"()")
		t.Cleanup(func() { w.exec(t, "DROP FUNCTION "+name+" CASCADE") })
	default:
		w.exec(t, "CREATE TRIGGER "+name+" BEFORE UPDATE ON @table FOR EACH ROW BEGIN IF "+when+" THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no update of Person'; END IF; END")
	}
	return func() { w.dropTrigger(t, name) }
}

// passOver makes a trigger that keeps updates from the rows that meet a condition.
func (w *world) passOver(t *testing.T, when string) (drop func()) {
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
	return func() { w.dropTrigger(t, name) }
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

// A connection breaks at each point of each operation that writes, when the database has
// done as it was asked, and before it has answered. Another run finishes; nothing is lost,
// and no row is done twice.
//
// All operations write through one function, so each of them tries a third of the points,
// and three in a row try all. With ONLYFOR_CRASHES each operation tries all points.
func TestAnswerIsLost(t *testing.T) {
	const rows, batch = 6, 3
	stride := 3
	if os.Getenv("ONLYFOR_CRASHES") != "" {
		stride = 1
	}
	onEachDatabase(t, func(t *testing.T, d database) {
		if d.dialect == migrate.SQLite {
			t.Skip("it has no connections")
		}
		for i, name := range writers() {
			t.Run(name, func(t *testing.T) {
				points, lost := 1, 0
				for nth := 0; nth <= points; nth++ {
					if nth > 0 && (nth+i)%stride > 0 {
						continue
					}
					p := peopleFor(t, newWorld(t, d), name, keyOf, rows, 0)
					db, calls, err := openCrashing(d.driver, p.from, nth, "lost")
					require.NoError(t, err)
					m, err := migrate.New(t.Context(), db, p.dialect, p.table)
					if err == nil {
						_, err = operations[name](m).run(t.Context(), &migrate.Options{Batch: batch})
					}
					if nth == 0 {
						require.NoError(t, err)
						points = int(calls.Load())
						require.Greater(t, points, 4*rows/batch)
					} else {
						require.ErrorIs(t, err, vault.ErrUnavailable, "point %d of %d", nth, points)
						lost++
					}
					db.Close()
					p.requireNothingLost(t)
				}
				t.Logf("%d answers of %d lost", lost, points)
			})
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
