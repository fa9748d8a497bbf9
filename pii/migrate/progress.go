package migrate

import (
	"fmt"
	"time"
)

// A Progress has the number of rows that a step has done. A progress bar is in
// examples/usermodel.
type Progress struct {
	// Step is the step's name, such as "backfill".
	Step string
	// Done is the number of rows that are done. Total is the number of all rows
	// when the step began: writers may have changed it since.
	Done, Total int64
	// Changed is the number of rows that the step has written, and Problems the number of
	// its findings.
	Changed, Problems int64
	// Elapsed is the time since the step began.
	Elapsed time.Duration
	// Last is the key of the last row done, for [Options.After].
	Last string
	// Finished is true in the last call, whether the step succeeded or not.
	Finished bool
}

// String returns one line, such as "backfill: 12000 of 50000 rows, 24%, 11970
// changed, 30 problems, 21000 rows/s, 2s left".
func (p Progress) String() string {
	s := fmt.Sprintf("%s: %d of %d rows", p.Step, p.Done, p.Total)
	if p.Total > 0 {
		s += fmt.Sprintf(", %d%%", min(100, p.Done*100/p.Total))
	}
	if p.Changed > 0 {
		s += fmt.Sprintf(", %d changed", p.Changed)
	}
	if p.Problems > 0 {
		s += fmt.Sprintf(", %d problems", p.Problems)
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
