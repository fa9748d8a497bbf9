package flow

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/allow"
)

// A component receives its scopes from the package that makes it. That package decides
// whether the component repurposes values. The last to decide is package main, which is a
// whole program with its imports.

// suspect records a flow from one scope to another that are not both known here.
func (e *engine) suspect(k *sink, src *source) {
	if k.to.Unknown || src.Scope.Unknown {
		return // no importing package knows more
	}
	if _, allowed := allow.Allowed(e.pass, k.rule(), k.pos); allowed {
		return
	}
	e.wait(pending{Pkg: e.pass.Pkg.Path(), Where: e.where(k.pos), What: k.what, From: src.Scope, To: k.to})
}

// suspectReceiver records that a function receives a value whose purpose is not known
// here.
func (e *engine) suspectReceiver(f Finding, src *source) {
	if !src.Scope.Unknown {
		e.wait(pending{In: f.In, InPackage: f.InPackage, Pkg: e.pass.Pkg.Path(), Where: e.where(f.Pos), What: f.What, From: src.Scope})
	}
}

// wait adds a pending flow, once.
func (e *engine) wait(p pending) {
	if key := p.key(); !e.awaited[key] {
		e.awaited[key] = true
		e.own.Pending = append(e.own.Pending, p)
	}
}

func (p pending) key() string {
	list := func(s []string) string { return strings.Join(s, ",") }
	return strings.Join([]string{p.Pkg, p.Where, p.What, p.In, list(p.From.Names), list(p.From.From), list(p.To.Names), list(p.To.From)}, "\x00")
}

// decided returns the findings among the pending flows if this is package main.
func (e *engine) decided() []Finding {
	if e.pass.Pkg.Name() != "main" {
		return nil
	}
	var all []Finding
	for _, f := range append(e.sinksBelow(), e.own) {
		for _, p := range f.Pending {
			if found, ok := e.decide(p); ok {
				all = append(all, found)
			}
		}
	}
	return all
}

// decide returns the finding of a pending flow, false if there is none.
func (e *engine) decide(p pending) (Finding, bool) {
	from, ok := e.purposes.Closed(p.From)
	if !ok {
		return Finding{}, false
	}
	f := Finding{Kind: Receive, What: p.What, In: p.In, InPackage: p.InPackage, From: from, Revealed: p.Where, Elsewhere: p.Pkg + ", " + p.Where}
	if p.In == "" {
		to, ok := e.purposes.Closed(p.To)
		if !ok || overlap(from, to) {
			return Finding{}, false
		}
		f.Kind, f.To = Reuse, to
	}
	f.Pos, ok = e.giver(p)
	return f, ok
}

// giver returns the position of the call that passes the scopes of a pending flow, or
// else the position of func main.
func (e *engine) giver(p pending) (token.Pos, bool) {
	from, to := e.purposes.Reach(p.From), e.purposes.Reach(p.To)
	best, most := token.NoPos, 0
	for _, f := range e.pass.Files {
		if strings.HasSuffix(e.pass.Fset.PositionFor(f.Pos(), false).Filename, "_test.go") {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				given := 0
				for id := range e.purposes.Args(n) {
					if to[id] {
						given += 2
					}
					if from[id] {
						given++
					}
				}
				if given > most {
					best, most = n.Pos(), given
				}
			case *ast.KeyValueExpr: // in a component's literal
				id, ok := n.Key.(*ast.Ident)
				if v, isField := e.pass.TypesInfo.Uses[id].(*types.Var); ok && isField && v.IsField() && most < 2 {
					if name := e.fieldName(v); to[name] || from[name] {
						best, most = n.Pos(), 2
					}
				}
			case *ast.FuncDecl:
				if n.Name.Name == "main" && n.Recv == nil && !best.IsValid() {
					best = n.Name.Pos()
				}
			}
			return true
		})
	}
	return best, best.IsValid()
}
