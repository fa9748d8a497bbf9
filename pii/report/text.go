package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// WriteText writes the report as tables of plain text. It returns the error of w.
func (r *AffectedReport) WriteText(w io.Writer) error {
	t := newTable(w)
	t.line("Selected: %s.", r.Query)
	t.line("%s people, %s values, collected from %s to %s.", plain(r.Total.People), plain(r.Total.Values), day(r.Total.First), day(r.Total.Last))
	if r.Verifies {
		t.line("%d values were opened, which proves what they state; %d did not open.", r.Total.Verified, r.Total.Refused)
	} else {
		t.line("No value was opened: all numbers are claims of the values.")
	}
	t.count(r.Expired, "values are past their retention.")
	t.count(r.Collected, "values were sealed by a collector and not taken in: anybody can have made them.")
	t.count(r.Erased, "values are of people who were erased.")
	t.count(r.Unreadable, "cells hold text that is no sealed value, and are not counted.")
	for _, s := range r.sections() {
		if len(s.Groups) == 0 {
			continue
		}
		t.line("")
		t.row(strings.ToLower(s.Title), "people", "values", "first", "last", "opened", "not opened")
		for _, g := range s.Groups {
			t.row(cmp.Or(g.Name, s.None), g.People, g.Values, day(g.First), day(g.Last), g.Verified, g.Refused)
		}
		t.flush()
	}
	if len(r.Extended) > 0 {
		t.line("")
		t.row("extended from", "to", "by consent", "values")
		for _, e := range r.Extended {
			t.row(e.From, e.To, cmp.Or(e.Consent, "–"), e.Values)
		}
	}
	return t.end()
}

// WriteText writes the report as tables of plain text. It returns the error of w.
func (r *UsesReport) WriteText(w io.Writer) error {
	t := newTable(w)
	t.line("Selected: %s.", r.Query)
	for _, l := range r.Logs {
		verdict := "verifies"
		if len(l.Findings) > 0 {
			verdict = "DOES NOT VERIFY, so its numbers prove nothing"
		}
		t.line("Log %s %s: %d entries from %s to %s, hash %s.", l.Origin, verdict, l.Size, day(l.First), day(l.Last), l.Hash)
		for _, f := range l.Findings {
			t.line("  finding: %s", f)
		}
		for _, n := range l.NotExcluded {
			t.line("  not excluded: %s", n)
		}
		t.count(l.Removed, "entries were removed at the end of their retention, and are not counted.")
	}
	if len(r.Uses) == 0 {
		t.line("No use is recorded.")
		return t.end()
	}
	t.line("")
	t.row("purpose", "action", "outcome", "notice", "log", "values", "entries")
	for _, u := range r.sums() {
		action := u.Action
		if u.To != "" {
			action += " to " + u.To
		}
		if u.From != "" {
			action += " from " + u.From
		}
		outcome := u.Outcome
		if u.Reason != "" {
			outcome += ": " + u.Reason
		}
		t.row(cmp.Or(u.Purpose, "–"), action, outcome, cmp.Or(u.Notice, "not known"), u.Log, u.Values, u.Events)
	}
	t.flush()
	t.count(r.More, "further events are not in this table, which has too many lines.")
	return t.end()
}

// WriteText writes the record as plain text. It returns the error of w.
func (r *RopaReport) WriteText(w io.Writer) error {
	t := newTable(w)
	t.line("Record of processing activities")
	t.row("controller", cmp.Or(r.Controller.Name, "–"))
	t.row("contact", cmp.Or(r.Controller.Contact, "–"))
	t.row("data protection officer", cmp.Or(r.Controller.Officer, "–"))
	t.flush()
	for _, a := range r.Activities {
		t.line("")
		t.line("%s", a.Purpose)
		for _, f := range []struct{ name, text string }{
			{"description", a.Description},
			{"personal data", strings.Join(a.Kinds, ", ")},
			{"people", fmt.Sprintf("%s: %d people, %d values", orNone(strings.Join(a.Categories, ", "), "–"), a.People, a.Values)},
			{"collected", day(a.First) + " to " + day(a.Last)},
			{"legal grounds", strings.Join(a.Grounds, ", ")},
			{"notices", strings.Join(a.Notices, ", ")},
			{"kept for", a.kept()},
			{"recipients", strings.Join(a.AllRecipients(), ", ")},
			{"third countries", strings.Join(a.Transfers, ", ")},
			{"measures", strings.Join(a.Measures, ", ")},
			{"kept in", strings.Join(a.Tables, ", ")},
		} {
			t.row("  "+f.name, cmp.Or(f.text, "–"))
		}
		for _, p := range a.Places {
			t.row("  source: "+p.Operation, p.Name)
		}
		t.flush()
	}
	if len(r.Missing) > 0 {
		t.line("")
		t.line("Missing:")
		for _, m := range r.Missing {
			t.line("  %s", m)
		}
	}
	t.count(int64(r.Unknown), "places in the source serve a purpose that can't be told.")
	return t.end()
}

// kept returns the retention in words.
func (a *Activity) kept() string {
	switch {
	case a.Values == 0:
		return "–"
	case a.RetentionDays == 0:
		return "without an end"
	case a.Unlimited > 0:
		return fmt.Sprintf("%d days at most, and %d values without an end", a.RetentionDays, a.Unlimited)
	}
	return fmt.Sprintf("%d days at most", a.RetentionDays)
}

func plain(n int64) string { return fmt.Sprint(n) }

// A table writes lines and rows, and keeps the first error.
type table struct {
	w   io.Writer
	tab *tabwriter.Writer
	err error
}

func newTable(w io.Writer) *table { return &table{w: w, tab: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (t *table) note(err error) {
	if t.err == nil {
		t.err = err
	}
}

// line writes a line of text.
func (t *table) line(format string, args ...any) {
	t.flush()
	_, err := fmt.Fprintln(t.w, printable(fmt.Sprintf(format, args...)))
	t.note(err)
}

// count writes a sentence that begins with a number, unless the number is 0.
func (t *table) count(n int64, text string) {
	if n > 0 {
		t.line("%d %s", n, text)
	}
}

// row writes a row of the current table.
func (t *table) row(cells ...any) {
	for i, c := range cells {
		end := "\t"
		if i == len(cells)-1 {
			end = "\n"
		}
		_, err := fmt.Fprint(t.tab, printable(fmt.Sprint(c)), end)
		t.note(err)
	}
}

// printable returns s with U+FFFD for each character that can't be printed, such as a line
// break and those that move a terminal's cursor or turn the direction of text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func (t *table) flush() { t.note(t.tab.Flush()) }

func (t *table) end() error {
	t.flush()
	return t.err
}
