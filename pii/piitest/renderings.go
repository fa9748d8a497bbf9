package piitest

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Search looks through v, a result of the code under test: bytes and strings as they
// are, an [io.Reader] and an [fs.FS] to the end, and an error with all errors that
// it wraps. It looks through other values as fmt prints them with %v, %+v and %#v,
// as JSON, and as they go into a database. It does not see fields that none of
// these show. A v that can't be read to the end ends the test.
//
// Messages call v by the name, such as "audience export".
func (c *Contact) Search(name string, v any) {
	c.t.Helper()
	if err := c.sink(name).addRenderings(v); err != nil {
		c.t.Fatalf("piitest: %s can't be read to the end, so nothing shows that there is no personal data in it", name)
	}
}

// addRenderings adds every rendering of v that can be searched.
func (s *sink) addRenderings(v any) error {
	switch v := v.(type) {
	case nil:
	case []byte:
		s.add(v)
	case string:
		s.add([]byte(v))
	case error:
		s.addError(v)
	case fs.FS:
		return s.addFiles(v)
	case io.Reader:
		b, err := io.ReadAll(v)
		s.add(b)
		return err
	default:
		s.addPrinted(v)
		if b, err := json.Marshal(v); err == nil {
			s.add(b)
		}
		if v, ok := v.(driver.Valuer); ok {
			if stored, err := v.Value(); err == nil && stored != any(v) {
				return s.addRenderings(stored)
			}
		}
	}
	return nil
}

// addPrinted adds v as fmt prints it.
func (s *sink) addPrinted(v any) {
	for _, format := range []string{"%v", "%+v", "%#v"} {
		s.add(fmt.Appendf(nil, format, v))
	}
}

// addError adds an error and the errors that it wraps, as fmt prints them.
func (s *sink) addError(err error) {
	s.addPrinted(err)
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		if inner := err.Unwrap(); inner != nil {
			s.addError(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			if inner != nil {
				s.addError(inner)
			}
		}
	}
}

var errIrregular = errors.New("not a regular file")

// addFiles adds the names and contents of all files, and fails if one can't be read.
func (s *sink) addFiles(fsys fs.FS) error {
	return fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		s.add([]byte(path))
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return errIrregular
		}
		b, err := fs.ReadFile(fsys, path)
		s.add(b)
		return err
	})
}
