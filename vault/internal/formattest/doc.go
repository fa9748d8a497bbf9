// Package formattest checks package vault against FORMAT.md: with the vectors, with the
// independent implementation and with Tink, which read the values and keys that vault
// writes, with spellings that are refused, with the distribution of random bytes, and
// by fuzzing. Run it alone with
//
//	go test ./vault/internal/formattest
package formattest
