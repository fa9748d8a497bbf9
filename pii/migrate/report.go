package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Report has the results of a step. It has keys of rows and names of columns, and
// no values.
type Report struct {
	// Step is the step's name, such as "backfill".
	Step string
	// Rows is the number of rows that were read, and Changed the number of rows
	// that were written.
	Rows, Changed int64
	// Columns has the counts of each column, in the order of [Table.Columns].
	Columns []ColumnReport
	// Problems counts the findings of each problem.
	Problems map[Problem]int64
	// Findings are the first 1000 findings. [Options.Found] gets all of them.
	Findings []Finding
	// Last is the key of the last row that is done, for [Options.After].
	Last string

	writes bool // the step may write
}

// A ColumnReport counts the values of one column, as the step read them.
type ColumnReport struct {
	// Column is the name of the column of plaintext, or of the sealed column if
	// there is no plaintext.
	Column string
	// Plain is the number of rows with plaintext, and Sealed the number of rows with
	// a sealed value.
	Plain, Sealed int64
	// Written is the number of sealed values that the step wrote, Cleared the number of
	// plaintexts and sealed values that it removed, and Indexes the number of indexes that it
	// wrote or set to NULL. Skipped is the number of sealed values that needed
	// nothing, since an earlier run or the application has done it.
	Written, Cleared, Indexes, Skipped int64
	// Left counts the values that stay as they are, by the reason that [Column.Leave]
	// gave.
	Left map[string]int64
	// Problems counts the findings of each problem in the column.
	Problems map[Problem]int64
	// Decisions counts the answers of [Column.CollectedFor] for valid values. No
	// scope counts under the zero Set. It is empty after steps that don't ask.
	Decisions map[purpose.Set]int64
}

// A Problem is a reason for a [Finding].
type Problem string

// The problems.
const (
	// Invalid is text that is not of the column's kind. No step changes it.
	Invalid Problem = "invalid"
	// Unreadable is content of a column that [Column.Plaintext] or [Column.Rest] could not
	// read. No step changes it.
	Unreadable Problem = "unreadable"
	// Duplicate is a value whose canonical form an earlier row has as well. If the
	// index column is unique, Backfill can't seal it and reports it again.
	Duplicate Problem = "duplicate"
	// Quarantined is a value for which [Column.CollectedFor] returned no scope.
	Quarantined Problem = "quarantined"
	// InvalidBasis is a value for which [Column.CollectedFor] returned a scope under a
	// basis that [purpose.Basis.Validate] refuses, such as a time of collection in the
	// future.
	InvalidBasis Problem = "invalid basis"
	// NoSubject is a value in a row without the id of its subject, or with an id that
	// [vault.ValidSubject] refuses, such as 0.
	NoSubject Problem = "no subject"
	// SubjectMismatch is a sealed value of no single person in a table with a
	// [Table.Subject], or a value of a person in a table without one. Reseal brings the
	// former under the key of the row's person.
	SubjectMismatch Problem = "subject mismatch"
	// Unsealed is plaintext that is not sealed yet.
	Unsealed Problem = "unsealed"
	// Stale is a sealed value that differs from the plaintext: some program still
	// writes the plaintext alone. Repair mends it.
	Stale Problem = "stale"
	// StaleIndex is an index that is missing, differs from the value's index under the
	// primary index key, or stands without a value.
	StaleIndex Problem = "stale index"
	// OtherPurposes is a sealed value that lacks a purpose it was collected for,
	// or that has only purposes without a scope in [Table.Scopes].
	OtherPurposes Problem = "other purposes"
	// Retired is a sealed value under a key that was retired or destroyed, or a value of
	// a subject whose key is: see [vault.ErrRetired]. Reinstate the key with
	// [vault.Admin.Reinstate], and call [Migration.Reseal].
	Retired Problem = "retired"
	// Corrupt is a sealed value that does not open, such as the value of another subject than
	// the row's, or a value of a subject whose key does not open. Investigate.
	Corrupt Problem = "corrupt"
	// Expired is a value whose time of retention is over. Sweep removes it if it is
	// sealed. Backfill does not seal plaintext whose retention is over, counted from the
	// time of collection that its basis states: delete it.
	Expired Problem = "expired"
	// Erased is a value of a subject that is erased.
	Erased Problem = "erased"
	// Suspended is a value whose purpose or notice is suspended: see
	// [vault.Admin.Suspend]. The step passes over it; run the step again after
	// [vault.Admin.Resume].
	Suspended Problem = "suspended"
	// Plaintext is a value that can't be swept because its plaintext is still there.
	Plaintext Problem = "plaintext"
	// Altered is a value that the database did not keep as the step wrote it: a trigger, a
	// rule or the type of a column changed the row. The step took the write back.
	Altered Problem = "altered"
	// Failed is a value for which [Column.CollectedFor] or [Column.Leave] panicked or
	// called runtime.Goexit, or for which Leave returned a malformed reason.
	Failed Problem = "function failed"
	// Contended is a row that was not written, since others changed it again and again or
	// since the database writes no such row: a policy of rows or a trigger keeps the
	// statement from it, or a trigger raises an error. In the former case the next run
	// writes it.
	Contended Problem = "contended"
)

// A Finding is one problem of one value.
type Finding struct {
	Key     string // of the row: bytes in hexadecimal
	Column  string // as in [ColumnReport]
	Problem Problem
	// Of is the key of the first row with that value, for a Duplicate that Plan
	// found.
	Of string
}

// String returns the finding as in "row 17: email: invalid". A key of more than
// printable characters is quoted.
func (f Finding) String() string {
	s := "row " + printable(f.Key) + ": " + f.Column + ": " + string(f.Problem)
	if f.Of != "" {
		s += " of row " + printable(f.Of)
	}
	return s
}

// printable returns a key, in quotes if it could look like two lines of a report: a
// key that is text may be chosen by somebody.
func printable(key string) string {
	for _, r := range key {
		if !strconv.IsPrint(r) || r == '"' {
			return strconv.Quote(key)
		}
	}
	return key
}

// OK reports whether there are no findings. Values that are left are no findings.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

const maxFindings = 1000

// String returns a few lines for people.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d rows, %d changed\n", r.Step, r.Rows, r.Changed)
	total := maps.Clone(r.Problems)
	for _, c := range r.Columns {
		fmt.Fprintf(&b, "  %s: %d plain, %d sealed", c.Column, c.Plain, c.Sealed)
		sep := " when read; "
		for _, did := range []struct {
			n    int64
			what string
		}{{c.Written, "values written"}, {c.Cleared, "cleared"}, {c.Indexes, "indexes written"}, {c.Skipped, "skipped"}} {
			if did.n > 0 {
				fmt.Fprintf(&b, "%s%d %s", sep, did.n, did.what)
				sep = ", "
			}
		}
		b.WriteByte('\n')
		for _, set := range slices.SortedFunc(maps.Keys(c.Decisions), func(a, b purpose.Set) int {
			return strings.Compare(a.String(), b.String())
		}) {
			purposes := set.String()
			if set.IsZero() {
				purposes = "an unknown purpose"
			}
			fmt.Fprintf(&b, "    %d collected for %s\n", c.Decisions[set], purposes)
		}
		for _, reason := range slices.Sorted(maps.Keys(c.Left)) {
			fmt.Fprintf(&b, "    %d left: %s\n", c.Left[reason], reason)
		}
		for _, p := range slices.Sorted(maps.Keys(c.Problems)) {
			fmt.Fprintf(&b, "    %s: %d\n", p, c.Problems[p])
			if total[p] -= c.Problems[p]; total[p] == 0 {
				delete(total, p)
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(total)) {
		fmt.Fprintf(&b, "  %s: %d\n", p, total[p])
	}
	return b.String()
}

func (m *Migration) newReport(step string) *Report {
	r := &Report{Step: step, Problems: make(map[Problem]int64), writes: !slices.Contains([]string{"plan", "plan, duplicates", "verify", "leftovers of"}, step)}
	for _, c := range m.columns {
		r.Columns = append(r.Columns, ColumnReport{
			Column: c.name, Decisions: make(map[purpose.Set]int64), Left: make(map[string]int64), Problems: make(map[Problem]int64),
		})
	}
	return r
}

// problems returns the number of all findings.
func (r *Report) problems() (n int64) {
	for _, of := range r.Problems {
		n += of
	}
	return n
}

// merge adds the problems and reasons of another report on the column.
func (c *ColumnReport) merge(more *ColumnReport) {
	for p, n := range more.Problems {
		c.Problems[p] += n
	}
	for reason, n := range more.Left {
		c.Left[reason] += n
	}
}

func (r *Report) find(f Finding, found func(Finding)) {
	r.Problems[f.Problem]++
	for i := range r.Columns {
		if r.Columns[i].Column == f.Column {
			r.Columns[i].Problems[f.Problem]++
		}
	}
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, f)
	}
	if found != nil {
		found(f)
	}
}

// count adds a row that is done to the report.
func (m *Migration) count(report *Report, r *rowEdit, o *Options) {
	report.Rows++
	if len(r.written) > 0 {
		report.Changed++
	}
	settled := make([]bool, len(m.columns)) // columns that were not skipped
	for _, a := range r.written {
		f := m.fields[a.field]
		settled[f.column] = true
		switch c := &report.Columns[f.column]; {
		case f.role == indexBytes:
			if a.value != nil || r.has(a.field) { // not NULL in the place of NULL
				c.Indexes++
			}
		case f.role == plainText || a.value == nil:
			c.Cleared++
		default:
			c.Written++
		}
	}
	for _, l := range r.left {
		settled[l.column] = true
		left := report.Columns[l.column].Left
		if left[l.reason] == 0 && len(left) == maxReasons {
			r.find(m.columns[l.column].name, Failed)
			continue
		}
		left[l.reason]++
	}
	for _, d := range r.decisions {
		report.Columns[d.column].Decisions[d.purposes]++
	}
	for _, f := range r.findings {
		report.find(f, o.Found)
	}
	for i, c := range m.columns {
		if r.hasPlain(i) {
			report.Columns[i].Plain++
		}
		if r.has(c.sealed) {
			report.Columns[i].Sealed++
		}
		if report.writes && !settled[i] && !r.found(&m.columns[i]) && r.has(c.sealed) {
			report.Columns[i].Skipped++
		}
	}
	report.Last = r.keyText
}
