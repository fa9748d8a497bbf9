// Package logger is the log of a program. It does not use the library.
package logger

// An Entry is a line to be.
type Entry struct{}

func (Entry) Error(args ...any) {}

func WithFields(fields map[string]any) Entry { return Entry{} }
func Infof(format string, args ...any)       {}
func Escape(text string) string              { return text }
