// Package adopt tells which struct fields look like an e-mail address or a phone
// number in plain text, by their names, types and tags, and writes the report of
// what to wrap.
package adopt
