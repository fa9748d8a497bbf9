package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// report prints the table and the verdict.
func (s *story) report() error {
	lines := [][]string{{"", "asked", "allowed", "refused", "matched", "audited", "per op", ""}}
	who := ""
	for _, r := range s.roads {
		if r.Who != who {
			who = r.Who
			lines = append(lines, nil, []string{headings[who]})
		}
		lines = append(lines, tableRow(r))
	}
	if _, err := fmt.Fprintf(s.out, "\n%s\n", table(lines)); err != nil {
		return err
	}
	var audited decisions
	for _, r := range s.roads {
		audited.Allowed += r.Audit.Allowed
		audited.Refused += r.Audit.Refused
	}
	fmt.Fprintf(s.out, "The audit recorded %s decisions, %s of them refusals.\n", number(audited.Allowed+audited.Refused), number(audited.Refused))
	if !s.state.temp {
		fmt.Fprintf(s.out, "Kept in %s, the keys in clear.\n", s.state.dir)
	}
	_, err := fmt.Fprintln(s.out, s.summary())
	return err
}

var headings = map[string]string{
	"company":     "The company, for security",
	"ad team":     "The ad team, in the same process",
	"ads process": "The ad team, in a process with its own KEK only",
}

func tableRow(r road) []string {
	allowed, refused, audited := number(r.Allowed), number(r.Refused), number(r.Audit.Allowed+r.Audit.Refused)
	if r.Rule == unasked {
		allowed, refused, audited = "-", "-", "-"
	}
	matched := "-"
	if r.WantConsented || r.Want > 0 || r.Matched > 0 || r.Rule == unasked {
		matched = number(r.Matched)
	}
	if r.WantConsented {
		matched += " of " + number(r.Want)
	}
	perOp := "-"
	if r.Asked > 0 {
		perOp = brief(r.Took / time.Duration(r.Asked))
	}
	mark := "ok"
	switch fault := r.fault(); {
	case fault != "":
		mark = "GAVE WAY: " + fault
	case r.Asked == 0:
		mark = "nothing to try"
	}
	return []string{"  " + r.Name, number(r.Asked), allowed, refused, matched, audited, perOp, mark}
}

// summary returns the meaning of the table in one sentence.
func (s *story) summary() string {
	faults := 0
	for _, r := range s.roads {
		if r.fault() != "" {
			faults++
		}
	}
	if faults > 0 {
		return fmt.Sprintf("VERDICT: %d of %d roads did not end as they have to. A boundary gave way.", faults, len(s.roads))
	}
	return fmt.Sprintf("VERDICT: every boundary held. Of the %s users on the list, the ad team reaches the %s who consented and none of the other %s.",
		number(s.listed), number(s.expected), number(s.listed-s.expected))
}

// table aligns the first and the last column to the left, the others to the
// right.
func table(lines [][]string) string {
	var width []int
	for _, cells := range lines {
		for i, cell := range cells {
			if i == len(width) {
				width = append(width, 0)
			}
			if len(cells) > 1 { // a heading does not widen its column
				width[i] = max(width[i], utf8.RuneCountInString(cell))
			}
		}
	}
	var b strings.Builder
	for _, cells := range lines {
		var line strings.Builder
		for i, cell := range cells {
			pad := strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(cell)))
			switch {
			case i == 0:
				line.WriteString(cell + pad)
			case i < len(cells)-1:
				line.WriteString("  " + pad + cell)
			default:
				line.WriteString("  " + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// number returns n with commas between groups of three digits.
func number[T int | int64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// brief returns d with three significant digits.
func brief(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}
