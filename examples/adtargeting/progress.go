package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress shows how much of a long step is done: with a bar on a terminal, and
// with a line now and then elsewhere. It shows nothing for a short step.
type progress struct {
	out   io.Writer
	what  string
	total int64 // -1 if it is not known
	done  int64
	bar   *progressbar.ProgressBar // nil for lines
	next  time.Time                // when the next line is due
}

const longStep = 5_000 // people

var lineEvery = 5 * time.Second

func newProgress(out io.Writer, what string, total int64) *progress {
	p := &progress{out: out, what: what, total: total, next: time.Now().Add(lineEvery)}
	if f, ok := out.(*os.File); ok && total >= longStep && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription(what),
			progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(),
			progressbar.OptionShowIts(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

func (p *progress) add(n int) {
	p.done += int64(n)
	if p.bar != nil {
		_ = p.bar.Add(n) // a terminal that went away is no reason to stop
		return
	}
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(lineEvery)
		of := ""
		if p.total >= 0 {
			of = " of " + number(p.total)
		}
		fmt.Fprintf(p.out, "%s: %s%s\n", p.what, number(p.done), of)
	}
}

// Write clears the bar and writes a message. The bar comes back below the message.
func (p *progress) Write(message []byte) (int, error) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	return p.out.Write(message)
}

// finish removes the bar.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
