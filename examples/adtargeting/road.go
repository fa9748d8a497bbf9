package main

import (
	"context"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/vault/audit"
)

// A road is one way to use people's data, and what became of it. Roads of
// another process arrive as JSON; no road holds an address, a number or a key.
type road struct {
	Who  string // takes it
	Name string
	Rule rule

	answers

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
	err := take(audit.WithCaller(ctx, caller), &r)
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
