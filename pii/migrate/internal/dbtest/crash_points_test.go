package dbtest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
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
	scopes, err := openScopes(ctx, args[1])
	if err != nil {
		return err
	}
	w := &world{users: &users{name: args[4]}, security: scopes[0], advertising: scopes[1]}
	m, err := migrate.New(ctx, db, migrate.Dialect(numbers[0]), w.described())
	if err != nil {
		return err
	}
	_, err = crashSteps[args[0]](m, ctx, &migrate.Options{Batch: crashBatch})
	if err == nil {
		_, err = fmt.Println(calls.Load())
	}
	return err
}

var crashSteps = map[string]func(*migrate.Migration, context.Context, *migrate.Options) (*migrate.Report, error){
	"backfill": (*migrate.Migration).Backfill,
	"cut-over": (*migrate.Migration).CutOver,
}

// crashAt runs a step that dies at the nth call of the database.
func (w *world) crashAt(t *testing.T, step, keys string, nth int, how string) *exec.Cmd {
	t.Helper()
	return child(t, "crash", step, keys, w.driver, w.from, w.name, strconv.Itoa(int(w.dialect)), strconv.Itoa(nth), how)
}

// A process is killed (kill -9) at each point of a backfill and of a cut-over:
// before, and after, each query, begin, update and commit. Whatever was plaintext
// is there, or is sealed and opens to the same; another process finishes; and
// each row was sealed once.
//
// A few points are tried. With ONLYFOR_CRASHES=300 all are, one after the other
// and again until 300 processes of each step are dead.
func TestKilledAtEachPoint(t *testing.T) {
	crashes, _ := strconv.Atoi(os.Getenv("ONLYFOR_CRASHES"))
	onEachDatabase(t, func(t *testing.T, d database) {
		keys := newWorld(t, d).inFiles(t)
		scopes, err := openScopes(t.Context(), keys)
		require.NoError(t, err)
		kills := 0
		for _, step := range []string{"backfill", "cut-over"} {
			t.Run(step, func(t *testing.T) {
				begin := func(t *testing.T) *world {
					w := newWorld(t, d)
					w.security, w.advertising = scopes[0], scopes[1]
					w.fill(t, 0, crashPeople)
					if step == "cut-over" {
						_, err := w.migration(t).Backfill(t.Context(), nil)
						require.NoError(t, err)
					}
					return w
				}
				out, err := begin(t).crashAt(t, step, keys, 0, "").Output()
				require.NoError(t, err)
				var points int
				_, err = fmt.Sscan(string(out), &points)
				require.NoError(t, err)
				require.Greater(t, points, 4*crashPeople/crashBatch, "at least: read, begin, write, read back, commit")
				runs, stride := 8, max(1, points/8)
				if testing.Short() {
					runs = 2
				}
				if crashes > 0 {
					runs, stride = crashes, 1
				}
				for run := range runs {
					point := run * stride
					how := [...]string{"early", "late"}[(point/points+point)%2]
					t.Run(fmt.Sprintf("%s %d", how, 1+point%points), func(t *testing.T) {
						w := begin(t)
						cmd := w.crashAt(t, step, keys, 1+point%points, how)
						err := cmd.Run()
						require.Error(t, err)
						require.Equal(t, -1, cmd.ProcessState.ExitCode(), "%s: %s", err, cmd.Stderr)
						kills++
						w.requireNothingLost(t, step, crashPeople)
					})
				}
			})
		}
		t.Logf("%d processes killed", kills)
	})
}

// requireNothingLost looks at what a process left that died in a step, and has
// another finish it.
func (w *world) requireNothingLost(t *testing.T, step string, people int) {
	t.Helper()
	texts := make([]string, people)
	for id := range people {
		s := w.row(t, id)
		require.Equal(t, s.email.IsZero(), s.emailIndex.IsZero(), "a row by halves")
		require.Equal(t, s.email.IsZero(), s.phone.IsZero(), "a row by halves")
		require.Equal(t, s.phone.IsZero(), s.phoneX.IsZero(), "a row by halves")
		if s.email.IsZero() || step == "backfill" {
			require.Equal(t, address(id), s.plainEmail.String)
			require.Equal(t, number(id), s.plainPhone.String)
		}
		if !s.email.IsZero() {
			w.requireSealed(t, id, fmt.Sprintf("Person.%d@example.com", id), fmt.Sprintf("+1415555%04d", id))
			text, err := s.email.MarshalText()
			require.NoError(t, err)
			texts[id] = string(text)
		}
	}
	m := w.migration(t)
	_, err := m.Backfill(t.Context(), nil)
	require.NoError(t, err)
	_, err = crashSteps[step](m, t.Context(), nil)
	require.NoError(t, err)
	verify, err := m.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, verify.OK(), "%v", verify)
	require.EqualValues(t, people, w.count(t, "email_sealed IS NOT NULL AND phone_sealed IS NOT NULL"))
	left := w.count(t, "email IS NOT NULL AND phone IS NOT NULL")
	require.EqualValues(t, map[string]int{"backfill": people, "cut-over": 0}[step], left)
	for id, text := range texts {
		w.requireSealed(t, id, fmt.Sprintf("Person.%d@example.com", id), fmt.Sprintf("+1415555%04d", id))
		if text != "" {
			again, err := w.row(t, id).email.MarshalText()
			require.NoError(t, err)
			require.Equal(t, text, string(again), "it was sealed twice")
		}
	}
}
