// Package format is the sealed form of values as bytes: text and binary form,
// slots and their headers, padding, and every input that is bound or tagged. It
// has no keys and no context. FORMAT.md is its specification.
package format
