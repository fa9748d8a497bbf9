package inventory

import (
	"encoding/json"
	"errors"
)

// A Package is the inventory of one package. It is made for JSON.
type Package struct {
	// Path is the import path.
	Path string `json:"path"`
	// Skipped says that the package can't use personal data, since it does not import
	// this library, directly or indirectly.
	Skipped bool `json:"skipped,omitempty"`

	// Purposes are the declarations of purposes.
	Purposes []Purpose `json:"purposes,omitempty"`
	// Uses are the uses of personal data.
	Uses []Use `json:"uses,omitempty"`
	// Notes are the directives in comments.
	Notes []Note `json:"notes,omitempty"`

	// Funcs, Calls, Aliases, Flows and Lookups are the edges of the reference graph.
	Funcs   []Func   `json:"funcs,omitempty"`
	Calls   []Call   `json:"calls,omitempty"`
	Aliases []Alias  `json:"aliases,omitempty"`
	Flows   []Flow   `json:"flows,omitempty"`
	Lookups []Lookup `json:"lookups,omitempty"`
	// Unders are the scopes with a basis.
	Unders []Under `json:"unders,omitempty"`
}

// A Purpose is the declaration of a purpose: a package-level variable.
type Purpose struct {
	Name string `json:"name"`
	Var  string `json:"var"`
	Doc  string `json:"doc,omitempty"`
	At   string `json:"at"`
}

// An Op is an operation with personal data.
type Op string

// The operations.
const (
	Open       Op = "open"        // opens a scope of a purpose
	Collect    Op = "collect"     // seals a value
	Reveal     Op = "reveal"      // returns the plaintext
	Receive    Op = "receive"     // receives plaintext that another function revealed
	Hint       Op = "hint"        // returns a masked form
	Index      Op = "index"       // computes an index for equality matches
	ExtendFrom Op = "extend-from" // uses a value of the purpose for another one
	ExtendInto Op = "extend-into" // uses a value of another purpose for this one
	Reseal     Op = "reseal"      // seals anew, under newer keys or fewer purposes
	Withdraw   Op = "withdraw"    // removes the purpose from a value
	Erase      Op = "erase"       // destroys keys of a person or a purpose
	Keys       Op = "keys"        // makes, lists or rotates keys
	HandOver   Op = "hand-over"   // passes a scope to code that is not analyzed
	Send       Op = "send"        // fills fields of requests to a host: a rule of package egress
)

// A Use is an operation at a place.
type Use struct {
	Op Op `json:"op"`
	// In is the enclosing function, with the path of its package.
	In string `json:"in"`
	// Kind is the kind of value, such as "email". It is "" if it is not known or the
	// operation has none.
	Kind string `json:"kind,omitempty"`
	// Scope are the references to the purposes.
	Scope []Ref `json:"scope,omitempty"`
	// To is the function or field that a scope is handed to, for [HandOver].
	To string `json:"to,omitempty"`
	// Outside is the package that a scope is handed to, for [HandOver].
	Outside string `json:"outside,omitempty"`
	// For [Receive], Through is the function that returns or passes the value, and Does
	// is the operation that this place performs with the value. Of is the function that
	// revealed the value, OfPackage its package.
	Through   string `json:"through,omitempty"`
	Does      string `json:"does,omitempty"`
	Of        string `json:"of,omitempty"`
	OfPackage string `json:"ofPackage,omitempty"`
	// For [Send], Host is the host of the requests, "" if it is not constant, and Fields are
	// the fields that are filled, as far as the code shows them.
	Host   string  `json:"host,omitempty"`
	Fields []Field `json:"fields,omitempty"`
	// At is file:line.
	At string `json:"at"`
}

// A Field is a field of a request.
type Field struct {
	// Kind is the kind of value, such as "email".
	Kind string `json:"kind"`
	// Place is the place in the request, such as "form field To".
	Place string `json:"place"`
}

// A Note is a directive in a comment: //piivet:allow, //piivet:purpose.
type Note struct {
	Directive string `json:"directive"`
	Text      string `json:"text"`
	In        string `json:"in,omitempty"`
	At        string `json:"at"`
}

// A Func is a function with a tracked parameter or result.
type Func struct {
	// ID identifies the function in the program.
	ID string `json:"id"`
	// In is the name of the function in the register.
	In string `json:"in"`
	// Doc is the first sentence of its documentation.
	Doc string `json:"doc,omitempty"`
	// Results are the references of the results, by index.
	Results map[int][]Ref `json:"results,omitempty"`
	// Variadic is the index of the variadic parameter, -1 if there is none.
	Variadic int    `json:"variadic"`
	At       string `json:"at"`
}

// An Alias is a name for indirect calls of a function, as a method of an interface or as
// a function value.
type Alias struct {
	Func string `json:"func"`
	As   string `json:"as"`
}

// A Call is a call with tracked arguments or results.
type Call struct {
	ID string `json:"id"`
	// Callee is the ID of a Func, or the As of an [Alias] if the call is indirect.
	Callee   string `json:"callee"`
	Indirect bool   `json:"indirect,omitempty"`
	In       string `json:"in"`
	// Args are the references of the arguments by index. The receiver has index -1.
	Args map[int][]Ref `json:"args,omitempty"`
	// Scopes says that a scope is among the arguments, not just a purpose or a
	// basis.
	Scopes bool   `json:"scopes,omitempty"`
	At     string `json:"at"`
}

// A Flow says that the references From are assigned to the node To.
type Flow struct {
	To   Ref   `json:"to"`
	From []Ref `json:"from"`
	// Key is the key that an element is assigned at, if To is a map whose keys are
	// purposes.
	Key []Ref `json:"key,omitempty"`
	// Same says that From has the purpose of its key, as in m[p], err = v.Scope(ctx, p).
	Same bool `json:"same,omitempty"`
	// Keys says that From are keys of the map, and not elements.
	Keys bool `json:"keys,omitempty"`
}

// A Lookup is the element of a map at a purpose.
type Lookup struct {
	ID  Ref   `json:"id"`
	Map []Ref `json:"map"`
	Key []Ref `json:"key"`
}

// An Under is a scope with a basis: the result of a call of Under.
type Under struct {
	ID    Ref    `json:"id"`
	Scope []Ref  `json:"scope"`
	Basis []Ref  `json:"basis"`
	In    string `json:"in"`
	At    string `json:"at"`
}

// A Basis is the part of a purpose.Basis that is known from the code.
type Basis struct {
	Legal   string `json:"legal,omitempty"`
	Notice  string `json:"notice,omitempty"`
	Consent string `json:"consent,omitempty"`
	Retain  string `json:"retain,omitempty"`
	// Collected is the day of a collection before the sealing, or [AtRunTime] if it is
	// not a constant in the code. It is empty if values are sealed when they are
	// collected.
	Collected string `json:"collected,omitempty"`
	// Part says that this is not a whole basis, but fields that are assigned to another
	// one.
	Part bool `json:"part,omitempty"`
}

// Over returns b with the fields of over that are set.
func (b Basis) Over(over Basis) Basis {
	part := b.Part
	b = merge(b, over)
	b.Part = part
	return b
}

// AtRunTime stands in a [Basis] for a value that only the running program knows.
const AtRunTime = "(set at run time)"

// Parse parses the message of a diagnostic of [Analyzer].
func Parse(message string) (Package, error) {
	var p Package
	if err := json.Unmarshal([]byte(message), &p); err != nil || p.Path == "" {
		return Package{}, errors.New("not the inventory of a package")
	}
	return p, nil
}
