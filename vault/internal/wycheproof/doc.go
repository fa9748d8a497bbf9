// Package wycheproof tests vault's primitives with the vectors of project Wycheproof,
// which collects mistakes of implementations of ciphers. The vectors are a Go module
// (Apache-2.0) of a hundred megabytes. This package is a module of its own, so that
// users of vault do not download them.
//
//	go -C vault/internal/wycheproof test -v .
package wycheproof
