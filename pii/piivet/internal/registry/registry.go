package registry

import (
	"cmp"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A Registry lists the uses of personal data in a code base by purpose. It is made for
// JSON, and its order is fixed.
type Registry struct {
	// Purposes are in the order of their names.
	Purposes []Purpose `json:"purposes"`
	// Unknown are the places whose purpose can't be told from the code.
	Unknown []Use `json:"unknown"`
	// Exceptions are the directives that allow findings of piivet.
	Exceptions []Exception `json:"exceptions"`
	// Packages are the import paths of the analyzed packages that work with personal
	// data. Others is the number of analyzed packages that do not.
	Packages []string `json:"packages"`
	Others   int      `json:"others"`

	paths map[string]bool // of all analyzed packages
}

// A Purpose has all uses for one purpose.
type Purpose struct {
	Name string `json:"name"`
	// Declared are the variables with this purpose.
	Declared []Declaration `json:"declared"`
	// Bound are the packages that are bound to this purpose.
	Bound []string `json:"bound,omitempty"`
	// Notices are the bases that values are collected on.
	Notices []Notice `json:"notices"`
	// Uses are the places, by operation and then by name.
	Uses []Use `json:"uses"`
}

// A Declaration is a package-level variable with a purpose.
type Declaration struct {
	Var string `json:"var"`
	Doc string `json:"doc,omitempty"`
	At  string `json:"at"`
}

// A Notice is a basis of collection, and the places that state it.
type Notice struct {
	purposes.Basis
	Places []string `json:"places"`
}

// A Use is an operation that a place performs for a purpose.
type Use struct {
	Op    inventory.Op `json:"op"`
	Place string       `json:"place"`
	// Doc is the first sentence of the place's documentation.
	Doc string `json:"doc,omitempty"`
	// Kinds are the kinds of values, as far as they are known.
	Kinds []string `json:"kinds,omitempty"`
	// Notices are the ids of the notices that are shown at the place, for uses
	// that collect.
	Notices []string `json:"notices,omitempty"`
	// Through are the functions that perform the operation on behalf of the place.
	Through []string `json:"through,omitempty"`
	// To are the functions and fields that a scope is handed to.
	To []string `json:"to,omitempty"`
	// Does are the operations that a place performs with plaintext.
	Does []string `json:"does,omitempty"`
	// Host is the host that a rule of package egress sends values to, "" if it is not
	// constant: At has its position. Fields are the fields that the rule fills. Both are
	// for uses that send.
	Host   string            `json:"host,omitempty"`
	Fields []inventory.Field `json:"fields,omitempty"`
	// Why are the reasons why the purpose is not known.
	Why []string `json:"why,omitempty"`
	// At are file:line.
	At []string `json:"at"`
}

// An Exception is a //piivet:allow directive.
type Exception struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
	Place  string `json:"place"`
	At     string `json:"at"`
}

// An Operation is an operation with its names for readers.
type Operation struct {
	Op          inventory.Op
	Title, Verb string
}

// Ops are the operations in the order of a value's life.
var Ops = []Operation{
	{inventory.Collect, "Collects", "seals what people enter, for this purpose"},
	{inventory.Reveal, "Reveals", "reads values in clear"},
	{inventory.Receive, "Uses in clear", "gets values in clear from a function that reveals them"},
	{inventory.Send, "Sends to recipients", "fills fields of requests to these hosts with values in clear"},
	{inventory.Hint, "Shows masked", "shows values in a masked form"},
	{inventory.Index, "Matches", "computes what values are looked up and matched by"},
	{inventory.ExtendFrom, "Gives to another purpose", "uses values of this purpose for another one, by consent"},
	{inventory.ExtendInto, "Takes from another purpose", "uses values of another purpose for this one, by consent"},
	{inventory.Reseal, "Seals anew", "brings values under newer keys, or to fewer purposes"},
	{inventory.Withdraw, "Withdraws", "takes this purpose from values"},
	{inventory.Erase, "Erases", "destroys the keys of a person"},
	{inventory.Open, "Takes the right", "asks the key service for the keys of this purpose"},
	{inventory.HandOver, "Hands over the right", "gives the right to code that was not looked at"},
	{inventory.Keys, "Manages keys", "makes, lists, rotates or destroys keys"},
}

// Link builds a registry from the inventories of packages.
func Link(packages []inventory.Package) *Registry {
	l := newLinker(packages)
	b := builder{purposes: map[string]*Purpose{}, uses: map[useKey]*Use{}, docs: l.docs}
	r := &Registry{Purposes: []Purpose{}, Unknown: []Use{}, Exceptions: []Exception{}, Packages: []string{}, paths: map[string]bool{}}
	for _, p := range l.packages {
		r.paths[p.Path] = true
		if p.Skipped {
			r.Others++
		} else {
			r.Packages = append(r.Packages, p.Path)
		}
		for _, d := range p.Purposes {
			at := b.purpose(d.Name)
			at.Declared = append(at.Declared, Declaration{d.Var, d.Doc, d.At})
		}
		for _, n := range p.Notes {
			r.note(&b, p.Path, n)
		}
	}
	for _, p := range l.packages {
		for _, u := range p.Uses {
			if u.Op == inventory.HandOver && l.seen(u) {
				continue
			}
			if u.Op == inventory.Receive {
				l.received(u, b.add)
				continue
			}
			l.resolve(u, b.add)
		}
		for _, u := range p.Unders {
			l.notices(u, b.notice)
		}
	}
	b.finish(r)
	return r
}

func (r *Registry) note(b *builder, path string, n inventory.Note) {
	switch n.Directive {
	case "allow":
		rule, reason, _ := strings.Cut(n.Text, " ")
		r.Exceptions = append(r.Exceptions, Exception{rule, strings.TrimSpace(reason), n.In, n.At})
	case "purpose":
		for name := range strings.FieldsFuncSeq(n.Text, func(c rune) bool { return c == ' ' || c == ',' }) {
			p := b.purpose(name)
			if !slices.Contains(p.Bound, path) {
				p.Bound = append(p.Bound, path)
			}
		}
	}
}

// A builder collects uses and notices.
type builder struct {
	purposes map[string]*Purpose
	uses     map[useKey]*Use
	docs     map[string]string
}

type useKey struct {
	purpose string // "" if it is not known
	op      inventory.Op
	place   string
	host    string
}

func (b *builder) purpose(name string) *Purpose {
	if b.purposes[name] == nil {
		b.purposes[name] = &Purpose{Name: name, Declared: []Declaration{}, Notices: []Notice{}, Uses: []Use{}}
	}
	return b.purposes[name]
}

// add adds a finding about a use: a purpose of the place, or the reason why its purpose
// is not known.
func (b *builder) add(u inventory.Use, f purposes.Found) {
	if f.Why == "" {
		b.purpose(f.Purpose)
	}
	k := useKey{f.Purpose, u.Op, f.In, u.Host}
	at := b.uses[k]
	if at == nil {
		at = &Use{Op: u.Op, Place: f.In, Doc: b.docs[f.In], Host: u.Host, At: []string{}}
		b.uses[k] = at
	}
	at.Kinds = with(at.Kinds, u.Kind)
	at.To = with(at.To, u.To)
	at.Why = with(at.Why, f.Why)
	at.At = with(at.At, f.At)
	if f.In != u.In {
		at.Through = with(at.Through, u.In)
	}
	at.Through = with(at.Through, u.Through)
	at.Does = with(at.Does, doing(u.Does))
	at.Notices = with(at.Notices, f.Notice)
	for _, field := range u.Fields {
		at.Kinds = with(at.Kinds, field.Kind)
		if !slices.Contains(at.Fields, field) {
			at.Fields = append(at.Fields, field)
		}
	}
}

// verbs maps functions of libraries to the operation that they perform with a value.
// Functions are listed by prefix.
var verbs = []struct{ verb, functions string }{
	{"posts", "http.Post,http.Client.Do,http.Client.Post,http.NewRequest,http.Get,http.Client.Get"},
	{"sends", "smtp.,mail.Send"},
	{"stores", "sql.,pgx.,gorm.,bun.,sqlx."},
	{"logs", "log.,slog.,logrus.,zap.,zerolog.,fmt.Print"},
	{"writes", "os.Write,os.File.,io.Write,fmt.Fprint,bufio."},
	{"renders", "template."},
	{"answers", "http.ResponseWriter,http.Error,http.Redirect"},
}

// doing returns the operation of a place that passes a value to a function of a library.
func doing(function string) string {
	for _, v := range verbs {
		for prefix := range strings.SplitSeq(v.functions, ",") {
			if strings.HasPrefix(function, prefix) {
				return v.verb + " (" + function + ")"
			}
		}
	}
	if function != "" {
		return "hands to " + function
	}
	return ""
}

func (b *builder) notice(purpose string, basis purposes.Basis, place string) {
	p := b.purpose(purpose)
	for i := range p.Notices {
		if p.Notices[i].Basis == basis {
			p.Notices[i].Places = with(p.Notices[i].Places, place)
			return
		}
	}
	p.Notices = append(p.Notices, Notice{basis, []string{place}})
}

func with(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// finish moves all uses into the registry and sorts it.
func (b *builder) finish(r *Registry) {
	for k, u := range b.uses {
		for _, list := range [][]string{u.Kinds, u.Notices, u.Through, u.To, u.Does, u.Why} {
			slices.Sort(list)
		}
		slices.SortFunc(u.At, byPosition)
		slices.SortFunc(u.Fields, func(a, b inventory.Field) int {
			return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Place, b.Place))
		})
		if k.purpose == "" {
			r.Unknown = append(r.Unknown, *u)
		} else {
			p := b.purposes[k.purpose]
			p.Uses = append(p.Uses, *u)
		}
	}
	slices.SortFunc(r.Unknown, byUse)
	for _, p := range b.purposes {
		slices.SortFunc(p.Uses, byUse)
		slices.SortFunc(p.Declared, func(a, b Declaration) int { return strings.Compare(a.Var, b.Var) })
		slices.Sort(p.Bound)
		slices.SortFunc(p.Notices, func(a, b Notice) int {
			return cmp.Or(strings.Compare(a.Notice, b.Notice), strings.Compare(a.Legal, b.Legal), strings.Compare(a.Consent, b.Consent), strings.Compare(a.Retain, b.Retain), strings.Compare(a.Collected, b.Collected))
		})
		for _, n := range p.Notices {
			slices.Sort(n.Places)
		}
		r.Purposes = append(r.Purposes, *p)
	}
	slices.SortFunc(r.Purposes, func(a, b Purpose) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Exceptions, func(a, b Exception) int { return byPosition(a.At, b.At) })
	slices.Sort(r.Packages)
}

func byUse(a, b Use) int {
	return cmp.Or(rank(a.Op)-rank(b.Op), strings.Compare(a.Place, b.Place), strings.Compare(a.Host, b.Host))
}

func rank(op inventory.Op) int {
	for i, o := range Ops {
		if o.Op == op {
			return i
		}
	}
	return len(Ops)
}
