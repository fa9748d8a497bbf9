package main

import (
	"errors"

	"github.com/onlyfor/onlyfor/pii"
)

// answers are what the vault said. They belong to one goroutine: in a batch,
// each item has its own, and they are added up as the results come in.
type answers struct {
	Asked   int64 // how often it was tried
	Allowed int64 // by the vault
	Refused int64 // with the error that the library promises
	Odd     int64 // answers that are neither
}

// decided counts n questions that the vault answered with err, and returns
// err. What is not an address or number is refused before it is a question.
func (a *answers) decided(n int, err error) error {
	switch {
	case err == nil:
		a.Asked += int64(n)
		a.Allowed += int64(n)
	case !errors.Is(err, pii.ErrMalformed):
		a.Asked += int64(n)
		a.Odd += int64(n)
	}
	return err
}

// refused counts a question that should have been answered with one of the
// given errors.
func (a *answers) refused(err error, want ...error) {
	a.Asked++
	if err == nil {
		a.Allowed++
		return
	}
	for _, w := range want {
		if errors.Is(err, w) {
			a.Refused++
			return
		}
	}
	a.Odd++
}

func (a *answers) add(b answers) {
	a.Asked += b.Asked
	a.Allowed += b.Allowed
	a.Refused += b.Refused
	a.Odd += b.Odd
}
