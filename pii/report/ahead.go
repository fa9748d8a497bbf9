package report

import (
	"fmt"
	"iter"

	"github.com/onlyfor/onlyfor/vault"
)

// A readAhead is some values that were read while others are counted.
type readAhead struct {
	values   []Value
	text     []byte // of all values
	last     bool
	err      error // of the source, after the values
	panicked any
}

// aheadValues is the number of values that are read at once.
const aheadValues = 512

// ahead reads a source from a goroutine of its own, and yields its values in parts. Each
// part is valid until the next one. A source that panics does so in the caller's goroutine.
func ahead(source iter.Seq2[Value, error]) iter.Seq2[[]Value, error] {
	return func(yield func([]Value, error) bool) {
		parts, stop := make(chan readAhead), make(chan struct{})
		go read(source, parts, stop)
		defer func() {
			close(stop)
			for range parts { // until the source is closed
			}
		}()
		for part := range parts {
			if part.panicked != nil {
				panic(part.panicked)
			}
			if len(part.values) > 0 && !yield(part.values, nil) {
				return
			}
			if part.err != nil {
				yield(nil, part.err)
			}
			if part.last {
				return
			}
		}
		yield(nil, errSource)
	}
}

var errSource = fmt.Errorf("report: the source ended its goroutine: %w", vault.ErrUnavailable)

// read sends the values of a source, until stop is closed.
func read(source iter.Seq2[Value, error], parts chan<- readAhead, stop <-chan struct{}) {
	defer close(parts)
	send := func(part readAhead) bool {
		select {
		case parts <- part:
			return true
		case <-stop:
			return false
		}
	}
	defer func() {
		if panicked := recover(); panicked != nil {
			send(readAhead{panicked: panicked})
		}
	}()
	var part readAhead
	for v, err := range source {
		if err != nil {
			part.err = err
			break
		}
		start := len(part.text)
		part.text = append(part.text, v.Text...)
		v.Text = part.text[start:len(part.text):len(part.text)]
		if part.values = append(part.values, v); len(part.values) == aheadValues {
			if !send(part) {
				return
			}
			part = readAhead{values: make([]Value, 0, aheadValues), text: make([]byte, 0, len(part.text))}
		}
	}
	part.last = true
	send(part)
}
