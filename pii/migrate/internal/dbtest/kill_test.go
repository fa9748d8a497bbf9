package dbtest_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/vault"
)

func init() { children["step"] = stepChild }

// inFiles gives the world keys that other processes can use.
func (w *world) inFiles(t testing.TB) (dir string) {
	dir = t.TempDir()
	require.NoError(t, w.openKeys(t.Context(), dir))
	t.Cleanup(func() { w.admin.Close() })
	return dir
}

// openKeys gives the world the keys in a directory, which it makes if they are not there.
func (w *world) openKeys(ctx context.Context, dir string) (err error) {
	w.admin, err = vault.OpenAdmin(ctx, vault.Dir(filepath.Join(dir, "keys")), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
	if err != nil {
		return err
	}
	if err := w.admin.Generate(ctx, forSecurity, forAdvertising); err != nil {
		return err
	}
	if w.security, err = w.admin.Scope(ctx, forSecurity); err != nil {
		return err
	}
	w.advertising, err = w.admin.Scope(ctx, forAdvertising)
	return err
}

// stepChild runs a step with small batches, and prints a line after each.
func stepChild(args []string) error {
	dialect, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	db, err := sql.Open(args[2], args[3])
	if err != nil {
		return err
	}
	w := &world{users: &users{name: args[4]}}
	if err := w.openKeys(ctx, args[5]); err != nil {
		return err
	}
	m, err := migrate.New(ctx, db, migrate.Dialect(dialect), w.described())
	if err != nil {
		return err
	}
	step := m.Backfill
	if args[0] == "cut-over" {
		step = m.CutOver
	}
	_, err = step(ctx, &migrate.Options{Batch: 25, Pause: func(context.Context) error {
		_, err := fmt.Println("batch")
		return err
	}})
	return err
}

// Processes are killed at any moment of a backfill and of a cut-over, again and
// again. Each goes on from the data alone, and nothing is lost or sealed twice.
func TestKilled(t *testing.T) {
	const people = 1500
	onEachDatabase(t, func(t *testing.T, d database) {
		w := newWorld(t, d)
		w.fill(t, 0, people)
		dir := w.inFiles(t)
		kills, random := 0, draw(t)(0)
		for _, step := range []string{"backfill", "cut-over"} {
			var before []string
			for {
				cmd := child(t, "step", step, strconv.Itoa(int(d.dialect)), d.driver, w.from, w.name, dir)
				out, err := cmd.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, cmd.Start())
				lines := bufio.NewScanner(out)
				for enough := random.IntN(12); lines.Scan(); enough-- {
					if enough == 0 {
						require.NoError(t, cmd.Process.Kill())
						kills++
					}
				}
				done := cmd.Wait() == nil
				require.True(t, done || cmd.ProcessState.ExitCode() == -1, "%s", cmd.Stderr)

				// What was written stays as it is, and no row is written by halves. A server
				// may still commit what it had from the dead process, between any two of
				// these statements: the rows that were complete are counted before the dump.
				require.EqualValues(t, people, w.count(t, "id >= 0"))
				if step == "backfill" {
					require.EqualValues(t, people, w.count(t, "email IS NOT NULL AND phone IS NOT NULL"))
					const all = "email_sealed IS NOT NULL AND email_index IS NOT NULL AND phone_sealed IS NOT NULL AND phone_index IS NOT NULL"
					const some = "email_sealed IS NOT NULL OR email_index IS NOT NULL OR phone_sealed IS NOT NULL OR phone_index IS NOT NULL"
					require.Zero(t, w.count(t, "("+some+") AND NOT ("+all+")"), "rows by halves")
					complete := w.count(t, all)
					now := w.dump(t)
					for i, row := range before { // in the order of keys
						require.Equal(t, row, now[i])
					}
					before = now[:complete]
				} else {
					require.EqualValues(t, people, w.count(t, "email_sealed IS NOT NULL AND phone_sealed IS NOT NULL"))
				}
				if done {
					break
				}
			}
			verify, err := w.migration(t).Verify(t.Context(), nil)
			require.NoError(t, err)
			require.True(t, verify.OK(), "%v", verify)
		}
		t.Logf("%d processes killed", kills)
		require.Zero(t, w.count(t, "email IS NOT NULL OR phone IS NOT NULL"))
		for id := range people {
			w.requireSealed(t, id, fmt.Sprintf("Person.%d@example.com", id), fmt.Sprintf("+1415555%04d", id))
		}
	})
}
