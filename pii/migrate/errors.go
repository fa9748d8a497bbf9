package migrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
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

// attempts is how often a statement is tried: for some seconds.
const attempts = 40

// try runs f, and again while the database rolls back what f did because others
// were in the way.
func (m *Migration) try(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil {
			return nil
		}
		code := m.dialect.code(err)
		retry := slices.Contains(m.dialect.retry, primaryCode(m.dialect, code))
		if !retry || attempt == attempts || !sleep(ctx, backoff(attempt)) {
			return m.fail(ctx, err, code)
		}
	}
}

// primaryCode returns the part of an extended result code of SQLite that
// says what to do; codes of others as they are.
func primaryCode(d *dialect, code string) string {
	if n, err := strconv.Atoi(code); d == &sqlite && err == nil {
		return strconv.Itoa(n & 0xff)
	}
	return code
}

// backoff is longer after each attempt, and random, so that two who were in each
// other's way do not meet again.
func backoff(attempt int) time.Duration {
	limit := min(time.Millisecond<<attempt, 256*time.Millisecond)
	return limit/4 + rand.N(limit*3/4)
}

// sleep reports whether ctx is still good after d.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// fail returns the error for one of the database's. An error of this package,
// which holds no values, stays as it is.
func (m *Migration) fail(ctx context.Context, err error, code string) error {
	primary := primaryCode(m.dialect, code)
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

// sqlState returns the SQLSTATE of an error of pgx or lib/pq, "" if it has none
// that is well-formed.
func sqlState(err error) string {
	var e interface{ SQLState() string }
	if !errors.As(err, &e) {
		return ""
	}
	state := e.SQLState()
	for i := range len(state) {
		if c := state[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return ""
		}
	}
	if len(state) != 5 {
		return ""
	}
	return state
}

// mysqlNumber returns the number of an error of go-sql-driver/mysql. It has no
// method for it, hence reflection: to name the type is to import the driver.
func mysqlNumber(err error) string {
	return findCode(err, func(v reflect.Value) string { return number(field(v, "Number")) })
}

// sqliteCode returns the extended result code, or the primary one where there is
// no other, of an error of modernc.org/sqlite or ncruces/go-sqlite3, which have
// methods for it, or of mattn/go-sqlite3, which has fields.
func sqliteCode(err error) string {
	return findCode(err, func(v reflect.Value) string {
		for _, name := range []string{"ExtendedCode", "Code"} {
			if m := v.MethodByName(name); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
				return number(m.Call(nil)[0])
			}
			if code := number(field(v, name)); code != "" && code != "0" {
				return code
			}
		}
		return ""
	})
}

// findCode returns the first code that one of the errors in err's chain has.
func findCode(err error, code func(reflect.Value) string) string {
	for ; err != nil; err = errors.Unwrap(err) {
		if c := code(reflect.ValueOf(err)); c != "" {
			return c
		}
	}
	return ""
}

// field returns a field of a struct or of what a pointer points to, and no
// value if there is none.
func field(v reflect.Value, name string) reflect.Value {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}

func number(v reflect.Value) string {
	switch {
	case !v.IsValid():
		return ""
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	}
	return ""
}
