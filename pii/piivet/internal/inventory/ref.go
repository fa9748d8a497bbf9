package inventory

import (
	"encoding/json"
	"strconv"
	"strings"
)

// A Ref refers to something that has purposes, or a basis. Its first byte tells
// what it is:
//
//	=security     the purpose of that name
//	#{…}          a Basis as JSON
//	?reason       something that can't be followed, and why
//	n…            a variable, field or other node, which flows lead to
//	p…:0          the parameter 0 of a Func; of the receiver, -1
//	c…:0          the result 0 of a Call
type Ref string

// Purposed returns the reference to the purpose of that name.
func Purposed(name string) Ref { return Ref("=" + name) }

// Unknown returns the reference to what can't be followed, for a reason.
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

// Known reports whether there is nothing to follow: r is a purpose, a basis or
// the reason why it is not known.
func (r Ref) Known() bool { return r.is('=') || r.is('#') || r.is('?') }

// Local reports whether r is a node of one function, and not one that everybody
// may set.
func (r Ref) Local() bool {
	return strings.HasPrefix(string(r), "nlocal ") || strings.HasPrefix(string(r), "nmap ")
}

// Purpose returns the name of the purpose that r is.
func (r Ref) Purpose() (name string, ok bool) {
	if !r.is('=') {
		return "", false
	}
	return r.text(), true
}

// Reason returns why r can't be followed.
func (r Ref) Reason() (reason string, ok bool) {
	if !r.is('?') {
		return "", false
	}
	return r.text(), true
}

// Basis returns the basis that r is.
func (r Ref) Basis() (b Basis, ok bool) {
	if !r.is('#') {
		return Basis{}, false
	}
	return b, json.Unmarshal([]byte(r.text()), &b) == nil
}

// Parameter returns whose parameter r is, and which.
func (r Ref) Parameter() (f string, i int, ok bool) { return r.indexed('p') }

// Result returns of which call r is a result, and which.
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
