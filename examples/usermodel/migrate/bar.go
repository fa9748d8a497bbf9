package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/pii/migrate"
)

const (
	barWidth  = 30
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
)

// bar returns a function for [migrate.Options.Progress]. On a terminal it draws a
// progress bar, and elsewhere it writes a line every five seconds.
func bar(w io.Writer) func(migrate.Progress) {
	terminal := isTerminal(w)
	every := lineEvery
	if terminal {
		every = barEvery
	}
	var next time.Duration // the p.Elapsed of the next line
	if !terminal {
		next = every
	}
	return func(p migrate.Progress) {
		if p.Elapsed < next && !p.Finished {
			return
		}
		next = p.Elapsed + every
		if p.Finished {
			next = every // for the next step
		}
		// A failed write of the progress is no reason to stop the step.
		if !terminal {
			fmt.Fprintln(w, p)
			return
		}
		filled := barWidth
		if p.Total > p.Done {
			filled = int(p.Done * barWidth / p.Total)
		}
		fmt.Fprintf(w, "\r\x1b[K[%s%s] %s", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), p)
		if p.Finished {
			fmt.Fprintln(w)
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
