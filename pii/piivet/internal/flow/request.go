package flow

import (
	"go/constant"
	"go/token"
	"go/types"
	"net/http"
	"reflect"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// A request is a request that a function makes and sends, as far as the function shows it:
// a request or a body that comes from elsewhere has no parts.
type request struct {
	e      *engine
	f      *ssa.Function
	url    ssa.Value // nil if not known
	method string
	parts  []part
	// encoded are the positions of the calls that encode the parts as JSON, without those
	// that encode a label.
	encoded map[token.Pos]bool

	around map[types.Type]bool // the struct types around the present one
	work   int                 // the types and addresses that were visited
}

// maxWork bounds the work on one request: the types of a value may be a large graph.
const maxWork = 10_000

// busy counts one step, and reports whether there were too many.
func (r *request) busy() bool { r.work++; return r.work > maxWork }

// A part is a place in a request.
type part struct {
	format, name string
	value        ssa.Value
	sealed       bool // the type of the value is sealed, so that an encoder writes sealed text
}

// sends reports whether a function sends a request with its receiver: the methods Get,
// Head, Post and PostForm of http.Client, and the methods Do and RoundTrip of any type.
func sends(fn *types.Func) bool {
	sig := fn.Signature()
	if sig.Recv() == nil || sig.Results().Len() != 2 {
		return false
	}
	if p, name := typePath(sig.Results().At(0).Type()); p != "net/http" || name != "Response" {
		return false
	}
	switch fn.Name() {
	case "Get", "Head", "Post", "PostForm":
		p, name := typePath(sig.Recv().Type())
		return p == "net/http" && name == "Client"
	case "Do", "RoundTrip":
		if sig.Params().Len() != 1 {
			return false
		}
		p, name := typePath(sig.Params().At(0).Type())
		return p == "net/http" && name == "Request"
	}
	return false
}

// send collects the parts of the request that a call sends.
func (r *request) send(s *site) {
	args := s.args[1:]
	switch s.obj.Name() {
	case "Get", "Head":
		r.address(strings.ToUpper(s.obj.Name()), args[0])
	case "Post":
		r.address("POST", args[0])
		r.body(args[2])
	case "PostForm":
		r.address("POST", args[0])
		r.form(args[1])
	default:
		r.made(args[0])
	}
}

func (r *request) add(format, name string, v ssa.Value, sealed bool) {
	r.parts = append(r.parts, part{format, name, v, sealed})
}

func (r *request) address(method string, url ssa.Value) {
	r.method, r.url = method, url
	r.add("URL", "", url, false)
}

// made collects the parts of a request that http.NewRequest returned, and of the headers
// that the function sets.
func (r *request) made(v ssa.Value) {
	made := source0(v)
	call, ok := made.(*ssa.Call)
	if !ok {
		return
	}
	name, args := calleeOf(call), call.Common().Args
	switch name {
	case "net/http.NewRequestWithContext":
		args = args[1:]
	case "net/http.NewRequest":
	default:
		return
	}
	method, _ := constantOf(args[0])
	r.address(method, args[1])
	r.body(args[2])
	r.each(func(i ssa.Instruction) {
		switch i := i.(type) {
		case *ssa.Store: // req.URL.RawQuery = …
			if f, ok := i.Addr.(*ssa.FieldAddr); ok && fieldAt(f.X, made) == "URL" {
				r.add("URL", "", i.Val, false)
			}
		case *ssa.Call:
			args := i.Common().Args
			if n := calleeOf(i); (n == "(net/http.Header).Set" || n == "(net/http.Header).Add") && fieldAt(args[0], made) == "Header" {
				if header, ok := constantOf(args[1]); ok {
					r.add("header", http.CanonicalHeaderKey(header), args[2], false)
				}
			}
		}
	})
}

// fieldAt returns the name of the field of a struct that a value was read from, "" if it was
// read from elsewhere.
func fieldAt(v, of ssa.Value) string {
	load, ok := v.(*ssa.UnOp)
	if !ok || load.Op != token.MUL {
		return ""
	}
	f, ok := load.X.(*ssa.FieldAddr)
	if !ok || source0(f.X) != of {
		return ""
	}
	if v := fieldOf(f.X.Type(), f.Field); v != nil {
		return v.Name()
	}
	return ""
}

// each calls f for all instructions of the function.
func (r *request) each(f func(ssa.Instruction)) {
	for _, b := range r.f.Blocks {
		for _, i := range b.Instrs {
			f(i)
		}
	}
}

// body collects the parts of a body.
func (r *request) body(v ssa.Value) {
	v = source0(v)
	call, ok := v.(*ssa.Call)
	if !ok {
		r.buffer(v)
		return
	}
	switch calleeOf(call) {
	case "strings.NewReader", "bytes.NewReader", "bytes.NewBuffer", "bytes.NewBufferString":
		r.text(call.Common().Args[0])
	}
}

// text collects the parts of an encoded text.
func (r *request) text(v ssa.Value) {
	call, ok := source0(v).(*ssa.Call)
	if !ok {
		return
	}
	switch calleeOf(call) {
	case "(net/url.Values).Encode":
		r.form(call.Common().Args[0])
	case "encoding/json.Marshal", "encoding/json.MarshalIndent":
		r.json(call, call.Common().Args[0])
	}
}

// buffer collects the parts that encoders write into a buffer.
func (r *request) buffer(buffer ssa.Value) {
	writes := func(encoder ssa.Value, constructor string) bool {
		made, ok := source0(encoder).(*ssa.Call)
		return ok && calleeOf(made) == constructor && source0(made.Common().Args[0]) == buffer
	}
	r.each(func(i ssa.Instruction) {
		call, ok := i.(*ssa.Call)
		if !ok {
			return
		}
		switch args := call.Common().Args; calleeOf(call) {
		case "(*encoding/json.Encoder).Encode":
			if writes(args[0], "encoding/json.NewEncoder") {
				r.json(call, args[1])
			}
		case "(*mime/multipart.Writer).WriteField":
			if name, ok := constantOf(args[1]); ok && writes(args[0], "mime/multipart.NewWriter") {
				r.add("multipart field", name, args[2], false)
			}
		}
	})
}

// form collects the fields of a url.Values.
func (r *request) form(values ssa.Value) {
	values = source0(values)
	r.each(func(i ssa.Instruction) {
		var key, value ssa.Value
		switch i := i.(type) {
		case *ssa.MapUpdate:
			if source0(i.Map) == values {
				key, value = i.Key, i.Value
			}
		case *ssa.Call:
			n, args := calleeOf(i), i.Common().Args
			if (n == "(net/url.Values).Set" || n == "(net/url.Values).Add") && source0(args[0]) == values {
				key, value = args[1], args[2]
			}
		}
		if name, ok := constantOf(key); ok {
			r.add("form field", name, value, false)
		}
	})
}

// json collects the values of a JSON text by their pointers.
func (r *request) json(call *ssa.Call, v ssa.Value) {
	from := len(r.parts)
	r.value(v, "", 8)
	for _, p := range r.parts[from:] {
		if !p.sealed && r.e.reaches(p.value, func(src *source) bool { return src.Label }) {
			return
		}
	}
	s := &site{instr: call, expr: r.e.calls[call.Pos()]}
	if r.encoded == nil {
		r.encoded = map[token.Pos]bool{}
	}
	r.encoded[s.pos()] = true
}

// value collects the parts of a value at a pointer.
func (r *request) value(v ssa.Value, pointer string, depth int) {
	v = source0(v)
	switch {
	case depth == 0:
		return
	case known.IsSealed(v.Type()):
		r.add("JSON value", pointer, nil, true)
		return
	case isText(v.Type()):
		r.add("JSON value", pointer, v, false)
		return
	}
	switch x := v.(type) {
	case *ssa.Alloc:
		r.stored(x, pointer, depth)
	case *ssa.Slice:
		if a, ok := x.X.(*ssa.Alloc); ok {
			r.stored(a, pointer, depth)
			return
		}
		r.typed(x.Type(), pointer, depth)
	case *ssa.MakeMap:
		for _, i := range *x.Referrers() {
			if put, ok := i.(*ssa.MapUpdate); ok && put.Map == x {
				if key, ok := constantOf(put.Key); ok {
					r.value(put.Value, pointer+"/"+token6901(key), depth-1)
				}
			}
		}
	default:
		r.typed(v.Type(), pointer, depth)
	}
}

// stored collects the parts that are stored at an address, or at addresses within it.
func (r *request) stored(addr ssa.Value, pointer string, depth int) {
	if r.busy() {
		return
	}
	for _, i := range *addr.Referrers() {
		switch i := i.(type) {
		case *ssa.FieldAddr:
			if name, ok := jsonName(i.X.Type(), i.Field); ok {
				r.stored(i, pointer+name, depth)
			}
		case *ssa.IndexAddr:
			r.stored(i, pointer+"/*", depth)
		case *ssa.Store:
			if i.Addr == addr {
				r.value(i.Val, pointer, depth-1)
			}
		}
	}
}

// typed collects the sealed values that the type of a value has.
func (r *request) typed(t types.Type, pointer string, depth int) {
	if known.IsSealed(t) {
		r.add("JSON value", pointer, nil, true)
		return
	}
	if depth == 0 || r.around[t] || r.busy() {
		return
	}
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		r.typed(u.Elem(), pointer, depth-1)
	case *types.Slice:
		r.typed(u.Elem(), pointer+"/*", depth-1)
	case *types.Array:
		r.typed(u.Elem(), pointer+"/*", depth-1)
	case *types.Map:
		r.typed(u.Elem(), pointer+"/*", depth-1)
	case *types.Struct:
		r.around[t] = true
		for i := range u.NumFields() {
			if name, ok := jsonName(t, i); ok {
				r.typed(u.Field(i).Type(), pointer+name, depth-1)
			}
		}
		delete(r.around, t)
	}
}

// jsonName returns the token of a field in a pointer, with its slash: "" for an embedded
// struct, whose fields stand in the outer object, and false for a field without JSON.
func jsonName(t types.Type, i int) (string, bool) {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok || i >= s.NumFields() {
		return "", false
	}
	f, tag := s.Field(i), reflect.StructTag(s.Tag(i)).Get("json")
	name, _, _ := strings.Cut(tag, ",")
	switch {
	case tag == "-" || !f.Exported() && !f.Embedded():
		return "", false
	case name != "":
		return "/" + token6901(name), true
	case f.Embedded() && !known.IsSealed(f.Type()):
		return "", true
	}
	return "/" + f.Name(), true
}

// token6901 escapes a token of a JSON pointer.
func token6901(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }

// source0 returns the value that v is another form of: it passes conversions, loads of
// variables that are set once, and the first result of a call.
func source0(v ssa.Value) ssa.Value {
	for range 20 {
		next := v
		switch x := v.(type) {
		case *ssa.MakeInterface:
			next = x.X
		case *ssa.ChangeInterface:
			next = x.X
		case *ssa.ChangeType:
			next = x.X
		case *ssa.Convert:
			next = x.X
		case *ssa.Extract:
			if x.Index == 0 {
				next = x.Tuple
			}
		case *ssa.UnOp:
			if a, ok := x.X.(*ssa.Alloc); ok && x.Op == token.MUL {
				next = onlyStore(a)
			}
		}
		if next == v {
			return v
		}
		v = next
	}
	return v
}

// onlyStore returns the value of a variable that is set once, and the variable for others.
func onlyStore(a *ssa.Alloc) ssa.Value {
	var only ssa.Value
	for _, r := range *a.Referrers() {
		if s, ok := r.(*ssa.Store); ok && s.Addr == a {
			if only != nil {
				return a
			}
			only = s.Val
		}
	}
	if only == nil {
		return a
	}
	return only
}

// calleeOf returns the full name of the function that a call calls, "" if it is not known.
func calleeOf(call *ssa.Call) string {
	if fn := call.Common().StaticCallee(); fn != nil && fn.Object() != nil {
		return fn.Object().(*types.Func).FullName()
	}
	return ""
}

// constantOf returns the text of a constant.
func constantOf(v ssa.Value) (string, bool) {
	c, ok := v.(*ssa.Const)
	if !ok || c.Value == nil || c.Value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(c.Value), true
}
