package dbtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A ledger is an auditor that counts events by their result, and fails if a test says so.
type ledger struct {
	migrating map[string]int // the number of values, by result
	events    []audit.Event
	err       error
}

func (l *ledger) Audit(_ context.Context, e audit.Event) error {
	l.events = append(l.events, e) // migrate records from one goroutine at a time
	l.migrating[fmt.Sprintf("%s %s %s %s %s", e.Operation, e.Action, e.Purpose, e.Outcome, e.Reason)] += e.Count
	return l.err
}

// step runs a step, and returns the number of its events and the values that they name.
func (l *ledger) step(t *testing.T, f step) (events int, values map[string]int) {
	t.Helper()
	l.migrating, l.events = map[string]int{}, nil
	report, err := f(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, report.OK(), "%v", report)
	return len(l.events), l.migrating
}

// Each step makes one event for each batch and result, however many rows there are, and
// names itself. An erased person among many is one event.
func TestStepsAreRecordedByTheBatch(t *testing.T) {
	const people = 500
	d := databases[0]
	u := d.table(t, "id @key, person @text, email @text, email_sealed @text, email_index @bytes")
	l := &ledger{migrating: map[string]int{}}
	a, err := vault.OpenAdmin(t.Context(), vault.Memory(), newKit(t).KEK, &vault.Options{Audit: l, ExactTimes: true})
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	require.NoError(t, a.Generate(t.Context(), forSecurity))
	security, err := a.Scope(t.Context(), forSecurity)
	require.NoError(t, err)
	for id := range people {
		u.exec(t, "INSERT INTO @table (id, person, email) VALUES (?, ?, ?)", id, fmt.Sprint("person-", id), address(id))
	}
	m, err := migrate.New(t.Context(), u.db, u.dialect, migrate.Table{
		Name: u.name, Key: "id", Subject: "person", Scopes: []*vault.Scope{security},
		Columns: []migrate.Column{{
			Kind: migrate.Email(), Plain: "email", Sealed: "email_sealed", Indexes: map[purpose.Purpose]string{forSecurity: "email_index"},
			CollectedFor: func(migrate.Row) []*vault.Scope {
				return []*vault.Scope{security.Under(purpose.Basis{Notice: "2fa-v3"})}
			},
		}},
	})
	require.NoError(t, err)

	n, values := l.step(t, m.Backfill)
	require.Equal(t, map[string]int{"migrate.backfill seal security allowed ": people, "migrate.backfill index security allowed ": people}, values)
	require.Equal(t, 2, n)
	require.Equal(t, "2fa-v3", l.events[0].Provenance.Notice)
	require.Len(t, l.events[0].Root, 64)
	n, values = l.step(t, m.CutOver)
	require.Equal(t, map[string]int{"migrate.cut-over reveal security allowed ": people, "migrate.cut-over index security allowed ": people}, values)
	require.Equal(t, 2, n)

	require.NoError(t, a.Rotate(t.Context(), forSecurity, vault.RoleIndex))
	for _, k := range keysOf(t, a) {
		if !k.PrimaryAt.IsZero() {
			require.NoError(t, a.Promote(t.Context(), forSecurity, k.ID))
		}
	}
	n, values = l.step(t, m.Reindex)
	require.Equal(t, map[string]int{"migrate.reindex index security allowed ": people}, values)
	require.Equal(t, 1, n)

	_, err = a.Erase(t.Context(), "person-250", forSecurity)
	require.NoError(t, err)
	n, values = l.step(t, m.ClearErased)
	require.Equal(t, map[string]int{
		"migrate.clear-erased index security allowed ":      people - 1,
		"migrate.clear-erased index security denied erased": 1,
		"migrate.clear-erased clear security allowed ":      1,
	}, values)
	require.Equal(t, 3, n)
	i := slices.IndexFunc(l.events, func(e audit.Event) bool { return e.Action == audit.Clear })
	require.Len(t, l.events[i].Value, 32, "one value is named")
	pseudonym, err := security.Pseudonym(t.Context(), "person-250")
	require.NoError(t, err)
	i = slices.IndexFunc(l.events, func(e audit.Event) bool { return e.Outcome == audit.Denied })
	require.Equal(t, pseudonym, l.events[i].Subject)

	// A batch that can't be recorded is not written.
	before := count(t, u, "email_index IS NOT NULL")
	u.exec(t, "UPDATE @table SET email_sealed = NULL")
	l.err = errors.New("disk full")
	for name, f := range map[string]step{"sweep": m.Sweep, "reindex": m.Reindex, "clear erased": m.ClearErased} {
		report, err := f(t.Context(), nil)
		require.ErrorIs(t, err, vault.ErrUnavailable, name)
		require.Zero(t, report.Changed, name)
	}
	require.Equal(t, before, count(t, u, "email_index IS NOT NULL"))
	l.err = nil
	n, values = l.step(t, m.Sweep)
	require.Equal(t, map[string]int{"migrate.sweep clear security allowed ": before}, values, "indexes without a value")
	require.Equal(t, 1, n)
	require.Empty(t, l.events[0].Root)
	require.Zero(t, count(t, u, "email_index IS NOT NULL"))
}

func count(t *testing.T, u *users, where string) (n int) {
	t.Helper()
	require.NoError(t, u.db.QueryRow(u.query("SELECT count(*) FROM @table WHERE "+where)).Scan(&n))
	return n
}

func keysOf(t *testing.T, a *vault.Admin) []vault.Key {
	t.Helper()
	all, err := a.Keys(t.Context(), forSecurity)
	require.NoError(t, err)
	return all
}
