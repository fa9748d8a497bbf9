package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
)

// collect signs everybody up.
func (s *story) collect(ctx context.Context) error {
	list, err := newPlainList(s.opts.listSource())
	if err != nil {
		return err
	}
	c := collection{story: s, list: list}
	start := time.Now()
	if err := s.walker.walk(ctx, "sign up: seal and index", allow, c.run); err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Fprintf(s.out, "Signed up %s people in %v, SQLite included. %s lines left out.\n",
		number(s.registered), took.Round(time.Millisecond), number(c.skipped.count))
	if s.registered == 0 {
		return errors.New("nobody to sign up")
	}
	return s.account(ctx)
}

// account says how many people's data was collected for what. The values tell
// it themselves: no key is needed, and no record that somebody would have had to
// keep beside them.
func (s *story) account(ctx context.Context) error {
	collected, err := s.users.collected(ctx)
	if err != nil {
		return err
	}
	for _, c := range collected {
		fmt.Fprintf(s.out, "  Collected for %s: %s people.\n", c.purposes, number(c.people))
	}
	return nil
}

// A collection is people signing up, stored a batch at a time.
type collection struct {
	*story
	list    *plainList
	skipped problems

	people []person
	rows   []user
}

// batchSize is how many rows go into one transaction. Their indexes are spread
// all over the tables' pages, so larger batches write each page less often.
const batchSize = 10_000

func (c *collection) run(ctx context.Context, r *road) error {
	source := c.opts.userSource()
	bar := newProgress(c.errs, "signing up", source.total)
	defer bar.finish()
	c.skipped = problems{out: bar, name: source.name}
	for p, err := range source.people {
		var bad lineError
		if err == nil {
			err = c.add(ctx, p, r)
		}
		if errors.As(err, &bad) {
			c.skipped.add(bad)
		} else if err != nil {
			return err
		}
		if len(c.rows) == batchSize {
			if err := c.flush(ctx); err != nil {
				return err
			}
		}
		bar.add(1)
	}
	return c.flush(ctx)
}

// add seals what a person typed. The time of sealing is the road's, that of
// the database is not.
func (c *collection) add(ctx context.Context, p person, r *road) error {
	if p.consent != "" && !purpose.ValidReference(p.consent) {
		return lineError{p.line, "not a consent reference"}
	}
	start := time.Now()
	u, err := c.signUp.seal(ctx, p, r)
	r.Took += time.Since(start)
	if errors.Is(err, pii.ErrInvalid) {
		if u.email.IsZero() {
			return lineError{p.line, "not an e-mail address"}
		}
		return lineError{p.line, "not an international phone number"}
	}
	if err != nil {
		return err
	}
	c.people, c.rows = append(c.people, p), append(c.rows, u)
	return nil
}

func (c *collection) flush(ctx context.Context) error {
	fresh, err := c.users.insert(ctx, c.rows)
	if err != nil {
		return err
	}
	for i, p := range c.people {
		if !fresh[i] {
			c.skipped.add(lineError{p.line, "e-mail address is registered already"})
			continue
		}
		c.registered++
		if c.list.has(p.email, p.phone) {
			c.listed++
			if p.consent != "" {
				c.expected++
			}
		}
		if len(c.visitors) < c.opts.tries {
			c.visitors = append(c.visitors, p)
		}
	}
	c.people, c.rows = c.people[:0], c.rows[:0]
	return nil
}
