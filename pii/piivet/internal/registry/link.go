package registry

import (
	"maps"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A linker finds purposes in the graph of all packages.
type linker struct {
	packages []inventory.Package
	looked   map[string]bool // paths of the analyzed packages
	graph    *purposes.Graph
	callees  map[string]bool // functions with a parameter that is tracked, and the calls that may reach one
	docs     map[string]string
}

func newLinker(packages []inventory.Package) *linker {
	l := &linker{packages: slices.Clone(packages), looked: map[string]bool{}, graph: &purposes.Graph{}, docs: map[string]string{}}
	slices.SortFunc(l.packages, func(a, b inventory.Package) int { return strings.Compare(a.Path, b.Path) })
	l.packages = slices.CompactFunc(l.packages, func(a, b inventory.Package) bool { return a.Path == b.Path })
	for _, p := range l.packages {
		l.looked[p.Path] = true
		l.graph.Add(&p.Graph)
		maps.Copy(l.docs, p.Docs)
	}
	l.callees = l.graph.Callees()
	return l
}

// seen reports whether the callee of a hand-over was analyzed, so that its uses are in
// the inventory of its package.
func (l *linker) seen(u inventory.Use) bool {
	return l.callees[u.Callee] || l.looked[u.Outside] && !known.Part(u.Outside)
}

// resolve finds the purposes of a use. There is one finding for each purpose and for each
// reason why a purpose is not known. The findings are of the place itself and of the
// places that it works on behalf of, which are the callers that pass the scope.
func (l *linker) resolve(u inventory.Use, add func(inventory.Use, purposes.Found)) {
	for _, f := range l.graph.Trace(u.Scope, u.In, u.At) {
		if f.Basis != (purposes.Basis{}) {
			continue
		}
		if u.Op != inventory.Collect && u.Op != inventory.ExtendInto {
			f.Notice = ""
		}
		add(u, f)
	}
}

// received finds the purposes of a value that a place received: the purposes of the
// function that revealed it.
func (l *linker) received(u inventory.Use, add func(inventory.Use, purposes.Found)) {
	if u.Of == "" {
		l.resolve(u, add)
		return
	}
	seen := map[purposes.Found]bool{}
	for _, p := range l.packages {
		if p.Path != u.OfPackage {
			continue
		}
		for _, r := range p.Uses {
			if r.Op != inventory.Reveal || r.In != u.Of {
				continue
			}
			u.Kind = r.Kind
			for _, f := range l.graph.Trace(r.Scope, r.In, r.At) {
				f = purposes.Found{Answer: purposes.Answer{Purpose: f.Purpose, Why: f.Why}, In: u.In, At: u.At}
				if (f.Purpose != "" || f.Why != "") && !seen[f] {
					seen[f] = true
					add(u, f)
				}
			}
		}
	}
	if len(seen) == 0 {
		add(u, purposes.Found{Answer: purposes.Answer{Why: "revealed in a way that is not followed"}, In: u.In, At: u.At})
	}
}

// notices finds the purposes and bases of a scope with a basis.
func (l *linker) notices(u inventory.Under, add func(purpose string, b purposes.Basis, place string)) {
	bases := whole(l.graph.Trace(u.Basis, u.In, u.At))
	for _, p := range l.graph.Trace(u.Scope, u.In, u.At) {
		if p.Purpose == "" || p.In != u.In {
			continue
		}
		for _, b := range bases {
			switch {
			case b.In != u.In:
			case b.Basis != (purposes.Basis{}):
				add(p.Purpose, b.Basis, u.In)
			case b.Why != "":
				add(p.Purpose, purposes.Basis{Notice: purposes.AtRunTime}, u.In)
			}
		}
	}
}

// whole merges bases that are only parts, fields that are assigned one by one, into the
// bases that they belong to.
func whole(all []purposes.Found) []purposes.Found {
	var parts purposes.Basis
	var rest []purposes.Found
	for _, f := range all {
		if f.Basis.Part {
			parts = parts.Over(f.Basis)
		} else {
			rest = append(rest, f)
		}
	}
	for i := range rest {
		if rest[i].Basis != (purposes.Basis{}) {
			rest[i].Basis = rest[i].Basis.Over(parts)
		}
	}
	if len(rest) == 0 && parts != (purposes.Basis{}) {
		rest = append(rest, all[0])
		rest[0].Basis = parts
	}
	return rest
}

// short returns the name of a function without the path of its package.
func short(id string) string {
	return id[strings.LastIndexByte(id, '/')+1:]
}
