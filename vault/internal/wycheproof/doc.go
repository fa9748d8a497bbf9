// Package wycheproof has the vectors of project Wycheproof, which collects what
// implementations of ciphers have got wrong, go through the primitives as vault
// wires them. The vectors are a Go module of theirs (Apache-2.0) of a hundred megabytes,
// which is why this is a module too: no user of vault downloads it.
//
//	go -C vault/internal/wycheproof test -v .
package wycheproof
