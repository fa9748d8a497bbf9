package main

import (
	"fmt"
	"io"
	"iter"
	"strings"
)

// A person has the fields of a form that somebody filled in, or of an entry of a list.
type person struct {
	line    int // number of the line in the file, for reports
	email   string
	phone   string
	consent string // reference of the consent to ads, "" if there is none
}

// A source is a sequence of people. It can be read more than once, and never holds
// more than one person in memory. A [lineError] is about one line, and more people may
// follow. Any other error ends the sequence.
type source struct {
	name   string
	total  int64 // -1 if it is not known
	people iter.Seq2[person, error]
}

// A line is a person or an error of the source, so that in a batch the error keeps its
// place among the results.
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

// A lineError describes the fault of a line, and never quotes the line.
type lineError struct {
	line int
	what string
}

func (e lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.what) }

// problems reports lines that are left out, the first few of them one by one.
type problems struct {
	out   io.Writer
	name  string
	count int64
}

// maxShown is the number of problems that are reported one by one.
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
