package migrate

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A Progress says how far a step is.
type Progress struct {
	// Step is the step's name, such as "backfill".
	Step string
	// Done is how many rows are done with, of Total, which was counted when the
	// step began: writers may have changed it since.
	Done, Total int64
	// Elapsed is for how long the step has been running.
	Elapsed time.Duration
	// Last is the key of the last row done, for [Options.After].
	Last string
	// Finished is true the last time, whether the step succeeded or not.
	Finished bool
}

const (
	barWidth  = 30
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
)

// Bar returns a function for [Options.Progress] that draws a progress bar on w
// if that is a terminal, and writes a line now and then if it is not.
func Bar(w io.Writer) func(Progress) {
	terminal := isTerminal(w)
	every := lineEvery
	if terminal {
		every = barEvery
	}
	var next time.Duration // of p.Elapsed
	if !terminal {
		next = every
	}
	return func(p Progress) {
		if p.Elapsed < next && !p.Finished {
			return
		}
		next = p.Elapsed + every
		if p.Finished {
			next = every // of what comes next
		}
		// What can't be written is no reason to stop.
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

// String returns the progress as in "backfill: 12000 of 50000 rows, 24%, 21000
// rows/s, 2s left".
func (p Progress) String() string {
	s := fmt.Sprintf("%s: %d of %d rows", p.Step, p.Done, p.Total)
	if p.Total > 0 {
		s += fmt.Sprintf(", %d%%", min(100, p.Done*100/p.Total))
	}
	if seconds := p.Elapsed.Seconds(); p.Done > 0 && seconds > 0 {
		rate := float64(p.Done) / seconds
		s += fmt.Sprintf(", %.0f rows/s", rate)
		if left := p.Total - p.Done; left > 0 && !p.Finished {
			s += fmt.Sprintf(", %v left", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
		}
	}
	return s
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
