package main

import (
	"errors"

	"github.com/onlyfor/onlyfor/pii"
)

// answers counts the answers of the vault. It is for one goroutine: in a batch each
// item has its own, and the results are added up as they come in.
type answers struct {
	Asked   int64 // attempts
	Allowed int64 // attempts that the vault allowed
	Refused int64 // attempts that it refused with the documented error
	Odd     int64 // any other answers
}

// decided counts n questions that the vault answered with err, and returns err. A
// text that is no address or number is refused before the vault is asked, and is not
// counted.
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
