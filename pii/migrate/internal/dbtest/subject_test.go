package dbtest_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

func init() { children["subjects"] = subjectsChild }

// withAccounts has the people of rows from up to, but not including, to. Their values are
// sealed and of no single person. The column account has the id of each.
func withAccounts(t *testing.T, d database, from, to int) *world {
	t.Helper()
	w := &world{users: d.table(t, schema+", account VARCHAR(300)"), kit: newKit(t)}
	w.security, w.advertising = w.kit.Scope(forSecurity), w.kit.Scope(forAdvertising)
	w.fill(t, from, to)
	for id := from; id < to; id++ {
		w.exec(t, "UPDATE @table SET account = ? WHERE id = ?", account(id), id)
	}
	requireStep(t, w.migration(t).Backfill, int64(to-from))
	return w
}

func account(id int) string { return fmt.Sprintf("account-%d", id) }

// forAccounts describes the table with a subject, with the plaintext or after it is
// dropped.
func (w *world) forAccounts(t testing.TB, plain bool, change ...func(*migrate.Table)) *migrate.Migration {
	t.Helper()
	table := w.described()
	table.Subject = "account"
	for i := range table.Columns {
		if !plain {
			table.Columns[i].Plain, table.Columns[i].CollectedFor = "", nil
		}
	}
	for _, f := range change {
		f(&table)
	}
	m, err := migrate.New(t.Context(), w.db, w.dialect, table)
	require.NoError(t, err)
	return m
}

// requireOf fails unless the row's values are those of a person, and of the id given to
// fill.
func (w *world) requireOf(t testing.TB, id int, account string) {
	t.Helper()
	s := w.row(t, id)
	email, err := s.email.Reveal(t.Context(), w.security.For(account))
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("Person.%d@example.com", id), email)
	phone, err := s.phone.Reveal(t.Context(), w.security.For(account))
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("+1415555%04d", id), phone)
	_, err = s.email.Reveal(t.Context(), w.security)
	require.ErrorIs(t, err, vault.ErrSubject)
	x, err := pii.IndexEmail(t.Context(), address(id), w.security)
	require.NoError(t, err)
	require.True(t, x.Equal(s.emailIndex))
}

// ofNobody seals an address as the row of an id has it, for scopes without a person.
func (w *world) ofNobody(t testing.TB, id int, scopes ...vault.Sealer) string {
	t.Helper()
	e, err := pii.SealEmail(t.Context(), address(id), scopes...)
	require.NoError(t, err)
	return sealedText(t, e)
}

func sealedText(t testing.TB, e pii.Email) string {
	t.Helper()
	text, err := e.MarshalText()
	require.NoError(t, err)
	return string(text)
}

// Values that were sealed for no single person come under the key of each, before the
// cut-over and after it, under the primary key of the purpose and under an old one.
func TestResealForSubjects(t *testing.T) {
	for _, plain := range []bool{true, false} {
		for _, rotated := range []bool{false, true} {
			t.Run(fmt.Sprintf("plaintext %v, rotated %v", plain, rotated), func(t *testing.T) {
				onEachDatabase(t, func(t *testing.T, d database) {
					w := withAccounts(t, d, 1, 5)
					if !plain {
						requireStep(t, w.migration(t).CutOver, 4)
					}
					if rotated {
						w.kit.Rotate(forSecurity, vault.RoleSeal)
					}
					m := w.forAccounts(t, plain)
					verify, err := m.Verify(t.Context(), nil)
					require.NoError(t, err)
					require.Equal(t, map[migrate.Problem]int64{migrate.SubjectMismatch: 8}, verify.Problems)
					was := w.provenance(t, 1, forSecurity)

					requireStep(t, m.Reseal, 4)
					if rotated {
						w.retire(t)
					}
					requireStep(t, m.Verify, 0)
					requireStep(t, m.Reindex, 0)
					requireStep(t, m.ClearErased, 0)
					require.Equal(t, was, w.provenance(t, 1, forSecurity))
					for id := 1; id < 5; id++ {
						w.requireOf(t, id, account(id))
					}
					if plain {
						requireStep(t, m.CutOver, 4)
					}

					// So one person can be erased.
					_, err = w.kit.Vault.Erase(t.Context(), account(2), forSecurity)
					require.NoError(t, err)
					_, err = w.row(t, 2).email.Reveal(t.Context(), w.security.For(account(2)))
					require.ErrorIs(t, err, vault.ErrErased)
					w.requireOf(t, 3, account(3))
					requireStep(t, m.Reseal, 0)
				})
			})
		}
	}
}

// The id of the row may be the person's id, and a column may have no indexes.
func TestResealForTheKey(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := withAccounts(t, d, 1, 4)
		m := w.forAccounts(t, true, func(table *migrate.Table) {
			table.Subject = "id"
			table.Columns[0].Indexes, table.Columns[1].Indexes = nil, nil
		})
		verify, err := m.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, map[migrate.Problem]int64{migrate.SubjectMismatch: 6}, verify.Problems)
		requireStep(t, m.Reseal, 3)
		requireStep(t, m.Verify, 0)
		w.requireOf(t, 2, "2")
	})
}

// Rows that can't come under a person's key are reported, and stay as they are.
func TestResealReportsRows(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := withAccounts(t, d, 0, 14)
		requireStep(t, w.migration(t).CutOver, 14)
		w.exec(t, "UPDATE @table SET phone_sealed = NULL, phone_index = NULL WHERE id > 0")
		set := func(id int, sealed string) { w.exec(t, "UPDATE @table SET email_sealed = ? WHERE id = ?", sealed, id) }

		set(1, "person.1@example.com")                 // no sealed value
		forged := []byte(w.ofNobody(t, 2, w.security)) //
		forged[len(forged)-9] ^= 1                     //
		set(2, string(forged))                         // altered
		w.exec(t, "UPDATE @table SET account = NULL WHERE id = 3")
		w.exec(t, "UPDATE @table SET account = '' WHERE id = 4")
		w.exec(t, "UPDATE @table SET account = '0' WHERE id = 5")
		w.exec(t, "UPDATE @table SET account = ? WHERE id = 6", strings.Repeat("x", 256))
		_, err := w.kit.Vault.Erase(t.Context(), account(7), forSecurity)
		require.NoError(t, err)
		set(8, w.ofNobody(t, 8, w.security.Under(purpose.Basis{Retain: time.Second})))
		set(9, w.ofNobody(t, 9, w.security.For("account-1"))) // another person's, who has a key
		set(10, w.ofNobody(t, 10, w.security.For("nobody")))  // and in the row of one who has none
		set(11, w.ofNobody(t, 12, w.security))                // the value of another row
		set(12, w.ofNobody(t, 11, w.security))
		w.exec(t, "UPDATE @table SET email_index = NULL WHERE id = 13") // no index says anything
		for !w.row(t, 8).email.WithoutExpired().IsZero() {
			time.Sleep(time.Millisecond)
		}
		before := w.dump(t)

		m := w.forAccounts(t, true)
		want := []string{
			"row 1: email: corrupt", "row 2: email: corrupt",
			"row 3: email: no subject", "row 4: email: no subject", "row 5: email: no subject", "row 6: email: no subject",
			"row 7: email: erased", "row 8: email: expired", "row 9: email: corrupt", "row 10: email: corrupt",
			"row 11: email: stale index", "row 12: email: stale index",
		}
		for _, changed := range []int64{2, 0} {
			report, err := m.Reseal(t.Context(), nil)
			require.NoError(t, err)
			requireFindings(t, report, want...)
			require.Equal(t, changed, report.Changed)
			require.Equal(t, before[1:13], w.dump(t)[1:13])
		}
		w.requireOf(t, 0, account(0))
		revealed, err := w.row(t, 13).email.Reveal(t.Context(), w.security.For(account(13)))
		require.NoError(t, err)
		require.Equal(t, "Person.13@example.com", revealed)

		// A retired key, and rows that the other steps can't judge.
		w.kit.Rotate(forSecurity, vault.RoleSeal)
		w.retire(t)
		report, err := m.Reseal(t.Context(), nil)
		require.NoError(t, err)
		require.Contains(t, report.Findings, migrate.Finding{Key: "11", Column: "email", Problem: migrate.Retired})
		require.Equal(t, before[1:13], w.dump(t)[1:13])
	})
}

// A row without a person, and a value of none, cost no step more than that row.
func TestOtherStepsReportSubjects(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := withAccounts(t, d, 1, 4)
		w.exec(t, "UPDATE @table SET phone = NULL, phone_sealed = NULL, phone_index = NULL")
		w.exec(t, "UPDATE @table SET account = NULL WHERE id = 1")
		set := func(id int, s *vault.Scope) {
			w.exec(t, "UPDATE @table SET email_sealed = ? WHERE id = ?", w.ofNobody(t, id, s), id)
		}
		set(3, w.security.For(account(3)))
		m := w.forAccounts(t, true)
		for name, f := range map[string]step{"verify": m.Verify, "reindex": m.Reindex, "clear erased": m.ClearErased, "cut-over": m.CutOver} {
			report, err := f(t.Context(), nil)
			require.NoError(t, err, name)
			requireFindings(t, report, "row 1: email: no subject", "row 2: email: subject mismatch")
		}
		require.EqualValues(t, 2, w.count(t, "email IS NOT NULL"))
		left, err := m.Leftovers(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 2, left.Values, "a value of no person opens nevertheless")
		require.EqualValues(t, 1, left.Unopened)

		// What the application writes alone becomes the person's at once.
		w.exec(t, "UPDATE @table SET email = 'new@example.com' WHERE id = 2")
		requireStep(t, m.Repair, 1)
		revealed, err := w.row(t, 2).email.Reveal(t.Context(), w.security.For(account(2)))
		require.NoError(t, err)
		require.Equal(t, "new@example.com", revealed)

		// In a table that names no subjects, a person's value is the one that does not fit.
		w.exec(t, "UPDATE @table SET email = NULL")
		report, err := w.migration(t).Verify(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, "row 2: email: subject mismatch", "row 3: email: subject mismatch")
		requireStep(t, w.migration(t).Reseal, 0)
	})
}

// Before the cut-over the plaintext says whose value it is, even if the index went along.
func TestResealComparesPlaintext(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := withAccounts(t, d, 1, 4)
		x, err := pii.IndexEmail(t.Context(), address(3), w.security)
		require.NoError(t, err)
		w.exec(t, "UPDATE @table SET email_sealed = ?, email_index = ? WHERE id = 2", w.ofNobody(t, 3, w.security), x)
		before := w.row(t, 2)
		report, err := w.forAccounts(t, true).Reseal(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, "row 2: email: stale")
		require.True(t, before.email.Equal(w.row(t, 2).email))
		w.requireOf(t, 1, account(1))
	})
}

// During the rotation of an index key, the index of either key belongs to the value.
func TestResealTakesOldIndexes(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := withAccounts(t, d, 1, 4)
		w.kit.Rotate(forSecurity, vault.RoleIndex)
		m := w.forAccounts(t, true)
		requireStep(t, m.Reseal, 3)
		requireStep(t, m.Reindex, 3)
		requireStep(t, m.Verify, 0)
		w.requireOf(t, 3, account(3))
	})
}

// A value of several purposes comes under the person's key for all of them, or not at all.
func TestResealOfSeveralPurposes(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := withAccounts(t, d, 1, 8)
		requireStep(t, w.migration(t).CutOver, 7)
		w.exec(t, "UPDATE @table SET phone_sealed = NULL, phone_index = NULL")
		collector, err := w.kit.Vault.Collector(t.Context(), forAdvertising)
		require.NoError(t, err)
		collectorOfSecurity, err := w.kit.Vault.Collector(t.Context(), forSecurity)
		require.NoError(t, err)
		for id, scopes := range map[int][]vault.Sealer{
			1: {w.security, w.advertising},
			2: {w.security.For(account(2)), w.advertising},
			3: {w.security.For(account(1)), w.advertising},
			4: {w.security, collector},
			5: {w.security.For(account(5)), collector},
			6: {w.advertising},
			7: {collectorOfSecurity},
		} {
			w.exec(t, "UPDATE @table SET email_sealed = ? WHERE id = ?", w.ofNobody(t, id, scopes...), id)
		}
		w.exec(t, "UPDATE @table SET email_index = NULL WHERE id = 6")
		before := w.dump(t)

		// A process with one of the keys does not halve the values.
		one := w.forAccounts(t, true, func(table *migrate.Table) {
			table.Scopes = table.Scopes[:1]
			delete(table.Columns[0].Indexes, forAdvertising)
		})
		report, err := one.Reseal(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, "row 1: email: subject mismatch", "row 3: email: corrupt", "row 4: email: subject mismatch")
		require.Equal(t, before, w.dump(t))

		both := w.forAccounts(t, true)
		for _, changed := range []int64{3, 0} {
			report, err = both.Reseal(t.Context(), nil)
			require.NoError(t, err)
			requireFindings(t, report, "row 3: email: corrupt", "row 4: email: subject mismatch")
			require.Equal(t, changed, report.Changed)
		}
		for id, scopes := range map[int][]*vault.Scope{1: {w.security, w.advertising}, 2: {w.security, w.advertising}, 6: {w.advertising}} {
			for _, s := range scopes {
				revealed, err := w.row(t, id).email.Reveal(t.Context(), s.For(account(id)))
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("Person.%d@example.com", id), revealed)
			}
		}
		after := w.dump(t)
		for _, id := range []int{3, 4, 5, 7} {
			require.Equal(t, before[id-1], after[id-1])
		}
	})
}

// Between reading and writing a row, somebody changes the part of it that the decision was
// based on: the value goes to nobody whose it is not.
func TestResealIsConditional(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile string
		person    string // "" for none
		finding   string
	}{
		"another person":            {"UPDATE @table SET account = 'account-9' WHERE id = 2", "account-9", ""},
		"a person in another case":  {"UPDATE @table SET account = 'ACCOUNT-2' WHERE id = 2", "ACCOUNT-2", ""},
		"no person":                 {"UPDATE @table SET account = NULL WHERE id = 2", "", "row 2: email: no subject"},
		"another's sealed value":    {"UPDATE @table SET email_sealed = @other WHERE id = 2", "", "row 2: email: stale"},
		"another's index":           {"UPDATE @table SET email_index = phone_index WHERE id = 2", "", "row 2: email: stale index"},
		"another's plaintext":       {"UPDATE @table SET email = 'new@example.com' WHERE id = 2", "", "row 2: email: stale"},
		"the plaintext is cut over": {"UPDATE @table SET email = NULL WHERE id = 2", account(2), ""},
		"the row is deleted":        {"DELETE FROM @table WHERE id = 2", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			onEachDatabase(t, func(t *testing.T, d database) {
				w := withAccounts(t, d, 1, 4)
				other := w.ofNobody(t, 3, w.security)
				m := w.forAccounts(t, true, func(table *migrate.Table) {
					var once sync.Once
					table.Columns[1].Plaintext = func(r migrate.Row, raw []byte) (string, error) {
						if r.Key() == "2" { // which was read, and is not written yet
							once.Do(func() { w.exec(t, replaceOther(test.meanwhile, other)) })
						}
						return string(raw), nil
					}
				})
				report, err := m.Reseal(t.Context(), &migrate.Options{Workers: 1})
				require.NoError(t, err)
				var of []string
				for _, f := range report.Findings {
					if f.Column == "email" {
						of = append(of, f.String())
					}
				}
				require.Equal(t, test.finding, strings.Join(of, ", "))
				w.requireOf(t, 1, account(1))
				switch {
				case name == "the row is deleted":
					require.Zero(t, w.count(t, "id = 2"))
				case test.person != "":
					w.requireOf(t, 2, test.person)
				default:
					_, err := w.row(t, 2).email.Reveal(t.Context(), w.security)
					require.NoError(t, err)
				}
			})
		})
	}
}

// Backfill, too, seals for the person of the row at the time of the write.
func TestBackfillForTheSubjectOfNow(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := withAccounts(t, d, 1, 2)
		w.fill(t, 2, 4)
		w.exec(t, "UPDATE @table SET account = 'former' WHERE id > 1")
		table := w.onRow("2", func() { w.exec(t, "UPDATE @table SET account = 'FORMER' WHERE id = 2") })
		table.Subject = "account"
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		_, err = m.Backfill(t.Context(), &migrate.Options{Workers: 1})
		require.NoError(t, err)
		w.requireOf(t, 2, "FORMER")
		w.requireOf(t, 3, "former")
	})
}

// Two processes at once, and a run that ends after some batches: each value is written
// once.
func TestResealForSubjectsGoesOn(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		const people = 200
		w := withAccounts(t, d, 1, people+1)
		m := w.forAccounts(t, true)
		enough := errors.New("enough")
		report, err := m.Reseal(t.Context(), &migrate.Options{Batch: 20, Pause: func(context.Context) error { return enough }})
		require.ErrorIs(t, err, enough)
		require.EqualValues(t, 20, report.Changed)
		first := w.dump(t)[:20]

		var both sync.WaitGroup
		reports, errs := make([]*migrate.Report, 2), make([]error, 2)
		for i := range 2 {
			both.Go(func() { reports[i], errs[i] = m.Reseal(t.Context(), &migrate.Options{Batch: 20}) })
		}
		both.Wait()
		require.NoError(t, errors.Join(errs...))
		require.EqualValues(t, people-20, reports[0].Changed+reports[1].Changed)
		require.Equal(t, first, w.dump(t)[:20])
		requireStep(t, m.Verify, 0)
		requireStep(t, m.Reseal, 0)
	})
}

// subjectsChild re-seals for subjects until it dies.
func subjectsChild(args []string) error {
	ctx := context.Background()
	dialect, err := strconv.Atoi(args[4])
	if err != nil {
		return err
	}
	nth, err := strconv.Atoi(args[5])
	if err != nil {
		return err
	}
	db, calls, err := openCrashing(args[1], args[2], nth, args[6])
	if err != nil {
		return err
	}
	w := &world{users: &users{name: args[3]}}
	if err := w.openKeys(ctx, args[0]); err != nil {
		return err
	}
	table := w.described()
	table.Subject = "id"
	m, err := migrate.New(ctx, db, migrate.Dialect(dialect), table)
	if err != nil {
		return err
	}
	if _, err = m.Reseal(ctx, &migrate.Options{Batch: crashBatch}); err == nil {
		_, err = fmt.Println(calls.Load())
	}
	return err
}

// A process is killed (kill -9) at points of a run: each value is of nobody or of its
// person, and opens. Another process finishes, and writes no value again.
func TestResealForSubjectsIsKilled(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		of := newWorld(t, d)
		keys := of.inFiles(t)
		begin := func(t *testing.T) *world {
			w := newWorld(t, d)
			w.security, w.advertising = of.security, of.advertising
			w.fill(t, 1, crashPeople+1)
			requireStep(t, w.migration(t).Backfill, crashPeople)
			return w
		}
		run := func(t *testing.T, w *world, nth int, how string) (string, error) {
			out, err := child(t, "subjects", keys, w.driver, w.from, w.name, strconv.Itoa(int(d.dialect)), strconv.Itoa(nth), how).Output()
			return strings.TrimSpace(string(out)), err
		}
		out, err := run(t, begin(t), 0, "")
		require.NoError(t, err)
		points, err := strconv.Atoi(out)
		require.NoError(t, err)
		require.Greater(t, points, crashPeople+10)
		for i := range 8 {
			how := [...]string{"early", "late"}[i%2]
			point := 1 + i*max(1, points/8)%points
			t.Run(fmt.Sprintf("%s %d", how, point), func(t *testing.T) {
				w := begin(t)
				_, err := run(t, w, point, how)
				require.Error(t, err)

				// The dead process made keys of persons that this one has to find.
				require.NoError(t, w.openKeys(t.Context(), keys))
				defer w.admin.Close()
				texts := make(map[int]string)
				for id := 1; id <= crashPeople; id++ {
					s := w.row(t, id)
					scope := w.security
					if _, err := s.email.Reveal(t.Context(), scope); errors.Is(err, vault.ErrSubject) {
						scope = scope.For(strconv.Itoa(id))
						texts[id] = sealedText(t, s.email)
					}
					for _, reveal := range []func(context.Context, vault.Revealer) (string, error){s.email.Reveal, s.phone.Reveal} {
						_, err := reveal(t.Context(), scope)
						require.NoError(t, err, "a row by halves")
					}
				}
				table := w.described()
				table.Subject = "id"
				m, err := migrate.New(t.Context(), w.db, w.dialect, table)
				require.NoError(t, err)
				requireStep(t, m.Reseal, int64(crashPeople-len(texts)))
				requireStep(t, m.Verify, 0)
				for id := 1; id <= crashPeople; id++ {
					w.requireOf(t, id, strconv.Itoa(id))
				}
				for id, text := range texts {
					require.Equal(t, text, sealedText(t, w.row(t, id).email), "it was sealed twice")
				}
			})
		}
	})
}

// The table was described without a subject, and its values go to persons of another vault
// of the same purpose: nothing that this vault did not seal changes.
func TestResealOfAnotherVault(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := withAccounts(t, d, 1, 4)
		stranger := newKit(t).Scope(forSecurity)
		w.exec(t, "UPDATE @table SET email = NULL, email_sealed = ? WHERE id = 1", w.ofNobody(t, 1, stranger))
		w.exec(t, "UPDATE @table SET email = NULL, email_sealed = ? WHERE id = 2", w.ofNobody(t, 2, stranger.For(account(2))))
		was := []string{sealedText(t, w.row(t, 1).email), sealedText(t, w.row(t, 2).email)}
		report, err := w.forAccounts(t, true).Reseal(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report, "row 1: email: corrupt", "row 2: email: corrupt")
		require.Equal(t, was, []string{sealedText(t, w.row(t, 1).email), sealedText(t, w.row(t, 2).email)})
		w.requireOf(t, 3, account(3))
	})
}
