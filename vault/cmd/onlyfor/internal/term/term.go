// Package term writes text for people: tables, fields and sentences that fit the width of
// a terminal. It writes no colours.
package term

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Width returns the number of columns of w: the variable COLUMNS if it is set, the
// terminal's own width, or 80.
func Width(w io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return max(n, minWidth)
	}
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return max(n, minWidth)
		}
	}
	return 80
}

const minWidth = 20

// IsTerminal reports whether f is a terminal that moves its cursor.
func IsTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
}

// A Table has rows of cells under a head.
type Table struct {
	Head []string
	Rows [][]string
}

// Write writes t in columns if they fit into width, and otherwise one field a line. An
// empty cell is left out there.
func (t Table) Write(w io.Writer, width int) {
	widths := make([]int, len(t.Head))
	for i := range t.Head {
		widths[i] = utf8.RuneCountInString(t.Head[i])
		for _, row := range t.Rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	if total > width {
		for i, row := range t.Rows {
			if i > 0 {
				fmt.Fprintln(w)
			}
			var fields []Field
			for j, cell := range row {
				if cell != "" {
					fields = append(fields, Field{t.Head[j], cell})
				}
			}
			Fields(w, width, fields...)
		}
		return
	}
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// A Field is a name and its text.
type Field struct{ Name, Text string }

// Fields writes fields under each other, with their texts in one column. A long text goes
// on in that column.
func Fields(w io.Writer, width int, fields ...Field) {
	names := 0
	for _, f := range fields {
		names = max(names, utf8.RuneCountInString(f.Name))
	}
	names = min(names, width/2)
	for _, f := range fields {
		lines := wrap(f.Text, width-names-2)
		for i, line := range lines {
			name := f.Name
			if i > 0 {
				name = ""
			} else if utf8.RuneCountInString(name) > names {
				fmt.Fprintln(w, name) // a line of its own
				name = ""
			}
			fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-*s  %s", names, name, line), " "))
		}
	}
}

// Text writes sentences, broken between words.
func Text(w io.Writer, width int, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		for _, part := range wrap(line, width) {
			fmt.Fprintln(w, part)
		}
	}
}

// wrap breaks text between words into lines of at most width, or of one longer word.
func wrap(text string, width int) []string {
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	var lines []string
	line := indent
	for _, word := range strings.Fields(text) {
		switch {
		case line == indent:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, line)
			line = indent + word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
