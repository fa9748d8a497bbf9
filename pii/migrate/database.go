package migrate

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// This file stands in pii/migrate and in vault/sqlstore, which have no internal
// package in common. A test of vault/sqlstore fails if the two differ.

// A database is the part of a dialect that does not depend on the statements.
type database struct {
	name  string
	param func(i int) string // the placeholder of the i-th argument, from 1
	code  func(error) string // the code of a driver's error, "" if it has none
	retry []string           // codes of errors after which the database has rolled back, and another attempt can succeed
}

var postgreSQL = database{
	name:  "PostgreSQL",
	param: func(i int) string { return "$" + strconv.Itoa(i) },
	code:  sqlState,
	// serialization_failure, deadlock_detected. Not 40003,
	// statement_completion_unknown.
	retry: []string{"40001", "40P01"},
}

var mySQL = database{
	name:  "MySQL",
	param: func(int) string { return "?" },
	code:  mysqlNumber,
	// ER_LOCK_DEADLOCK; ER_CHECKREAD, under innodb_snapshot_isolation;
	// ER_TRANSACTION_ROLLBACK_DURING_COMMIT, of group replication.
	retry: []string{"1213", "1020", "3101"},
}

var sqLite = database{
	name:  "SQLite",
	param: func(i int) string { return "?" + strconv.Itoa(i) },
	code:  sqliteCode,
	retry: []string{"5", "6"}, // SQLITE_BUSY, SQLITE_LOCKED
}

// rolledBack reports whether a statement that failed with that code may be tried
// again.
func (d *database) rolledBack(code string) bool {
	return slices.Contains(d.retry, d.primary(code))
}

// primary returns the primary result code in an extended one of SQLite, and codes of
// other databases unchanged.
func (d *database) primary(code string) string {
	if n, err := strconv.Atoi(code); d.name == sqLite.name && err == nil {
		return strconv.Itoa(n & 0xff)
	}
	return code
}

// backoff returns how long to wait after a failed attempt, counted from 1: twice as
// long each time, and most at most. A part of it is random, so that two
// processes that were in each other's way do not meet again.
func backoff(attempt int, most time.Duration) time.Duration {
	limit := min(time.Millisecond<<min(attempt, 20), most)
	return limit/4 + rand.N(limit*3/4)
}

// sleep waits for d. It reports false if ctx is done earlier.
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

// mysqlNumber returns the number of an error of go-sql-driver/mysql. The error has
// no method that returns it, and to name its type is to import the driver, hence
// reflection.
func mysqlNumber(err error) string {
	return findCode(err, func(v reflect.Value) string { return number(field(v, "Number")) })
}

// sqliteCode returns the extended result code, or the primary code if there is no
// extended one. Errors of modernc.org/sqlite and of ncruces/go-sqlite3 have methods that
// return it, and errors of mattn/go-sqlite3 have fields.
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

// field returns a field of a struct or of the struct behind a pointer, and the zero
// Value if there is none.
func field(v reflect.Value, name string) reflect.Value {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}

// number returns an integer in decimal, and "" for a value of any other type.
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
