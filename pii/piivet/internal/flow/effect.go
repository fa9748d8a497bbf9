package flow

import (
	"go/constant"
	"go/types"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// A callee is a function that is known by its name alone.
type callee struct {
	pkg, recv, name string
	key             string      // package and receiver, as in the tables
	what            string      // the qualified name
	fn              *types.Func // the function itself
	args, rest      []ssa.Value // rest is without the receiver
}

// An effect is the effect of some functions on their arguments.
type effect struct {
	of func(c *callee) bool
	do func(e *engine, s *site, c *callee)
}

// effects are tried in order: the first that is of the function is its effect. Functions
// of none are in [engine.otherwise].
var effects []effect

func init() { // not a literal, which would be a cycle
	in := func(pkg string) func(*callee) bool { return func(c *callee) bool { return c.pkg == pkg } }
	nothing := func(*engine, *site, *callee) {}
	sinks := func(kind Kind) func(*engine, *site, *callee) {
		return func(e *engine, s *site, c *callee) { e.sinkAll(s, kind, c.rest, c.what) }
	}
	passes := func(e *engine, s *site, c *callee) { e.passText(s, c.args) }
	effects = []effect{
		{func(c *callee) bool { return c.pkg == known.EgressPath && c.name == "NewTransport" }, func(e *engine, s *site, c *callee) { e.newTransport(s) }},
		{in("fmt"), func(e *engine, s *site, c *callee) { e.fmt(s, c.name) }},
		{ofContext, func(e *engine, s *site, c *callee) { e.context(s, c.name) }},
		{func(c *callee) bool { return containers[c.pkg] }, func(e *engine, s *site, c *callee) { e.keep(s) }},
		{func(c *callee) bool { return c.pkg == "errors" && c.name == "New" }, sinks(Error)},
		{in("errors"), func(e *engine, s *site, c *callee) { e.handOn(s, c.args, true) }},
		{in("io"), func(e *engine, s *site, c *callee) { e.io(s, c.name) }},
		{in("strconv"), func(e *engine, s *site, c *callee) { e.passText(s, c.args); e.quote(s, c.args) }},
		{func(c *callee) bool { return slices.Contains(responders[c.key], c.name) }, func(e *engine, s *site, c *callee) { e.respond(s, c.rest, c.what) }},
		{in("net/http"), func(e *engine, s *site, c *callee) { e.http(s, c.recv, c.name) }},
		{func(c *callee) bool { return hashes[c.pkg] != "" && c.recv == "" && hasPrefix(c.name, hashes[c.pkg]) }, (*engine).hashes},
		{ofHasher, func(e *engine, s *site, c *callee) { e.write(s, c.args[0], e.of(c.args[1])) }},
		{func(c *callee) bool { return attributes[c.key] && attribute(c.fn) }, passes},
		{errorMaker("Is", "As", "Cause", "Unwrap"), nothing},
		{errorMaker("Append", "Combine", "Join", "WithStack", "Trace"), func(e *engine, s *site, c *callee) { e.handOn(s, c.args, true) }},
		{errorMaker(), sinks(Error)},
		{ofHTTPError, sinks(Error)},
		{makesLogger, nothing},
		{func(c *callee) bool { return loggers[c.pkg] }, sinks(Log)},
		{func(c *callee) bool { return metrics[c.pkg] }, sinks(Metric)},
		{namedLogger, sinks(Log)},
		{func(c *callee) bool { return texts[c.pkg] }, func(e *engine, s *site, c *callee) { e.textual(s, c.pkg, c.recv, c.name) }},
	}
}

// ofContext reports whether a function stores or returns a value of a context.
func ofContext(c *callee) bool {
	return c.pkg == "context" && (c.name == "WithValue" && len(c.args) == 3 || c.name == "Value" && len(c.args) == 2)
}

func ofHasher(c *callee) bool {
	return (hashers[c.pkg] || c.pkg == "hash") && (c.name == "Write" || c.name == "WriteString") && len(c.args) == 2
}

// errorMaker matches functions that make errors, of the given names if there are any.
func errorMaker(names ...string) func(*callee) bool {
	return func(c *callee) bool {
		return errorMakers[c.pkg] && c.recv == "" && (len(names) == 0 || slices.Contains(names, c.name))
	}
}

// ofHTTPError matches constructors of errors that a web framework sends.
func ofHTTPError(c *callee) bool {
	return c.name == "NewHTTPError" && c.pkg == "github.com/labstack/echo" ||
		c.name == "NewError" && (c.pkg == "github.com/gofiber/fiber" || c.pkg == "connectrpc.com/connect")
}

// makesLogger matches functions of log packages that log nothing.
func makesLogger(c *callee) bool {
	return c.pkg == "log/slog" && (c.name == "SetDefault" || strings.HasPrefix(c.name, "New")) ||
		c.pkg == "log" && (strings.HasPrefix(c.name, "New") || c.name == "SetOutput")
}

// namedLogger matches methods and functions of types and packages that are called logs, the
// application's own ones included.
func namedLogger(c *callee) bool {
	return strings.HasSuffix(c.recv, "Logger") && levels.MatchString(c.name) ||
		c.recv == "" && logPackage.MatchString(c.pkg) && (levels.MatchString(c.name) || withFields.MatchString(c.name))
}

// effect handles a call of a function that is known by its name alone.
func (e *engine) effect(s *site) {
	c := &callee{pkg: cleanPath(s.obj.Pkg().Path()), recv: recvName(s.obj), name: s.obj.Name(), what: short(s.obj), fn: s.obj, args: s.args, rest: s.args}
	c.key = c.pkg + "." + c.recv
	if s.obj.Signature().Recv() != nil && len(s.args) > 0 {
		c.rest = s.args[1:]
	}
	if leaves(c.pkg, c.key, c.name, s.obj) {
		e.hand(s, c.what)
	}
	for _, x := range effects {
		if x.of(c) {
			x.do(e, s, c)
			return
		}
	}
	e.otherwise(s, c)
}

// otherwise handles a call of a function in none of the tables.
func (e *engine) otherwise(s *site, c *callee) {
	if !answersElse(c.pkg, s.obj) {
		e.passText(s, c.args)
	} else {
		e.feed(s, c.args, nil, nil) // the callee may call its function arguments, as errgroup.Group.Go does
	}
	if quoters[c.pkg] {
		e.quote(s, c.args)
	}
}

// hashes handles a call of a function that hashes its arguments without a key.
func (e *engine) hashes(s *site, c *callee) {
	for _, arg := range c.rest {
		set := e.of(arg)
		if b, ok := arg.Type().Underlying().(*types.Slice); ok && !types.IsInterface(b.Elem()) {
			set = set.direct() // as in write
		}
		e.sink(s.f, Hash, set, s.pos(), c.what, "", noScopes)
	}
}

// context handles the values of a context, which the types of their keys distinguish.
func (e *engine) context(s *site, name string) {
	if name == "WithValue" {
		e.flowBoth(e.shared(contextKey(s.args[1])), e.of(s.args[2]))
		return
	}
	e.give(s, 0, both(e.shared(contextKey(s.args[1]))))
}

func contextKey(v ssa.Value) string {
	if i, ok := v.(*ssa.MakeInterface); ok {
		v = i.X
	}
	key := "context value " + types.TypeString(v.Type(), nil)
	switch v := v.(type) {
	case *ssa.Const:
		if v.Value != nil {
			key += " " + v.Value.ExactString()
		}
	case *ssa.UnOp:
		if g, ok := v.X.(*ssa.Global); ok {
			key += " " + g.String()
		}
	case *ssa.Global:
		key += " " + v.String()
	}
	return key
}

// keep handles containers. A method stores its arguments in its receiver and may return
// them. A function stores its further arguments in the first one, a pointer.
func (e *engine) keep(s *site) {
	if len(s.args) > 1 && recvName(s.obj) == "Map" {
		if key, ok := s.args[1].(*ssa.MakeInterface); ok {
			e.keyed(s.f, key.X, s.pos())
		}
	}
	if len(s.args) > 1 {
		e.store(s.args[0], e.union(s.args[1:]))
	}
	e.passText(s, s.args)
}

// attribute reports whether a function returns a value for another function to log, and
// is not itself a function that logs.
func attribute(fn *types.Func) bool {
	results := fn.Signature().Results()
	if results.Len() == 0 {
		return false
	}
	_, name := typePath(results.At(0).Type())
	return !strings.HasSuffix(name, "Logger")
}

func hasPrefix(name, prefixes string) bool {
	for prefix := range strings.SplitSeq(prefixes, ",") {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// sinkAll records that arguments reach a sink. A context does not: its values are tracked
// by their keys.
func (e *engine) sinkAll(s *site, kind Kind, args []ssa.Value, what string) {
	for _, arg := range args {
		if p, name := typePath(arg.Type()); p == "context" && name == "Context" {
			continue
		}
		e.sink(s.f, kind, e.of(arg), s.pos(), what, "", noScopes)
	}
}

// union returns the taints of all arguments. A context has none: its values are tracked
// by their keys.
func (e *engine) union(args []ssa.Value) taints {
	all := taints{}
	for _, arg := range args {
		if p, name := typePath(arg.Type()); p != "context" || name != "Context" {
			all.add(e.of(arg))
		}
	}
	return all
}

// handOn lets arguments flow into the results, into errors only if errs is set, and into
// the functions among the arguments. The results of these functions flow into the results
// as well.
func (e *engine) handOn(s *site, args []ssa.Value, errs bool) {
	all := e.union(args)
	e.feed(s, args, all.data(), nil)
	all.add(e.outcomes(s, args))
	results := s.obj.Signature().Results()
	for i := range results.Len() {
		if errs || !known.IsError(results.At(i).Type()) {
			e.give(s, i, all)
		}
	}
}

func (e *engine) passText(s *site, args []ssa.Value) { e.handOn(s, args, false) }

// quote lets arguments flow into the returned error.
func (e *engine) quote(s *site, args []ssa.Value) {
	results := s.obj.Signature().Results()
	for i := range results.Len() {
		if known.IsError(results.At(i).Type()) {
			e.give(s, i, e.union(args))
		}
	}
}

func (e *engine) fmt(s *site, name string) {
	if strings.HasSuffix(name, "f") && typesOnly(s.args) {
		return
	}
	switch {
	case name == "Errorf":
		e.sinkAll(s, Error, s.args, "fmt.Errorf")
	case strings.HasPrefix(name, "Print"):
		e.sinkAll(s, Log, s.args, "fmt."+name)
	case strings.HasPrefix(name, "Fprint"):
		e.write(s, s.args[0], e.union(s.args[1:]))
	case strings.Contains(name, "scan") || strings.Contains(name, "Scan"):
		e.fill(s)
	case strings.HasPrefix(name, "Sprint"), strings.HasPrefix(name, "Append"):
		e.passText(s, s.args)
	}
}

// typesOnly reports whether the format among the arguments is constant and prints types
// of values alone, with %T. Arguments without a verb are left to the printf check of go
// vet.
func typesOnly(args []ssa.Value) bool {
	for _, arg := range args[:min(len(args), 2)] { // the format is the second argument of Fprintf and Appendf
		c, ok := arg.(*ssa.Const)
		if !ok || c.Value == nil || c.Value.Kind() != constant.String {
			continue
		}
		format := strings.ReplaceAll(constant.StringVal(c.Value), "%%", "")
		return strings.Contains(format, "%T") && !strings.Contains(strings.ReplaceAll(format, "%T", ""), "%")
	}
	return false
}

func (e *engine) io(s *site, name string) {
	switch name {
	case "WriteString", "Write", "Copy", "CopyN", "CopyBuffer", "WriteTo":
		if len(s.args) > 1 {
			e.write(s, s.args[0], e.of(s.args[1]))
		}
	case "ReadFull", "ReadAtLeast":
		e.fill(s)
	case "ReadAll", "TeeReader", "LimitReader", "NopCloser", "MultiReader", "NewSectionReader":
		e.passText(s, s.args)
	}
}

func (e *engine) http(s *site, recv, name string) {
	switch {
	case recv == "ResponseWriter" && name == "Write":
		e.sinkAll(s, Response, s.args[1:], "http.ResponseWriter")
	case recv == "Header" && (name == "Set" || name == "Add"):
		if headerOfResponse(s.args[0], 0) {
			e.sinkAll(s, Response, s.args[1:], "http.Header."+name)
		}
	}
}

// headerOfResponse reports whether a header is one of a response, and not of a request.
func headerOfResponse(v ssa.Value, depth int) bool {
	if depth > 4 {
		return false
	}
	switch v := v.(type) {
	case *ssa.Phi:
		return slices.ContainsFunc(v.Edges, func(x ssa.Value) bool { return headerOfResponse(x, depth+1) })
	case *ssa.Call:
		c := v.Common()
		if c.IsInvoke() {
			return c.Method.Name() == "Header" && isResponse(c.Value.Type())
		}
		fn := c.StaticCallee()
		return fn != nil && fn.Name() == "Header" && len(c.Args) > 0 && isResponse(c.Args[0].Type())
	}
	return false
}

// fills matches names of functions that store text in their arguments.
var fills = regexp.MustCompile(`^(Unmarshal|Decode|Read|Scan)`)

// fill lets text flow into the pointers, slices and maps among the arguments.
func (e *engine) fill(s *site) {
	all := e.union(s.args).flat()
	for _, arg := range s.args {
		e.store(arg, all)
	}
}

// textual handles packages whose functions return text in another form.
func (e *engine) textual(s *site, p, recv, name string) {
	args := s.args
	switch {
	case path.Base(p) == "template" && strings.HasPrefix(name, "Execute"):
		e.rendersLabels(s, args[len(args)-1], "is rendered by a template", true)
		e.write(s, args[1], e.rendered(args[len(args)-1]))
		return
	case recv == "Encoder" && strings.HasPrefix(name, "Encode"), recv == "Writer" && strings.HasPrefix(name, "Write"):
		if len(args) > 1 {
			if recv == "Encoder" {
				answer := slices.ContainsFunc(e.targets(args[0]), func(t target) bool { return t.kind == Response })
				e.rendersLabels(s, args[1], "is encoded for an answer", answer)
			}
			e.write(s, args[0], e.union(args[1:]).encoded())
		}
		return
	case strings.HasPrefix(name, "Marshal"):
		if len(args) > 0 {
			e.rendersLabels(s, args[0], "is encoded from a map", false)
		}
		e.give(s, 0, e.union(args).encoded())
		return
	case fills.MatchString(name):
		e.fill(s)
	case (p == "maps" || p == "slices") && (strings.HasPrefix(name, "Copy") || strings.HasPrefix(name, "Insert")) && len(args) > 1:
		e.store(args[0], e.union(args[1:])) // Insert of maps takes an iterator
	case recv != "" && len(args) > 1 && (strings.HasPrefix(name, "Write") || strings.HasPrefix(name, "Set") || strings.HasPrefix(name, "Add") || name == "UnmarshalJSON"):
		e.store(args[0], e.union(args[1:])) // strings.Builder, url.Values, mail.Header
	}
	e.passText(s, args)
	if quoters[p] {
		e.quote(s, args)
	}
}
