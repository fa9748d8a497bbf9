package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/tools/go/analysis"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A fact has the packed flows of a package and of all packages that it imports, by path,
// since drivers drop the facts of packages that are only imported indirectly.
type fact struct{ packages map[string][]byte }

func (*fact) AFact()         {}
func (*fact) String() string { return "flow" }

// GobEncode writes the packages in the order of their paths: drivers compare the
// encodings of facts.
func (f *fact) GobEncode() ([]byte, error) {
	var out []byte
	for _, path := range slices.Sorted(maps.Keys(f.packages)) {
		out = appendFramed(out, []byte(path))
		out = appendFramed(out, f.packages[path])
	}
	return out, nil
}

var errDamaged = errors.New("piivet: the fact of a package is damaged")

// GobDecode is the reverse of GobEncode. The packages stay packed.
func (f *fact) GobDecode(data []byte) error {
	data = slices.Clone(data) // gob uses its buffer again
	f.packages = map[string][]byte{}
	for len(data) > 0 {
		path, rest, ok1 := framed(data)
		packed, rest, ok2 := framed(rest)
		if !ok1 || !ok2 {
			return errDamaged
		}
		f.packages[string(path)] = packed
		data = rest
	}
	return nil
}

// appendFramed appends bytes with their length.
func appendFramed(to, b []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(b))), b...)
}

// framed returns what appendFramed appended, and the bytes behind it.
func framed(data []byte) (b, rest []byte, ok bool) {
	n, size := binary.Uvarint(data)
	if size <= 0 || n > uint64(len(data)-size) {
		return nil, nil, false
	}
	return data[size : size+int(n)], data[size+int(n):], true
}

// flows are what one package adds to the flows of the program.
type flows struct {
	// Uses says that the package uses the library.
	Uses bool
	// Places are the fields, variables, slots and parameters that something flows into.
	Places []inflow
	// Funcs are the summaries of functions, by full name.
	Funcs map[string]*summary
	// Open are sinks of places that other packages may store values in. Seen are the
	// sources, by their keys, that this package brings to open sinks, by theirs.
	Open []open
	Seen map[string][]string
	// Pending are flows that depend on scopes from importing packages.
	Pending []pending
}

// An inflow is what flows into a place in one package.
type inflow struct {
	Name string
	// Slot says that the type of the place is functional, and Called that its functions
	// are called. Reached are the functions that the calls reach.
	Slot, Called bool
	Reached      []string
	// In are the taints that flow into the value, into its fields, and into those that
	// encoders do not see.
	In [3][]item
}

// A summary describes the flows through a function.
type summary struct {
	// Results are the taints of each result.
	Results [][]item
	// Sinks are the sinks that parameters reach.
	Sinks []sunk
	// Calls are the calls of functions in parameters.
	Calls []handed
	// Places are the parameters that are places of the program, by the name of
	// [placeOf]: those that closures capture, and those that flow into other places.
	Places []int
}

// A handed is a call of the function in a parameter.
type handed struct {
	Param int
	Args  [][]item // the taints of each argument
}

// An item is a taint in a fact. Exactly one of Source, Shared, Fn and a Param that is not
// negative is set.
type item struct {
	Source  *source
	Shared  string
	Fn      string // the key of a callable
	Param   int    // -1 if the taint is not of a parameter
	Result  int    // as in origin
	Content bool
	Veiled  bool // of the origin
	Inner   bool
	Hidden  bool

	name int // the index of Shared in the names of the package, for an unpacked item
}

// A sunk is a sink in a summary. A parameter reaches it, or a value that was revealed
// with a parameter as the scope.
type sunk struct {
	Item  item
	Kind  Kind
	What  string       // as in Finding
	In    string       // the function that receives the value
	Where string       // file and line
	To    purposes.Ref // of a repurpose
}

// An open is a sink of a place.
type open struct {
	Sink sunk
	Pkg  string // the package of the sink
}

// A pending is a flow that may repurpose a value, depending on scopes from packages that
// import this one.
//
// For a received value, To is empty, and In is the function.
type pending struct {
	In, InPackage string
	Pkg, Where    string
	What          string
	From, To      purposes.Ref
}

// A program has the flows of the packages that a package imports, directly or not.
type program struct {
	packed map[string][]byte
	// uses are the analyzed packages, and whether each uses the library.
	uses     map[string]bool
	unpacked map[string]*unpacker
}

func newProgram(pass *analysis.Pass) (*program, error) {
	p := &program{packed: map[string][]byte{}, uses: map[string]bool{known.PurposePath: true, known.VaultPath: true, known.PIIPath: true}, unpacked: map[string]*unpacker{}}
	p.uses[pass.Pkg.Path()] = known.Uses(pass)
	for _, imported := range pass.Pkg.Imports() {
		var f fact
		if !pass.ImportPackageFact(imported, &f) {
			continue
		}
		for path, packed := range f.packages {
			if p.packed[path] != nil {
				continue
			}
			u, err := newUnpacker(packed)
			if err != nil {
				return nil, fmt.Errorf("%w: %s", err, path)
			}
			p.packed[path], p.unpacked[path] = packed, u
		}
	}
	return p, nil
}

// paths returns the paths of the packages in a fixed order.
func (p *program) paths() []string { return slices.Sorted(maps.Keys(p.unpacked)) }

// summaryOf returns the summary of a function of an imported package by its key, nil if
// there is none.
func (e *engine) summaryOf(key string) *summary {
	u := e.below.unpacked[e.below.packageOf(key)]
	if u == nil {
		return nil
	}
	all, ok := u.summaries()
	if !ok {
		e.damaged = errDamaged
	}
	return all[key]
}

// packageOf returns the path of the package of a function, "" if it is none of the
// program.
func (p *program) packageOf(key string) string {
	for len(key) > 0 && (key[0] == '(' || key[0] == '*') {
		key = key[1:]
	}
	found := ""
	for i := range len(key) {
		if key[i] == '[' {
			break
		}
		if key[i] == '.' || key[i] == '@' {
			if _, ok := p.unpacked[key[:i]]; ok {
				found = key[:i] // a path may have dots
			}
		}
	}
	return found
}

// join adds the flows of the imported packages.
func (e *engine) join() error {
	for _, path := range e.below.paths() {
		uses := func(uses bool) { e.below.uses[path] = uses }
		var places []*place // by the numbers of their names
		var names []string
		named := func(i int) *place {
			if places[i] == nil {
				places[i] = e.shared(names[i])
			}
			return places[i]
		}
		ok := e.below.unpacked[path].inflows(uses, func(in *inflow, name int, all []string) {
			if places == nil {
				places, names = make([]*place, len(all)), all
			}
			p := named(name)
			p.slot, p.called = p.slot || in.Slot, p.called || in.Called
			p.knownSlot, p.knownCalled = p.slot, p.called
			for _, key := range in.Reached {
				p.plugged = append(p.plugged, e.callableBy(key))
			}
			for i := range in.In {
				o := &p.forms[i]
				o.given = slices.Grow(o.given, len(in.In[i]))
				for _, it := range in.In[i] {
					var from *origin
					if it.Source == nil && it.Fn == "" {
						from = named(it.name).form(it.Content, it.Veiled)
					} else {
						from = e.origin(it, nil)
					}
					o.given = append(o.given, taint{origin: from})
					e.link(taint{origin: from}, o)
				}
			}
		})
		if !ok {
			return fmt.Errorf("%w: %s", errDamaged, path)
		}
	}
	return nil
}
