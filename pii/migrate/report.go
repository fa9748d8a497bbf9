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
}

// A ColumnReport counts the values of one column, as the step read them.
type ColumnReport struct {
	// Column is the name of the column of plaintext, or of the sealed column if
	// there is no plaintext.
	Column string
	// Plain is the number of rows with plaintext, and Sealed the number of rows with
	// a sealed value.
	Plain, Sealed int64
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
	// Duplicate is a value whose canonical form an earlier row has as well. If the
	// index column is unique, Backfill can't seal it and reports it again.
	Duplicate Problem = "duplicate"
	// Quarantined is a value for which [Column.CollectedFor] returned no scope.
	Quarantined Problem = "quarantined"
	// NoSubject is a value in a row without the id of its subject.
	NoSubject Problem = "no subject"
	// Unsealed is plaintext that is not sealed yet.
	Unsealed Problem = "unsealed"
	// Stale is a sealed value that differs from the plaintext: some program still
	// writes the plaintext alone. Repair mends it.
	Stale Problem = "stale"
	// StaleIndex is an index that is missing, or differs from the value's index
	// under the primary index key.
	StaleIndex Problem = "stale index"
	// OtherPurposes is a sealed value that lacks a purpose it was collected for,
	// or that has only purposes without a scope in [Table.Scopes].
	OtherPurposes Problem = "other purposes"
	// Corrupt is a sealed value that does not open. Investigate.
	Corrupt Problem = "corrupt"
	// Expired is a value whose time of retention is over. Sweep removes it.
	Expired Problem = "expired"
	// Erased is a value of a subject that is erased.
	Erased Problem = "erased"
	// Plaintext is a value that can't be swept because its plaintext is still there.
	Plaintext Problem = "plaintext"
	// Contended is a row that others changed again and again. The next run writes it.
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

// OK reports whether there are no findings.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

const maxFindings = 1000

// String returns a few lines for people.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d rows, %d changed\n", r.Step, r.Rows, r.Changed)
	for _, c := range r.Columns {
		fmt.Fprintf(&b, "  %s: %d plain, %d sealed\n", c.Column, c.Plain, c.Sealed)
		for _, set := range slices.SortedFunc(maps.Keys(c.Decisions), func(a, b purpose.Set) int {
			return strings.Compare(a.String(), b.String())
		}) {
			purposes := set.String()
			if set.IsZero() {
				purposes = "an unknown purpose"
			}
			fmt.Fprintf(&b, "    %d collected for %s\n", c.Decisions[set], purposes)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(r.Problems)) {
		fmt.Fprintf(&b, "  %s: %d\n", p, r.Problems[p])
	}
	return b.String()
}

func (m *Migration) newReport(step string) *Report {
	r := &Report{Step: step, Problems: make(map[Problem]int64)}
	for _, c := range m.columns {
		r.Columns = append(r.Columns, ColumnReport{Column: c.name, Decisions: make(map[purpose.Set]int64)})
	}
	return r
}

func (r *Report) find(f Finding, found func(Finding)) {
	r.Problems[f.Problem]++
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
	for i, c := range m.columns {
		if c.plain >= 0 && r.has(c.plain) {
			report.Columns[i].Plain++
		}
		if r.has(c.sealed) {
			report.Columns[i].Sealed++
		}
	}
	for _, d := range r.decisions {
		report.Columns[d.column].Decisions[d.purposes]++
	}
	for _, f := range r.findings {
		report.find(f, o.Found)
	}
	report.Last = r.keyText
}
