package main

import (
	"context"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/vault/audit"
)

// A road is one way to use people's data, and its result. Roads of another process
// arrive as JSON. No road holds an address, a number or a key.
type road struct {
	Who  string // the process that takes it
	Name string
	Rule rule

	answers

	Matched       int64 // number of people found
	Want          int64 // number of people expected
	WantConsented bool  // expects everybody on the list who consented

	Audit decisions // recorded by the audit during the road
	Took  time.Duration
}

// A rule is the required result of a road.
type rule string

const (
	allow   rule = "allow"   // the vault says yes to everything
	refuse  rule = "refuse"  // the vault says no to everything
	unasked rule = "unasked" // the vault is not asked: cryptography alone
)

// fault describes the difference between the road's result and the expected one. It is
// "" if there is none.
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

// A walker takes roads one after the other, in the name of one process.
type walker struct {
	who   string
	audit *recorder
	roads []road
}

// walk takes one road. The vault's events carry the road's name, and the audit counts
// them by it. An error means that the road could not be completed. The result of a
// complete road is in the road.
func (w *walker) walk(ctx context.Context, name string, rule rule, take func(context.Context, *road) error) error {
	r := road{Who: w.who, Name: name, Rule: rule}
	caller := w.who + ": " + name
	start := time.Now()
	err := take(audit.WithCaller(ctx, caller), &r)
	if r.Took == 0 { // unless the road measured itself
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
