package registry

import (
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
)

// A linker resolves references through the inventories of all packages.
type linker struct {
	packages []inventory.Package
	looked   map[string]bool // paths of the analyzed packages
	funcs    map[string]*inventory.Func
	calls    map[string]*inventory.Call
	callers  map[string][]*inventory.Call // by ID of a Func
	aliases  map[string][]string          // IDs of Funcs by Alias.As
	flows    map[inventory.Ref][]inventory.Flow
	lookups  map[inventory.Ref]*inventory.Lookup
	unders   map[inventory.Ref]*inventory.Under
	docs     map[string]string
}

func newLinker(packages []inventory.Package) *linker {
	l := &linker{
		packages: slices.Clone(packages),
		looked:   map[string]bool{},
		funcs:    map[string]*inventory.Func{},
		calls:    map[string]*inventory.Call{},
		callers:  map[string][]*inventory.Call{},
		aliases:  map[string][]string{},
		flows:    map[inventory.Ref][]inventory.Flow{},
		lookups:  map[inventory.Ref]*inventory.Lookup{},
		unders:   map[inventory.Ref]*inventory.Under{},
		docs:     map[string]string{},
	}
	slices.SortFunc(l.packages, func(a, b inventory.Package) int { return strings.Compare(a.Path, b.Path) })
	l.packages = slices.CompactFunc(l.packages, func(a, b inventory.Package) bool { return a.Path == b.Path })
	for _, p := range l.packages {
		l.looked[p.Path] = true
		for i := range p.Funcs {
			f := &p.Funcs[i]
			l.funcs[f.ID] = f
			if f.Doc != "" {
				l.docs[f.In] = f.Doc
			}
		}
		for _, a := range p.Aliases {
			if !slices.Contains(l.aliases[a.As], a.Func) {
				l.aliases[a.As] = append(l.aliases[a.As], a.Func)
			}
		}
		for _, f := range p.Flows {
			l.flows[f.To] = append(l.flows[f.To], f)
		}
		for i := range p.Lookups {
			l.lookups[p.Lookups[i].ID] = &p.Lookups[i]
		}
		for i := range p.Unders {
			l.unders[p.Unders[i].ID] = &p.Unders[i]
		}
	}
	for _, p := range l.packages {
		for i := range p.Calls {
			c := &p.Calls[i]
			l.calls[c.ID] = c
			for _, f := range l.callees(c) {
				l.callers[f] = append(l.callers[f], c)
			}
		}
	}
	return l
}

// seen reports whether a package was analyzed as one that uses the library.
func (l *linker) seen(path string) bool {
	return l.looked[path] && !inventory.OfLibrary(path)
}

// callees returns the IDs of the functions that a call may reach.
func (l *linker) callees(c *inventory.Call) []string {
	if c.Indirect {
		return l.aliases[c.Callee]
	}
	if l.funcs[c.Callee] == nil {
		return nil
	}
	return []string{c.Callee}
}

// outside reports whether no analyzed function is a callee of the call.
func (l *linker) outside(c inventory.Call) bool { return len(l.callees(&c)) == 0 }

func (l *linker) scopesOf(c inventory.Call) []inventory.Ref {
	var all []inventory.Ref
	for _, refs := range c.Args {
		all = append(all, refs...)
	}
	slices.Sort(all)
	return all
}

// A finding is one resolution of a reference.
type finding struct {
	purpose string          // "" if it is not known
	why     string          // the reason if it is not known
	basis   inventory.Basis // for references to bases
	place   string          // the function that the use is for
	at      string
	notice  string
}

// resolve finds the purposes of a use. There is one finding for each purpose and for each
// reason why a purpose is not known. The findings are of the place itself and of the
// places that it works on behalf of, which are the callers that pass the scope.
func (l *linker) resolve(u inventory.Use, add func(inventory.Use, finding)) {
	w := l.walk(u.In, u.At, u.Scope)
	for _, f := range w.findings() {
		if f.basis != (inventory.Basis{}) {
			continue
		}
		if u.Op != inventory.Collect && u.Op != inventory.ExtendInto {
			f.notice = ""
		}
		add(u, f)
	}
}

// received finds the purposes of a value that a place received: the purposes of the
// function that revealed it.
func (l *linker) received(u inventory.Use, add func(inventory.Use, finding)) {
	if u.Of == "" {
		l.resolve(u, add)
		return
	}
	seen := map[finding]bool{}
	for _, p := range l.packages {
		if p.Path != u.OfPackage {
			continue
		}
		for _, r := range p.Uses {
			if r.Op != inventory.Reveal || r.In != u.Of {
				continue
			}
			u.Kind = r.Kind
			for _, f := range l.walk(r.In, r.At, r.Scope).findings() {
				f = finding{purpose: f.purpose, why: f.why, place: u.In, at: u.At}
				if (f.purpose != "" || f.why != "") && !seen[f] {
					seen[f] = true
					add(u, f)
				}
			}
		}
	}
	if len(seen) == 0 {
		add(u, finding{why: "revealed in a way that is not followed", place: u.In, at: u.At})
	}
}

// notices finds the purposes and bases of a scope with a basis.
func (l *linker) notices(u inventory.Under, add func(purpose string, b inventory.Basis, place string)) {
	purposes := l.walk(u.In, u.At, u.Scope).findings()
	bases := whole(l.walk(u.In, u.At, u.Basis).findings())
	for _, p := range purposes {
		if p.purpose == "" || p.place != u.In {
			continue
		}
		for _, b := range bases {
			switch {
			case b.place != u.In:
			case b.basis != (inventory.Basis{}):
				add(p.purpose, b.basis, u.In)
			case b.why != "":
				add(p.purpose, inventory.Basis{Notice: inventory.AtRunTime}, u.In)
			}
		}
	}
}

// whole merges bases that are only parts, fields that are assigned one by one, into the
// bases that they belong to.
func whole(all []finding) []finding {
	var parts inventory.Basis
	var rest []finding
	for _, f := range all {
		if f.basis.Part {
			parts = parts.Over(f.basis)
		} else {
			rest = append(rest, f)
		}
	}
	for i := range rest {
		if rest[i].basis != (inventory.Basis{}) {
			rest[i].basis = rest[i].basis.Over(parts)
		}
	}
	if len(rest) == 0 && parts != (inventory.Basis{}) {
		rest = append(rest, all[0])
		rest[0].basis = parts
	}
	return rest
}

// short returns the name of a function without the path of its package.
func short(id string) string {
	return id[strings.LastIndexByte(id, '/')+1:]
}
