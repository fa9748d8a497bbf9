package dbtest_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// accounts is a table of accounts, one for each address.
type accounts struct {
	*users
	last atomic.Int64 // id
}

// signUp makes an account for an address, unless there is one, as OPERATIONS.md describes
// for the rotation of an index key. Without locks the unique constraint is all that there
// is. It reports whether it made the account.
func (a *accounts) signUp(ctx context.Context, s *vault.Scope, address string, locks bool) (made bool, err error) {
	conn, err := a.db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	for {
		made, err = a.tryToSignUp(ctx, conn, s, address, locks)
		if err == nil || !strings.Contains(err.Error(), "Deadlock") {
			return made, err
		}
	}
}

func (a *accounts) tryToSignUp(ctx context.Context, conn *sql.Conn, s *vault.Scope, address string, locks bool) (made bool, err error) {
	indexes, err := pii.IndexesEmail(ctx, address, s)
	if err != nil {
		return false, err
	}
	email, err := pii.SealEmail(ctx, address, s)
	if err != nil {
		return false, err
	}
	var ascending [][]byte
	for _, x := range indexes {
		b, err := x.Value()
		if err != nil {
			return false, err
		}
		ascending = append(ascending, b.([]byte))
	}
	slices.SortFunc(ascending, bytes.Compare)

	begin := "BEGIN"
	switch {
	case a.dialect == migrate.SQLite:
		begin = "BEGIN IMMEDIATE"
	case a.dialect == migrate.MySQL && locks:
		defer conn.ExecContext(ctx, "DO RELEASE_ALL_LOCKS()")
		for _, x := range ascending {
			if _, err := conn.ExecContext(ctx, "DO GET_LOCK(?, 60)", a.name[len(a.name)-8:]+hex.EncodeToString(x)); err != nil {
				return false, err
			}
		}
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return false, err
	}
	defer func() {
		end := "COMMIT"
		if err != nil || !made {
			end = "ROLLBACK"
		}
		if _, endErr := conn.ExecContext(ctx, end); err == nil {
			err = endErr
		}
	}()
	if a.dialect == migrate.Postgres && locks {
		for _, x := range ascending {
			if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(binary.BigEndian.Uint64(x))); err != nil {
				return false, err
			}
		}
	}
	for _, x := range indexes {
		var n int
		if err := conn.QueryRowContext(ctx, a.query("SELECT COUNT(*) FROM @table WHERE email_index = ?"), x).Scan(&n); err != nil || n > 0 {
			return false, err
		}
	}
	_, err = conn.ExecContext(ctx, a.query("INSERT INTO @table VALUES (?, ?, ?)"), a.last.Add(1), email, indexes[0])
	if err != nil && (strings.Contains(strings.ToLower(err.Error()), "unique") || strings.Contains(err.Error(), "Duplicate")) {
		return false, nil // the other process was first
	}
	return err == nil, err
}

// requireOneAccountEach signs people up in all processes at once, and requires that each
// has one account, which every process finds.
func (a *accounts) requireOneAccountEach(t *testing.T, when string, locks bool, scopes ...*vault.Scope) {
	t.Helper()
	const people = 100
	before := a.count(t, "1 = 1")
	address := func(i int) string { return fmt.Sprintf("%s-%d@example.com", when, i) }
	var made atomic.Int64
	var wg sync.WaitGroup
	for _, s := range scopes {
		next := make(chan int, people)
		for i := range people {
			next <- i
		}
		close(next)
		for range 3 {
			wg.Go(func() {
				for i := range next {
					done, err := a.signUp(t.Context(), s, address(i), locks)
					if err != nil {
						t.Errorf("%s: %v", when, err)
						return
					}
					if done {
						made.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	require.EqualValues(t, people, made.Load(), when)
	require.EqualValues(t, people, a.count(t, "1 = 1")-before, when)
	for _, s := range scopes {
		for i := range people {
			require.EqualValues(t, 1, a.found(t, s, address(i)), "%s: signs in everywhere", when)
		}
	}
}

// found returns how many accounts a process finds for an address.
func (a *accounts) found(t *testing.T, s *vault.Scope, address string) (n int64) {
	t.Helper()
	indexes, err := pii.IndexesEmail(t.Context(), address, s)
	require.NoError(t, err)
	for _, x := range indexes {
		n += a.count(t, "email_index = ?", x)
	}
	return n
}

// Through a whole rotation of the index key, a person who signs up in two processes at
// once has one account. Before the new key is primary, the unique constraint is enough,
// even if one process has not heard of the key. Around that time, when the clock of one
// process is behind, and until the column is computed anew, the locks are needed.
func TestSignUpsDuringARotationOfTheIndex(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		a := &accounts{users: d.table(t, "id @key, email_sealed @text, email_index @bytes UNIQUE")}
		kit := piitest.New(t, forSecurity)
		open := func() (*vault.Admin, *vault.Scope) {
			v, err := vault.OpenAdmin(t.Context(), kit.Store, kit.KEK, &vault.Options{Refresh: time.Hour})
			require.NoError(t, err)
			t.Cleanup(func() { v.Close() })
			s, err := v.Scope(t.Context(), forSecurity)
			require.NoError(t, err)
			return v, s
		}
		admin, s := open()
		_, deaf := open()
		a.requireOneAccountEach(t, "before", false, s, deaf)

		require.NoError(t, admin.Rotate(t.Context(), forSecurity, vault.RoleIndex))
		a.requireOneAccountEach(t, "published", false, s, deaf)
		_, behind := open()
		a.requireOneAccountEach(t, "known", false, s, deaf, behind)

		// For the process that promotes the key its time has come. For the other one,
		// whose clock is behind, it is an hour away.
		keys, err := admin.Keys(t.Context(), forSecurity)
		require.NoError(t, err)
		var old, next vault.Key
		for _, k := range keys {
			switch {
			case k.Role == vault.RoleIndex && k.PrimaryAt.IsZero():
				old = k
			case k.Role == vault.RoleIndex:
				next = k
			}
		}
		require.NoError(t, admin.Promote(t.Context(), forSecurity, next.ID))
		newest, err := pii.IndexEmail(t.Context(), "around-1@example.com", s)
		require.NoError(t, err)
		oldest, err := pii.IndexEmail(t.Context(), "around-1@example.com", behind)
		require.NoError(t, err)
		require.False(t, newest.Equal(oldest), "the two processes write two indexes")
		a.requireOneAccountEach(t, "around", true, s, behind)
		_, other := open()
		a.requireOneAccountEach(t, "after", true, s, other)
		for _, when := range []string{"before", "published", "known", "around", "after"} {
			for i := range 10 {
				made, err := a.signUp(t.Context(), other, fmt.Sprintf("%s-%d@example.com", when, i), true)
				require.NoError(t, err)
				require.False(t, made, "%s: has an account", when)
			}
		}

		m, err := migrate.New(t.Context(), a.db, d.dialect, migrate.Table{
			Name: a.name, Key: "id", Scopes: []*vault.Scope{s},
			Columns: []migrate.Column{{Kind: migrate.Email(), Sealed: "email_sealed", Indexes: map[purpose.Purpose]string{forSecurity: "email_index"}}},
		})
		require.NoError(t, err)
		report, err := m.Reindex(t.Context(), nil)
		require.NoError(t, err)
		require.True(t, report.OK(), report)
		require.NoError(t, admin.Retire(t.Context(), forSecurity, old.ID))
		_, other = open()
		a.requireOneAccountEach(t, "retired", false, s, other)
		require.EqualValues(t, 600, a.count(t, "1 = 1"))
	})
}

// A dump of the data from before a rotation is restored after the old key was retired, and
// again after it was destroyed. The rows say which of both their key needs: they were not
// tampered with.
func TestOldDumpIsRestored(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, 5)
		table := w.described()
		requireStep(t, w.migration(t).Backfill, 5)
		dump := map[int]string{}
		for id := range 5 {
			text, err := w.row(t, id).email.Value()
			require.NoError(t, err)
			dump[id] = text.(string)
		}
		restore := func() {
			for id, text := range dump {
				w.exec(t, "UPDATE @table SET email_sealed = ? WHERE id = ?", text, id)
			}
		}
		w.exec(t, "UPDATE @table SET email = NULL, phone = NULL")
		table.Columns[0].Plain, table.Columns[1].Plain = "", ""
		m, err := migrate.New(t.Context(), w.db, w.dialect, table)
		require.NoError(t, err)
		w.kit.Rotate(forSecurity, vault.RoleSeal)
		requireStep(t, m.Reseal, 5)
		w.retire(t)
		requireStep(t, m.Verify, 0)
		restore()
		want := map[migrate.Problem]int64{migrate.Retired: 5}
		for _, f := range []step{m.Verify, m.Reseal, m.Reindex} {
			report, err := f(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, want, report.Problems)
			require.Zero(t, report.Changed)
		}
		keys, err := w.kit.Admin.Keys(t.Context(), forSecurity)
		require.NoError(t, err)
		for _, k := range keys {
			if k.Status == vault.Retired {
				require.NoError(t, w.kit.Admin.Reinstate(t.Context(), forSecurity, k.ID))
			}
		}
		requireStep(t, m.Reseal, 5)
		w.retire(t)
		for _, k := range keys {
			if k.Status == vault.Retired {
				require.NoError(t, w.kit.Admin.Destroy(t.Context(), forSecurity, k.ID))
			}
		}
		requireStep(t, m.Verify, 0)
		restore()
		report, err := m.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, want, report.Problems)
	})
}
