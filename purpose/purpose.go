// Package purpose says why personal data was collected.
//
// A [Purpose] is a short name such as "security" or "advertising". Declare all
// purposes of a company in one package, with [MustParse]. A privacy officer can
// read that list:
//
//	package purposes
//
//	var (
//		Security    = purpose.MustParse("security")
//		Advertising = purpose.MustParse("advertising")
//	)
//
// A [Set] is the set of purposes that one value was collected for. A [Basis]
// states the legal ground and the notice of the collection. A [MismatchError]
// refuses the use of a value for another purpose.
//
// This package names purposes and grants nothing: no value opens because a
// program holds a Purpose. The right to use a purpose is a scope of package
// vault.
package purpose

import "errors"

// MaxLen is the greatest length of the name of a purpose, in bytes.
const MaxLen = 63

// ErrSyntax reports a name that [Parse] refuses. Its message never repeats
// the name.
var ErrSyntax = errors.New("purpose: not a purpose name: want a-z, then up to 62 of a-z, 0-9 and -")

// A Purpose is an immutable name of a reason to collect personal data, which is
// always valid.
//
// It can be compared with == and used as a map key. The zero Purpose names
// nothing and is refused wherever a purpose is required.
type Purpose struct {
	name string
}

// Parse returns the purpose of the given name: a lower-case ASCII letter, then
// lower-case letters, digits and hyphens, [MaxLen] bytes at most. Every other
// name is [ErrSyntax]. Parse trims and folds nothing, so that two spellings are
// never one purpose.
func Parse(name string) (Purpose, error) {
	if !valid(name) {
		return Purpose{}, ErrSyntax
	}
	return Purpose{name}, nil
}

// MustParse is [Parse] for names that are constants in the program. It panics
// if the name is not valid.
func MustParse(name string) Purpose {
	p, err := Parse(name)
	if err != nil {
		panic(err.Error())
	}
	return p
}

func valid(name string) bool {
	if len(name) == 0 || len(name) > MaxLen || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := 1; i < len(name); i++ {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// String returns the name, "" for the zero Purpose.
func (p Purpose) String() string { return p.name }

// IsZero reports whether p names nothing.
func (p Purpose) IsZero() bool { return p.name == "" }

// MarshalText returns the name. It implements [encoding.TextMarshaler]; the
// zero Purpose is the empty text.
func (p Purpose) MarshalText() ([]byte, error) { return []byte(p.name), nil }

// UnmarshalText is [Parse], except that the empty text is the zero Purpose.
// [ErrSyntax] leaves p as it was. It implements [encoding.TextUnmarshaler].
func (p *Purpose) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*p = Purpose{}
		return nil
	}
	if len(text) > MaxLen { // before the copy: the text may be huge
		return ErrSyntax
	}
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}
