package registry

import (
	"cmp"
	"io"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// WriteText writes the registry for a terminal.
func (r *Registry) WriteText(w io.Writer) error {
	p := &printer{w: w}
	p.printf("%s; %s with personal data, %s not\n", count(len(r.Purposes), "purpose", "purposes"), count(len(r.Packages), "package works", "packages work"), count(r.Others, "does", "do"))
	for _, purpose := range r.Purposes {
		p.printf("\n%s\n", strings.ToUpper(purpose.Name))
		for _, d := range purpose.Declared {
			if d.Doc != "" {
				p.printf("  %s\n", d.Doc)
			}
			p.printf("  declared as %s  %s\n", d.Var, d.At)
		}
		for _, b := range purpose.Bound {
			p.printf("  the only purpose of %s\n", b)
		}
		if len(purpose.Notices) > 0 {
			p.printf("\n  Notices\n")
		}
		for _, n := range purpose.Notices {
			p.printf("    %s\n", describe(n.Basis))
			for _, place := range n.Places {
				p.printf("      %s\n", place)
			}
		}
		p.uses(purpose.Uses)
		if len(purpose.Uses) == 0 {
			p.printf("\n  Nothing is done for this purpose.\n")
		}
	}
	if len(r.Unknown) > 0 {
		p.printf("\nPURPOSE NOT KNOWN: ask who wrote it\n")
		p.uses(r.Unknown)
	}
	if len(r.Exceptions) > 0 {
		p.printf("\nEXCEPTIONS that people made from the rules of piivet\n")
		for _, e := range r.Exceptions {
			p.printf("    %s: %s  (%s)  %s\n", e.Rule, e.Reason, e.Place, e.At)
		}
	}
	return p.err
}

func (p *printer) uses(uses []Use) {
	for i, u := range uses {
		if i == 0 || uses[i-1].Op != u.Op {
			p.printf("\n  %s\n", title(u.Op))
		}
		p.printf("    %s%s  %s\n", u.Place, u.details(), strings.Join(u.At, ", "))
		if u.Doc != "" {
			p.printf("      %s\n", u.Doc)
		}
		for _, why := range u.Why {
			p.printf("      %s\n", why)
		}
	}
}

// details returns the kinds of values of a use, its notices, and the functions that it
// goes through.
func (u Use) details() string {
	var parts []string
	if u.Op == inventory.Send {
		parts = append(parts, "to "+u.Recipient())
		for _, f := range u.Fields {
			parts = append(parts, f.Kind+" in "+f.Place)
		}
	} else if len(u.Kinds) > 0 {
		parts = append(parts, strings.Join(u.Kinds, ", "))
	}
	if len(u.To) > 0 {
		parts = append(parts, "to "+strings.Join(u.To, ", "))
	}
	parts = append(parts, u.Does...)
	switch {
	case len(u.Notices) > 0:
		parts = append(parts, "notice "+strings.Join(u.Notices, ", "))
	case u.Op == inventory.Collect:
		parts = append(parts, "no notice")
	}
	if len(u.Through) > 0 {
		parts = append(parts, "through "+strings.Join(names(u.Through), ", "))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// Recipient returns the host of a use that sends, "" for other uses.
func (u Use) Recipient() string {
	if u.Op != inventory.Send {
		return ""
	}
	return cmp.Or(u.Host, "a host that is not constant")
}

func names(places []string) []string {
	all := make([]string, len(places))
	for i, p := range places {
		all[i] = short(p)
	}
	return all
}

func title(op inventory.Op) string {
	for _, o := range Ops {
		if o.Op == op {
			return o.Title
		}
	}
	return string(op)
}

// describe returns a basis as text.
func describe(b purposes.Basis) string {
	var parts []string
	if b.Notice != "" {
		parts = append(parts, b.Notice)
	} else {
		parts = append(parts, "no notice")
	}
	if b.Legal != "" {
		parts = append(parts, "on the ground of "+b.Legal)
	}
	if b.Consent != "" {
		parts = append(parts, "consent "+b.Consent)
	}
	if b.Retain != "" {
		parts = append(parts, "kept for "+b.Retain)
	}
	switch b.Collected {
	case "":
	case purposes.AtRunTime:
		parts = append(parts, "collected earlier, at a time that is stated")
	default:
		parts = append(parts, "collected on "+b.Collected+", as stated")
	}
	return strings.Join(parts, ", ")
}
