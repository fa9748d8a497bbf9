package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onlyfor/onlyfor/vault"
)

// ErrTable reports a [Table] that is malformed or not what the database has:
// no such column, one of another type, a constraint that refuses what a step
// writes. No retry will mend it.
var ErrTable = errors.New("table is not as described")

// A stepError says at what step of which table something failed. The text of the
// database's own errors, which may quote arguments, is not in it.
type stepError struct {
	step, table string
	err         error
}

func (e *stepError) Error() string {
	return "migrate: " + e.step + " " + e.table + ": " + e.err.Error()
}
func (e *stepError) Unwrap() error { return e.err }

// A dbError is what is told of a database's error.
type dbError struct {
	code   string
	unique bool
	err    error // a sentinel
}

func (e *dbError) Error() string {
	if e.code == "" {
		return "database error: " + e.err.Error()
	}
	return "database error " + e.code + ": " + e.err.Error()
}
func (e *dbError) Unwrap() error { return e.err }

// A statement is tried 40 times, within some seconds.
const (
	attempts    = 40
	longestWait = 256 * time.Millisecond
)

// withRetries calls f. It calls f again after an error that says that the database
// rolled the statements back because of others.
func (m *Migration) withRetries(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil {
			return nil
		}
		code := m.dialect.code(err)
		if !m.dialect.rolledBack(code) || attempt == attempts || !sleep(ctx, backoff(attempt, longestWait)) {
			return m.fail(ctx, err, code)
		}
	}
}

// fail returns the error for one of the database's. An error of this package,
// which holds no values, stays as it is.
func (m *Migration) fail(ctx context.Context, err error, code string) error {
	primary := m.dialect.primary(code)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", vault.ErrUnavailable, ctx.Err())
	case errors.Is(err, ErrTable), errors.As(err, new(*dbError)):
		return err
	case slices.Contains(m.dialect.unique, code):
		return &dbError{code, true, ErrTable}
	case m.dialect.refuses(primary):
		return &dbError{code, false, ErrTable}
	}
	return &dbError{code, false, vault.ErrUnavailable}
}
