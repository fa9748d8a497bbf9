package migrate

import (
	"slices"

	"github.com/onlyfor/onlyfor/purpose"
)

// leavable are the problems that [Column.Leave] is asked about: those of plaintext that
// has no sealed value. Damaged keys and values are not among them.
var leavable = []Problem{Invalid, Unreadable, Quarantined, InvalidBasis, NoSubject, Expired, Erased, Duplicate, Unsealed}

// maxReasons is the largest number of reasons of one column in a report. A function that
// makes a reason of each row's content fails there.
const maxReasons = 100

// A leftValue is a value that stays as it is, for a reason.
type leftValue struct {
	column int
	reason string
}

// guarded calls a function of the program that uses the package. It reports false if f
// panics or ends its goroutine by runtime.Goexit.
func guarded(f func()) (returned bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { recover() }() // the value of a panic may hold anything
		f()
		returned = true
	}()
	<-done
	return returned
}

// leave asks [Column.Leave] whether a value with a problem stays as it is. It reports
// true if the problem needs no finding any more.
func (m *Migration) leave(r *rowEdit, i int, p Problem) bool {
	c := &m.columns[i]
	if c.Leave == nil || r.has(c.sealed) || !slices.Contains(leavable, p) {
		return false
	}
	var reason string
	returned := guarded(func() { reason = c.Leave(Row{m, r}, p) })
	switch {
	case !returned, reason != "" && !purpose.ValidReference(reason):
		r.find(c.name, Failed)
	case reason == "":
		return false
	default:
		r.left = append(r.left, leftValue{i, reason})
	}
	return true
}

// findOrLeave adds a finding, unless the value is left.
func (m *Migration) findOrLeave(r *rowEdit, i int, p Problem) {
	if !m.leave(r, i, p) {
		r.find(m.columns[i].name, p)
	}
}
