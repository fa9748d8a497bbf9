package piitest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A Recording is the list of uses of a vault since [Recorder.Record]. With it a test
// states the uses that a handler may make:
//
//	rec := kit.Record()
//	handler.ServeHTTP(w, r)
//	rec.Only(t, purposes.Security)
//
// Uses by the kit itself, such as [Kit.Scope], are left out. Many goroutines may use
// a Recording at once.
type Recording struct {
	recorder     *Recorder
	from, resets int
	marked       bool // by Context
}

type recordingKey struct{ of *Recording }

// Context returns a context and a recording of its events. The recording counts
// events of this context and of contexts derived from it, and no others. It is for
// parallel tests that share one vault.
func (r *Recording) Context(ctx context.Context) (context.Context, *Recording) {
	own := &Recording{recorder: r.recorder, from: r.from, resets: r.resets, marked: true}
	return context.WithValue(ctx, recordingKey{own}, true), own
}

// Events returns the events of the recording, oldest first.
func (r *Recording) Events() []audit.Event { return eventsOf(r.own()) }

func (r *Recording) own() []recorded {
	all, resets := r.recorder.since(r.from)
	if resets != r.resets { // all events came after Record
		all, _ = r.recorder.since(0)
	}
	return slices.DeleteFunc(all, func(e recorded) bool {
		return e.ctx.Value(byKitKey{}) != nil || r.marked && e.ctx.Value(recordingKey{r}) == nil
	})
}

// Only fails the test if the code asked to use any purpose but the given ones, even
// if it was refused. To open the scope of a purpose is to ask, and so is to extend a
// value to it.
//
// Only fails too if the code asked for nothing, since it then shows nothing. Without
// purposes it is the other way round: the code may ask for nothing.
func (r *Recording) Only(t testing.TB, purposes ...purpose.Purpose) {
	mustTest()
	t.Helper()
	events, allowed := r.own(), purpose.NewSet(purposes...)
	if len(events) == 0 && !allowed.IsZero() {
		t.Errorf("piitest: nothing was recorded, so nothing shows that only %v was used: "+
			"is the Recorder the vault.Options.Audit of the vault that the code uses, and did the code get this far?", allowed)
	}
	var others []recorded
	for _, e := range events {
		if !allowed.Contains(e.Purpose) || !e.To.IsZero() && !allowed.Contains(e.To) ||
			!e.From.IsZero() && !allowed.Contains(e.From) {
			others = append(others, e)
		}
	}
	if len(others) > 0 {
		t.Errorf("piitest: want only %s used: found %s: give this code the scope of its own purpose and no other",
			named(allowed), list(others))
	}
}

// Denied fails the test unless the code asked to use a value collected for from under
// to, and was refused: to reveal it, hint at it, index, re-seal or extend it. A value
// collected for both purposes is not refused.
//
// A value with a forged header claims wrong purposes. It is among
// [Recording.Events], with vault.ErrCorrupt.
func (r *Recording) Denied(t testing.TB, from, to purpose.Purpose) {
	mustTest()
	t.Helper()
	events := r.own()
	var allowed []recorded
	for _, e := range events {
		asked := e.Purpose == to || e.To == to
		if e.Action == audit.Seal || !asked || !e.Collected.Contains(from) {
			continue
		}
		switch {
		case e.Outcome == audit.Denied:
			return
		case e.Outcome == audit.Allowed:
			allowed = append(allowed, e)
		}
	}
	if len(allowed) > 0 {
		t.Errorf("piitest: want what was collected for %v refused under %v: found %s: the value was collected for both, or extended",
			from, to, list(allowed))
		return
	}
	t.Errorf("piitest: want what was collected for %v refused under %v: nobody asked: %s; "+
		"have the code try it, or state with Only that it never does", from, to, summary(events))
}

// Never fails the test if the code asked for any of the actions, under any purpose,
// even if it was refused. The test of a page that shows hints states
// rec.Never(t, audit.Reveal).
func (r *Recording) Never(t testing.TB, actions ...audit.Action) {
	mustTest()
	t.Helper()
	found := slices.DeleteFunc(r.own(), func(e recorded) bool { return !slices.Contains(actions, e.Action) })
	if len(found) > 0 {
		names := make([]string, len(actions))
		for i, a := range actions {
			names[i] = string(a)
		}
		t.Errorf("piitest: want no %s here: found %s: use a hint, an index or what the caller has already",
			strings.Join(names, " or "), list(found))
	}
}

func named(s purpose.Set) string {
	if s.IsZero() {
		return "no purpose"
	}
	return s.String()
}

// maxListed is the number of lines of a list that a message shows.
const maxListed = 5

// list describes events, equal ones once: "reveal of phone under advertising,
// refused, at exporter.go:31".
func list(events []recorded) string {
	var lines []string
	times := make(map[string]int)
	for _, e := range events {
		line := describe(e)
		if times[line]++; times[line] == 1 {
			lines = append(lines, line)
		}
	}
	for i, line := range lines {
		if n := times[line]; n > 1 {
			lines[i] = fmt.Sprintf("%s (%d times)", line, n)
		}
	}
	if more := len(lines) - maxListed; more > 0 {
		lines = append(lines[:maxListed], fmt.Sprintf("%d more", more))
	}
	return strings.Join(lines, "; ")
}

func describe(e recorded) string {
	text := string(e.Action)
	if e.Kind != "" {
		text += " of " + e.Kind
	}
	text += " under " + named(purpose.NewSet(e.Purpose))
	if !e.To.IsZero() {
		text += " to " + e.To.String()
	}
	if !e.From.IsZero() {
		text += " from " + e.From.String()
	}
	switch e.Outcome {
	case audit.Denied:
		text += ", refused"
	case audit.Failed:
		text += ", failed"
	}
	return text + ", at " + string(e.callSite)
}

func summary(events []recorded) string {
	if len(events) == 0 {
		return "nothing was recorded"
	}
	return "recorded was " + list(events)
}
