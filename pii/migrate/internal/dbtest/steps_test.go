package dbtest_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var (
	forSecurity    = purpose.MustParse("security")
	forAdvertising = purpose.MustParse("advertising")
)

// A world is a table with the scopes that its rows are sealed for.
type world struct {
	*users
	kit                   *piitest.Kit
	admin                 *vault.Admin // of the keys of the scopes
	security, advertising *vault.Scope
}

func newKit(t testing.TB) *piitest.Kit { return piitest.New(t, forSecurity, forAdvertising) }

func newWorld(t testing.TB, d database) *world {
	kit := newKit(t)
	return &world{d.table(t, schema), kit, kit.Admin, kit.Scope(forSecurity), kit.Scope(forAdvertising)}
}

// described returns the table, in which the source says what was collected for
// what.
func (w *world) described() migrate.Table {
	collected := func(r migrate.Row) []*vault.Scope {
		switch r.Text("source") {
		case "2fa":
			return []*vault.Scope{w.security.Under(purpose.Basis{Notice: "2fa-v3"})}
		case "ads-opt-in":
			return []*vault.Scope{w.security, w.advertising.Under(purpose.Basis{Consent: "form-7"})}
		}
		return nil
	}
	return migrate.Table{
		Name: w.name, Key: "id", Read: []string{"source"},
		Scopes: []*vault.Scope{w.security, w.advertising},
		Columns: []migrate.Column{
			{
				Kind: migrate.Email(), Plain: "email", Sealed: "email_sealed", CollectedFor: collected,
				Indexes: map[purpose.Purpose]string{forSecurity: "email_index", forAdvertising: "email_ads"},
			},
			{
				Kind: migrate.Phone(), Plain: "phone", Sealed: "phone_sealed", CollectedFor: collected,
				Indexes: map[purpose.Purpose]string{forSecurity: "phone_index"},
			},
		},
	}
}

func (w *world) migration(t testing.TB) *migrate.Migration {
	t.Helper()
	m, err := migrate.New(t.Context(), w.db, w.dialect, w.described())
	require.NoError(t, err)
	return m
}

func (w *world) insert(t testing.TB, id int, source, email, phone any) {
	t.Helper()
	w.exec(t, "INSERT INTO @table (id, source, email, phone) VALUES (?, ?, ?, ?)", id, source, email, phone)
}

func address(id int) string { return fmt.Sprintf("Person.%d@Example.com", id) }
func number(id int) string  { return fmt.Sprintf("+1 (415) 555-%04d", id) }

// fill inserts people of ids from up to, but not including, to.
func (w *world) fill(t testing.TB, from, to int) {
	t.Helper()
	tx, err := w.db.Begin()
	require.NoError(t, err)
	for id := from; id < to; id++ {
		_, err := tx.Exec(w.query("INSERT INTO @table (id, source, email, phone) VALUES (?, ?, ?, ?)"), id, "2fa", address(id), number(id))
		require.NoError(t, err)
	}
	require.NoError(t, tx.Commit())
}

// a stored row, as an application reads it.
type stored struct {
	plainEmail, plainPhone       sql.NullString
	email                        pii.Email
	phone                        pii.Phone
	emailIndex, emailAds, phoneX pii.Index
}

func (w *world) row(t testing.TB, id any) (s stored) {
	t.Helper()
	require.NoError(t, w.db.QueryRow(w.query("SELECT email, phone, email_sealed, phone_sealed, email_index, email_ads, phone_index FROM @table WHERE id = ?"), id).
		Scan(&s.plainEmail, &s.plainPhone, &s.email, &s.phone, &s.emailIndex, &s.emailAds, &s.phoneX))
	return s
}

// requireSealed fails unless the row has these values, sealed and indexed.
func (w *world) requireSealed(t testing.TB, id any, email, phone string) {
	t.Helper()
	s := w.row(t, id)
	revealed, err := s.email.Reveal(t.Context(), w.security)
	require.NoError(t, err)
	require.Equal(t, email, revealed)
	index, err := pii.IndexEmail(t.Context(), email, w.security)
	require.NoError(t, err)
	require.True(t, index.Equal(s.emailIndex))
	revealed, err = s.phone.Reveal(t.Context(), w.security)
	require.NoError(t, err)
	require.Equal(t, phone, revealed)
	index, err = pii.IndexPhone(t.Context(), phone, w.security)
	require.NoError(t, err)
	require.True(t, index.Equal(s.phoneX))
}

func requireFindings(t testing.TB, r *migrate.Report, want ...string) {
	t.Helper()
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.String())
	}
	require.Equal(t, want, got)
}

// The whole way, with all that can be wrong with rows.
func TestSteps(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.insert(t, 1, "2fa", "Alice@Example.com", "+1 415 555 0001")
		w.insert(t, 2, "ads-opt-in", "bob@example.com", nil)
		w.insert(t, 3, "2fa", "not an address", "+1 415 555 0003")
		w.insert(t, 4, "import", "carol@example.com", "+1 415 555 0004")
		w.insert(t, 5, "2fa", "ALICE@example.com ", "0800 123")
		w.insert(t, 6, nil, nil, nil)
		w.insert(t, 7, "2fa", "", "")
		m := w.migration(t)
		before := w.dump(t)

		plan, err := m.Plan(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, before, w.dump(t))
		requireFindings(t, plan,
			"row 3: email: invalid", "row 4: email: quarantined", "row 4: phone: quarantined", "row 5: phone: invalid",
			"row 5: email: duplicate of row 1")
		require.Equal(t, map[migrate.Problem]int64{migrate.Invalid: 2, migrate.Quarantined: 2, migrate.Duplicate: 1}, plan.Problems)
		require.Equal(t, map[purpose.Set]int64{
			purpose.NewSet(forSecurity): 2, purpose.NewSet(forSecurity, forAdvertising): 1, {}: 1,
		}, plan.Columns[0].Decisions)
		require.EqualValues(t, 5, plan.Columns[0].Plain)
		require.Zero(t, plan.Columns[0].Sealed)
		require.Zero(t, plan.Changed)

		backfill, err := m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		requireFindings(t, backfill,
			"row 3: email: invalid", "row 4: email: quarantined", "row 4: phone: quarantined", "row 5: phone: invalid")
		require.EqualValues(t, 4, backfill.Changed)
		w.requireSealed(t, 1, "Alice@example.com", "+14155550001")
		bob := w.row(t, 2)
		require.Equal(t, purpose.NewSet(forSecurity, forAdvertising), bob.email.Purposes())
		ads, err := pii.IndexEmail(t.Context(), "bob@example.com", w.advertising)
		require.NoError(t, err)
		require.True(t, ads.Equal(bob.emailAds))
		require.True(t, bob.phone.IsZero())
		require.True(t, w.row(t, 1).emailAds.IsZero())
		require.Equal(t, purpose.NewSet(forSecurity), w.row(t, 1).email.Purposes())
		for _, id := range []int{3, 4, 6, 7} {
			require.True(t, w.row(t, id).email.IsZero())
			require.True(t, w.row(t, id).emailIndex.IsZero())
		}

		sealedRows := w.dump(t)
		backfill, err = m.Backfill(t.Context(), nil)
		require.NoError(t, err)
		require.Zero(t, backfill.Changed)
		require.Equal(t, sealedRows, w.dump(t))

		verify, err := m.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, sealedRows, w.dump(t))
		requireFindings(t, verify,
			"row 3: email: invalid", "row 4: email: quarantined", "row 4: phone: quarantined", "row 5: phone: invalid")

		cut, err := m.CutOver(t.Context(), nil)
		require.NoError(t, err)
		require.False(t, cut.OK())
		require.EqualValues(t, 4, cut.Changed)
		require.EqualValues(t, 2, w.count(t, "email IS NOT NULL AND email <> ''"))
		require.Equal(t, "not an address", w.row(t, 3).plainEmail.String)
		w.requireSealed(t, 1, "Alice@example.com", "+14155550001")

		verify, err = m.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, map[migrate.Problem]int64{migrate.Invalid: 2, migrate.Quarantined: 2}, verify.Problems)
		for _, report := range []*migrate.Report{plan, backfill, verify, cut} {
			for _, part := range []string{"lice", "415", "carol", "not an", "0800"} {
				require.NotContains(t, strings.ToLower(report.String()+fmt.Sprintf("%+v", *report)), part)
			}
		}
	})
}
