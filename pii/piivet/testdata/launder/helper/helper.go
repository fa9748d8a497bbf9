// Package helper belongs to the same module, and has never heard of the library.
package helper

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Trim returns a text without blanks around it.
func Trim(s string) string { return strings.TrimSpace(s) }

// Shout hands on to a function of its own.
func Shout(s string) string { return louder(s) }

func louder(s string) string { return strings.ToUpper(s) + "!" }

// Length is a number.
func Length(s string) int { return len(s) }

// A Cell holds one text.
type Cell struct{ text string }

// Put sets the text.
func (c *Cell) Put(s string) { c.text = s }

// Get returns the text.
func (c *Cell) Get() string { return c.text }

// A Stack holds values.
type Stack[T any] struct{ all []T }

// Push adds a value.
func (s *Stack[T]) Push(v T) { s.all = append(s.all, v) }

// Pop returns the last value.
func (s *Stack[T]) Pop() T {
	last := s.all[len(s.all)-1]
	s.all = s.all[:len(s.all)-1]
	return last
}

// Each returns f of each value.
func Each[T, U any](in []T, f func(T) U) []U {
	var out []U
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

// Lazily returns an iterator over f of each value.
func Lazily[T, U any](in iter.Seq[T], f func(T) U) iter.Seq[U] {
	return func(yield func(U) bool) {
		for v := range in {
			if !yield(f(v)) {
				return
			}
		}
	}
}

// A Finder finds a text.
type Finder interface{ Find(id string) string }

// Ask asks a finder.
func Ask(f Finder, id string) string { return Trim(f.Find(id)) }

// A Topic tells its listeners.
type Topic struct {
	mu        sync.Mutex
	listeners map[string][]func(string)
}

// Listen adds a listener.
func (t *Topic) Listen(name string, f func(string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listeners == nil {
		t.listeners = map[string][]func(string){}
	}
	t.listeners[name] = append(t.listeners[name], f)
}

// Tell calls the listeners.
func (t *Topic) Tell(name, text string) {
	for _, f := range t.listeners[name] {
		f(text)
	}
}

// A Bell has listeners in many places.
type Bell struct{ listeners []func(string) }

// Listen adds a listener.
func (b *Bell) Listen(f func(string)) { b.listeners = append(b.listeners, f) }

// Ring calls the listeners.
func (b *Bell) Ring(text string) {
	for _, f := range b.listeners {
		f(text)
	}
}

// Merge returns both maps.
func Merge(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// Sorted returns a sorted copy.
func Sorted(in []string) []string { return slices.Sorted(slices.Values(in)) }

// With calls f with a text.
func With(s string, f func(string)) { f(s) }

// Chosen returns one of two functions' results.
func Chosen(first bool, a, b func() string) string {
	if first {
		return a()
	}
	return b()
}

// A Tray takes a text in one method and gives it out in another.
type Tray struct{ text string }

// In sets the text.
func (t *Tray) In(s string) { t.lay(s) }

func (t *Tray) lay(s string) { t.turn(s) }

func (t *Tray) turn(s string) { t.text = s }

// Out returns the text.
func (t *Tray) Out() string { return t.text }
