package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// migrateCmd has the steps of package migrate over the tables of the configuration.
type migrateCmd struct {
	Plan        stepPlan        `cmd:"" help:"Read every row, and report values that can't be sealed."`
	Backfill    stepBackfill    `cmd:"" help:"Seal values that exist in plaintext only."`
	Verify      stepVerify      `cmd:"" help:"Open every value, and compare it with its plaintext and index."`
	Repair      stepRepair      `cmd:"" help:"Seal values again that differ from their plaintext."`
	CutOver     stepCutOver     `cmd:"" help:"Remove verified plaintext."`
	Leftovers   leftoversCmd    `cmd:"" help:"Search all other columns of the schema for sealed values."`
	Reseal      stepReseal      `cmd:"" help:"Move values to the primary seal key."`
	Reindex     stepReindex     `cmd:"" help:"Move indexes to the primary index key."`
	Sweep       stepSweep       `cmd:"" help:"Remove values whose retention is over."`
	ClearErased stepClearErased `cmd:"" help:"Remove indexes of erased people."`
	ClearNotice stepClearNotice `cmd:"" help:"Remove indexes of values under a suspended notice. Reindex brings them back."`
}

// stepFlags are the flags of every step.
type stepFlags struct {
	Tables        []string `arg:"" optional:"" name:"table" help:"Names of tables. Default: all of the configuration, in its order."`
	After         string   `placeholder:"KEY" help:"Begin after this key of the table. Default: at the first row, and rows that are done are passed over."`
	Batch         int      `placeholder:"N" help:"Rows in one transaction. Default: 1000."`
	RowsPerSecond int      `placeholder:"N" help:"Read no more rows in a second."`
	Workers       int      `placeholder:"N" help:"Goroutines that seal and open. Default: one for each processor."`
	Reason        string   `placeholder:"TEXT" help:"Why, for the audit log."`
}

type (
	stepPlan        struct{ stepFlags }
	stepBackfill    struct{ stepFlags }
	stepVerify      struct{ stepFlags }
	stepRepair      struct{ stepFlags }
	stepReseal      struct{ stepFlags }
	stepReindex     struct{ stepFlags }
	stepSweep       struct{ stepFlags }
	stepClearErased struct{ stepFlags } // of the tables with subjects
	stepClearNotice struct {
		stepFlags
		Purpose string `required:"" short:"p" placeholder:"NAME" help:"The purpose that is suspended."`
		Notice  string `required:"" placeholder:"ID" help:"The notice that is suspended."`
	}
	stepCutOver struct {
		stepFlags
		Yes bool `help:"Yes: no program reads the plaintext any more, and the key store has a backup."`
	}
)

// A step is a method of a migration.
type step func(*migrate.Migration, context.Context, *migrate.Options) (*migrate.Report, error)

func (c *stepPlan) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*migrate.Migration).Plan)
}
func (c *stepBackfill) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*migrate.Migration).Backfill)
}
func (c *stepVerify) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*migrate.Migration).Verify)
}
func (c *stepRepair) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*migrate.Migration).Repair)
}
func (c *stepReseal) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*migrate.Migration).Reseal)
}
func (c *stepReindex) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*migrate.Migration).Reindex)
}
func (c *stepSweep) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, (*migrate.Migration).Sweep)
}
func (c *stepClearErased) Run(ctx context.Context, s *session) error {
	if err := c.only(s, "has a subject", func(t config.Table) bool { return t.Subject != "" }); err != nil {
		return err
	}
	return c.run(ctx, s, (*migrate.Migration).ClearErased)
}
func (c *stepClearNotice) Run(ctx context.Context, s *session) error {
	p, err := purpose.Parse(c.Purpose)
	if err != nil {
		return misuse("the name of a purpose is a-z, then a-z, 0-9 and -")
	}
	if !purpose.ValidReference(c.Notice) {
		return misuse("a notice is 1 to 64 letters, digits, and any of . _ -")
	}
	if err := c.only(s, "has that purpose", func(t config.Table) bool { return t.Purposes().Contains(p) }); err != nil {
		return err
	}
	return c.run(ctx, s, func(m *migrate.Migration, ctx context.Context, opts *migrate.Options) (*migrate.Report, error) {
		return m.ClearNotice(ctx, p, c.Notice, opts)
	})
}
func (c *stepCutOver) Run(ctx context.Context, s *session) error {
	if !c.Yes {
		return misuse("cut-over removes plaintext, and the sealed values are then the only copy").
			hinting("Say --yes if no program reads the plaintext any more, and the key store has a backup.")
	}
	return c.run(ctx, s, (*migrate.Migration).CutOver)
}

// only makes the default of a step the tables for which the step has work.
func (c *stepFlags) only(s *session, property string, has func(config.Table) bool) error {
	if len(c.Tables) > 0 {
		return nil
	}
	cfg, err := s.config()
	if err != nil {
		return err
	}
	for _, t := range cfg.Tables {
		if has(t) {
			c.Tables = append(c.Tables, t.Name)
		}
	}
	if len(c.Tables) == 0 {
		return misuse("no table of the configuration %s", property)
	}
	return nil
}

// run runs a step over the tables, one after the other. A table with findings does not keep
// the others from their turn.
func (c *stepFlags) run(ctx context.Context, s *session, do step) error {
	ctx, at, tables, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer at.Close()
	var reports []stepReport
	ok := true
	for _, t := range tables {
		r, err := c.table(ctx, s, at, t, do)
		if r != nil {
			reports = append(reports, reportOf(t.Name, r))
			ok = ok && r.OK()
		}
		if err != nil {
			// The rows until then are done, and their report says so.
			if r != nil {
				s.printSteps(reports)
				return resumable(ctx, err, t.Name, r.Last, len(tables) == 1)
			}
			return err
		}
	}
	if err := s.printSteps(reports); err != nil {
		return err
	}
	return unless(ok)
}

// open opens the site and finds the tables.
func (c *stepFlags) open(ctx context.Context, s *session) (context.Context, *site, []config.Table, error) {
	if c.Batch < 0 || c.Batch > 20000 || c.RowsPerSecond < 0 || c.Workers < 0 {
		return ctx, nil, nil, misuse("--batch is up to 20000, and no number is negative")
	}
	ctx, at, err := s.open(ctx, options{reason: c.Reason})
	if err != nil {
		return ctx, nil, nil, err
	}
	tables, err := at.tables(c.Tables)
	if err == nil && c.After != "" && len(tables) != 1 {
		err = misuse("--after is a key of one table: name the table")
	}
	if err != nil {
		at.Close()
		return ctx, nil, nil, err
	}
	return ctx, at, tables, nil
}

// tables returns the tables of the given names, or all.
func (at *site) tables(names []string) ([]config.Table, error) {
	if len(at.Tables) == 0 {
		return nil, misuse("%s has no [[table]]", at.File())
	}
	if len(names) == 0 {
		return at.Tables, nil
	}
	var tables []config.Table
	for _, name := range names {
		i := slices.IndexFunc(at.Tables, func(t config.Table) bool { return t.Name == name })
		if i < 0 {
			return nil, misuse("%s has no [[table]] of that name", at.File())
		}
		tables = append(tables, at.Tables[i])
	}
	return tables, nil
}

// table runs a step over one table.
func (c *stepFlags) table(ctx context.Context, s *session, at *site, t config.Table, do step) (*migrate.Report, error) {
	m, err := at.migration(ctx, t)
	if err != nil {
		return nil, err
	}
	return do(m, ctx, c.options(s, t.Name))
}

// options returns the options of a step over the table of the given name.
func (c *stepFlags) options(s *session, table string) *migrate.Options {
	return &migrate.Options{After: c.After, Batch: c.Batch, RowsPerSecond: c.RowsPerSecond, Workers: c.Workers, Progress: s.bar(table)}
}

// resumable returns the problem of a step that ended before the last row.
func resumable(ctx context.Context, err error, table, last string, alone bool) error {
	p := explain(ctx, err)
	if ctx.Err() != nil {
		p = misuse("stopped in table %s. Nothing that was done is lost: run the same command again, and it does the rest.", table)
	}
	if last != "" && alone {
		p.hinting("To pass over the rows that are done, add --after %s.", last)
	}
	return p
}

// A stepReport is the report of a step over one table.
type stepReport struct {
	Table    string                    `json:"table"`
	Step     string                    `json:"step"`
	OK       bool                      `json:"ok"`
	Rows     int64                     `json:"rows"`
	Changed  int64                     `json:"changed"`
	Last     string                    `json:"last,omitempty"`
	Columns  []columnReport            `json:"columns"`
	Problems map[migrate.Problem]int64 `json:"problems,omitempty"`
	Findings []findingReport           `json:"findings,omitempty"`

	report *migrate.Report
}

type columnReport struct {
	Column    string                    `json:"column"`
	Plain     int64                     `json:"plain"`
	Sealed    int64                     `json:"sealed"`
	Written   int64                     `json:"written"`
	Cleared   int64                     `json:"cleared"`
	Indexes   int64                     `json:"indexes"`
	Skipped   int64                     `json:"skipped"`
	Left      map[string]int64          `json:"left,omitempty"`
	Problems  map[migrate.Problem]int64 `json:"problems,omitempty"`
	Decisions map[string]int64          `json:"collected_for,omitempty"`
}

type findingReport struct {
	Key     string          `json:"key"`
	Column  string          `json:"column"`
	Problem migrate.Problem `json:"problem"`
	Of      string          `json:"of,omitempty"`
}

func reportOf(table string, r *migrate.Report) stepReport {
	report := stepReport{Table: table, Step: r.Step, OK: r.OK(), Rows: r.Rows, Changed: r.Changed, Last: r.Last, Problems: r.Problems, report: r}
	for _, c := range r.Columns {
		decisions := map[string]int64{}
		for set, n := range c.Decisions {
			decisions[set.String()] = n
		}
		report.Columns = append(report.Columns, columnReport{c.Column, c.Plain, c.Sealed, c.Written, c.Cleared, c.Indexes, c.Skipped, c.Left, c.Problems, decisions})
	}
	for _, f := range r.Findings {
		report.Findings = append(report.Findings, findingReport(f))
	}
	return report
}

func (s *session) printSteps(reports []stepReport) error {
	return s.print(reports, func(w io.Writer, width int) {
		for i, r := range reports {
			if i > 0 {
				fmt.Fprintln(w)
			}
			r.write(w, width)
		}
	})
}

// write writes the counts, and the first findings.
func (r stepReport) write(w io.Writer, width int) {
	term.Text(w, width, fmt.Sprintf("%s of %s: %d rows, %d changed", r.Step, r.Table, r.Rows, r.Changed))
	for _, c := range r.Columns {
		counts := []string{fmt.Sprintf("%d plain, %d sealed", c.Plain, c.Sealed)}
		for _, n := range []struct {
			count int64
			name  string
		}{{c.Written, "written"}, {c.Cleared, "cleared"}, {c.Indexes, "indexes written"}, {c.Skipped, "needed nothing"}} {
			if n.count > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", n.count, n.name))
			}
		}
		term.Text(w, width, "  "+c.Column+": "+strings.Join(counts, ", "))
		for _, names := range slices.Sorted(maps.Keys(c.Decisions)) {
			name := names
			if name == "" {
				name = "no known purpose"
			}
			term.Text(w, width, fmt.Sprintf("    for %s: %d", name, c.Decisions[names]))
		}
		for _, reason := range slices.Sorted(maps.Keys(c.Left)) {
			term.Text(w, width, fmt.Sprintf("    left, %s: %d", reason, c.Left[reason]))
		}
		for _, problem := range slices.Sorted(maps.Keys(c.Problems)) {
			term.Text(w, width, fmt.Sprintf("    %s: %d", problem, c.Problems[problem]))
		}
	}
	const shown = 20
	for i, f := range r.report.Findings {
		if i == shown {
			term.Text(w, width, "  … and more: --json has the first 1000")
			break
		}
		term.Text(w, width, "  "+f.String())
	}
}

// leftoversCmd searches for copies.
type leftoversCmd struct{ stepFlags }

type leftoversReport struct {
	Table    string           `json:"table"`
	OK       bool             `json:"ok"`
	Values   int64            `json:"values"`
	Unopened int64            `json:"unopened"`
	Tables   int64            `json:"tables"`
	Rows     int64            `json:"rows"`
	Found    []leftoverReport `json:"found"`
	Unread   []string         `json:"unread,omitempty"`

	report *migrate.LeftoverReport
}

type leftoverReport struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	Rows   int64  `json:"rows"`
}

func (c *leftoversCmd) Run(ctx context.Context, s *session) error {
	ctx, at, tables, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer at.Close()
	var reports []leftoversReport
	ok := true
	for _, t := range tables {
		m, err := at.migration(ctx, t)
		if err != nil {
			return err
		}
		r, err := m.Leftovers(ctx, c.options(s, t.Name))
		if err != nil {
			if ctx.Err() != nil {
				return misuse("stopped in table %s. Leftovers changes nothing: run the same command again.", t.Name)
			}
			return err
		}
		report := leftoversReport{t.Name, r.OK(), r.Values, r.Unopened, r.Tables, r.Rows, []leftoverReport{}, r.Unread, r}
		for _, found := range r.Found {
			report.Found = append(report.Found, leftoverReport(found))
		}
		reports = append(reports, report)
		ok = ok && r.OK()
	}
	err = s.print(reports, func(w io.Writer, width int) {
		for _, r := range reports {
			term.Text(w, width, fmt.Sprintf("leftovers of %s", r.Table))
			term.Text(w, width, strings.TrimRight(r.report.String(), "\n"))
		}
	})
	if err != nil {
		return err
	}
	return unless(ok)
}

// unless returns the end of a command that has findings.
func unless(ok bool) error {
	if ok {
		return nil
	}
	return exit{found}
}
