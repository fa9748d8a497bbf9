package purposes

import (
	"fmt"
	"go/token"
	"go/types"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/known"
)

// dynamic is the prefix of the names of nodes for calls through interfaces. The name of
// the method and the number of its parameters distinguish them.
const dynamic = "dyn:"

// Func returns the name of a function in a graph, such as
// "(*example.com/ads.Service).Match".
func Func(fn *types.Func) string { return fn.Origin().FullName() }

// Place returns the name of a function in reports, such as
// "example.com/shop/auth.(*Service).Login".
func Place(f *types.Func) string {
	f = f.Origin()
	pkg := ""
	if f.Pkg() != nil {
		pkg = known.PackagePath(f.Pkg().Path()) + "."
	}
	recv := f.Signature().Recv()
	if recv == nil {
		return pkg + f.Name()
	}
	t, star := types.Unalias(recv.Type()), ""
	if p, ok := t.(*types.Pointer); ok {
		t, star = types.Unalias(p.Elem()), "*"
	}
	name := "interface"
	if named, ok := t.(*types.Named); ok {
		name = named.Obj().Name()
	}
	return fmt.Sprintf("%s(%s%s).%s", pkg, star, name, f.Name())
}

// param returns the name of the node of a parameter. Parameters count from 0, and the
// receiver is -1.
func param(function string, i int) string { return function + "#" + strconv.Itoa(i) }

func result(function string, i int) string { return function + "=" + strconv.Itoa(i) }

// called returns the name for calls of a method through an interface.
func called(fn *types.Func) string {
	return dynamic + fn.Name() + "/" + strconv.Itoa(fn.Signature().Params().Len())
}

// valued returns the name for calls of a function value. The types of the parameters and
// results distinguish them. Brackets are for keys: see [cutKey].
func valued(sig *types.Signature) string {
	var b strings.Builder
	b.WriteString(dynamic + "func")
	for _, tuple := range []*types.Tuple{sig.Params(), sig.Results()} {
		b.WriteByte('(')
		for v := range tuple.Variables() {
			b.WriteString(types.TypeString(v.Type(), nil) + ",")
		}
		b.WriteByte(')')
	}
	return strings.NewReplacer("[", "<", "]", ">").Replace(b.String())
}

// cutResult returns the function of a result's node. Ok is false for other names.
func cutResult(id string) (function string, ok bool) {
	i := strings.LastIndexByte(id, '=')
	if i < 0 || strings.Contains(id, "@") {
		return "", false
	}
	return id[:i], true
}

// A Namer returns the names of the nodes of variables and fields, in this package and in
// others.
type Namer struct {
	fset   *token.FileSet
	params map[*types.Var]string
	fields map[*types.Var]string
	hidden map[*types.Var]bool // fields of types that other packages can't name
	done   map[*types.Package]bool
}

// NewNamer returns a Namer for the packages of a file set.
func NewNamer(fset *token.FileSet) *Namer {
	return &Namer{fset: fset, params: map[*types.Var]string{}, fields: map[*types.Var]string{}, hidden: map[*types.Var]bool{}, done: map[*types.Package]bool{}}
}

// Name returns the name of the node of v, "" if it has none.
func (n *Namer) Name(v *types.Var) string {
	v = v.Origin()
	if v.Pkg() == nil {
		return ""
	}
	if id, ok := n.params[v]; ok {
		return id
	}
	if !v.IsField() && v.Parent() == v.Pkg().Scope() {
		return v.Pkg().Path() + "." + v.Name()
	}
	if v.IsField() {
		if !n.done[v.Pkg()] {
			n.done[v.Pkg()] = true
			n.addFields(v.Pkg())
		}
		if id, ok := n.fields[v]; ok {
			return id
		}
	}
	return n.at(v.Pkg(), v.Pos())
}

// at returns the name of a node with the given position, "" if the position is not valid.
func (n *Namer) at(pkg *types.Package, pos token.Pos) string {
	if !pos.IsValid() {
		return ""
	}
	p := n.fset.PositionFor(pos, false)
	return fmt.Sprintf("%s@%s:%d:%d", pkg.Path(), filepath.Base(p.Filename), p.Line, p.Column)
}

// position returns file:line. The name of the file is the driver's.
func (n *Namer) position(pos token.Pos) string {
	p := n.fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

func (n *Namer) addFields(pkg *types.Package) {
	for _, name := range pkg.Scope().Names() {
		t, ok := pkg.Scope().Lookup(name).(*types.TypeName)
		if !ok || t.IsAlias() {
			continue
		}
		if s, ok := t.Type().Underlying().(*types.Struct); ok {
			n.addStruct(pkg.Path()+"."+name, s, !t.Exported())
		}
	}
}

func (n *Namer) addStruct(prefix string, s *types.Struct, hidden bool) {
	for f := range s.Fields() {
		if _, ok := n.fields[f]; ok || f.Pkg() == nil {
			continue // type B A shares the fields of A
		}
		id := prefix + "." + f.Name()
		n.fields[f], n.hidden[f] = id, hidden
		if inner, ok := f.Type().(*types.Struct); ok {
			n.addStruct(id, inner, hidden)
		}
	}
}
