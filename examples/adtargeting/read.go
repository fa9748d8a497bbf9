package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"unicode/utf8"
)

// maxLine is the size of the longest line, in bytes. It bounds the memory of a line.
const maxLine = 64 << 10

// fileSource returns the people in a file: CSV with a header, or JSON lines.
func fileSource(name, path string) source {
	return source{name, -1, func(yield func(person, error) bool) {
		f, err := openRegular(path)
		if err != nil {
			yield(person{}, fmt.Errorf("%s: %w", name, err))
			return
		}
		defer f.Close()
		readPeople(name, f)(yield)
	}}
}

// openRegular refuses pipes and devices, which might never end.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return os.Open(path)
}

// readPeople returns the people in r. The format is JSON lines if the first line
// begins with "{", and CSV otherwise. It drops errors of the parsers, which quote
// their input.
func readPeople(name string, r io.Reader) iter.Seq2[person, error] {
	return func(yield func(person, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 4096), maxLine)
		var parse func(line string) (person, string)
		n := 0
		for lines.Scan() {
			n++
			line := lines.Bytes()
			if n == 1 {
				line = bytes.TrimPrefix(line, []byte("\uFEFF"))
			}
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			text := utf8.Valid(line) && bytes.IndexByte(line, 0) < 0
			if parse == nil { // the first line that is not blank
				var header bool
				if parse, header = detect(string(line), text); parse == nil {
					yield(person{}, atLine(name, n, wantFormat))
					return
				}
				if header {
					continue
				}
			}
			p, what := person{}, "not text"
			if text {
				p, what = parse(string(line))
			}
			p.line = n
			var err error
			if what != "" {
				err = lineError{n, what}
			}
			if !yield(p, err) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(person{}, atLine(name, n+1, "longer than 64 KiB"))
		case err != nil:
			yield(person{}, fmt.Errorf("%s: reading: %w", name, err))
		case parse == nil:
			yield(person{}, fmt.Errorf("%s: empty", name))
		}
	}
}

// atLine returns an error that ends the reading, unlike a [lineError].
func atLine(name string, n int, what string) error {
	return fmt.Errorf("%s: line %d: %s", name, n, what)
}

const wantFormat = "want a CSV header that names each column once, email and phone among them, or JSON lines"

// A parser returns the person on a line, or a description of the line's fault.
type parser = func(line string) (p person, problem string)

// detect returns the parser for a file with the given first line, or nil if the line
// is of neither format, and reports whether the line is a header.
func detect(first string, text bool) (parse parser, header bool) {
	if !text {
		return nil, false
	}
	if strings.HasPrefix(strings.TrimSpace(first), "{") {
		return parseJSON, false
	}
	columns, ok := splitCSV(first)
	if !ok {
		return nil, false
	}
	at := make(map[string]int)
	for i, c := range columns {
		c = strings.ToLower(strings.TrimSpace(c))
		if _, twice := at[c]; twice {
			return nil, false
		}
		at[c] = i
	}
	email, hasEmail := at["email"]
	phone, hasPhone := at["phone"]
	consent, hasConsent := at["ads_consent"]
	if !hasEmail || !hasPhone {
		return nil, false
	}
	if !hasConsent {
		consent = -1
	}
	return csvParser{len(columns), email, phone, consent}.parse, true
}

func parseJSON(line string) (person, string) {
	var row struct {
		Email   string `json:"email"`
		Phone   string `json:"phone"`
		Consent string `json:"ads_consent"`
	}
	if json.Unmarshal([]byte(line), &row) != nil {
		return person{}, "not a JSON object with texts"
	}
	return person{email: row.Email, phone: row.Phone, consent: row.Consent}, ""
}

// A csvParser has the number of columns and the positions of the columns in use.
type csvParser struct {
	columns, email, phone, consent int
}

func (c csvParser) parse(line string) (person, string) {
	fields, ok := splitCSV(line)
	if !ok {
		return person{}, "not CSV"
	}
	if len(fields) != c.columns {
		return person{}, "not as many fields as the header"
	}
	p := person{email: fields[c.email], phone: fields[c.phone]}
	if c.consent >= 0 {
		p.consent = fields[c.consent]
	}
	return p, ""
}

// splitCSV reads one line, so a quote that is never closed costs that line and not
// the rest of the file.
func splitCSV(line string) ([]string, bool) {
	r := csv.NewReader(strings.NewReader(line))
	fields, err := r.Read()
	return fields, err == nil
}
