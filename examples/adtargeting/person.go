package main

import (
	"fmt"
	"io"
	"iter"
	"strings"
)

// A person is what somebody typed into a form, or what a list says of somebody.
type person struct {
	line    int // of the file it comes from, by which it is reported
	email   string
	phone   string
	consent string // reference of the consent to ads, "" if there is none
}

// A source is where people come from. Its sequence can be gone through more
// than once, and never holds more than one person in memory. An error that is
// a [lineError] is about one line, and more may follow; any other is the end.
type source struct {
	name   string
	total  int64 // -1 if it is not known
	people iter.Seq2[person, error]
}

// A line is a person as a batch takes one: with the error of the source, which
// keeps its place among the results.
type line struct {
	person
	err error
}

// lines returns the people of the source, and the errors between them.
func (s source) lines() iter.Seq[line] {
	return func(yield func(line) bool) {
		for p, err := range s.people {
			if !yield(line{p, err}) {
				return
			}
		}
	}
}

// A lineError says what is wrong with a line, and never what is in it.
type lineError struct {
	line int
	what string
}

func (e lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.what) }

// problems reports lines that were left out, the first few of them one by one.
type problems struct {
	out   io.Writer
	name  string
	count int64
}

// maxShown is how many problems are reported one by one.
const maxShown = 15

func (p *problems) add(e lineError) {
	p.count++
	if p.count == 1 && strings.HasPrefix(p.name, "sample/") {
		fmt.Fprintf(p.out, "The sample has lines that are wrong on purpose:\n")
	}
	switch {
	case p.count <= maxShown:
		fmt.Fprintf(p.out, "%s: %v; left out\n", p.name, e)
	case p.count == maxShown+1:
		fmt.Fprintf(p.out, "%s: further lines that are left out are counted only\n", p.name)
	}
}
