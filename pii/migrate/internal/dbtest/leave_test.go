package dbtest_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Values that people decided to leave are counted by reason and column, and all steps
// are OK although their plaintext stays.
func TestLeave(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.exec(t, "CREATE UNIQUE INDEX "+w.name+"_email ON @table (email_index)")
		w.insert(t, 1, "2fa", "Person.1@Example.com", "+1 415 555 0001")
		w.insert(t, 2, "test", "root@localhost", nil)
		w.insert(t, 3, "import", "carol@example.com", nil)
		w.insert(t, 4, "2fa", "PERSON.1@example.com", nil) // a duplicate
		w.insert(t, 5, "2fa", "unknown", "0800 123")
		w.insert(t, 6, "future", "dave@example.com", nil)
		w.insert(t, 7, "old", "erin@example.com", nil)
		table := w.described()
		decided := table.Columns[0].CollectedFor
		table.Columns[0].CollectedFor = func(r migrate.Row) []*vault.Scope {
			switch r.Text("source") {
			case "future":
				return []*vault.Scope{w.security.Under(purpose.Basis{Notice: "not valid"})}
			case "old":
				return []*vault.Scope{w.security.Under(purpose.Basis{Collected: longAgo, Retain: 1e9})}
			}
			return decided(r)
		}
		asked := make(chan string, 1000)
		table.Columns[0].Leave = func(r migrate.Row, p migrate.Problem) string {
			asked <- r.Key() + " " + string(p)
			switch {
			case r.Text("source") == "test":
				return "test-account"
			case r.Text("source") == "import":
				return "bought-list"
			case r.Key() == "4":
				return "second-account"
			case r.Text("source") == "future", r.Text("source") == "old":
				return "no-basis"
			}
			return ""
		}
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		left := map[string]int64{"test-account": 1, "bought-list": 1, "second-account": 1, "no-basis": 2}
		open := []string{"row 5: email: invalid", "row 5: phone: invalid"}
		requireLeft := func(name string, step step, changed int64, leaves map[string]int64) {
			t.Helper()
			report, err := step(t.Context(), nil)
			require.NoError(t, err, name)
			requireFindings(t, report, open...)
			require.Equal(t, changed, report.Changed, name)
			require.Equal(t, leaves, report.Columns[0].Left, name)
			require.Empty(t, report.Columns[1].Left, name)
			for reason, n := range leaves {
				require.Contains(t, report.String(), fmt.Sprintf("    %d left: %s\n", n, reason))
			}
		}
		planned := map[string]int64{"test-account": 1, "no-basis": 2, "bought-list": 1, "second-account": 1}
		requireLeft("plan", m.Plan, 0, planned)
		requireLeft("backfill", m.Backfill, 1, left)
		requireLeft("verify", m.Verify, 0, left)
		w.exec(t, "UPDATE @table SET email = NULL, phone = NULL WHERE id = 5") // people decide
		open = nil
		requireLeft("backfill", m.Backfill, 0, left)
		requireLeft("repair", m.Repair, 0, map[string]int64{})
		requireLeft("cut-over", m.CutOver, 1, left)
		requireLeft("verify", m.Verify, 0, left)
		require.EqualValues(t, 5, w.count(t, "email IS NOT NULL AND email_sealed IS NULL"))
		close(asked)
		for question := range asked {
			require.NotContains(t, question, "1 ", "the value has no problem")
		}

		// An index that stands beside a value that is left belongs to nobody.
		w.exec(t, "UPDATE @table SET email_index = ? WHERE id = 3", []byte("0123456789abcdef"))
		table.Columns[0].Leave = func(migrate.Row, migrate.Problem) string { return "all" }
		m, err = migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		report, err := m.Verify(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, "row 3: email: stale index")
		requireStep(t, m.Repair, 1)
		requireStep(t, m.Verify, 0)
	})
}

var longAgo = time.Date(2001, 2, 3, 0, 0, 0, 0, time.UTC)

// A reason is a label: text of another form, and more reasons than there can be
// decisions, are reported. A value with a sealed value, and a damage, is never left.
func TestReasonsAreLabels(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		const people = 130
		for id := range people {
			w.insert(t, id, "test", "no address", nil)
		}
		table := w.of(0, "email")
		for name, leave := range map[string]func(migrate.Row, migrate.Problem) string{
			"a sentence": func(migrate.Row, migrate.Problem) string { return "test account" },
			"an address": func(migrate.Row, migrate.Problem) string { return "person@example.com" },
			"a number":   func(migrate.Row, migrate.Problem) string { return "14155550001" },
			"long":       func(migrate.Row, migrate.Problem) string { return strings.Repeat("x", 500) },
			"two lines":  func(migrate.Row, migrate.Problem) string { return "a\nb" },
		} {
			table.Columns[0].Leave = leave
			m, err := migrate.New(t.Context(), w.db, w.dialect, table)
			require.NoError(t, err)
			report, err := m.Verify(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, map[migrate.Problem]int64{migrate.Failed: people}, report.Problems, name)
			require.NotContains(t, report.String(), leave(migrate.Row{}, ""))
		}
		table.Columns[0].Leave = func(r migrate.Row, _ migrate.Problem) string { return "u" + r.Key() }
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		report, err := m.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, map[migrate.Problem]int64{migrate.Failed: people - 100}, report.Problems)
		require.Len(t, report.Columns[0].Left, 100)

		w.exec(t, "DELETE FROM @table")
		w.fill(t, 1, 3)
		table.Columns[0].Leave = func(migrate.Row, migrate.Problem) string { return "all" }
		m, err = migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		requireStep(t, m.Backfill, 2)
		w.exec(t, "UPDATE @table SET email = 'new@example.com', email_index = NULL WHERE id = 1")
		report, err = m.Verify(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, "row 1: email: stale")
		w.exec(t, "UPDATE @table SET email = 'unknown' WHERE id = 1")
		report, err = m.Repair(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, "row 1: email: invalid")
	})
}

// Each function of a column that fails, panics, ends its goroutine or returns text of
// another person costs its row alone, and nothing that it says is repeated.
func TestFunctionsThatFail(t *testing.T) {
	failures := map[string]func(text string) string{
		"panics":         func(text string) string { panic(text) },
		"panics(nil)":    func(string) string { panic(nil) },
		"panics(error)":  func(text string) string { panic(errors.New(text)) },
		"ends":           func(string) string { runtime.Goexit(); return "" },
		"another person": func(text string) string { return text },
	}
	const bad = "2"
	hooks := map[string]struct {
		set  func(c *migrate.Column, fail func(string) string, w *world)
		want map[string]migrate.Problem // by step; "" for the text of another person
	}{
		"Plaintext": {func(c *migrate.Column, fail func(string) string, w *world) {
			c.Plaintext = func(r migrate.Row, raw []byte) (string, error) {
				if r.Key() == bad {
					return fail("other: " + address(1)), nil
				}
				return string(raw), nil
			}
		}, map[string]migrate.Problem{"": migrate.Invalid, "plan": migrate.Unreadable, "backfill": migrate.Unreadable, "verify": migrate.Unreadable, "cut-over": migrate.Unreadable}},
		"CollectedFor": {func(c *migrate.Column, fail func(string) string, w *world) {
			decided := c.CollectedFor
			c.CollectedFor = func(r migrate.Row) []*vault.Scope {
				if r.Key() == bad && fail(address(1)) != "" {
					return nil
				}
				return decided(r)
			}
		}, map[string]migrate.Problem{"": migrate.Quarantined, "plan": migrate.Failed, "backfill": migrate.Failed, "verify": migrate.Failed, "cut-over": migrate.Failed}},
		"Leave": {func(c *migrate.Column, fail func(string) string, w *world) {
			decided := c.CollectedFor
			c.CollectedFor = func(r migrate.Row) []*vault.Scope {
				if r.Key() == bad {
					return nil
				}
				return decided(r)
			}
			c.Leave = func(migrate.Row, migrate.Problem) string { return fail(address(1)) }
		}, map[string]migrate.Problem{"": migrate.Failed, "plan": migrate.Failed, "backfill": migrate.Failed, "verify": migrate.Failed, "cut-over": migrate.Failed}},
		"Rest": {func(c *migrate.Column, fail func(string) string, w *world) {
			c.Plaintext = func(_ migrate.Row, raw []byte) (string, error) { return string(raw), nil }
			c.Rest = func(r migrate.Row, raw []byte) ([]byte, error) {
				if r.Key() == bad {
					return []byte(fail(address(1))), nil
				}
				return nil, nil
			}
		}, map[string]migrate.Problem{"": migrate.Plaintext, "cut-over": migrate.Unreadable}},
	}
	onEachDatabase(t, func(t *testing.T, d database) {
		for hook, test := range hooks {
			for how, fail := range failures {
				t.Run(hook+" "+how, func(t *testing.T) {
					w := newWorld(t, d)
					w.fill(t, 1, 4)
					table := w.of(0, "email")
					test.set(&table.Columns[0], fail, w)
					m, err := migrate.New(t.Context(), w.db, w.dialect, table)
					require.NoError(t, err)
					for _, s := range []struct {
						name string
						step step
					}{{"plan", m.Plan}, {"backfill", m.Backfill}, {"verify", m.Verify}, {"cut-over", m.CutOver}} {
						report, err := s.step(t.Context(), &migrate.Options{Workers: 1})
						require.NoError(t, err, s.name)
						want := test.want[s.name]
						if how == "another person" && want != "" {
							want = test.want[""]
						}
						if want == "" {
							require.True(t, report.OK(), report.String())
						} else {
							requireFindings(t, report, "row 2: email: "+string(want))
						}
						require.EqualValues(t, 3, report.Rows, s.name)
						require.NotContains(t, report.String()+fmt.Sprintf("%+v", *report), "erson.")
					}
					require.EqualValues(t, 1, w.count(t, "email IS NOT NULL"))
					require.EqualValues(t, 2, w.count(t, "email IS NULL AND email_sealed IS NOT NULL"))
				})
			}
		}
	})
}

// A report says what the step did, by column: a second run has nothing to do, and says so.
func TestReportsOfWork(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 1, 6)
		w.insert(t, 6, "2fa", "unknown", "+1 415 555 0006")
		w.insert(t, 7, "import", nil, "+1 415 555 0007")
		m := w.migration(t)
		type work struct{ written, cleared, indexes, skipped int64 }
		requireWork := func(step step, email, phone work) *migrate.Report {
			t.Helper()
			var last migrate.Progress
			report, err := step(t.Context(), &migrate.Options{Progress: func(p migrate.Progress) { last = p }})
			require.NoError(t, err)
			for i, want := range []work{email, phone} {
				c := report.Columns[i]
				require.Equal(t, want, work{c.Written, c.Cleared, c.Indexes, c.Skipped}, c.Column)
			}
			require.Equal(t, report.Changed, last.Changed)
			var problems int64
			for p, n := range report.Problems {
				problems += n
				require.Equal(t, n, report.Columns[0].Problems[p]+report.Columns[1].Problems[p])
			}
			require.Equal(t, problems, last.Problems)
			return report
		}
		report := requireWork(m.Backfill, work{written: 5, indexes: 5}, work{written: 6, indexes: 6})
		require.Equal(t, map[migrate.Problem]int64{migrate.Invalid: 1}, report.Columns[0].Problems)
		require.Equal(t, map[migrate.Problem]int64{migrate.Quarantined: 1}, report.Columns[1].Problems)
		require.Contains(t, report.String(), "  email: 6 plain, 0 sealed when read; 5 values written, 5 indexes written\n")
		require.Contains(t, report.String(), "    invalid: 1\n")
		requireWork(m.Backfill, work{skipped: 5}, work{skipped: 6})
		requireWork(m.Repair, work{skipped: 5}, work{skipped: 6})
		requireWork(m.Verify, work{}, work{})
		requireWork(m.Reseal, work{skipped: 5}, work{skipped: 6})
		requireWork(m.Sweep, work{skipped: 5}, work{skipped: 6})
		w.exec(t, "UPDATE @table SET email_index = NULL WHERE id < 3")
		requireWork(m.Reindex, work{indexes: 2, skipped: 3}, work{skipped: 6})
		requireWork(m.CutOver, work{cleared: 5}, work{cleared: 6})
		requireWork(m.CutOver, work{}, work{skipped: 1}) // of row 6, which is read for its address
	})
}
