package inventory

import (
	"encoding/json"
	"errors"
)

// A Package is what the inventory of one package says. It is made for JSON.
type Package struct {
	// Path is the import path.
	Path string `json:"path"`
	// Skipped says that the package can't touch personal data, since it does
	// not import this library, directly or through others.
	Skipped bool `json:"skipped,omitempty"`

	// Purposes are the declarations of purposes.
	Purposes []Purpose `json:"purposes,omitempty"`
	// Uses are the places that do something with personal data.
	Uses []Use `json:"uses,omitempty"`
	// Notes are the directives in comments.
	Notes []Note `json:"notes,omitempty"`

	// Funcs, Calls, Aliases, Flows and Lookups are how references are followed.
	Funcs   []Func   `json:"funcs,omitempty"`
	Calls   []Call   `json:"calls,omitempty"`
	Aliases []Alias  `json:"aliases,omitempty"`
	Flows   []Flow   `json:"flows,omitempty"`
	Lookups []Lookup `json:"lookups,omitempty"`
	// Unders are the scopes that got a basis.
	Unders []Under `json:"unders,omitempty"`
}

// A Purpose is the declaration of a purpose: a package-level variable.
type Purpose struct {
	Name string `json:"name"`
	Var  string `json:"var"`
	Doc  string `json:"doc,omitempty"`
	At   string `json:"at"`
}

// An Op is what is done with personal data.
type Op string

// The operations.
const (
	Open       Op = "open"        // takes the right to use a purpose
	Collect    Op = "collect"     // seals a value
	Reveal     Op = "reveal"      // gets the plaintext
	Receive    Op = "receive"     // gets plaintext that another function revealed
	Hint       Op = "hint"        // gets a masked form
	Index      Op = "index"       // computes what values are matched by
	ExtendFrom Op = "extend-from" // uses a value of the purpose for another one
	ExtendInto Op = "extend-into" // uses a value of another purpose for this one
	Reseal     Op = "reseal"      // seals anew, under newer keys or fewer purposes
	Withdraw   Op = "withdraw"    // takes the purpose from a value
	Erase      Op = "erase"       // destroys keys of a person or a purpose
	Keys       Op = "keys"        // makes, lists or rotates keys
	HandOver   Op = "hand-over"   // gives a scope to code that was not looked at
)

// A Use is a place that does something.
type Use struct {
	Op Op `json:"op"`
	// In is the place: the function around it, with the path of its package.
	In string `json:"in"`
	// Kind is the kind of value, such as "email", "" if none takes part or it is
	// not known.
	Kind string `json:"kind,omitempty"`
	// Scope refers to the purposes.
	Scope []Ref `json:"scope,omitempty"`
	// To names what a scope is handed to, for [HandOver].
	To string `json:"to,omitempty"`
	// Outside is the package that a scope is handed to, for [HandOver].
	Outside string `json:"outside,omitempty"`
	// Through is the function that a value is received from, and Does what the place
	// does with it, for [Receive]; Of and OfPackage are the function that revealed it.
	Through   string `json:"through,omitempty"`
	Does      string `json:"does,omitempty"`
	Of        string `json:"of,omitempty"`
	OfPackage string `json:"ofPackage,omitempty"`
	// At is file:line.
	At string `json:"at"`
}

// A Note is a directive in a comment: //piivet:allow, //piivet:purpose.
type Note struct {
	Directive string `json:"directive"`
	Text      string `json:"text"`
	In        string `json:"in,omitempty"`
	At        string `json:"at"`
}

// A Func is a function that takes or returns what is followed.
type Func struct {
	// ID is unlike that of any other function.
	ID string `json:"id"`
	// In is the place that the function is.
	In string `json:"in"`
	// Doc is the first sentence of its documentation.
	Doc string `json:"doc,omitempty"`
	// Results are what the results refer to, by index.
	Results map[int][]Ref `json:"results,omitempty"`
	// Variadic is the index of the variadic parameter, -1 if there is none.
	Variadic int    `json:"variadic"`
	At       string `json:"at"`
}

// An Alias is a name by which a function is called indirectly: as a method of an
// interface, as a function value.
type Alias struct {
	Func string `json:"func"`
	As   string `json:"as"`
}

// A Call is a call of such a function.
type Call struct {
	ID string `json:"id"`
	// Callee is the ID of a Func, or what some are called As.
	Callee   string `json:"callee"`
	Indirect bool   `json:"indirect,omitempty"`
	In       string `json:"in"`
	// Args are the arguments by index, the receiver's being -1.
	Args map[int][]Ref `json:"args,omitempty"`
	// Scopes says that a scope is among the arguments, not just a purpose or a
	// basis.
	Scopes bool   `json:"scopes,omitempty"`
	At     string `json:"at"`
}

// A Flow says that From are assigned to the node To.
type Flow struct {
	To   Ref   `json:"to"`
	From []Ref `json:"from"`
	// Key is by which key of a map, if To is one whose keys are purposes.
	Key []Ref `json:"key,omitempty"`
	// Same says that From is of the purpose that is its key, as in
	// m[p], err = v.Scope(ctx, p).
	Same bool `json:"same,omitempty"`
	// Keys says that From are keys of the map, not what it holds.
	Keys bool `json:"keys,omitempty"`
}

// A Lookup is what a map holds by a purpose.
type Lookup struct {
	ID  Ref   `json:"id"`
	Map []Ref `json:"map"`
	Key []Ref `json:"key"`
}

// An Under is a scope that got a basis.
type Under struct {
	ID    Ref    `json:"id"`
	Scope []Ref  `json:"scope"`
	Basis []Ref  `json:"basis"`
	In    string `json:"in"`
	At    string `json:"at"`
}

// A Basis is what is known of a purpose.Basis before the program runs.
type Basis struct {
	Legal   string `json:"legal,omitempty"`
	Notice  string `json:"notice,omitempty"`
	Consent string `json:"consent,omitempty"`
	Retain  string `json:"retain,omitempty"`
	// Collected is the day of a collection before the sealing, or [AtRunTime] if the code
	// does not have it as a constant. It is empty if the values are collected when they
	// are sealed.
	Collected string `json:"collected,omitempty"`
	// Part says that this is not a basis of its own, but fields of another one
	// that are set apart.
	Part bool `json:"part,omitempty"`
}

// Over returns b with the fields of over that are stated.
func (b Basis) Over(over Basis) Basis {
	part := b.Part
	b = merge(b, over)
	b.Part = part
	return b
}

// AtRunTime stands in a [Basis] for what only the running program knows.
const AtRunTime = "(set at run time)"

// Parse reads what the diagnostic of [Analyzer] says.
func Parse(message string) (Package, error) {
	var p Package
	if err := json.Unmarshal([]byte(message), &p); err != nil || p.Path == "" {
		return Package{}, errors.New("not the inventory of a package")
	}
	return p, nil
}
