package sqlstore_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/childtest"
	"github.com/onlyfor/onlyfor/vault/internal/seed"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

func init() {
	childtest.Children["increment"] = incrementChild
	childtest.Children["write"] = writeChild
}

// childStore opens the store that [table.childArgs] describes.
func childStore(args []string) (*sqlstore.Store, error) {
	dialect, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(args[1], args[2])
	if err != nil {
		return nil, err
	}
	return sqlstore.New(db, sqlstore.Dialect(dialect), &sqlstore.Options{Table: args[3]})
}

func (tab *table) childArgs() []string {
	return []string{strconv.Itoa(int(tab.dialect)), tab.driver, tab.from, tab.name}
}

// increment adds one to the number that a record holds.
func increment(ctx context.Context, store vault.Store, name string) error {
	for {
		records, err := store.Get(ctx, name)
		if err != nil {
			return err
		}
		r := vault.Record{Name: name}
		n := 0
		if len(records) == 1 {
			r = records[0]
			if n, err = strconv.Atoi(string(r.Data)); err != nil {
				return errors.New("the record holds no number")
			}
		}
		r.Data = []byte(strconv.Itoa(n + 1))
		if _, err = store.Put(ctx, r); !errors.Is(err, vault.ErrConflict) {
			return err
		}
	}
}

const increments = 150

func incrementChild(args []string) error {
	store, err := childStore(args)
	if err != nil {
		return err
	}
	for i := range increments {
		if err := increment(context.Background(), store, fmt.Sprintf("count/%d", i%3)); err != nil {
			return err
		}
	}
	return nil
}

// Both processes create the records, and increment them.
func TestTwoProcessesLoseNothing(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		tab := d.table(t)
		var processes []*exec.Cmd
		for range 2 {
			cmd := childtest.Command(t, "increment", tab.childArgs()...)
			require.NoError(t, cmd.Start())
			processes = append(processes, cmd)
		}
		for _, cmd := range processes {
			require.NoError(t, cmd.Wait(), "%s", cmd.Stderr)
		}
		for i := range 3 {
			records, err := tab.store(t).Get(t.Context(), fmt.Sprintf("count/%d", i))
			require.NoError(t, err)
			require.Len(t, records, 1)
			require.Equal(t, strconv.Itoa(2*increments/3), string(records[0].Data))
		}
	})
}

// content is what the n-th write writes: long enough for many pages of a
// database, and of a length of its own.
func content(n int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("%08d", n)), 2000+n%7*5000) }

// writeChild writes without end, and prints the number of each write that is
// done.
func writeChild(args []string) error {
	store, err := childStore(args)
	if err != nil {
		return err
	}
	var revision int64
	for n := 0; ; n++ {
		if revision, err = store.Put(context.Background(), vault.Record{Name: "record", Data: content(n), Revision: revision}); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// A writer that is killed leaves the last content that it was told is written,
// or the next one, and nothing in between.
func TestKilledWriter(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	onEachDatabase(t, func(t *testing.T, d database) {
		random := seed.Rand(t)
		for range rounds {
			tab := d.table(t)
			cmd := childtest.Command(t, "write", tab.childArgs()...)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(out)
			done := -1
			for enough := 1 + random.IntN(40); lines.Scan(); enough-- {
				done, err = strconv.Atoi(lines.Text())
				require.NoError(t, err)
				if enough == 0 {
					require.NoError(t, cmd.Process.Kill())
				}
			}
			require.Error(t, cmd.Wait())
			require.GreaterOrEqual(t, done, 0, "%s", cmd.Stderr)

			records, err := tab.over(t, tab.open(t)).Get(t.Context(), "record")
			require.NoError(t, err)
			require.Len(t, records, 1)
			n, err := strconv.Atoi(string(records[0].Data[:8]))
			require.NoError(t, err)
			require.Contains(t, []int{done, done + 1}, n)
			require.True(t, bytes.Equal(content(n), records[0].Data), "parts of two contents")

			// The lock of whoever died is gone.
			require.Eventually(t, func() bool {
				records, err := tab.store(t).Get(t.Context(), "record")
				require.NoError(t, err)
				_, err = tab.store(t).Put(t.Context(), vault.Record{Name: "record", Data: []byte("after"), Revision: records[0].Revision})
				return err == nil
			}, deadline, tick)
		}
	})
}
