package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxSize bounds the work for a file, in bytes.
const maxSize = 1 << 20

// parse parses the content of a file. It is strict: a member that is misspelt, given
// twice or of another type is an error, for otherwise a rule would silently be off.
// Errors begin with the number of the line.
func parse(content []byte) (*Config, error) {
	if len(content) > maxSize {
		return nil, fmt.Errorf("larger than %d bytes", maxSize)
	}
	if !utf8.Valid(content) {
		return nil, errors.New("not UTF-8")
	}
	// encoding/json reports the offset of syntax errors alone, and a Decoder finds them
	// token by token only. So the syntax of the whole content is checked first.
	if err := json.Unmarshal(content, new(any)); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("line %d: not JSON: %w", line(content, syntax.Offset), err)
		}
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	r := &reader{content: content, dec: json.NewDecoder(bytes.NewReader(content))}
	c := new(Config)
	err := r.members(func(name string) error {
		switch name {
		case "purposes":
			return r.patterns(&c.purposes)
		case "reveal":
			return r.patterns(&c.reveal)
		case "boundaries":
			return r.members(func(pattern string) error { return r.boundary(c, pattern) })
		}
		return r.fault("unknown member %q: want purposes, reveal or boundaries", name)
	})
	if err == nil {
		if _, err = r.dec.Token(); err == io.EOF {
			return c, nil
		}
		err = r.fault("more than one JSON value")
	}
	return nil, err
}

// A reader walks through JSON that is known to be well formed.
type reader struct {
	content []byte
	dec     *json.Decoder
}

// members calls f with the name of each member of an object. f reads the value.
func (r *reader) members(f func(name string) error) error {
	if t, _ := r.dec.Token(); t != json.Delim('{') {
		return r.fault("want an object")
	}
	seen := map[string]bool{}
	for r.dec.More() {
		t, _ := r.dec.Token()
		name, _ := t.(string)
		if seen[name] {
			return r.fault("%q is there twice", name)
		}
		seen[name] = true
		if err := f(name); err != nil {
			return err
		}
	}
	r.dec.Token()
	return nil
}

// strings reads a list of strings.
func (r *reader) strings() ([]string, error) {
	if t, _ := r.dec.Token(); t != json.Delim('[') {
		return nil, r.fault("want a list")
	}
	list := []string{}
	for r.dec.More() {
		t, _ := r.dec.Token()
		s, ok := t.(string)
		switch {
		case !ok:
			return nil, r.fault("want a list of strings")
		case slices.Contains(list, s):
			return nil, r.fault("%q is there twice", s)
		}
		list = append(list, s)
	}
	r.dec.Token()
	return list, nil
}

func (r *reader) patterns(into **patterns) error {
	list, err := r.strings()
	if err != nil {
		return err
	}
	for _, pattern := range list {
		if !validPattern(pattern) {
			return r.fault("%q is neither the import path of a package nor one with /... at its end", pattern)
		}
	}
	*into = (*patterns)(&list)
	return nil
}

func (r *reader) boundary(c *Config, pattern string) error {
	if !validPattern(pattern) {
		return r.fault("%q is neither the import path of a package nor one with /... at its end", pattern)
	}
	purposes, err := r.strings()
	if err != nil {
		return err
	}
	for _, name := range purposes {
		if !ValidPurpose(name) {
			return r.fault("%q is not the name of a purpose", name)
		}
	}
	if len(purposes) == 0 {
		return r.fault("%q is bound to no purpose", pattern)
	}
	c.boundaries = append(c.boundaries, boundary{pattern, purposes})
	return nil
}

func (r *reader) fault(format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line(r.content, r.dec.InputOffset()), fmt.Errorf(format, args...))
}

func line(content []byte, offset int64) int {
	return 1 + bytes.Count(content[:min(int(offset), len(content))], []byte("\n"))
}

// validPattern reports whether a pattern can match a package. Relative paths, wildcards
// in the middle, blanks and empty path elements can't.
func validPattern(pattern string) bool {
	path := strings.TrimSuffix(pattern, "/...")
	if path == "" || strings.ContainsAny(path, " \t\r\n\\*\"") {
		return false
	}
	for element := range strings.SplitSeq(path, "/") {
		if element == "" || element == "." || element == ".." || strings.Contains(element, "...") {
			return false
		}
	}
	return true
}

var purposeName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// ValidPurpose reports whether purpose.Parse takes the name.
func ValidPurpose(name string) bool { return purposeName.MatchString(name) }
