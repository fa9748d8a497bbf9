package flow

import (
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// substitute replaces the parameters of g by the arguments of a call.
func (e *engine) substitute(s *site, g *function, set taints) taints {
	out := taints{}
	for x := range set {
		switch {
		case x.param == g:
			if x.index >= len(s.args) {
				continue
			}
			if x.result > 0 {
				out.add(e.resultsOfParam(s, g, x.index, x.result))
				continue
			}
			out.add(e.of(s.args[x.index]).at(x.content, x.veiled, x.inner, x.hidden))
		case x.source != nil && g.obj != nil && depends(x.source.Scope, g.name):
			src := *x.source
			src.Scope = e.bind(s, src.Scope)
			x.origin = e.intern(src).place.form(x.content, x.veiled)
			out[x] = struct{}{}
		default:
			out[x] = struct{}{}
		}
	}
	return out
}

// bind replaces the parameters of the callee in a reference by the arguments of the call.
func (e *engine) bind(s *site, r purposes.Ref) purposes.Ref {
	if s.expr == nil || s.results != nil { // the arguments are not in the syntax
		out := purposes.Ref{Names: r.Names, Unknown: r.Unknown}
		for _, id := range r.From {
			if strings.Contains(id, "#") {
				out.Unknown = true
			} else {
				out.From = append(out.From, id)
			}
		}
		return out
	}
	args, ok := e.args[s.expr]
	if !ok {
		args = e.purposes.Args(s.expr)
		e.args[s.expr] = args
	}
	return e.purposes.Reduce(r.Bind(args), s.f.name)
}

// outside handles a call of a function of another package, or of one that is not known.
func (e *engine) outside(s *site) {
	key := purposes.Func(s.obj)
	if sum := e.summaryOf(key); sum != nil {
		e.summarised(s, key, sum)
		return
	}
	if s.obj.Pkg() == nil { // error.Error
		if s.obj.Name() == "Error" {
			e.give(s, 0, e.of(s.args[0]))
		}
		return
	}
	e.effect(s)
}

// summarised handles a call of a function with a summary.
func (e *engine) summarised(s *site, key string, sum *summary) {
	e.passed(s, s.obj)
	e.handedOver(s, key, sum)
	for i, items := range sum.Results {
		for _, it := range items {
			set := e.resolve(s, it, sum)
			if it.Param >= 0 && it.Param < len(s.args) && !isText(s.args[it.Param].Type()) {
				set = set.unlabelled()
			}
			e.give(s, i, set)
			if s.obj != nil {
				e.receive(s, set, purposes.Place(s.obj), short(s.obj))
			}
		}
	}
	for _, arg := range s.args {
		e.consume(s.f, e.of(arg))
	}
	for _, k := range sum.Sinks {
		to := e.bind(s, k.To)
		for x := range e.resolve(s, k.Item, sum) {
			e.sinkIn(s.f, k.In, k.Kind, x, s.pos(), k.What, k.Where, to)
		}
	}
}

// resolve returns the taints of an item of a summary at a call.
func (e *engine) resolve(s *site, it item, sum *summary) taints {
	if it.Param >= 0 {
		if it.Param >= len(s.args) {
			return nil
		}
		if it.Result > 0 {
			out := taints{}
			for n := range sum.Calls {
				c := &sum.Calls[n]
				if in := e.virtuals[virtual{s.id(), c, nil}]; in != nil && c.Param == it.Param && it.Result <= maxResults {
					out.add(in.results[it.Result-1])
				}
			}
			return out
		}
		return e.of(s.args[it.Param]).at(it.Content, it.Veiled, it.Inner, it.Hidden)
	}
	return taints{{origin: e.origin(it, s), inner: it.Inner, hidden: it.Hidden}: {}}
}

// origin returns the origin of an item, at a call if s is not nil.
func (e *engine) origin(it item, s *site) *origin {
	if it.Source != nil {
		src := *it.Source
		if s != nil {
			src.Scope = e.bind(s, src.Scope)
		}
		return e.intern(src).place.value()
	}
	if it.Fn != "" {
		return e.callableBy(it.Fn).value()
	}
	return e.shared(it.Shared).form(it.Content, it.Veiled)
}
