package adopt

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

var kindNames = map[Kind]string{Email: "an e-mail address", Phone: "a phone number"}

// Advice describes the item and the change that it needs. It is "" for a lookup, which only
// tells about fields.
func (i Item) Advice() string {
	switch {
	case i.Field != nil:
		return i.Field.advice()
	case i.Key != nil:
		return i.Key.advice()
	case i.Generated != nil:
		g := i.Generated
		return fmt.Sprintf("the database generates %s.%s from %s: make it a column of its own before its source is sealed", cmp.Or(g.Table, "column"), g.Column, g.From)
	}
	return ""
}

func (f *Field) advice() string {
	name := f.Name
	if f.Struct != "" {
		name = f.Struct + "." + f.Name
	}
	switch {
	case f.Inside:
		return fmt.Sprintf("%s (%s, stored by %s) is a map or JSON: look inside for addresses and numbers", name, f.Type, strings.Join(f.Stored, ", "))
	case len(f.Stored) == 0:
		return fmt.Sprintf("%s (%s, tags %s) looks like %s in plain text: seal it where it comes in, and send no more than a hint out", name, f.Type, strings.Join(f.Wire, ", "), kindNames[f.Kind])
	case f.Use != "":
		return fmt.Sprintf("%s (%s, stored by %s) is %s, so it holds %s in plain text: make it %s", name, f.Type, strings.Join(f.Stored, ", "), f.Use, kindNames[f.Kind], f.to())
	}
	return fmt.Sprintf("%s (%s, stored by %s) looks like %s in plain text: make it %s", name, f.Type, strings.Join(f.Stored, ", "), kindNames[f.Kind], f.to())
}

// to returns the types to give the field.
func (f *Field) to() string {
	if f.Looked {
		return fmt.Sprintf("%s, with %sIndex pii.Index beside it to look people up by", f.Wrap, f.Name)
	}
	return f.Wrap
}

func (k *Key) advice() string {
	where := "nobody sees where it goes"
	if k.Stored {
		where = "stored"
	}
	return fmt.Sprintf("key %q of %s (%s) looks like %s in plain text: seal the value before it is set", k.Name, k.Holder, where, kindNames[k.Kind])
}

// A Report lists the places where a code base keeps personal data in plain text. It is
// made for JSON. Each list is in the order of packages and files.
type Report struct {
	// Stored are the fields that go into a database. Wire are fields that are only sent
	// or received.
	Stored []Field `json:"stored"`
	Wire   []Field `json:"wire"`
	// Inside are stored fields of maps or JSON, which may contain personal data.
	Inside []Field `json:"look_inside"`
	// Keys are the keys of maps and records, each once for a type and package.
	Keys []Key `json:"keys"`
	// Generated are the columns that the database computes from personal data.
	Generated []Generated `json:"generated"`
}

// NewReport puts items in order, and joins the items of one field.
func NewReport(items []Item) Report {
	m := merger{report: Report{Stored: []Field{}, Wire: []Field{}, Inside: []Field{}, Keys: []Key{}, Generated: []Generated{}}, at: map[id]int{}, keyAt: map[id]int{}}
	for _, i := range items {
		switch {
		case i.Field != nil:
			m.field(*i.Field)
		case i.Key != nil:
			m.key(*i.Key)
		case i.Lookup != nil:
			l := *i.Lookup
			l.Package = known.PackagePath(l.Package)
			m.lookups = append(m.lookups, l)
		case i.Generated != nil:
			if !slices.Contains(m.report.Generated, *i.Generated) {
				m.report.Generated = append(m.report.Generated, *i.Generated)
			}
		}
	}
	return m.finish()
}

// A merger joins the items of one field, and of one key.
type merger struct {
	report    Report
	fields    []Field
	lookups   []Lookup
	at, keyAt map[id]int
}

type id struct{ pkg, of, name string }

func (m *merger) field(f Field) {
	f.Package = known.PackagePath(f.Package)
	id := id{f.Package, f.Struct, f.Name}
	switch n, known := m.at[id]; {
	case !known, f.Use == "" && m.fields[n].Use == "": // fields of two anonymous structs may have the same name
		m.at[id] = len(m.fields)
		m.fields = append(m.fields, f)
	case m.fields[n].Use != "" && (f.Use == "" || f.Looked && !m.fields[n].Looked):
		m.fields[n] = f
	}
}

func (m *merger) key(k Key) {
	k.Package = known.PackagePath(k.Package)
	id := id{k.Package, k.Holder, k.Name}
	n, ok := m.keyAt[id]
	if !ok {
		m.keyAt[id] = len(m.report.Keys)
		m.report.Keys = append(m.report.Keys, k)
		return
	}
	known := &m.report.Keys[n]
	if k.Set && !known.Set {
		known.At = k.At
	}
	known.Stored, known.Set, known.Places = known.Stored || k.Stored, known.Set || k.Set, known.Places+k.Places
}

func (m *merger) finish() Report {
	r := m.report
	Join(m.fields, m.lookups)
	for i := range r.Keys {
		r.Keys[i].Looked = slices.ContainsFunc(m.lookups, func(l Lookup) bool { return strings.EqualFold(l.Column, r.Keys[i].Name) })
	}
	slices.SortStableFunc(m.fields, func(a, b Field) int { return strings.Compare(a.Package, b.Package) })
	slices.SortStableFunc(r.Keys, func(a, b Key) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Holder, b.Holder))
	})
	for _, f := range m.fields {
		for _, g := range r.Generated {
			if len(f.Stored) > 0 && f.Column == g.Column && isTable(g.Table, f.Struct) {
				f.From, f.Wrap, f.Looked = g.From, "", false
			}
		}
		switch {
		case f.Inside:
			r.Inside = append(r.Inside, f)
		case len(f.Stored) > 0:
			r.Stored = append(r.Stored, f)
		default:
			r.Wire = append(r.Wire, f)
		}
	}
	return r
}

// Join marks the stored fields that the lookups look people up by. A lookup is for a
// field if it names the field's column and the table of its struct. If no struct has the
// table, a lookup without tables is for the fields with that column in its own package.
// Otherwise it is for the field with that column if there is only one.
func Join(fields []Field, lookups []Lookup) {
	for _, l := range lookups {
		var ofColumn, ofTable, ofPackage []*Field
		for i := range fields {
			f := &fields[i]
			if f.Inside || len(f.Stored) == 0 || f.Column != strings.ToLower(l.Column) {
				continue
			}
			ofColumn = append(ofColumn, f)
			if slices.ContainsFunc(l.Tables, func(table string) bool { return isTable(table, f.Struct) }) {
				ofTable = append(ofTable, f)
			}
			if len(l.Tables) == 0 && f.Package == l.Package {
				ofPackage = append(ofPackage, f)
			}
		}
		about := ofTable
		if len(about) == 0 {
			about = ofPackage
		}
		if len(about) == 0 && len(ofColumn) == 1 {
			about = ofColumn
		}
		for _, f := range about {
			f.Looked = true
		}
	}
}

// isTable reports whether a table may be the table of a struct, judging by the names:
// users, app_users and user for User.
func isTable(table, name string) bool {
	words := strings.Join(split(name), "_")
	table = strings.ToLower(table)
	for _, plural := range []string{words, words + "s", words + "es", strings.TrimSuffix(words, "y") + "ies"} {
		if words != "" && (table == plural || strings.HasSuffix(table, "_"+plural)) {
			return true
		}
	}
	return false
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	if len(r.Stored)+len(r.Wire)+len(r.Inside)+len(r.Keys)+len(r.Generated) == 0 {
		p.printf("No field, key or column looks like an e-mail address or a phone number in plain text. Names alone were looked at: " +
			"see https://github.com/onlyfor/onlyfor/blob/main/pii/piivet/docs/adopt.md#what-it-cant-see\n")
		return p.err
	}
	if len(r.Stored) > 0 {
		p.section("STORED: change these types. How, with the migration of what is there: github.com/onlyfor/onlyfor/pii/migrate\n")
		p.fields(r.Stored, func(f Field) string {
			to := f.Wrap
			if f.From != "" {
				return "generated from " + f.From + ": see below"
			}
			if f.Looked {
				to += " and " + f.Name + "Index pii.Index"
			}
			if f.Use != "" {
				to += "  (" + f.Use + ")"
			}
			return to
		})
	}
	p.keys("STORED BY KEY: there is no type to change, and the compiler won't find these places. Put the sealed value under the key;\n"+
		"keep the function that does so in one place. An example: github.com/onlyfor/onlyfor/examples/adoption\n", r.Keys, true)
	if len(r.Generated) > 0 {
		p.section("GENERATED BY THE DATABASE: these columns are computed from plaintext. Make each a column that the program writes.\n\n")
		for _, g := range r.Generated {
			p.printf("    %s.%s  from %s  %s\n", g.Table, g.Column, g.From, g.At)
		}
	}
	if len(r.Inside) > 0 {
		p.section("LOOK INSIDE: maps and JSON, stored. The names of fields don't tell whether there are addresses in them.\n")
		p.fields(r.Inside, func(f Field) string { return "" })
	}
	if len(r.Wire) > 0 {
		p.section("SENT OR RECEIVED ONLY: what comes in stays a string until it is sealed, in the function that receives it.\n" +
			"What goes out: does whoever gets it need more than a hint?\n")
		p.fields(r.Wire, func(f Field) string { return "" })
	}
	p.keys("BY KEY, AND NOBODY SEES WHERE TO: maps with such a key, which may be stored, sent or rendered. Look at each.\n", r.Keys, false)
	p.printf("\nWhat still compiles after the change, and is wrong: https://github.com/onlyfor/onlyfor/blob/main/pii/ADOPTING.md#what-compiles-and-is-wrong\n")
	p.printf("\n%s\n", r.sum())
	return p.err
}

// sum returns the last line.
func (r Report) sum() string {
	inKeys, places := 0, 0
	for _, k := range r.Keys {
		if k.Stored {
			inKeys++
			places += k.Places
		}
	}
	text := fmt.Sprintf("%d stored, %d sent or received only; %s.", len(r.Stored), len(r.Wire), structs(r.Stored))
	if inKeys > 0 {
		if len(r.Stored) == 0 {
			text = fmt.Sprintf("No stored struct has such a field, %d sent or received only.", len(r.Wire))
		}
		text += fmt.Sprintf(" %s of maps or records, at %s: no type to change there.", count(inKeys, "stored key"), count(places, "place"))
	}
	if len(r.Inside) > 0 {
		text += fmt.Sprintf(" %s to look inside.", count(len(r.Inside), "field"))
	}
	if len(r.Generated) > 0 {
		text += fmt.Sprintf(" %s.", count(len(r.Generated), "generated column"))
	}
	return text
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// structs counts the types to change.
func structs(fields []Field) string {
	seen := map[string]bool{}
	for _, f := range fields {
		seen[f.Package+"."+f.Struct] = true
	}
	return count(len(seen), "stored type") + " to change"
}

type printer struct {
	w    io.Writer
	err  error
	many bool // there was a section
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// section begins a section.
func (p *printer) section(head string) {
	if p.many {
		p.printf("\n")
	}
	p.many = true
	p.printf("%s", head)
}

// keys writes one line a key, below its package.
func (p *printer) keys(head string, keys []Key, stored bool) {
	pkg, width := "", 0
	for _, k := range keys {
		if k.Stored == stored {
			width = max(width, len(k.Name)+2)
		}
	}
	for _, k := range keys {
		if k.Stored != stored {
			continue
		}
		if head != "" {
			p.section(head)
			head = ""
		}
		if k.Package != pkg {
			pkg = k.Package
			p.printf("\n  %s\n", pkg)
		}
		line := fmt.Sprintf("    %-*s  of %s", width, fmt.Sprintf("%q", k.Name), k.Holder)
		switch {
		case !stored:
		case k.Looked:
			line += "  → " + k.Kind.Type() + ", and a pii.Index under a key of its own"
		default:
			line += "  → " + k.Kind.Type()
		}
		if !k.Set {
			line += "  (read only)"
		}
		line += "  " + k.At
		if k.Places > 1 {
			line += fmt.Sprintf(" and %d more", k.Places-1)
		}
		p.printf("%s\n", line)
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
