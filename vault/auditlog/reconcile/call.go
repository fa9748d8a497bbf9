package reconcile

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"
)

var (
	// ErrArgument reports an argument or an option that can't be used.
	ErrArgument = errors.New("not a valid argument")
	// ErrFormat reports an input with nothing that is of the expected format: it is
	// another kind of file.
	ErrFormat = errors.New("not a log of this key service")
	// ErrDamaged is the sentinel of a [Damage].
	ErrDamaged = errors.New("part of the log can't be read")
)

// A Use is a kind of use of a key-encryption key.
type Use byte

// The uses.
const (
	// None is a record about no key, which tells that the log goes on.
	None Use = iota
	// Unwrap is a decryption of one ciphertext.
	Unwrap
	// Wrap is an encryption.
	Wrap
	// Look reads facts about a key and no key, or rotates it.
	Look
	// Other is any other use, such as an export of the key.
	Other
)

// A Call is a request that a key service has logged.
type Call struct {
	// ID is the name that the key service gave to the request.
	ID string
	// Time is the time of the record. The call took place then, or up to Within later:
	// AWS leaves out the fractions of a second.
	Time   time.Time
	Within time.Duration
	Use    Use
	// Action is the use in the words of the key service, such as "decrypt".
	Action string
	// Keys are the names by which the record names the key, as [kms.Key.Name] has them.
	Keys []string
	// Purpose and Vault are the purpose and the id of the vault as the encryption context
	// states them, "" if it does not. They are authentic if the call succeeded.
	Purpose, Vault string
	// Contexts tells that the key service logs encryption contexts, so that a call without
	// a Purpose is none of a vault's.
	Contexts bool
	// Principal is who asked, and Address where from, as the key service says.
	Principal, Address string
	// Refused is the reason of a call that failed, "" for one that succeeded.
	Refused string
}

// A Source yields the calls of a key service's log, roughly in the order of time. An error
// ends it, unless the error is a [Damage].
type Source iter.Seq2[Call, error]

// A Damage is a part of a log that can't be read. The source goes on behind it.
type Damage struct {
	// File is the name of the file, and Line the number of the line or record in it, from
	// 1; it is 0 for the file as a whole.
	File string
	Line int64
	// Fact says what is wrong, without the content.
	Fact string
}

// Error returns the place and the fact.
func (d *Damage) Error() string {
	return fmt.Sprintf("reconcile: %s: %v", d.text(), ErrDamaged)
}

// Unwrap returns [ErrDamaged].
func (d *Damage) Unwrap() error { return ErrDamaged }

func (d *Damage) text() string {
	if d.Line == 0 {
		return fmt.Sprintf("%s: %s", d.File, d.Fact)
	}
	return fmt.Sprintf("%s: record %d: %s", d.File, d.Line, d.Fact)
}

const maxName = 200

// name returns a text of the key service so that it fits into a line of a report: cut off
// after maxName bytes, and with "?" for characters that do not print.
func name(s string) string {
	if len(s) > maxName {
		s = s[:maxName]
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || r != ' ' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// fileName returns the name of a file so that it fits into a line of a report.
func fileName(s string) string {
	if quoted := strconv.Quote(s); len(quoted) != len(s)+2 {
		return quoted
	}
	return s
}
