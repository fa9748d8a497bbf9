package inventory

import (
	"encoding/json"
	"errors"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
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

	// Graph has the flows of scopes, purposes and bases.
	Graph purposes.Graph `json:"graph"`
	// Docs are the first sentences of the documentation of functions, by the function's
	// name in the register.
	Docs map[string]string `json:"docs,omitempty"`
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
	// Scope are the purposes.
	Scope purposes.Ref `json:"scope,omitzero"`
	// To is the function or field that a scope is handed to, for [HandOver]. Outside is
	// its package, if that is known. Callee is the name of the function in the graph, ""
	// for a field and for a function of the library.
	To      string `json:"to,omitempty"`
	Outside string `json:"outside,omitempty"`
	Callee  string `json:"callee,omitempty"`
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

// An Under is a call of Under, which puts a scope under a basis.
type Under struct {
	Scope purposes.Ref `json:"scope"`
	Basis purposes.Ref `json:"basis"`
	In    string       `json:"in"`
	At    string       `json:"at"`
}

// Parse parses the message of a diagnostic of [Analyzer].
func Parse(message string) (Package, error) {
	var p Package
	if err := json.Unmarshal([]byte(message), &p); err != nil || p.Path == "" {
		return Package{}, errors.New("not the inventory of a package")
	}
	return p, nil
}
