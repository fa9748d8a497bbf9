package dbtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/vault"
)

// onRow returns the table, with CollectedFor calling f once when it comes to a
// row: after the row was read, and before it is written.
func (w *world) onRow(key string, f func()) migrate.Table {
	t := w.described()
	var once sync.Once
	for i, c := range t.Columns {
		t.Columns[i].CollectedFor = func(r migrate.Row) []*vault.Scope {
			if r.Key() == key {
				once.Do(f)
			}
			return c.CollectedFor(r)
		}
	}
	return t
}

// set writes a person as an application does in the period of dual writes.
func (w *world) set(ctx context.Context, id int, email, phone string) error {
	sealedEmail, err := pii.SealEmail(ctx, email, w.security)
	if err != nil {
		return err
	}
	sealedPhone, err := pii.SealPhone(ctx, phone, w.security)
	if err != nil {
		return err
	}
	emailIndex, err := pii.IndexEmail(ctx, email, w.security)
	if err != nil {
		return err
	}
	phoneIndex, err := pii.IndexPhone(ctx, phone, w.security)
	if err != nil {
		return err
	}
	_, err = w.db.ExecContext(ctx, w.query(`UPDATE @table SET email = ?, email_sealed = ?, email_index = ?,
		phone = ?, phone_sealed = ?, phone_index = ? WHERE id = ?`), email, sealedEmail, emailIndex, phone, sealedPhone, phoneIndex, id)
	return err
}

// Between reading and writing a row, somebody else does something.
func TestBackfillLosesNoWrite(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile string
		email     string // "" for none
		plain     string
	}{
		"another address":                 {"UPDATE @table SET email = 'new@example.com' WHERE id = 2", "new@example.com", "new@example.com"},
		"an address in another case":      {"UPDATE @table SET email = 'PERSON.2@example.com' WHERE id = 2", "PERSON.2@example.com", "PERSON.2@example.com"},
		"an address that is not valid":    {"UPDATE @table SET email = 'new' WHERE id = 2", "", "new"},
		"no address":                      {"UPDATE @table SET email = NULL WHERE id = 2", "", ""},
		"another source":                  {"UPDATE @table SET source = 'import', email = 'new@example.com' WHERE id = 2", "", "new@example.com"},
		"another phone, the address kept": {"UPDATE @table SET phone = '+14155559999' WHERE id = 2", "Person.2@example.com", "Person.2@Example.com"},
		"a deletion":                      {"DELETE FROM @table WHERE id = 2", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			onEachDatabase(t, func(t *testing.T, d database) {
				w := newWorld(t, d)
				w.fill(t, 1, 4)
				m, err := migrate.New(t.Context(), w.db, w.dialect, w.onRow("2", func() { w.exec(t, test.meanwhile) }))
				require.NoError(t, err)
				report, err := m.Backfill(t.Context(), &migrate.Options{Workers: 1})
				require.NoError(t, err)
				require.Zero(t, report.Problems[migrate.Contended])
				if name == "a deletion" {
					require.EqualValues(t, 2, w.count(t, "email_sealed IS NOT NULL"))
					return
				}
				s := w.row(t, 2)
				require.Equal(t, test.plain, s.plainEmail.String)
				require.Equal(t, test.email == "", s.email.IsZero())
				if test.email != "" {
					revealed, err := s.email.Reveal(t.Context(), w.security)
					require.NoError(t, err)
					require.Equal(t, test.email, revealed)
				}
				revealed, err := s.phone.Reveal(t.Context(), w.security)
				if name == "another source" { // the decision of then is not that of now
					require.True(t, s.phone.IsZero())
				} else {
					require.NoError(t, err)
					want, _ := pii.SealPhone(t.Context(), s.plainPhone.String, w.security)
					number, _ := want.Reveal(t.Context(), w.security)
					require.Equal(t, number, revealed)
				}
				w.requireSealed(t, 1, "Person.1@example.com", "+14155550001")
				w.requireSealed(t, 3, "Person.3@example.com", "+14155550003")
			})
		})
	}
}

// What a dual write sealed stays as it is.
func TestBackfillKeepsDualWrite(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 1, 4)
		var during []string
		m, err := migrate.New(t.Context(), w.db, w.dialect, w.onRow("2", func() {
			require.NoError(t, w.set(t.Context(), 2, "new@example.com", "+14155559999"))
			during = w.dump(t)
		}))
		require.NoError(t, err)
		report, err := m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 2, report.Changed)
		require.Equal(t, during[1], w.dump(t)[1])
		w.requireSealed(t, 2, "new@example.com", "+14155559999")
	})
}

// Even if the plaintext is what it was: somebody consented to more meanwhile.
func TestBackfillKeepsSealed(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 1, 4)
		more, err := pii.SealEmail(t.Context(), address(2), w.security, w.advertising)
		require.NoError(t, err)
		m, err := migrate.New(t.Context(), w.db, w.dialect, w.onRow("2", func() {
			w.exec(t, "UPDATE @table SET email_sealed = ? WHERE id = 2", more)
		}))
		require.NoError(t, err)
		_, err = m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		require.True(t, more.Equal(w.row(t, 2).email))
		require.False(t, w.row(t, 2).phone.IsZero())
	})
}

// A row whose plaintext, sealed value or index is another one when it is
// written than when it was verified keeps its plaintext.
func TestCutOverIsConditional(t *testing.T) {
	for name, meanwhile := range map[string]string{
		"plaintext":                 "UPDATE @table SET email = 'new@example.com' WHERE id = 2",
		"plaintext in another case": "UPDATE @table SET email = 'PERSON.2@example.com' WHERE id = 2",
		"sealed value gone":         "UPDATE @table SET email_sealed = NULL WHERE id = 2",
		"another's sealed value":    "UPDATE @table SET email_sealed = @other WHERE id = 2",
		"index gone":                "UPDATE @table SET email_index = NULL WHERE id = 2",
		"another's index":           "UPDATE @table SET email_index = phone_index WHERE id = 2",
	} {
		t.Run(name, func(t *testing.T) {
			onEachDatabase(t, func(t *testing.T, d database) {
				w := newWorld(t, d)
				w.fill(t, 1, 4)
				_, err := w.migration(t).Backfill(t.Context(), nil)
				require.NoError(t, err)
				other, err := w.row(t, 1).email.Value()
				require.NoError(t, err)
				m, err := migrate.New(t.Context(), w.db, w.dialect, w.onRow("2", func() {
					w.exec(t, replaceOther(meanwhile, other.(string)))
				}))
				require.NoError(t, err)
				report, err := m.CutOver(t.Context(), nil)
				require.NoError(t, err)
				require.Len(t, report.Findings, 1)
				require.Equal(t, "2", report.Findings[0].Key)
				require.Equal(t, "email", report.Findings[0].Column)
				require.True(t, w.row(t, 2).plainEmail.Valid)
				require.False(t, w.row(t, 2).plainPhone.Valid)
				require.EqualValues(t, 1, w.count(t, "email IS NOT NULL"))
			})
		})
	}
}

func replaceOther(statement, text string) string {
	return strings.ReplaceAll(statement, "@other", "'"+text+"'")
}

// Writers write while two backfills run, and nothing is lost.
func TestConcurrentWriters(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		const people = 600
		w := newWorld(t, d)
		w.fill(t, 0, people)
		want := make([]string, people) // by the last write
		var mu [people]sync.Mutex
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		var writes atomic.Int64
		written := make(chan struct{}) // closed when there was a write
		source := draw(t)
		for writer := range 2 {
			writers.Go(func() {
				random := source(writer)
				for n := 0; ctx.Err() == nil; n++ {
					id := random.IntN(people)
					mu[id].Lock()
					email := fmt.Sprintf("changed-%d-%d@example.com", id, n)
					if w.set(t.Context(), id, email, "+14155559999") == nil {
						want[id] = email
						if writes.Add(1) == 1 {
							close(written)
						}
					}
					mu[id].Unlock()
				}
			})
		}
		<-written
		var backfills sync.WaitGroup
		for range 2 {
			backfills.Go(func() {
				for {
					report, err := w.migration(t).Backfill(t.Context(), &migrate.Options{Batch: 20})
					if err == nil && report.OK() {
						return
					}
					if err != nil && !errors.Is(err, vault.ErrUnavailable) {
						t.Error(err)
						return
					}
				}
			})
		}
		backfills.Wait()
		stop()
		writers.Wait()
		for id, email := range want {
			s := w.row(t, id)
			if email == "" {
				email = fmt.Sprintf("Person.%d@example.com", id)
			} else {
				require.Equal(t, email, s.plainEmail.String)
			}
			revealed, err := s.email.Reveal(t.Context(), w.security)
			require.NoError(t, err)
			require.Equal(t, email, revealed)
		}
		verify, err := w.migration(t).Verify(t.Context(), nil)
		require.NoError(t, err)
		require.True(t, verify.OK(), "%v", verify)
	})
}

// A database that goes away ends the run in an error that says so and no more,
// and the next run does the rest.
func TestDatabaseGoesAway(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, 500)
		db := w.open(t)
		m, err := migrate.New(t.Context(), db, w.dialect, w.described())
		require.NoError(t, err)
		batches := 0
		report, err := m.Backfill(t.Context(), &migrate.Options{Batch: 20, Pause: func(context.Context) error {
			if batches++; batches == 3 {
				return db.Close()
			}
			return nil
		}})
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.EqualError(t, err, "migrate: backfill "+w.name+": database error: unavailable")
		require.Less(t, report.Changed, int64(500))
		require.Equal(t, report.Changed, w.count(t, "email_sealed IS NOT NULL"))

		rest, err := w.migration(t).Backfill(t.Context(), &migrate.Options{After: report.Last})
		require.NoError(t, err)
		require.EqualValues(t, 500, report.Changed+rest.Changed)
		verify, err := w.migration(t).Verify(t.Context(), nil)
		require.NoError(t, err)
		require.True(t, verify.OK())
	})
}

// Connections are cut at any moment.
func TestConnectionsAreCut(t *testing.T) {
	cut := map[migrate.Dialect]string{
		migrate.Postgres: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%@table%'",
		migrate.MySQL:    "SELECT CONCAT('KILL ', id) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE '%@table%'",
	}
	onEachDatabase(t, func(t *testing.T, d database) {
		if cut[d.dialect] == "" {
			t.Skip("it has no connections: TestDatabaseGoesAway closes the file")
		}
		const people = 2000
		w := newWorld(t, d)
		w.fill(t, 0, people)
		// A query that cuts connections is never cancelled: a server that goes on with it
		// would cut those of the checks below.
		var stopped atomic.Bool
		stop := func() { stopped.Store(true) }
		defer stop()
		var cutting sync.WaitGroup
		killer := w.open(t)
		cutting.Go(func() {
			for !stopped.Load() {
				rows, err := killer.QueryContext(t.Context(), w.query(cut[d.dialect]))
				if err != nil {
					continue
				}
				var kills []string
				for rows.Next() {
					var kill string
					if rows.Scan(&kill) == nil {
						kills = append(kills, kill)
					}
				}
				rows.Close()
				for _, kill := range kills {
					if d.dialect == migrate.MySQL {
						_, _ = killer.ExecContext(t.Context(), kill)
					}
				}
			}
		})
		failures := 0
		for {
			m, err := migrate.New(t.Context(), w.db, w.dialect, w.described())
			if err == nil {
				_, err = m.Backfill(t.Context(), &migrate.Options{Batch: 100})
			}
			if err == nil {
				break
			}
			require.ErrorIs(t, err, vault.ErrUnavailable)
			if failures++; failures == 20 { // enough: let it come to an end
				stop()
			}
		}
		stop()
		cutting.Wait()
		t.Logf("%d runs failed", failures)
		w.db = w.open(t) // an idle connection may be cut, and its next user is told
		require.EqualValues(t, people, w.count(t, "email_sealed IS NOT NULL AND phone_sealed IS NOT NULL AND email_index IS NOT NULL"))
		verify, err := w.migration(t).Verify(t.Context(), nil)
		require.NoError(t, err)
		require.True(t, verify.OK())
	})
}

// A context that is done ends a step within its batch.
func TestCancel(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, 3000)
		ctx, cancel := context.WithCancel(t.Context())
		m, err := migrate.New(ctx, w.db, w.dialect, w.onRow("1500", cancel))
		require.NoError(t, err)
		report, err := m.Backfill(ctx, &migrate.Options{Workers: 1, Batch: 1000})
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.LessOrEqual(t, report.Changed, int64(1000))
		require.LessOrEqual(t, w.count(t, "email_sealed IS NOT NULL"), int64(1000))

		_, err = m.Verify(ctx, nil)
		require.ErrorIs(t, err, context.Canceled)
		rest, err := m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		require.Positive(t, rest.Changed)
		require.EqualValues(t, 3000, w.count(t, "email_sealed IS NOT NULL"))
	})
}
