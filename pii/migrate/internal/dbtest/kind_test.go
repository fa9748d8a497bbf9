package dbtest_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/vault"
)

// failingKind is a kind with a method that fails for the address of the second person.
type failingKind struct{}

var (
	kindThatFails = vault.MustKind("failing", "people.Failing")

	failingMethod string
	failure       func()
)

func (failingKind) Kind() vault.Kind   { return kindThatFails }
func (failingKind) Mask(string) string { return "•" }

func (failingKind) Parse(text string) (string, bool) {
	failIn("Parse", text)
	return text, strings.Contains(text, "@")
}

func (failingKind) Canonical(text string) string {
	failIn("Canonical", text)
	return strings.ToLower(text)
}

func failIn(method, text string) {
	if method == failingMethod && text == address(2) {
		failure()
	}
}

// A method of a kind that panics costs its row alone. One that ends its goroutine ends
// the step. Neither loses plaintext, and no report holds any.
func TestKindsThatFail(t *testing.T) {
	t.Cleanup(func() { failingMethod = "" })
	onEachDatabase(t, func(t *testing.T, d database) {
		for method, atLast := range map[string]migrate.Problem{
			"Parse":     migrate.Failed,
			"Canonical": migrate.Unsealed, // Verify needs no canonical form of a row without a value
		} {
			for how, fail := range map[string]func(){
				"panics": func() { panic(address(2)) }, "panics(nil)": func() { panic(nil) }, "ends": runtime.Goexit,
			} {
				t.Run(method+" "+how, func(t *testing.T) {
					w := newWorld(t, d)
					w.fill(t, 1, 4)
					table := w.of(0, "email")
					table.Columns[0].Kind = migrate.KindOf[failingKind]()
					m, err := migrate.New(t.Context(), w.db, w.dialect, table)
					require.NoError(t, err)
					failingMethod, failure = method, fail
					for _, s := range []struct {
						name string
						step step
						want migrate.Problem
					}{{"plan", m.Plan, migrate.Failed}, {"backfill", m.Backfill, migrate.Failed}, {"verify", m.Verify, atLast}, {"cut-over", m.CutOver, atLast}} {
						report, err := s.step(t.Context(), &migrate.Options{Workers: 1})
						require.NotContains(t, report.String(), "erson.")
						switch {
						case how != "ends":
							require.NoError(t, err, s.name)
							require.EqualValues(t, 3, report.Rows, s.name)
							requireFindings(t, report, "row 2: email: "+string(s.want))
						case s.want == migrate.Failed:
							require.ErrorIs(t, err, vault.ErrInvalid, s.name)
							require.NotContains(t, err.Error(), "erson.")
							require.Zero(t, report.Changed)
						}
					}
					cleared := 2
					if how == "ends" {
						cleared = 0
					}
					require.EqualValues(t, 3-cleared, w.count(t, "email IS NOT NULL"))
					require.EqualValues(t, cleared, w.count(t, "email IS NULL AND email_sealed IS NOT NULL AND email_index IS NOT NULL"))
				})
			}
		}
	})
}
