package inventory

import (
	"encoding/json"
	"strconv"
	"strings"
)

// A Ref is a reference to a value that has purposes or a basis. Its first byte is its
// type:
//
//	=security     the purpose of that name
//	#{…}          a Basis as JSON
//	?reason       a value that can't be tracked, and the reason
//	n…            a variable, field or other node that flows lead to
//	p…:0          parameter 0 of a Func; the receiver is -1
//	c…:0          result 0 of a Call
type Ref string

// Purposed returns the reference to the purpose of the given name.
func Purposed(name string) Ref { return Ref("=" + name) }

// Unknown returns the reference to a value that can't be tracked, with the reason.
func Unknown(reason string) Ref { return Ref("?" + reason) }

// Based returns the reference to b.
func Based(b Basis) Ref {
	text, err := json.Marshal(b)
	if err != nil {
		return Unknown("a basis that can't be written down") // strings alone: does not happen
	}
	return Ref("#" + string(text))
}

func node(id string) Ref            { return Ref("n" + id) }
func parameter(f string, i int) Ref { return Ref("p" + f + ":" + strconv.Itoa(i)) }
func result(call string, i int) Ref { return Ref("c" + call + ":" + strconv.Itoa(i)) }
func (r Ref) is(b byte) bool        { return len(r) > 0 && r[0] == b }
func (r Ref) text() string          { return strings.TrimPrefix(string(r), string(r[:1])) }

// Known reports whether r needs no resolution: r is a purpose, a basis or [Unknown].
func (r Ref) Known() bool { return r.is('=') || r.is('#') || r.is('?') }

// Local reports whether r is a node of one function, which no other function sets.
func (r Ref) Local() bool {
	return strings.HasPrefix(string(r), "nlocal ") || strings.HasPrefix(string(r), "nmap ")
}

// Purpose returns the name of the purpose if r is one.
func (r Ref) Purpose() (name string, ok bool) {
	if !r.is('=') {
		return "", false
	}
	return r.text(), true
}

// Reason returns the reason if r is [Unknown].
func (r Ref) Reason() (reason string, ok bool) {
	if !r.is('?') {
		return "", false
	}
	return r.text(), true
}

// Basis returns the basis if r is one.
func (r Ref) Basis() (b Basis, ok bool) {
	if !r.is('#') {
		return Basis{}, false
	}
	return b, json.Unmarshal([]byte(r.text()), &b) == nil
}

// Parameter returns the function and the index if r is a parameter.
func (r Ref) Parameter() (f string, i int, ok bool) { return r.indexed('p') }

// Result returns the call and the index if r is a result.
func (r Ref) Result() (call string, i int, ok bool) { return r.indexed('c') }

func (r Ref) indexed(b byte) (id string, i int, ok bool) {
	if !r.is(b) {
		return "", 0, false
	}
	colon := strings.LastIndexByte(string(r), ':')
	if colon < 0 {
		return "", 0, false
	}
	i, err := strconv.Atoi(string(r[colon+1:]))
	return string(r[1:colon]), i, err == nil
}
