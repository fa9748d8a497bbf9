package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
)

// A Report says what a step did and found. It holds keys of rows and names of
// columns, and no values.
type Report struct {
	// Step is the step's name, such as "backfill".
	Step string
	// Rows is how many rows were looked at, and Changed how many were written.
	Rows, Changed int64
	// Columns says what was counted for each, in the order of [Table.Columns].
	Columns []ColumnReport
	// Problems counts the findings by what they are.
	Problems map[Problem]int64
	// Findings are the first 1000 findings. [Options.Found] is given all.
	Findings []Finding
	// Last is the key of the last row that was done with, for [Options.After].
	Last string
}

// A ColumnReport counts the values of one column, as the step met them.
type ColumnReport struct {
	// Column is the name of the column of plaintext, or that of the sealed one
	// where there is no other.
	Column string
	// Plain is how many rows had plaintext, and Sealed how many a sealed value.
	Plain, Sealed int64
	// Decisions counts what [Column.CollectedFor] said of valid values: none is
	// the zero Set. Steps that don't ask leave it empty.
	Decisions map[purpose.Set]int64
}

// A Problem is what is wrong with a value.
type Problem string

// The problems.
const (
	// Invalid is text that is not of the column's kind. It is left as it is.
	Invalid Problem = "invalid"
	// Duplicate is a value whose canonical form an earlier row has as well. If the
	// index column is unique, Backfill can't seal it and reports it again.
	Duplicate Problem = "duplicate"
	// Quarantined is a value of which it is not known what it was collected for.
	Quarantined Problem = "quarantined"
	// NoSubject is a value in a row without the id of its subject.
	NoSubject Problem = "no subject"
	// Unsealed is plaintext that is not sealed yet.
	Unsealed Problem = "unsealed"
	// Stale is a sealed value that is another than the plaintext: something still
	// writes the plaintext alone. Repair mends it.
	Stale Problem = "stale"
	// StaleIndex is an index that is missing, or not the one that the value has
	// under the primary index key.
	StaleIndex Problem = "stale index"
	// OtherPurposes is a sealed value that lacks a purpose it was collected for,
	// or has one that no scope is given for and no other.
	OtherPurposes Problem = "other purposes"
	// Corrupt is a sealed value that does not open. Investigate.
	Corrupt Problem = "corrupt"
	// Expired is a value whose time of retention is over. Sweep removes it.
	Expired Problem = "expired"
	// Erased is a value of a subject that is erased.
	Erased Problem = "erased"
	// Plaintext is a value that can't be swept, for its plaintext is still there.
	Plaintext Problem = "plaintext"
	// Contended is a row that others kept changing. The next run takes it.
	Contended Problem = "contended"
)

// A Finding is one problem of one value.
type Finding struct {
	Key     string // of the row: bytes in hexadecimal
	Column  string // as in [ColumnReport]
	Problem Problem
	// Of is the key of the row that has the same value, for a Duplicate that Plan
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

// printable returns a key, quoted if it could pass for more than one line of a
// report: keys that are text may be what somebody chose.
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
			what := "collected for " + set.String()
			if set.IsZero() {
				what = "collected for an unknown purpose"
			}
			fmt.Fprintf(&b, "    %d %s\n", c.Decisions[set], what)
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

// count adds what is known of a row that is done with.
func (m *Migration) count(report *Report, r *row, o *Options) {
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
