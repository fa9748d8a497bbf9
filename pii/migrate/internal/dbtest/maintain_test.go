package dbtest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

type step = func(context.Context, *migrate.Options) (*migrate.Report, error)

// requireStep runs a step that changes so many rows and finds nothing, and
// nothing at all when it is run again.
func requireStep(t testing.TB, f step, changed int64) {
	t.Helper()
	for _, want := range []int64{changed, 0} {
		report, err := f(t.Context(), nil)
		require.NoError(t, err)
		require.True(t, report.OK(), "%v", report)
		require.Equal(t, want, report.Changed)
	}
}

// retire puts out of use what is not primary.
func (w *world) retire(t testing.TB) {
	t.Helper()
	keys, err := w.kit.Admin.Keys(t.Context(), forSecurity)
	require.NoError(t, err)
	for _, k := range keys {
		if k.Status == vault.Active {
			require.NoError(t, w.kit.Admin.Retire(t.Context(), forSecurity, k.ID))
		}
	}
}

// Keys are rotated and the old ones retired, with the plaintext long gone.
func TestReseal(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, 5)
		w.insert(t, 5, "ads-opt-in", "bob@example.com", nil)
		m := w.migration(t)
		requireStep(t, m.Backfill, 6)
		requireStep(t, m.CutOver, 6)
		w.exec(t, "ALTER TABLE @table DROP COLUMN email")
		w.exec(t, "ALTER TABLE @table DROP COLUMN phone")
		table := w.described()
		table.Columns[0].Plain, table.Columns[1].Plain = "", ""
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		requireStep(t, m.Reseal, 0)

		w.kit.Rotate(forSecurity, vault.RoleSeal)
		ads := w.provenance(t, 5, forAdvertising)
		was := w.provenance(t, 5, forSecurity)
		requireStep(t, m.Reseal, 6)
		w.retire(t)
		require.Equal(t, ads, w.provenance(t, 5, forAdvertising))
		require.Equal(t, was, w.provenance(t, 5, forSecurity))
		requireStep(t, m.Verify, 0)

		for name, f := range map[string]step{"plan": m.Plan, "backfill": m.Backfill, "repair": m.Repair, "cut-over": m.CutOver} {
			_, err := f(t.Context(), nil)
			require.ErrorIs(t, err, migrate.ErrTable)
			require.EqualError(t, err, "migrate: "+name+" "+w.name+": no column has plaintext: table is not as described")
		}
	})
}

func (w *world) provenance(t testing.TB, id int, p purpose.Purpose) purpose.Provenance {
	t.Helper()
	var e pii.Email
	require.NoError(t, w.db.QueryRow(w.query("SELECT email_sealed FROM @table WHERE id = ?"), id).Scan(&e))
	found, ok := e.Provenance(p)
	require.True(t, ok)
	return found
}

// What a collector sealed is neither taken in nor indexed by the way: whoever
// can write to the table could have put it there.
func TestWhatWasCollectedIsPassedOver(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, 3)
		requireStep(t, w.migration(t).Backfill, 3)
		collector, err := w.kit.Vault.Collector(t.Context(), forSecurity)
		require.NoError(t, err)
		forged, err := pii.SealEmail(t.Context(), "mallory@example.com", collector)
		require.NoError(t, err)
		w.exec(t, "UPDATE @table SET email_sealed = ? WHERE id = ?", forged, 1)
		before := w.row(t, 1)

		m := w.migration(t)
		requireStep(t, m.Reseal, 0)
		requireStep(t, m.Reindex, 0)
		after := w.row(t, 1)
		require.True(t, after.email.ByCollector(forSecurity))
		require.True(t, before.email.Equal(after.email))
		require.True(t, before.emailIndex.Equal(after.emailIndex))
	})
}

func TestReindex(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, 5)
		w.insert(t, 5, "ads-opt-in", "bob@example.com", nil)
		m := w.migration(t)
		requireStep(t, m.Backfill, 6)
		requireStep(t, m.Reindex, 0)
		w.kit.Rotate(forSecurity, vault.RoleIndex)
		verify, err := m.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, map[migrate.Problem]int64{migrate.StaleIndex: 11}, verify.Problems)
		cut, err := m.CutOver(t.Context(), nil)
		require.NoError(t, err)
		require.Zero(t, cut.Changed)
		requireStep(t, m.Reindex, 6)
		w.retire(t)
		requireStep(t, m.Verify, 0)
		w.requireSealed(t, 3, "Person.3@example.com", "+14155550003")

		// An index that a purpose has no right to.
		w.exec(t, "UPDATE @table SET email_ads = email_index WHERE id IN (1, 5)")
		verify, err = m.Verify(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, verify, "row 1: email: stale index", "row 5: email: stale index")
		requireStep(t, m.Reindex, 2)
		require.True(t, w.row(t, 1).emailAds.IsZero())
		ads, err := pii.IndexEmail(t.Context(), "bob@example.com", w.advertising)
		require.NoError(t, err)
		require.True(t, ads.Equal(w.row(t, 5).emailAds))
	})
}

// Something that was forgotten goes on writing the plaintext alone.
func TestStale(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, 5)
		m := w.migration(t)
		requireStep(t, m.Backfill, 5)
		requireStep(t, m.Repair, 0)
		w.exec(t, "UPDATE @table SET email = 'new@example.com' WHERE id = 2")
		w.exec(t, "UPDATE @table SET phone = 'none' WHERE id = 3")
		w.exec(t, "UPDATE @table SET email = 'PERSON.4@EXAMPLE.COM' WHERE id = 4")
		other, err := w.row(t, 1).email.Value()
		require.NoError(t, err)
		w.exec(t, "UPDATE @table SET email_sealed = ? WHERE id = 0", strings.Replace(other.(string), "pii1.email.security", "pii1.email.advertising", 1))
		want := []string{
			"row 0: email: corrupt", "row 2: email: stale", "row 3: phone: stale", "row 4: email: stale",
		}
		verify, err := m.Verify(t.Context(), nil)
		require.NoError(t, err)
		want[0] = "row 0: email: other purposes"
		requireFindings(t, verify, want...)
		cut, err := m.CutOver(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, cut, want...)
		require.EqualValues(t, 4, w.count(t, "email IS NOT NULL OR phone IS NOT NULL"))
		require.Equal(t, "new@example.com", w.row(t, 2).plainEmail.String)

		repair, err := m.Repair(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 2, repair.Changed)
		requireFindings(t, repair, "row 3: phone: invalid")
		verify, err = m.Verify(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, verify, want[0], want[2])
		w.requireSealed(t, 2, "new@example.com", "+14155550002")
		w.requireSealed(t, 4, "PERSON.4@example.com", "+14155550004")
	})
}

// Values that were tampered with are told from those that are old.
func TestCorrupt(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, 5)
		m := w.migration(t)
		requireStep(t, m.Backfill, 5)
		text, err := w.row(t, 1).email.Value()
		require.NoError(t, err)
		forged := []byte(text.(string))
		if i := len(forged) - 9; forged[i] == 'A' { // another letter of base64
			forged[i] = 'B'
		} else {
			forged[i] = 'A'
		}
		w.exec(t, "UPDATE @table SET email_sealed = ? WHERE id = 1", string(forged))
		w.exec(t, "UPDATE @table SET email_sealed = phone_sealed WHERE id = 2")
		w.exec(t, "UPDATE @table SET email_sealed = email WHERE id = 3")
		w.kit.Rotate(forSecurity, vault.RoleSeal)
		before := w.dump(t)
		want := []string{"row 1: email: corrupt", "row 2: email: corrupt", "row 3: email: corrupt"}
		for name, f := range map[string]step{"verify": m.Verify, "reindex": m.Reindex} {
			report, err := f(t.Context(), nil)
			require.NoError(t, err, name)
			requireFindings(t, report, want...)
			require.Equal(t, before, w.dump(t), name)
		}
		reseal, err := m.Reseal(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, reseal, want...)
		cut, err := m.CutOver(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, cut, want...)
		require.EqualValues(t, 3, w.count(t, "email IS NOT NULL"))

		// The text in row 3 is no sealed value, and its plaintext is there. The others
		// could be traces of an attack.
		requireStep(t, m.Repair, 1)
		verify, err := m.Verify(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, verify, want[:2]...)
		w.requireSealed(t, 3, "Person.3@example.com", "+14155550003")
	})
}

func TestSweep(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, 3)
		w.insert(t, 3, "ads-opt-in", "bob@example.com", nil)
		m := w.migration(t)
		requireStep(t, m.Backfill, 4)
		requireStep(t, m.CutOver, 4)
		requireStep(t, m.Sweep, 0)

		short := purpose.Basis{Retain: time.Second}
		seal := func(id int, scopes ...vault.Sealer) {
			e, err := pii.SealEmail(t.Context(), address(id), scopes...)
			require.NoError(t, err)
			w.exec(t, "UPDATE @table SET email_sealed = ?, email_ads = email_index WHERE id = ?", e, id)
		}
		seal(0, w.security, w.advertising.Under(short))
		seal(1, w.security.Under(short), w.advertising.Under(short))
		w.exec(t, "UPDATE @table SET email_ads = email_index WHERE id = 2") // withdrawn, but for the index
		for !w.row(t, 1).email.WithoutExpired().IsZero() {
			time.Sleep(time.Millisecond)
		}

		w.exec(t, "UPDATE @table SET email = 'still@example.com' WHERE id = 1")
		swept := w.row(t, 0).email
		rec := w.kit.Record()
		report, err := m.Sweep(t.Context(), nil)
		require.NoError(t, err)
		var events []audit.Event
		for _, e := range rec.Events() {
			if e.Action == audit.Sweep {
				events = append(events, e)
			}
		}
		require.Len(t, events, 1, "row 1 is not swept")
		require.Equal(t, forAdvertising, events[0].Purpose)
		require.Equal(t, "migrate.sweep", events[0].Operation)
		expired, _ := swept.Provenance(forAdvertising)
		require.Equal(t, expired, events[0].Provenance)
		requireFindings(t, report, "row 1: email: plaintext")
		require.EqualValues(t, 2, report.Changed)
		require.False(t, w.row(t, 1).email.IsZero())
		w.exec(t, "UPDATE @table SET email = NULL WHERE id = 1")
		requireStep(t, m.Sweep, 1)

		require.Equal(t, purpose.NewSet(forSecurity), w.row(t, 0).email.Purposes())
		require.True(t, w.row(t, 0).emailAds.IsZero())
		require.False(t, w.row(t, 0).emailIndex.IsZero())
		require.EqualValues(t, 1, w.count(t, "id = 1 AND email_sealed IS NULL AND email_index IS NULL AND email_ads IS NULL AND phone_sealed IS NOT NULL"))
		require.True(t, w.row(t, 2).emailAds.IsZero())
		require.False(t, w.row(t, 3).emailAds.IsZero())
	})
}

// Sweep needs no keys, not even to know of people: it ends retention while the key store or
// the key service is away. Every other step of a table with subjects ends with the error.
func TestSweepNeedsNoKeys(t *testing.T) {
	w := newWorld(t, databases[0])
	w.fill(t, 1, 4)
	table := w.described()
	table.Subject = "id"
	table.Columns[0].Plain, table.Columns[1].Plain = "", ""
	m, err := migrate.New(t.Context(), w.db, w.dialect, table)
	require.NoError(t, err)
	for id := 1; id <= 3; id++ {
		e, err := pii.SealEmail(t.Context(), address(id), w.security.For(fmt.Sprint(id)))
		require.NoError(t, err)
		x, err := pii.IndexEmail(t.Context(), address(id), w.security)
		require.NoError(t, err)
		w.exec(t, "UPDATE @table SET email = NULL, phone = NULL, email_sealed = ?, email_index = ?, email_ads = ? WHERE id = ?", e, x, x, id)
	}
	require.NoError(t, w.kit.Vault.Close())
	for name, f := range map[string]step{"verify": m.Verify, "reindex": m.Reindex, "reseal": m.Reseal, "clear erased": m.ClearErased} {
		_, err := f(t.Context(), nil)
		require.ErrorIs(t, err, vault.ErrNoKeys, name)
	}
	requireStep(t, m.Sweep, 3) // of indexes for a purpose that the values were not collected for
	require.True(t, w.row(t, 1).emailAds.IsZero())
	require.False(t, w.row(t, 1).emailIndex.IsZero())
}

// Values of subjects, from the first step to erasure.
func TestSubjects(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := &world{users: d.table(t, schema+", account VARCHAR(300)"), kit: newKit(t)}
		w.security, w.advertising = w.kit.Scope(forSecurity), w.kit.Scope(forAdvertising)
		w.fill(t, 0, 6)
		for id := range 6 {
			w.exec(t, "UPDATE @table SET account = ? WHERE id = ?", fmt.Sprintf("account-%d", id), id)
		}
		w.exec(t, "UPDATE @table SET account = NULL WHERE id = 4")
		w.exec(t, "UPDATE @table SET account = ? WHERE id = 5", strings.Repeat("x", 256))
		w.exec(t, "UPDATE @table SET source = 'ads-opt-in' WHERE id = 2")
		_, err := w.kit.Vault.Erase(t.Context(), "account-3", forSecurity)
		require.NoError(t, err)
		table := w.described()
		table.Subject = "account"
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)

		report, err := m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, report,
			"row 3: email: erased", "row 3: phone: erased", "row 4: email: no subject", "row 4: phone: no subject",
			"row 5: email: no subject", "row 5: phone: no subject")
		require.EqualValues(t, 3, report.Changed)
		_, err = w.row(t, 1).email.Reveal(t.Context(), w.security)
		require.ErrorIs(t, err, vault.ErrSubject)
		revealed, err := w.row(t, 1).email.Reveal(t.Context(), w.security.For("account-1"))
		require.NoError(t, err)
		require.Equal(t, "Person.1@example.com", revealed)
		cut, err := m.CutOver(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 3, cut.Changed)

		// Two rows are exchanged.
		text, err := w.row(t, 0).email.Value()
		require.NoError(t, err)
		was, err := w.row(t, 1).email.Value()
		require.NoError(t, err)
		w.exec(t, "UPDATE @table SET email_sealed = ? WHERE id = 1", text)
		verify, err := m.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, "row 1: email: corrupt", verify.Findings[0].String())
		w.exec(t, "UPDATE @table SET email_sealed = ? WHERE id = 1", was)

		requireStep(t, m.Reseal, 0)
		requireStep(t, m.ClearErased, 0)
		_, err = w.kit.Vault.Erase(t.Context(), "account-1", forSecurity, forAdvertising)
		require.NoError(t, err)
		_, err = w.kit.Vault.Erase(t.Context(), "account-2", forSecurity)
		require.NoError(t, err)
		requireStep(t, m.ClearErased, 2)
		require.EqualValues(t, 1, w.count(t, "id IN (0, 1, 2) AND (email_index IS NOT NULL OR phone_index IS NOT NULL)"))
		require.False(t, w.row(t, 2).emailAds.IsZero())

		table.Subject = ""
		m, err = migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		_, err = m.ClearErased(t.Context(), nil)
		require.ErrorIs(t, err, migrate.ErrTable)
	})
}

// A step is not OK if the database writes nothing, and reports no error: for a trigger or
// a policy that passes over rows.
func TestNothingIsWritten(t *testing.T) {
	w := newWorld(t, databases[0])
	w.fill(t, 1, 3)
	m := w.migration(t)
	requireStep(t, m.Backfill, 2)
	w.kit.Rotate(forSecurity, vault.RoleIndex)
	w.exec(t, "CREATE TRIGGER "+w.name+"_idle BEFORE UPDATE ON @table WHEN OLD.id = 2 BEGIN SELECT RAISE(IGNORE); END")
	report, err := m.Reindex(t.Context(), nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Changed)
	requireFindings(t, report, "row 2: email: contended", "row 2: phone: contended")
	report, err = m.CutOver(t.Context(), nil)
	require.NoError(t, err)
	requireFindings(t, report, "row 2: email: stale index", "row 2: phone: stale index")
	w.exec(t, "DROP TRIGGER "+w.name+"_idle")
	requireStep(t, m.Reindex, 1)
	w.exec(t, "CREATE TRIGGER "+w.name+"_idle BEFORE UPDATE ON @table WHEN OLD.id = 2 BEGIN SELECT RAISE(IGNORE); END")
	report, err = m.CutOver(t.Context(), nil)
	require.NoError(t, err)
	requireFindings(t, report, "row 2: email: contended", "row 2: phone: contended")
}
