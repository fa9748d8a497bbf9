package flow

import (
	"encoding/json"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A fact has the summaries of a package and of all packages that it imports, since
// drivers drop the facts of packages that are only imported indirectly.
type fact struct {
	// Funcs are the summaries of functions, by full name.
	Funcs map[string]*summary `json:",omitempty"`
	// Shared are the taints of fields and package-level variables, by name.
	Shared map[string][]held `json:",omitempty"`
	// Called are the slots whose functions are called.
	Called map[string]bool `json:",omitempty"`
	// Slots are the places whose types are functional.
	Slots map[string]bool `json:",omitempty"`
	// Open are sinks of places that other packages may store values in.
	Open []open `json:",omitempty"`
	// Pending are flows that depend on scopes from importing packages.
	Pending []pending `json:",omitempty"`
	// Ours are the analyzed packages, and whether each uses the library.
	Ours map[string]bool `json:",omitempty"`
}

func (*fact) AFact()         {}
func (*fact) String() string { return "flow" }

// GobEncode writes JSON, which has map keys in order: drivers compare the encodings of
// facts.
func (f *fact) GobEncode() ([]byte, error) {
	type plain fact
	return json.Marshal((*plain)(f))
}

// GobDecode is the reverse of GobEncode.
func (f *fact) GobDecode(data []byte) error {
	type plain fact
	return json.Unmarshal(data, (*plain)(f))
}

// A summary describes the flows through a function.
type summary struct {
	// Results are the taints of each result.
	Results [][]item `json:",omitempty"`
	// Sinks are the sinks that parameters reach.
	Sinks []sunk `json:",omitempty"`
	// Stores are the fields, variables and slots that parameters flow into.
	Stores []stored `json:",omitempty"`
	// Calls are the calls of functions in parameters.
	Calls []handed `json:",omitempty"`
	// Places are the parameters that closures capture. These are places of the program:
	// see [placeOf].
	Places []int `json:",omitempty"`
}

// A held is a taint of a place, or of the fields of its value.
type held struct {
	Item    item
	Content bool `json:",omitempty"`
	Veiled  bool `json:",omitempty"`
}

// A handed is a call of the function in a parameter.
type handed struct {
	Param int
	Args  [][]item // the taints of each argument
}

// An item is a taint in a fact.
type item struct {
	Source  *source `json:",omitempty"`
	Shared  string  `json:",omitempty"`
	Fn      string  `json:",omitempty"` // the key of a callable
	Param   int     // -1 if the taint is not of a parameter
	Result  int     `json:",omitempty"` // as in origin
	Content bool    `json:",omitempty"`
	Veiled  bool    `json:",omitempty"` // of the origin
	Inner   bool    `json:",omitempty"`
	Hidden  bool    `json:",omitempty"`
}

// A sunk is a sink in a summary. A parameter reaches it, or a value that was revealed
// with a parameter as the scope.
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
	Pkg  string   // the package of the sink
	Seen []string `json:",omitempty"`
}

// A stored is a place that a parameter flows into.
type stored struct {
	Item    item
	Shared  string
	Content bool `json:",omitempty"`
	Veiled  bool `json:",omitempty"`
}

// A pending is a flow that may repurpose a value, depending on scopes from packages that
// import this one.
//
// For a received value, To is empty, and In is the function.
type pending struct {
	In, InPackage string `json:",omitempty"`
	Pkg, Where    string
	What          string
	From, To      purposes.Ref
}
