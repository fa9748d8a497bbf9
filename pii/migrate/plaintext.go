package migrate

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A plaintext is the text in a row's column of plaintext.
type plaintext struct {
	present bool
	text    string
	problem Problem // Invalid or Unreadable, and then there is no text
}

// hasPlain reports whether a column of the row has plaintext that was read, or that
// could not be read.
func (r *rowEdit) hasPlain(i int) bool { return r.plain != nil && r.plain[i].present }

// readPlain reads the columns of plaintext by [Column.Plaintext]. It returns an error
// only if the step has to end.
func (m *Migration) readPlain(r *rowEdit) error {
	r.plain = make([]plaintext, len(m.columns))
	for i := range m.columns {
		c := &m.columns[i]
		if c.plain < 0 || !r.has(c.plain) {
			continue
		}
		if c.Plaintext == nil {
			r.plain[i] = plaintext{present: true, text: r.text(c.plain)}
			continue
		}
		text, p, err := m.call(r, i, c.Plaintext, r.raw(c.plain))
		if err != nil {
			return err
		}
		r.plain[i] = plaintext{present: text != "" || p != "", text: text, problem: p}
	}
	return nil
}

// rest returns the content that CutOver leaves in a column of plaintext, or a problem.
func (m *Migration) rest(r *rowEdit, i int) (content any, p Problem, err error) {
	c := &m.columns[i]
	if c.Rest == nil {
		return nil, "", nil
	}
	var rest []byte
	_, p, err = m.call(r, i, func(row Row, raw []byte) (text string, err error) {
		rest, err = c.Rest(row, raw)
		return "", err
	}, r.raw(c.plain))
	if err != nil || p != "" || len(rest) == 0 {
		return nil, p, err
	}
	left, p, err := m.call(r, i, c.Plaintext, slices.Clone(rest))
	switch {
	case err != nil || p != "":
		return nil, p, err
	case left != "":
		return nil, Plaintext, nil // the value is still in it
	case m.fields[c.plain].raw:
		return rest, "", nil
	}
	return string(rest), "", nil
}

// call calls a function of the column. It turns an error and a panic, which may hold
// anything, into a problem of the row.
func (m *Migration) call(r *rowEdit, i int, hook func(Row, []byte) (string, error), raw []byte) (text string, p Problem, err error) {
	returned := guarded(func() { text, err = hook(Row{m, r}, raw) })
	switch {
	case !returned:
		return "", Unreadable, nil
	case err == nil:
		return text, "", nil
	case errors.Is(err, vault.ErrUnavailable):
		return "", "", fmt.Errorf("row %s: reading %s: %w", printable(r.keyText), m.columns[i].name, vault.ErrUnavailable)
	case errors.Is(err, pii.ErrMalformed):
		return "", Invalid, nil
	}
	return "", Unreadable, nil
}

// raw returns a copy of a field's content.
func (r *rowEdit) raw(f int) []byte {
	if b := r.cells[f].bytes; b != nil {
		return slices.Clone(b)
	}
	return []byte(r.text(f))
}
