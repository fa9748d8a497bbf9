package dbtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
)

func init() { children["crash"] = crashChild }

const (
	crashPeople = 30
	crashBatch  = 3 // each batch has the points of a batch of any size: a statement writes all of its rows
)

// crashChild runs a step until it dies.
func crashChild(args []string) error {
	ctx := context.Background()
	numbers := make([]int, 2)
	for i := range numbers {
		var err error
		if numbers[i], err = strconv.Atoi(args[5+i]); err != nil {
			return err
		}
	}
	db, calls, err := openCrashing(args[2], args[3], numbers[1], args[7])
	if err != nil {
		return err
	}
	p := &people{world: &world{users: &users{name: args[4]}}}
	if err := p.openKeys(ctx, args[1]); err != nil {
		return err
	}
	p.describe(operations[args[0]](nil))
	m, err := migrate.New(ctx, db, migrate.Dialect(numbers[0]), p.table)
	if err != nil {
		return err
	}
	_, err = operations[args[0]](m).run(ctx, &migrate.Options{Batch: crashBatch})
	if err == nil {
		_, err = fmt.Println(calls.Load())
	}
	return err
}

// crashAt runs an operation that dies at the nth call of the database.
func (p *people) crashAt(t *testing.T, keys string, nth int, how string) *exec.Cmd {
	t.Helper()
	return child(t, "crash", p.name, keys, p.driver, p.from, p.world.name, strconv.Itoa(int(p.dialect)), strconv.Itoa(nth), how)
}

// writers are the operations that write, in alphabetical order.
func writers() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		if operations[name](nil).column != "" {
			names = append(names, name)
		}
	}
	return names
}

// A process is killed (kill -9) at each point of each operation that writes: before, and
// after, each query, begin, update and commit. Each row is as it was or done, another
// process finishes, and no row was done twice.
//
// A few points are tried. With ONLYFOR_CRASHES=300 all are, one after the other
// and again until 300 processes of each operation are dead.
func TestKilledAtEachPoint(t *testing.T) {
	crashes, _ := strconv.Atoi(os.Getenv("ONLYFOR_CRASHES"))
	onEachDatabase(t, func(t *testing.T, d database) {
		kills := 0
		all := writers()
		for i, name := range all {
			t.Run(name, func(t *testing.T) {
				begin := func(t *testing.T) (p *people, keys string) {
					w := newWorld(t, d)
					keys = w.inFiles(t)
					return peopleFor(t, w, name, keyOf, crashPeople, 0), keys
				}
				p, keys := begin(t)
				out, err := p.crashAt(t, keys, 0, "").Output()
				require.NoError(t, err)
				var points int
				_, err = fmt.Sscan(string(out), &points)
				require.NoError(t, err)
				require.Greater(t, points, 4*crashPeople/crashBatch, "at least: read, begin, write, read back, commit")
				runs := 2
				if testing.Short() {
					runs = 1
				}
				stride := max(1, points/runs)
				if crashes > 0 {
					runs, stride = crashes, 1
				}
				for run := range runs {
					point := run*stride + i*stride/len(all) // each operation tries others
					how := [...]string{"early", "late"}[(point/points+run+i)%2]
					t.Run(fmt.Sprintf("%s %d", how, 1+point%points), func(t *testing.T) {
						p, keys := begin(t)
						cmd := p.crashAt(t, keys, 1+point%points, how)
						err := cmd.Run()
						require.Error(t, err)
						require.Equal(t, -1, cmd.ProcessState.ExitCode(), "%s: %s", err, cmd.Stderr)
						kills++
						p.requireNothingLost(t)
					})
				}
			})
		}
		t.Logf("%d processes killed", kills)
	})
}

// keyOf is the number of a row, as its key.
func keyOf(i int) (any, string) { return i, strconv.Itoa(i) }

// requireNothingLost looks at the rows that an operation left when it ended before its
// time, and has another run finish them.
func (p *people) requireNothingLost(t *testing.T) {
	t.Helper()
	o := p.on(t, p.db)
	left := make([][]sql.NullString, len(p.ids))
	todo := 0
	for i, id := range p.ids {
		if left[i] = p.cells(t, id); slices.Equal(left[i], p.was[i]) {
			todo++
		} else {
			o.done(t, p.world, i, id, p.was[i])
		}
	}
	report, err := o.run(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, report.OK(), report.String())
	require.EqualValues(t, todo, report.Changed)
	for i, id := range p.ids {
		o.done(t, p.world, i, id, p.was[i])
		if !slices.Equal(left[i], p.was[i]) {
			require.Equal(t, left[i], p.cells(t, id), "row %d is done twice", i)
		}
	}
	report, err = o.run(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, report.OK(), report.String())
	require.Zero(t, report.Changed)
	require.EqualValues(t, len(p.ids), p.count(t, "source = '2fa'"))
}
