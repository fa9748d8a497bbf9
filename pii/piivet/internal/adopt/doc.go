// Package adopt tells which struct fields, keys and columns look like an e-mail address
// or a phone number in plain text, by their names, types and tags, reads queries and
// schemas for them, and writes the report of the places to change.
package adopt
