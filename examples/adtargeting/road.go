package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A road is one way to use people's data, and what became of it. Roads of
// another process arrive as JSON; no road holds an address, a number or a key.
type road struct {
	Who  string // takes it
	Name string
	Rule rule

	Asked   int64 // how often it was tried
	Allowed int64 // by the vault
	Refused int64 // with the error that the library promises
	Odd     int64 // answers that are neither

	Matched       int64 // people found
	Want          int64 // people who are to be found
	WantConsented bool  // these are all on the list who consented

	Audit decisions // what the audit recorded meanwhile
	Took  time.Duration
}

// A rule is what has to become of a road.
type rule string

const (
	allow   rule = "allow"   // the vault says yes to everything
	refuse  rule = "refuse"  // the vault says no to everything
	unasked rule = "unasked" // the vault is not asked: cryptography alone
)

// decided counts n questions that the vault answered with err, and returns
// err. What is not an address or number is refused before it is a question.
func (r *road) decided(n int, err error) error {
	switch {
	case err == nil:
		r.Asked += int64(n)
		r.Allowed += int64(n)
	case !errors.Is(err, pii.ErrInvalid):
		r.Asked += int64(n)
		r.Odd += int64(n)
	}
	return err
}

// refused counts a question that should have been answered with one of the
// given errors.
func (r *road) refused(err error, want ...error) {
	r.Asked++
	if err == nil {
		r.Allowed++
		return
	}
	for _, w := range want {
		if errors.Is(err, w) {
			r.Refused++
			return
		}
	}
	r.Odd++
}

// fault says why the road did not end as it has to, "" if it did.
func (r *road) fault() string {
	switch {
	case r.Odd > 0:
		return number(r.Odd) + " unexpected answers"
	case r.Rule == refuse && r.Allowed > 0:
		return number(r.Allowed) + " let through"
	case r.Rule == allow && r.Refused > 0:
		return number(r.Refused) + " turned away"
	case r.Matched > r.Want:
		return number(r.Matched-r.Want) + " people too many"
	case r.Matched < r.Want:
		return number(r.Want-r.Matched) + " people missed"
	case r.Audit != decisions{r.Allowed, r.Refused}:
		return "audit disagrees"
	}
	return ""
}

// A walker takes roads one after the other, in somebody's name.
type walker struct {
	who   string
	audit *recorder
	roads []road
}

// walk takes one road. The vault's events carry its name, by which the audit
// counts them. An error is about the walk; how the road ended is in the road.
func (w *walker) walk(ctx context.Context, name string, rule rule, take func(context.Context, *road) error) error {
	r := road{Who: w.who, Name: name, Rule: rule}
	caller := w.who + ": " + name
	start := time.Now()
	err := take(vault.WithCaller(ctx, caller), &r)
	if r.Took == 0 { // unless it knows better
		r.Took = time.Since(start)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", caller, err)
	}
	r.Audit = w.audit.of(caller)
	w.roads = append(w.roads, r)
	return nil
}
