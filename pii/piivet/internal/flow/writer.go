package flow

import (
	"cmp"
	"go/token"
	"go/types"
	"slices"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"golang.org/x/tools/go/ssa"
)

// A target is the destination of a writer.
type target struct {
	kind   Kind // "" if not known
	what   string
	buffer ssa.Value // the buffer if the destination is memory
}

// targets returns the possible destinations of a writer, as far as its type and its
// construction tell.
func (e *engine) targets(v ssa.Value) []target { return e.trace(v, 0) }

func (e *engine) trace(v ssa.Value, depth int) []target {
	if v == nil || depth > 8 {
		return nil
	}
	if isResponse(v.Type()) {
		return []target{{kind: Response, what: "http.ResponseWriter"}}
	}
	switch path, name := typePath(v.Type()); path + "." + name {
	case "strings.Builder", "bytes.Buffer":
		return []target{{buffer: v}}
	}
	if x := wrapped(v); x != nil {
		return e.trace(x, depth+1)
	}
	switch v := v.(type) {
	case *ssa.Phi:
		var all []target
		for _, edge := range v.Edges {
			all = append(all, e.trace(edge, depth+1)...)
		}
		return all
	case *ssa.Parameter:
		return e.arguments(v, depth)
	case *ssa.FreeVar:
		return e.trace(e.free[v], depth+1)
	case *ssa.UnOp:
		if v.Op == token.MUL {
			return e.trace(v.X, depth+1)
		}
	case *ssa.Global:
		if v.Pkg != nil && v.Pkg.Pkg.Path() == "os" && (v.Name() == "Stdout" || v.Name() == "Stderr") {
			return []target{{kind: Log, what: "os." + v.Name()}}
		}
	case *ssa.Alloc:
		var all []target
		for _, r := range *v.Referrers() {
			if s, ok := r.(*ssa.Store); ok && s.Addr == v {
				all = append(all, e.trace(s.Val, depth+1)...)
			}
		}
		return all
	case *ssa.Call:
		return e.made(v, depth)
	}
	return nil
}

// arguments is trace for the arguments of all calls of a function.
func (e *engine) arguments(v *ssa.Parameter, depth int) []target {
	if e.running != nil {
		e.running.traces = true
	}
	i := slices.Index(v.Parent().Params, v)
	var all []target
	for _, args := range e.callers[v.Parent()] {
		if i < len(args) {
			all = append(all, e.trace(args[i], depth+2)...)
		}
	}
	slices.SortFunc(all, func(a, b target) int { return cmp.Compare(a.what, b.what) })
	return slices.CompactFunc(all, func(a, b target) bool { return a == b })
}

// made returns the destinations of a writer that a call returned.
func (e *engine) made(call *ssa.Call, depth int) []target {
	common := call.Common()
	var fn *types.Func
	if common.IsInvoke() {
		fn = common.Method
	} else if callee := common.StaticCallee(); callee != nil {
		fn, _ = callee.Object().(*types.Func)
	}
	if fn == nil || fn.Pkg() == nil {
		return nil
	}
	path, name := cleanPath(fn.Pkg().Path()), fn.Name()
	if unkeyedHasher(path, recvName(fn), name, common.Args) {
		return []target{{kind: Hash, what: fn.Pkg().Name() + "." + name}}
	}
	if path == "log" && name == "Writer" {
		return []target{{kind: Log, what: "log.Writer"}}
	}
	switch path {
	case "encoding/json", "encoding/xml", "encoding/gob", "encoding/csv", "encoding/hex", "encoding/base64",
		"bufio", "text/tabwriter", "compress/gzip", "compress/flate", "compress/zlib", "io", "gopkg.in/yaml", "go.yaml.in/yaml":
		for _, arg := range common.Args {
			if ts := e.trace(arg, depth+1); ts != nil {
				return ts
			}
		}
		if path == "io" && name == "MultiWriter" && len(common.Args) == 1 {
			return e.elements(common.Args[0], depth)
		}
	}
	return nil
}

// elements is trace for all elements of a slice of arguments.
func (e *engine) elements(v ssa.Value, depth int) []target {
	s, ok := v.(*ssa.Slice)
	if !ok {
		return nil
	}
	alloc, ok := s.X.(*ssa.Alloc)
	if !ok {
		return nil
	}
	var all []target
	for _, r := range *alloc.Referrers() {
		if at, ok := r.(*ssa.IndexAddr); ok {
			for _, r := range *at.Referrers() {
				if s, ok := r.(*ssa.Store); ok && s.Addr == at {
					all = append(all, e.trace(s.Val, depth+1)...)
				}
			}
		}
	}
	return all
}

// write handles a call that writes to w.
func (e *engine) write(s *site, w ssa.Value, set taints) {
	for _, t := range e.targets(w) {
		switch {
		case t.buffer != nil:
			e.store(t.buffer, set)
		case t.kind == Hash:
			// The hash of a document with an address in one of its fields is no finding:
			// a list of addresses does not lead from the hash back to the address.
			e.sink(s.f, Hash, set.direct(), s.pos(), t.what, "", noScopes)
		case t.kind != "":
			e.sink(s.f, t.kind, set, s.pos(), t.what, "", noScopes)
		}
	}
}

// isResponse reports whether a type is an http.ResponseWriter, or has its methods.
func isResponse(t types.Type) bool {
	if path, name := typePath(t); path == "net/http" && name == "ResponseWriter" {
		return true
	}
	if _, ok := t.(*types.Tuple); ok {
		return false
	}
	methods := types.NewMethodSet(t)
	for _, name := range []string{"Header", "WriteHeader", "Write"} {
		if methods.Lookup(nil, name) == nil {
			return false
		}
	}
	return true
}

// typePath returns the package and name of the named type that t is or points
// to, or neither.
func typePath(t types.Type) (path, name string) {
	n := known.Named(t)
	if n == nil || n.Obj().Pkg() == nil {
		return "", ""
	}
	return cleanPath(n.Obj().Pkg().Path()), n.Obj().Name()
}

// recvName returns the name of the type that a method belongs to, "" for a
// function.
func recvName(fn *types.Func) string {
	recv := fn.Signature().Recv()
	if recv == nil {
		return ""
	}
	_, name := typePath(recv.Type())
	return name
}
