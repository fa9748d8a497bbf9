package adopt

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Advice says what a field is and what to do about it.
func (f Field) Advice() string {
	name := f.Name
	if f.Struct != "" {
		name = f.Struct + "." + f.Name
	}
	what := map[Kind]string{Email: "an e-mail address", Phone: "a phone number"}[f.Kind]
	if len(f.Stored) == 0 {
		return fmt.Sprintf("%s (%s, tags %s) looks like %s in plain text: seal it where it comes in, and send no more than a hint out", name, f.Type, strings.Join(f.Wire, ", "), what)
	}
	advice := fmt.Sprintf("%s (%s, stored by %s) looks like %s in plain text: make it %s", name, f.Type, strings.Join(f.Stored, ", "), what, f.Wrap)
	if f.Looked {
		advice += fmt.Sprintf(", with %sIndex pii.Index beside it to look people up by", f.Name)
	}
	return advice
}

// A Report is what a code base has to wrap. It is made for JSON.
type Report struct {
	// Stored are the fields that go into a database, Wire those that are only
	// sent or received. Both are in the order of packages and files.
	Stored []Field `json:"stored"`
	Wire   []Field `json:"wire"`
}

// NewReport puts fields in order.
func NewReport(fields []Field) Report {
	r := Report{Stored: []Field{}, Wire: []Field{}}
	slices.SortStableFunc(fields, func(a, b Field) int { return strings.Compare(a.Package, b.Package) })
	for _, f := range fields {
		if len(f.Stored) > 0 {
			r.Stored = append(r.Stored, f)
		} else {
			r.Wire = append(r.Wire, f)
		}
	}
	return r
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	if len(r.Stored)+len(r.Wire) == 0 {
		p.printf("No field looks like an e-mail address or a phone number in plain text.\n")
		return p.err
	}
	if len(r.Stored) > 0 {
		p.printf("STORED: change these types. How, with the migration of what is there: github.com/onlyfor/onlyfor/pii/migrate\n")
		p.fields(r.Stored, func(f Field) string {
			to := f.Wrap
			if f.Looked {
				to += " and " + f.Name + "Index pii.Index"
			}
			return to
		})
	}
	if len(r.Wire) > 0 {
		if len(r.Stored) > 0 {
			p.printf("\n")
		}
		p.printf("SENT OR RECEIVED ONLY: what comes in stays a string until it is sealed, in the function that receives it.\n" +
			"What goes out: does whoever gets it need more than a hint?\n")
		p.fields(r.Wire, func(f Field) string { return "" })
	}
	p.printf("\nWhat still compiles after the change, and is wrong: https://github.com/onlyfor/onlyfor/blob/main/pii/ADOPTING.md#what-compiles-and-is-wrong\n")
	p.printf("\n%d stored, %d sent or received only; %s.\n", len(r.Stored), len(r.Wire), structs(r.Stored))
	return p.err
}

// structs counts the types to change.
func structs(fields []Field) string {
	seen := map[string]bool{}
	for _, f := range fields {
		seen[f.Package+"."+f.Struct] = true
	}
	if len(seen) == 1 {
		return "1 stored type to change"
	}
	return fmt.Sprintf("%d stored types to change", len(seen))
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// fields writes one line a field, below its package, in columns.
func (p *printer) fields(fields []Field, to func(Field) string) {
	width := [2]int{}
	for _, f := range fields {
		width[0] = max(width[0], len(f.Struct)+1+len(f.Name))
		width[1] = max(width[1], len(f.what()))
	}
	pkg := ""
	for _, f := range fields {
		if f.Package != pkg {
			pkg = f.Package
			p.printf("\n  %s\n", pkg)
		}
		line := fmt.Sprintf("    %-*s  %-*s", min(width[0], 44), cmp.Or(f.Struct, "struct")+"."+f.Name, min(width[1], 36), f.what())
		if t := to(f); t != "" {
			line += "  → " + t
		}
		if f.Generated {
			line += "  (generated: change what it is made from)"
		}
		p.printf("%s  %s\n", line, f.At)
	}
}

func (f Field) what() string {
	return f.Type + " " + strings.Join(append(slices.Clone(f.Stored), f.Wire...), ",")
}
