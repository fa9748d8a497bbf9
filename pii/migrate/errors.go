package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/vault"
)

// ErrTable reports a [Table] that is malformed or differs from the database's: a
// column does not exist or is of another type, a constraint refuses a row that a
// step writes, or somebody altered the table under a step. No retry will mend it.
var ErrTable = errors.New("table is not as described")

// A stepError has the step and the table that an error belongs to. It has no text of
// the database's own errors, which may quote arguments.
type stepError struct {
	step, table string
	err         error
}

func (e *stepError) Error() string {
	return "migrate: " + e.step + " " + e.table + ": " + innerError{e.err}.Error()
}
func (e *stepError) Unwrap() error { return e.err }

// An innerError is an error of pii or vault without the prefix of that package: a
// stepError has a prefix.
type innerError struct{ err error }

func (e innerError) Error() string {
	text := e.err.Error()
	for _, prefix := range []string{"pii: ", "vault: "} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			return rest
		}
	}
	return text
}
func (e innerError) Unwrap() error { return e.err }

// ctxError returns the error for a context that is done.
func ctxError(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ctx.Err(), vault.ErrUnavailable)
}

// A dbError has the code of a database's error, and not its text.
type dbError struct {
	code    string
	refusal refusal
	err     error // ErrTable or vault.ErrUnavailable
}

func (e *dbError) Error() string {
	if e.code == "" {
		return "database error: " + e.err.Error()
	}
	return "database error " + e.code + ": " + e.err.Error()
}
func (e *dbError) Unwrap() error { return e.err }

// A refusal is the reason for which a database refuses a row and would write other rows.
type refusal int

const (
	noRefusal refusal = iota
	byUnique          // a unique constraint
	byTrigger         // an error that a trigger raises
)

// refusalOf returns the refusal that an error of the database is.
func refusalOf(err error) refusal {
	var failed *dbError
	if errors.As(err, &failed) {
		return failed.refusal
	}
	return noRefusal
}

// A statement is tried 40 times, within some seconds.
const (
	attempts    = 40
	longestWait = 256 * time.Millisecond
	// Each connection of a pool may hold a statement from before an ALTER.
	staleAttempts = 12
)

// withRetries calls f. It calls f again after an error that says that the database
// rolled the statements back because of others, or that the statement is from before
// the table was altered.
func (m *Migration) withRetries(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil {
			return nil
		}
		code := m.dialect.code(err)
		again := m.dialect.rolledBack(code) && attempt < attempts || slices.Contains(m.dialect.stale, m.dialect.primary(code)) && attempt < staleAttempts
		if !again || !sleep(ctx, backoff(attempt, longestWait)) {
			return m.fail(ctx, err, code)
		}
	}
}

// fail returns this package's error for an error of the database. An error of this
// package, which holds no values, is returned unchanged.
func (m *Migration) fail(ctx context.Context, err error, code string) error {
	primary := m.dialect.primary(code)
	switch {
	case ctx.Err() != nil:
		return ctxError(ctx)
	case errors.Is(err, ErrTable), errors.As(err, new(*dbError)):
		return err
	case slices.Contains(m.dialect.unique, code):
		return &dbError{code, byUnique, ErrTable}
	case slices.Contains(m.dialect.raised, code):
		return &dbError{code, byTrigger, ErrTable}
	case slices.Contains(m.dialect.tooLong, code):
		return m.tooLong(code)
	case m.dialect.refuses(primary):
		return &dbError{code, noRefusal, ErrTable}
	}
	return &dbError{code, noRefusal, vault.ErrUnavailable}
}
