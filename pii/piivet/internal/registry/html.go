package registry

import (
	_ "embed"
	"html/template"
	"io"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"title":  title,
	"short":  short,
	"join":   func(list []string) string { return strings.Join(list, ", ") },
	"count":  count,
	"anchor": func(name string) string { return "purpose-" + name },
}).Parse(pageText))

// WriteHTML writes the registry as one self-contained page, without scripts, fonts,
// images or requests. Text from the code base is escaped.
func (r *Registry) WriteHTML(w io.Writer) error {
	return page.Execute(w, view{r})
}

// A view adds methods for the page to a registry.
type view struct{ *Registry }

// Matrix are the columns of the overview: the operations that occur.
func (v view) Matrix() []Operation {
	var ops []Operation
	for _, o := range Ops {
		for _, p := range v.Purposes {
			if (section{p}).Count(o.Op) > 0 {
				ops = append(ops, o)
				break
			}
		}
	}
	return ops
}

// Sections are the purposes.
func (v view) Sections() []section {
	all := make([]section, len(v.Purposes))
	for i, p := range v.Purposes {
		all[i] = section{p}
	}
	return all
}

// UnknownGroups are the places whose purpose is not known.
func (v view) UnknownGroups() []group { return groups(v.Unknown) }

// A section is a purpose on the page.
type section struct{ Purpose }

// Count returns the number of places that perform an operation for the purpose.
func (s section) Count(op inventory.Op) int {
	n := 0
	for _, u := range s.Uses {
		if u.Op == op {
			n++
		}
	}
	return n
}

// Groups are the uses by operation.
func (s section) Groups() []group { return groups(s.Uses) }

// A group has all uses of one operation.
type group struct {
	Operation
	Uses []Use
}

func groups(uses []Use) []group {
	var all []group
	for _, o := range Ops {
		g := group{Operation: o}
		for _, u := range uses {
			if u.Op == o.Op {
				g.Uses = append(g.Uses, u)
			}
		}
		if len(g.Uses) > 0 {
			all = append(all, g)
		}
	}
	return all
}

// Unnoticed reports whether the use collects values without a notice.
func (u Use) Unnoticed() bool { return u.Op == inventory.Collect && len(u.Notices) == 0 }
