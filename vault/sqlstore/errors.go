package sqlstore

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

// attempts is how often a statement is tried: for about a third of a second.
const attempts = 12

// try runs f, and again while the database rolls back what f did because others
// were in the way, or for one more reason. It returns nil or an error of this
// package.
func (s *Store) try(ctx context.Context, alsoRetry []string, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil {
			return nil
		}
		code := s.dialect.code(err)
		retry := slices.Contains(s.dialect.retry, code) || slices.Contains(alsoRetry, code)
		if !retry || attempt == attempts || !pause(ctx, attempt) {
			return s.fail(ctx, code)
		}
	}
}

// pause waits longer after each attempt, at random so that two who were in each
// other's way do not meet again. It reports whether ctx is still good.
func pause(ctx context.Context, attempt int) bool {
	limit := min(time.Millisecond<<attempt, 64*time.Millisecond)
	timer := time.NewTimer(limit/4 + rand.N(limit*3/4))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// fail returns the error for one of the database's with that code. The
// database's own text goes no further: it may quote arguments.
func (s *Store) fail(ctx context.Context, code string) error {
	switch err := ctx.Err(); {
	case err != nil:
		return fmt.Errorf("%s: %w: %w", s.name, err, vault.ErrUnavailable)
	case slices.Contains(s.dialect.denied, code):
		return fmt.Errorf("%s: database error %s: %w", s.name, code, vault.ErrNoKeys)
	case code != "":
		return fmt.Errorf("%s: database error %s: %w", s.name, code, vault.ErrUnavailable)
	}
	return fmt.Errorf("%s: database error: %w", s.name, vault.ErrUnavailable)
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
	return findCode(err, func(v reflect.Value) string {
		return number(field(v, "Number"), 1<<16-1)
	})
}

// sqliteCode returns the primary result code of an error of modernc.org/sqlite
// or ncruces/go-sqlite3, which have a method for it, or of mattn/go-sqlite3, which
// has a field.
func sqliteCode(err error) string {
	return findCode(err, func(v reflect.Value) string {
		if m := v.MethodByName("Code"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
			return number(m.Call(nil)[0], 0xff)
		}
		return number(field(v, "Code"), 0xff)
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

func number(v reflect.Value, mask uint64) string {
	switch {
	case !v.IsValid():
		return ""
	case v.CanInt():
		return strconv.FormatUint(uint64(v.Int())&mask, 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint()&mask, 10)
	}
	return ""
}
