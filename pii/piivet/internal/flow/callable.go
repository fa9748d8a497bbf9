package flow

import (
	"go/types"
	"strconv"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A callable is a function that is used as a value. Callables are interned by their keys,
// so that equal ones have the same pointer.
type callable struct {
	// key is the full name of a declared function, or the position of a literal.
	key string
	// obj is the declared function, nil for a literal.
	obj *types.Func
	// local is the function in this package, nil for a function of another package.
	local *function
	// bound is the receiver of a method value, nil for others. A method without a bound
	// receiver takes it as the first argument.
	bound ssa.Value
	// library says that obj is a function of the library.
	library bool
	place   *place
}

// value returns the origin of the callable.
func (c *callable) value() *origin { return c.place.value() }

// callableOf returns the callable of a function or closure, nil if it can't be tracked.
func (e *engine) callableOf(fn *ssa.Function, closure *ssa.MakeClosure) *callable {
	if o := fn.Origin(); o != nil {
		fn = o
	}
	c := callable{local: e.byFunc[fn]}
	obj, _ := fn.Object().(*types.Func)
	switch {
	case obj != nil:
		c = e.declared(obj)
		if closure != nil && isBound(fn) {
			c.bound = closure.Bindings[0]
			c.key += "\x00" + strconv.Itoa(int(closure.Pos()))
		}
	case c.local != nil:
		c.key = c.local.key
	default:
		return nil
	}
	return e.internCallable(c)
}

// declared returns the callable of a declared function. It is not interned.
func (e *engine) declared(obj *types.Func) callable {
	c := callable{obj: obj.Origin(), key: purposes.Func(obj)}
	c.local = e.byObject(c.obj)
	return c
}

func (e *engine) internCallable(c callable) *callable {
	c.library = c.obj != nil && known.OpOf(c.obj) != known.None
	if have := e.callables[c.key]; have != nil {
		if have.obj == nil { // it was known from a fact alone
			c.place = have.place
			*have = c
		}
		return have
	}
	c.place = (&place{fn: &c}).init()
	e.callables[c.key] = &c
	return &c
}

// callableBy returns the callable with the key in a fact.
func (e *engine) callableBy(key string) *callable {
	if have := e.callables[key]; have != nil {
		return have
	}
	c := callable{key: key}
	for _, p := range e.pass.Pkg.Imports() {
		if name, ok := strings.CutPrefix(key, p.Path()+"."); ok {
			if fn, ok := p.Scope().Lookup(name).(*types.Func); ok {
				c.obj = fn
			}
		}
	}
	return e.internCallable(c)
}

// name returns the key, "" for nil.
func (c *callable) name() string {
	if c == nil {
		return ""
	}
	return c.key
}

// summary returns the summary of a callable of another package, nil if there is none.
func (e *engine) summary(c *callable) *summary { return e.summaryOf(base(c.key)) }

// base returns a key without the position of a method value.
func base(key string) string {
	key, _, _ = strings.Cut(key, "\x00")
	return key
}

// isBound reports whether fn is the wrapper of a method value.
func isBound(fn *ssa.Function) bool {
	return strings.HasPrefix(fn.Synthetic, "bound method wrapper")
}

// params returns the types of a callable's arguments.
func (c *callable) params() []types.Type {
	var all []types.Type
	switch {
	case c.local != nil:
		for _, p := range c.local.ssa.Params {
			all = append(all, p.Type())
		}
	case c.obj != nil:
		if recv := c.obj.Signature().Recv(); recv != nil {
			all = append(all, recv.Type())
		}
		for p := range c.obj.Signature().Params().Variables() {
			all = append(all, p.Type())
		}
	default: // a literal of another package
		for range maxResults {
			all = append(all, types.Universe.Lookup("any").Type())
		}
	}
	if c.bound != nil && len(all) > 0 {
		all = all[1:]
	}
	return all
}
