package piitest

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Search looks through v, which came out of the code under test: bytes and
// strings as they are, an [io.Reader] and an [fs.FS] to the end, an error with all
// that it wraps, and anything else as fmt prints it with %v, %+v and %#v, as
// JSON, and as it goes into a database. Fields that none of these show are not
// seen. What can't be read to the end ends the test.
//
// The name says in messages what v is, such as "audience export".
func (c *Contact) Search(name string, v any) {
	c.t.Helper()
	if err := c.outlet(name).addForms(v); err != nil {
		c.t.Fatalf("piitest: %s can't be read to the end, so nothing shows that there is no personal data in it", name)
	}
}

// addForms adds what of v can be searched.
func (o *outlet) addForms(v any) error {
	switch v := v.(type) {
	case nil:
	case []byte:
		o.add(v)
	case string:
		o.add([]byte(v))
	case error:
		o.addError(v)
	case fs.FS:
		return o.addFiles(v)
	case io.Reader:
		b, err := io.ReadAll(v)
		o.add(b)
		return err
	default:
		o.addPrinted(v)
		if b, err := json.Marshal(v); err == nil {
			o.add(b)
		}
		if v, ok := v.(driver.Valuer); ok {
			if stored, err := v.Value(); err == nil && stored != any(v) {
				return o.addForms(stored)
			}
		}
	}
	return nil
}

func (o *outlet) addPrinted(v any) {
	for _, format := range []string{"%v", "%+v", "%#v"} {
		o.add(fmt.Appendf(nil, format, v))
	}
}

func (o *outlet) addError(err error) {
	o.addPrinted(err)
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		if inner := err.Unwrap(); inner != nil {
			o.addError(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			if inner != nil {
				o.addError(inner)
			}
		}
	}
}

var errIrregular = errors.New("not a regular file")

// addFiles adds the names and contents of all files.
func (o *outlet) addFiles(fsys fs.FS) error {
	return fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		o.add([]byte(path))
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return errIrregular
		}
		b, err := fs.ReadFile(fsys, path)
		o.add(b)
		return err
	})
}
