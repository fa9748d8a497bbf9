package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
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
	if s.opts.n > 0 { // the sample is too small to measure speed
		fmt.Fprintln(s.out, speed(2*c.sealed, c.took, runtime.GOMAXPROCS(0)))
	}
	return s.account(ctx)
}

// everybody is the number of values in the case that the library was made for: an
// e-mail address and a phone number each of 140 million people.
const everybody = 280_000_000

// speed returns a sentence with the time of sealing and indexing alone, and with the
// time that everybody would take on as many processors.
func speed(values int64, took time.Duration, processors int) string {
	each := float64(took) / float64(values)
	return fmt.Sprintf("Without SQLite: sealing and indexing %s values took %v on %d processors, %s a second; 280 million would take %v.",
		number(values), took.Round(time.Millisecond), processors,
		number(int64(float64(time.Second)/each)), time.Duration(everybody*each).Round(time.Second))
}

// account prints how many people's data was collected for each set of purposes. The
// values themselves have the answer: it takes no key, and no record beside them.
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

// A collection signs people up, a page at a time: all processors seal the page, and
// one transaction stores it.
type collection struct {
	*story
	list    *plainList
	skipped problems

	page   []line // as read; a line that is left out gets the error with the reason
	rows   []user // of the other lines
	sealed int64  // number of people
	took   time.Duration
}

// pageSize is the number of rows in one transaction. Their indexes are spread all over
// the database's pages, so a larger transaction writes each page less often.
const pageSize = 10_000

func (c *collection) run(ctx context.Context, r *road) error {
	source := c.opts.userSource()
	bar := newProgress(c.errs, "signing up", source.total)
	defer bar.finish()
	c.skipped = problems{out: bar, name: source.name}
	var failed error
	for l := range source.lines() {
		if l.err != nil && !errors.As(l.err, new(lineError)) {
			failed = l.err
			break // after the lines before it are done
		}
		if c.page = append(c.page, l); len(c.page) == pageSize {
			if err := c.flush(ctx, r); err != nil {
				return err
			}
		}
		bar.add(1)
	}
	if err := c.flush(ctx, r); err != nil {
		return err
	}
	r.Took = c.took
	return failed
}

// flush seals and stores the page. It counts the time of sealing, and not the time of
// the database.
func (c *collection) flush(ctx context.Context, r *road) error {
	start := time.Now()
	err := c.seal(ctx, r)
	c.took += time.Since(start)
	if err != nil {
		return err
	}
	return c.store(ctx)
}

// A sealing is the result of one line.
type sealing struct {
	user
	answers
}

// seal seals the page. Results come in the order of the lines, so the next result
// always belongs to page[i].
func (c *collection) seal(ctx context.Context, r *road) error {
	c.rows = c.rows[:0]
	i := 0
	for s, err := range batch.Map(ctx, slices.Values(c.page), c.sealLine) {
		r.add(s.answers)
		switch {
		case err == nil:
			c.rows = append(c.rows, s.user)
		case errors.As(err, new(lineError)):
			c.page[i].err = err
		default:
			return err
		}
		i++
	}
	c.sealed += int64(len(c.rows))
	return nil
}

// sealLine seals the text that a person typed. It is called from many goroutines at
// once.
func (c *collection) sealLine(ctx context.Context, l line) (s sealing, err error) {
	if l.err != nil {
		return s, l.err
	}
	if l.consent != "" && !purpose.ValidReference(l.consent) {
		return s, lineError{l.line, "not a consent reference"}
	}
	s.user, err = c.signUp.seal(ctx, l.person, &s.answers)
	if errors.Is(err, pii.ErrMalformed) {
		if s.email.IsZero() {
			return s, lineError{l.line, "not an e-mail address"}
		}
		return s, lineError{l.line, "not an international phone number"}
	}
	return s, err
}

// store stores the rows, and reports the lines that were left out.
func (c *collection) store(ctx context.Context) error {
	fresh, err := c.users.insert(ctx, c.rows)
	if err != nil {
		return err
	}
	for _, l := range c.page {
		if l.err == nil {
			if !fresh[0] {
				l.err = lineError{l.line, "e-mail address is registered already"}
			}
			fresh = fresh[1:]
		}
		var bad lineError
		if errors.As(l.err, &bad) {
			c.skipped.add(bad)
			continue
		}
		c.registered++
		if c.list.has(l.email, l.phone) {
			c.listed++
			if l.consent != "" {
				c.expected++
			}
		}
		if len(c.visitors) < c.opts.tries {
			c.visitors = append(c.visitors, l.person)
		}
	}
	c.page = c.page[:0]
	return nil
}
