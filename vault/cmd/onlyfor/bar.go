package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// bar returns a function that draws the progress of a step on standard error if that is a
// terminal, and nil otherwise.
func (s *session) bar(table string) func(migrate.Progress) {
	if s.cli.JSON || !term.IsTerminal(s.stderr) {
		return nil
	}
	const every = 100 * time.Millisecond
	var next time.Duration
	return func(p migrate.Progress) {
		if p.Elapsed < next && !p.Finished {
			return
		}
		next = p.Elapsed + every
		fmt.Fprint(s.stderr, "\r\x1b[K"+barLine(table, p, term.Width(s.stderr)))
		if p.Finished {
			fmt.Fprintln(s.stderr)
		}
	}
}

// barLine returns a bar and its numbers in one line of at most width-1 columns: a line that
// is longer can't be drawn over.
func barLine(table string, p migrate.Progress, width int) string {
	text := table + " " + p.String()
	cells := min(width-utf8.RuneCountInString(text)-4, 30)
	if cells < 5 {
		runes := []rune(text)
		return string(runes[:min(len(runes), width-1)])
	}
	filled := cells
	if p.Total > p.Done {
		filled = int(p.Done * int64(cells) / p.Total)
	}
	return "[" + strings.Repeat("=", filled) + strings.Repeat(" ", cells-filled) + "] " + text
}
