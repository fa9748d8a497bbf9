// Package lib does with values what only its callers know to be wrong.
package lib

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// Note logs.
func Note(about, what string) { slog.Info(about, "what", what) }

// Deeper logs through another function.
func Deeper(what string) { Note("deeper", what) }

// Clean returns what it is given in another form.
func Clean(address string) string { return fmt.Sprintf("<%s>", address) }

// Address reveals.
func Address(ctx context.Context, e pii.Email, s *vault.Scope) (string, error) {
	return e.Reveal(ctx, s)
}

// Letter is a struct that values are put into.
type Letter struct {
	To      string
	Subject string
}

// NewLetter puts an address into a letter.
func NewLetter(to, subject string) *Letter { return &Letter{To: to, Subject: subject} }

// Recipient takes it out again.
func (l *Letter) Recipient() string { return l.To }

// Allowed logs, and says why that is right.
func Allowed(what string) {
	slog.Info("allowed", "what", what) //piivet:allow leak the operators of this log are the support staff
}

// Card is a struct that others put values into.
type Card struct{ Name string }
