package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/onlyfor/onlyfor/vault"
)

// A statement is tried 12 times, within about a third of a second.
const (
	attempts    = 12
	longestWait = 64 * time.Millisecond
)

// withRetries calls f. It calls f again after an error that says that the database
// rolled the statement back because of others, and after one with a code in
// alsoRetry. It returns nil or an error of this package.
func (s *Store) withRetries(ctx context.Context, alsoRetry []string, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil {
			return nil
		}
		code := s.dialect.primary(s.dialect.code(err))
		retry := s.dialect.rolledBack(code) || slices.Contains(alsoRetry, code)
		if !retry || attempt == attempts || !sleep(ctx, backoff(attempt, longestWait)) {
			return s.fail(ctx, code)
		}
	}
}

// fail returns the error for a database error with that code. It has no text of the
// database's error, which may quote arguments.
func (s *Store) fail(ctx context.Context, code string) error {
	switch err := ctx.Err(); {
	case err != nil:
		return fmt.Errorf("%s: %w: %w", s.name, err, vault.ErrUnavailable)
	case slices.Contains(s.dialect.denied, code):
		return fmt.Errorf("%s: access denied, database error %s: %w", s.name, code, vault.ErrNoKeys)
	case slices.Contains(s.dialect.missing, code):
		return fmt.Errorf("%s: database error %s: if the table is missing, run CreateTable: %w", s.name, code, vault.ErrUnavailable)
	case code != "":
		return fmt.Errorf("%s: database error %s: %w", s.name, code, vault.ErrUnavailable)
	}
	return fmt.Errorf("%s: database error: %w", s.name, vault.ErrUnavailable)
}
