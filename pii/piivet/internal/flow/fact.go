package flow

import (
	"encoding/json"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A fact is what other packages have to know of a package, and of all that it
// imports: drivers drop the facts of packages that are only imported
// indirectly.
type fact struct {
	// Funcs are the functions that something flows through, by full name.
	Funcs map[string]*summary `json:",omitempty"`
	// Shared is what is in fields and in variables of packages, by name.
	Shared map[string][]held `json:",omitempty"`
	// Called are the slots whose functions are called.
	Called map[string]bool `json:",omitempty"`
	// Slots are the places whose types are such that functions are kept in them.
	Slots map[string]bool `json:",omitempty"`
	// Open are sinks of places that other packages put values into.
	Open []open `json:",omitempty"`
	// Pending is what depends on scopes that are given from outside.
	Pending []pending `json:",omitempty"`
	// Ours are the packages that are followed, and whether they use the library.
	Ours map[string]bool `json:",omitempty"`
}

func (*fact) AFact()         {}
func (*fact) String() string { return "flow" }

// GobEncode writes JSON, whose maps are in order: facts are compared.
func (f *fact) GobEncode() ([]byte, error) {
	type plain fact
	return json.Marshal((*plain)(f))
}

// GobDecode is the reverse of GobEncode.
func (f *fact) GobDecode(data []byte) error {
	type plain fact
	return json.Unmarshal(data, (*plain)(f))
}

// A summary is what flows through a function.
type summary struct {
	// Results are, for each result, what it may come from.
	Results [][]item `json:",omitempty"`
	// Sinks are where parameters end up.
	Sinks []sunk `json:",omitempty"`
	// Stores are the fields, variables and slots that parameters end up in.
	Stores []stored `json:",omitempty"`
	// Calls are the calls of functions that parameters hold.
	Calls []handed `json:",omitempty"`
	// Places are the parameters that closures have captured, which are places of
	// the program then: see [placeOf].
	Places []int `json:",omitempty"`
}

// A held is a taint of a place, or of the fields of its value.
type held struct {
	Item    item
	Content bool `json:",omitempty"`
	Veiled  bool `json:",omitempty"`
}

// A handed is the call of the function that a parameter holds.
type handed struct {
	Param int
	Args  [][]item // for each argument, its taints
}

// An item is a taint in a fact.
type item struct {
	Source  *source `json:",omitempty"`
	Shared  string  `json:",omitempty"`
	Fn      string  `json:",omitempty"` // the key of a callable
	Param   int     // -1 if it is none
	Result  int     `json:",omitempty"` // as in origin
	Content bool    `json:",omitempty"`
	Veiled  bool    `json:",omitempty"` // of the origin
	Inner   bool    `json:",omitempty"`
	Hidden  bool    `json:",omitempty"`
}

// A sunk is a sink that a parameter, or a value revealed under one, ends up in.
type sunk struct {
	Item  item
	Kind  Kind
	What  string       // as in Finding
	In    string       `json:",omitempty"` // the function that receives the value
	Where string       // file and line
	To    purposes.Ref // of a repurpose
}

// An open is a sink of a place, with the sources that were found to reach it.
type open struct {
	Sink sunk
	Pkg  string   // that the sink is in
	Seen []string `json:",omitempty"`
}

// A stored is a place that a parameter is put into.
type stored struct {
	Item    item
	Shared  string
	Content bool `json:",omitempty"`
	Veiled  bool `json:",omitempty"`
}

// A pending is a flow that repurposes a value if the scopes are such, which are
// given by packages that import this one.
//
// For a value that is received, To is empty, and In is the function.
type pending struct {
	In, InPackage string `json:",omitempty"`
	Pkg, Where    string
	What          string
	From, To      purposes.Ref
}
