package dbtest_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/vault"
)

// The damages to the record of one person, given the files of that record and of
// another person's.
var damages = map[string]func(t *testing.T, file, other string){
	"garbled": func(t *testing.T, file, _ string) {
		change(t, file, func(b []byte) []byte { b[len(b)-3] ^= 1; return b })
	},
	"truncated": func(t *testing.T, file, _ string) { change(t, file, func(b []byte) []byte { return b[:len(b)-20] }) },
	"empty":     func(t *testing.T, file, _ string) { change(t, file, func([]byte) []byte { return nil }) },
	"missing":   func(t *testing.T, file, _ string) { require.NoError(t, os.Remove(file)) },
	"another person's": func(t *testing.T, file, other string) {
		b, err := os.ReadFile(other)
		require.NoError(t, err)
		change(t, file, func([]byte) []byte { return b })
	},
	"under another name": func(t *testing.T, file, _ string) {
		require.NoError(t, os.Rename(file, filepath.Join(filepath.Dir(file), "0123456789abcdef0123456789abcdef.key")))
	},
}

func change(t *testing.T, file string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, f(b), 0o600))
}

// A damagedStep is a step of a migration that meets one damaged record.
type damagedStep struct {
	run func(*migrate.Migration) step
	// prepare brings the rows, which have plaintext and a sealed value with its index,
	// into the state that the step changes.
	prepare []string
	changed int64
	corrupt int64
}

const damagedPeople, damagedPerson, erasedPerson = 20, 7, 9

var damagedSteps = map[string]damagedStep{
	"Plan": {run: func(m *migrate.Migration) step { return m.Plan }},
	"Backfill": {
		run:     func(m *migrate.Migration) step { return m.Backfill },
		prepare: []string{"email_sealed = NULL, email_index = NULL"}, changed: damagedPeople - 1, corrupt: 1,
	},
	"Verify":  {run: func(m *migrate.Migration) step { return m.Verify }, corrupt: 1},
	"Repair":  {run: func(m *migrate.Migration) step { return m.Repair }, prepare: []string{"email = 'new@example.com'"}, changed: damagedPeople - 1},
	"CutOver": {run: func(m *migrate.Migration) step { return m.CutOver }, changed: damagedPeople - 1, corrupt: 1},
	"Reseal":  {run: func(m *migrate.Migration) step { return m.Reseal }, prepare: []string{"email = NULL"}, corrupt: 1},
	"Reindex": {run: func(m *migrate.Migration) step { return m.Reindex }, prepare: []string{"email = NULL, email_index = NULL"}, changed: damagedPeople - 1, corrupt: 1},
	"Sweep":   {run: func(m *migrate.Migration) step { return m.Sweep }, prepare: []string{"email = NULL, email_ads = email_index"}, changed: damagedPeople},
	"ClearErased": {
		run: func(m *migrate.Migration) step { return m.ClearErased }, prepare: []string{"email = NULL"}, changed: 1, corrupt: 1,
	},
	"Leftovers": {run: leftovers, corrupt: 1},
}

// leftovers counts the values of Leftovers as a step counts rows.
func leftovers(m *migrate.Migration) step {
	return func(ctx context.Context, o *migrate.Options) (*migrate.Report, error) {
		l, err := m.Leftovers(ctx, o)
		report := &migrate.Report{Rows: l.Values + l.Unopened, Problems: map[migrate.Problem]int64{}}
		if l.Unopened > 0 {
			report.Problems[migrate.Corrupt] = l.Unopened
		}
		return report, err
	}
}

// A record of the key store that does not open costs one person: a step reports the
// value of that person, and does its work on all other rows.
func TestOneBadRecordCostsOnePerson(t *testing.T) {
	for name, want := range damagedSteps {
		for damage, do := range damages {
			t.Run(name+" "+damage, func(t *testing.T) {
				ctx := t.Context()
				w := newWorld(t, databases[0])
				dir := filepath.Join(t.TempDir(), "keys")
				store, kek := vault.Dir(dir), vault.LocalKEK(filepath.Join(t.TempDir(), "kek"))
				open := func() *vault.Admin {
					v, err := vault.OpenAdmin(ctx, store, kek, nil)
					require.NoError(t, err)
					t.Cleanup(func() { v.Close() })
					return v
				}
				v := open()
				require.NoError(t, v.Generate(ctx, forSecurity, forAdvertising))
				s, err := v.Scope(ctx, forSecurity)
				require.NoError(t, err)
				file := func(id int) string {
					name, err := s.Pseudonym(ctx, fmt.Sprint(id))
					require.NoError(t, err)
					return filepath.Join(dir, "security", "subjects", name[:2], name+".key")
				}
				w.fill(t, 1, damagedPeople+1)
				w.exec(t, "UPDATE @table SET phone = NULL")
				for id := 1; id <= damagedPeople; id++ {
					e, err := pii.SealEmail(ctx, address(id), s.For(fmt.Sprint(id)))
					require.NoError(t, err)
					x, err := pii.IndexEmail(ctx, address(id), s)
					require.NoError(t, err)
					w.exec(t, "UPDATE @table SET email_sealed = ?, email_index = ? WHERE id = ?", e, x, id)
				}
				for _, set := range want.prepare {
					w.exec(t, "UPDATE @table SET "+set)
				}
				if name == "ClearErased" {
					_, err := v.Erase(ctx, fmt.Sprint(erasedPerson), forSecurity)
					require.NoError(t, err)
				}
				do(t, file(damagedPerson), file(damagedPerson+1))

				v = open()
				w.security, err = v.Scope(ctx, forSecurity)
				require.NoError(t, err)
				w.advertising, err = v.Scope(ctx, forAdvertising)
				require.NoError(t, err)
				table := w.described()
				table.Subject = "id"
				table.Columns[0].Leave = func(migrate.Row, migrate.Problem) string { return "no-damage-is-left" }
				if w.count(t, "email IS NOT NULL") == 0 {
					table.Columns[0].Plain, table.Columns[1].Plain = "", ""
				}
				m, err := migrate.New(ctx, w.db, w.dialect, table)
				require.NoError(t, err)
				report, err := want.run(m)(ctx, nil)
				require.NoError(t, err)
				require.EqualValues(t, damagedPeople, report.Rows)
				changed, problems := want.changed, map[migrate.Problem]int64{}
				if want.corrupt > 0 {
					problems[migrate.Corrupt] = want.corrupt
				}
				gone := damage == "missing" || damage == "under another name"
				if gone && name == "Backfill" { // a new key is made
					changed, problems = damagedPeople, map[migrate.Problem]int64{}
				}
				require.Equal(t, problems, report.Problems)
				require.Equal(t, changed, report.Changed)
				for _, f := range report.Findings {
					require.Equal(t, fmt.Sprint(damagedPerson), f.Key)
				}
			})
		}
	}
}

// Every step of a migration is tried on a damaged record.
func TestEveryStepIsTriedOnADamagedRecord(t *testing.T) {
	require.Equal(t, exportedOperations(true), slices.Sorted(maps.Keys(damagedSteps)))
}
