package dbtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// An operation is an exported operation of a migration, over rows that each have work for it.
type operation struct {
	run step
	// column is the column that the operation writes for an address, "" for an operation
	// that only reads. An operation with phones writes a column for a phone number as well.
	column string
	phones bool

	unsealed bool               // the rows have plaintext alone
	plain    bool               // the table has its plaintext
	subject  bool               // the values are sealed for the person of the row
	prepare  func(*preparation) // of rows with plaintext, a sealed value and its index
	meddle   string             // the column that another program writes meanwhile: see spares

	malformed, garbled outcome // of a row with such a value
	done               func(t *testing.T, w *world, i int, id any, was []sql.NullString)
}

// An outcome is the outcome of a bad row: a problem, or the row is done as any other is, or
// it stays as it is without a finding.
type outcome struct {
	problem migrate.Problem
	stays   bool
}

// A preparation is the state of a table before an operation.
type preparation struct {
	t    *testing.T
	w    *world
	rows int
}

func (p *preparation) exec(statement string, args ...any) { p.w.exec(p.t, statement, args...) }

// rotate makes a new key primary.
func (p *preparation) rotate(role vault.Role) {
	ctx := p.t.Context()
	require.NoError(p.t, p.w.admin.Rotate(ctx, forSecurity, role))
	keys, err := p.w.admin.Keys(ctx, forSecurity)
	require.NoError(p.t, err)
	var last vault.Key
	for _, k := range keys {
		if k.Role == role && k.PrimaryAt.After(last.PrimaryAt) {
			last = k
		}
	}
	require.NoError(p.t, p.w.admin.Promote(ctx, forSecurity, last.ID))
}

func withoutPlaintext(p *preparation) { p.exec("UPDATE @table SET email = NULL, phone = NULL") }

// operations has a row for each exported operation of a migration.
var operations = map[string]func(*migrate.Migration) operation{
	"Plan": func(m *migrate.Migration) operation {
		return operation{run: m.Plan, plain: true, unsealed: true, malformed: outcome{problem: migrate.Invalid}, garbled: outcome{problem: migrate.Invalid}}
	},
	"Backfill": func(m *migrate.Migration) operation {
		return operation{
			run: m.Backfill, column: "email_sealed", phones: true, plain: true, unsealed: true, meddle: "email",
			malformed: outcome{problem: migrate.Invalid}, garbled: outcome{problem: migrate.Invalid},
			done: requireDone,
		}
	},
	"Verify": func(m *migrate.Migration) operation {
		return operation{run: m.Verify, plain: true, malformed: outcome{problem: migrate.Corrupt}, garbled: outcome{problem: migrate.Corrupt}}
	},
	"Repair": func(m *migrate.Migration) operation {
		return operation{
			run: m.Repair, column: "email_sealed", phones: true, plain: true, meddle: "email",
			prepare: func(p *preparation) {
				p.exec("UPDATE @table SET email = REPLACE(email, 'Person', 'Newcomer'), phone = '+14155559999'")
			},
			garbled: outcome{stays: true},
			done: func(t *testing.T, w *world, i int, id any, _ []sql.NullString) {
				w.requireSealed(t, id, w.text(t, "email", id), "+14155559999")
			},
		}
	},
	"CutOver": func(m *migrate.Migration) operation {
		return operation{
			run: m.CutOver, column: "email", phones: true, plain: true, meddle: "email_sealed",
			malformed: outcome{problem: migrate.Corrupt}, garbled: outcome{problem: migrate.Corrupt},
			done: func(t *testing.T, w *world, i int, id any, _ []sql.NullString) {
				requireDone(t, w, i, id, nil)
				require.False(t, w.row(t, id).plainEmail.Valid)
				require.False(t, w.row(t, id).plainPhone.Valid)
			},
		}
	},
	"Reseal": func(m *migrate.Migration) operation {
		return operation{
			run: m.Reseal, column: "email_sealed", phones: true, meddle: "email_sealed",
			prepare:   func(p *preparation) { withoutPlaintext(p); p.rotate(vault.RoleSeal) },
			malformed: outcome{problem: migrate.Corrupt}, garbled: outcome{problem: migrate.Corrupt},
			done: func(t *testing.T, w *world, i int, id any, was []sql.NullString) {
				requireDone(t, w, i, id, nil)
				now := w.cells(t, id)
				require.NotEqual(t, was[1], now[1])
				require.NotEqual(t, was[5], now[5])
			},
		}
	},
	"Reindex": func(m *migrate.Migration) operation {
		return operation{
			run: m.Reindex, column: "email_index", phones: true, meddle: "email_sealed",
			prepare:   func(p *preparation) { withoutPlaintext(p); p.rotate(vault.RoleIndex) },
			malformed: outcome{problem: migrate.Corrupt}, garbled: outcome{problem: migrate.Corrupt},
			done: requireDone,
		}
	},
	"Sweep": func(m *migrate.Migration) operation {
		return operation{
			run: m.Sweep, column: "email_ads", meddle: "email_sealed",
			prepare:   func(p *preparation) { withoutPlaintext(p); p.exec("UPDATE @table SET email_ads = email_index") },
			malformed: outcome{problem: migrate.Corrupt},
			done: func(t *testing.T, w *world, i int, id any, was []sql.NullString) {
				now := w.cells(t, id)
				require.Equal(t, was[:3], now[:3])
				require.False(t, now[3].Valid)
				require.Equal(t, was[4:], now[4:])
			},
		}
	},
	"ClearErased": func(m *migrate.Migration) operation {
		return operation{
			run: m.ClearErased, column: "email_index", phones: true, subject: true, meddle: "email_sealed",
			prepare: func(p *preparation) {
				withoutPlaintext(p)
				for i := range p.rows {
					_, err := p.w.admin.Vault().Erase(p.t.Context(), account(i), forSecurity)
					require.NoError(p.t, err)
				}
			},
			malformed: outcome{problem: migrate.Corrupt},
			done:      requireCleared,
		}
	},
	"ClearNotice": func(m *migrate.Migration) operation {
		return operation{
			run: func(ctx context.Context, o *migrate.Options) (*migrate.Report, error) {
				return m.ClearNotice(ctx, forSecurity, "2fa-v3", o)
			},
			column: "email_index", phones: true, prepare: withoutPlaintext, meddle: "email_sealed",
			malformed: outcome{problem: migrate.Corrupt},
			done:      requireCleared,
		}
	},
	"Leftovers": func(m *migrate.Migration) operation {
		return operation{
			run: func(ctx context.Context, o *migrate.Options) (*migrate.Report, error) {
				l, err := m.Leftovers(ctx, o)
				report := &migrate.Report{Problems: map[migrate.Problem]int64{}}
				if l.Unopened > 0 {
					report.Problems[migrate.Corrupt] = l.Unopened
				}
				return report, err
			},
			prepare:   withoutPlaintext,
			malformed: outcome{problem: migrate.Corrupt}, garbled: outcome{problem: migrate.Corrupt},
		}
	},
}

// Every exported operation has a row in operations.
func TestEveryOperationHasARow(t *testing.T) {
	require.Equal(t, exportedOperations(false), slices.Sorted(maps.Keys(operations)))
}

// exportedOperations returns the names of the operations of a migration, in alphabetical
// order: all of them, or those that have no arguments but options.
func exportedOperations(plain bool) (names []string) {
	typ := reflect.TypeFor[*migrate.Migration]()
	for i := range typ.NumMethod() { // in that order
		m := typ.Method(i)
		if n := m.Type.NumIn(); n > 1 && m.Type.In(1) == reflect.TypeFor[context.Context]() && (n == 3 || !plain) {
			names = append(names, m.Name)
		}
	}
	return names
}

// requireDone fails unless the row has its values, sealed and indexed.
func requireDone(t *testing.T, w *world, i int, id any, _ []sql.NullString) {
	t.Helper()
	w.requireSealed(t, id, fmt.Sprintf("Person.%d@example.com", i), fmt.Sprintf("+1415555%04d", i))
}

// requireCleared fails unless the row has its values, and no index.
func requireCleared(t *testing.T, w *world, i int, id any, was []sql.NullString) {
	t.Helper()
	now := w.cells(t, id)
	require.Equal(t, was[1], now[1])
	require.Equal(t, was[5], now[5])
	require.False(t, now[2].Valid || now[3].Valid || now[6].Valid)
}

// cells returns email, email_sealed, email_index, email_ads, phone, phone_sealed and
// phone_index of a row as they are, nil if there is no such row.
func (w *world) cells(t *testing.T, id any) []sql.NullString {
	t.Helper()
	cells, targets := make([]sql.NullString, 7), make([]any, 7)
	for i := range cells {
		targets[i] = &cells[i]
	}
	err := w.db.QueryRow(w.query("SELECT email, email_sealed, email_index, email_ads, phone, phone_sealed, phone_index FROM @table WHERE id = ?"), id).Scan(targets...)
	if err == sql.ErrNoRows {
		return nil
	}
	require.NoError(t, err)
	return cells
}

func (w *world) text(t *testing.T, column string, id any) (text string) {
	t.Helper()
	require.NoError(t, w.db.QueryRow(w.query("SELECT "+column+" FROM @table WHERE id = ?"), id).Scan(&text))
	return canonicalAddress(text)
}

// canonicalAddress is the spelling of an address that a sealed value opens to.
func canonicalAddress(text string) string {
	local, domain, _ := strings.Cut(text, "@")
	return local + "@" + strings.ToLower(domain)
}

// A people is a table of rows that each have work for an operation.
type people struct {
	*world
	name  string
	table migrate.Table
	ids   []any
	texts []string // of the keys, as reports show them
	was   [][]sql.NullString
	// spares are other contents for the column that another program writes in the row
	// of that number meanwhile. Each leaves the row its work.
	spares []string
}

const maxSpares = 24

// peopleFor makes a table for an operation. The values of one row may be exchanged.
func peopleFor(t *testing.T, w *world, name string, key func(int) (any, string), rows, bad int) *people {
	t.Helper()
	o := operations[name](nil)
	p := &people{world: w, name: name}
	p.describe(o)
	w.exec(t, "ALTER TABLE @table ADD COLUMN account VARCHAR(300)")
	tx, err := w.db.Begin()
	require.NoError(t, err)
	for i := range rows {
		id, text := key(i)
		p.ids, p.texts = append(p.ids, id), append(p.texts, text)
		var sealed [4]any
		if !o.unsealed {
			s := p.sealer(o, i)
			sealed[0], sealed[1], err = pii.SealEmailIndexed(t.Context(), address(i), s)
			require.NoError(t, err)
			sealed[2], sealed[3], err = pii.SealPhoneIndexed(t.Context(), number(i), s)
			require.NoError(t, err)
		}
		_, err := tx.Exec(w.query("INSERT INTO @table (id, source, account, email, phone, email_sealed, email_index, phone_sealed, phone_index) VALUES (?, '2fa', ?, ?, ?, ?, ?, ?, ?)"),
			append([]any{id, account(i), address(i), number(i)}, sealed[:]...)...)
		require.NoError(t, err)
	}
	require.NoError(t, tx.Commit())
	for n := range maxSpares {
		switch o.meddle {
		case "email":
			p.spares = append(p.spares, fmt.Sprintf("other-%d@Example.com", n))
		case "email_sealed":
			e, err := pii.SealEmail(t.Context(), address(bad), p.sealer(o, bad))
			require.NoError(t, err)
			p.spares = append(p.spares, sealedText(t, e))
		}
	}
	if o.prepare != nil {
		o.prepare(&preparation{t, w, rows})
	}
	p.look(t)
	return p
}

// look keeps what the rows have now.
func (p *people) look(t *testing.T) {
	t.Helper()
	p.was = nil
	for _, id := range p.ids {
		p.was = append(p.was, p.cells(t, id))
	}
}

func (p *people) describe(o operation) {
	p.table = p.described()
	if o.subject {
		p.table.Subject = "account"
	}
	for i := range p.table.Columns {
		if !o.plain {
			p.table.Columns[i].Plain, p.table.Columns[i].CollectedFor = "", nil
		}
	}
}

func (p *people) sealer(o operation, i int) *vault.Scope {
	s := p.security.Under(purpose.Basis{Notice: "2fa-v3"})
	if o.subject {
		return s.For(account(i))
	}
	return s
}

// on returns the operation over the table.
func (p *people) on(t *testing.T, db *sql.DB) operation {
	t.Helper()
	m, err := migrate.New(t.Context(), db, p.dialect, p.table)
	require.NoError(t, err)
	return operations[p.name](m)
}
