package sqlstore

import (
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

const (
	maxName       = 200
	maxIdentifier = 63 // in PostgreSQL; MySQL allows 64
)

// The errors for malformed arguments, without the arguments.
var (
	errName     = fmt.Errorf("key store: malformed record name: %w", vault.ErrInvalid)
	errTable    = fmt.Errorf("key store: malformed name of a table: %w", vault.ErrInvalid)
	errRevision = fmt.Errorf("key store: not a revision: %w", vault.ErrInvalid)
)

// validName reports whether name is a valid name of a [vault.Record].
func validName(name string) bool {
	if len(name) == 0 || len(name) > maxName {
		return false
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment[0] == '-' || len(segment) != inNames(segment) {
			return false
		}
	}
	return true
}

// inNames returns the number of bytes at the start of s that may occur in a name.
func inNames(s string) int {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '/' {
			return i
		}
	}
	return len(s)
}

// validTable reports whether name is a valid [Options.Table]. Such a name needs no
// escaping between quotes. It has no capital letters, so that databases that fold
// case and databases that do not read the same name.
func validTable(name string) bool {
	schema, table, qualified := strings.Cut(name, ".")
	if !qualified {
		return validIdentifier(name)
	}
	return validIdentifier(schema) && validIdentifier(table)
}

func validIdentifier(name string) bool {
	if len(name) == 0 || len(name) > maxIdentifier || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
