// Package formattest holds package vault to FORMAT.md: the vectors, what it and the
// independent implementation read of each other, what Tink reads of it, the spellings
// that are refused, the distribution of what is random, and fuzzing. Run it alone with
//
//	go test ./vault/internal/formattest
package formattest
