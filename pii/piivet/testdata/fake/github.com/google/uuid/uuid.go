// Package uuid is the little of github.com/google/uuid that the tests use.
package uuid

type UUID [16]byte

func NewSHA1(space UUID, data []byte) UUID { return UUID{} }
func NewRandom() UUID                      { return UUID{} }

func (UUID) String() string { return "" }
