package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A Query selects the values and events of a report. The zero Query selects everything. A value is
// selected if it has a slot for which all conditions hold.
type Query struct {
	// Purpose, if not zero, is the purpose that values were collected for.
	Purpose purpose.Purpose `json:"purpose,omitzero"`
	// Notice and Consent, if not "", are the notice and the consent of the collection.
	Notice  string `json:"notice,omitempty"`
	Consent string `json:"consent,omitempty"`
	// Since and Until, if not zero, bound the time of the collection, or of the event: from
	// Since on, and before Until.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// selects reports whether q selects a slot for p.
func (q *Query) selects(p purpose.Purpose, of *purpose.Provenance) bool {
	return (q.Purpose.IsZero() || p == q.Purpose) &&
		(q.Notice == "" || of.Notice == q.Notice) &&
		(q.Consent == "" || of.Consent == q.Consent) &&
		q.within(of.Collected)
}

func (q *Query) within(at time.Time) bool {
	return !at.Before(q.Since) && (q.Until.IsZero() || at.Before(q.Until))
}

// Options are the options of [Affected]. A nil *Options has the defaults.
type Options struct {
	// Verify, if not nil, opens each selected value for a purpose that it was selected by.
	// It returns nil if the value opened, and otherwise the error of [vault.Scope.Reveal];
	// an error that is [vault.ErrUnavailable] ends the report. It is called from several
	// goroutines at once, under the ctx that it is given, which joins the events of many
	// values (see [audit.Batch]). Without Verify, all numbers are claims.
	Verify func(ctx context.Context, p purpose.Purpose, subject string, v vault.Sealed) error
	// Row, if not nil, is called with each row that has a selected value, once if the rows
	// come in order: the addressees of a letter. An error ends the report.
	Row func(table, key string) error
	// Progress, if not nil, is called now and then with the number of values read.
	Progress func(values int64)
	// TempDir is the directory of temporary files, which a count of many people needs. ""
	// is the system's. The files are removed, and hold no id.
	TempDir string
}

// A Count is a number of people and values. A value that was selected by slots of two
// purposes is one value in a sum over both, and one value of each.
type Count struct {
	// People is the number of different people, and Values the number of values.
	People int64 `json:"people"`
	Values int64 `json:"values"`
	// First and Last are the first and the last time of collection.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Verified is the number of values that opened, and Refused the number that did not.
	// Both are 0 without [Options.Verify].
	Verified int64 `json:"verified,omitempty"`
	Refused  int64 `json:"refused,omitempty"`
}

// A Group is the values that have one property in common.
type Group struct {
	// Name is the property, as its headers have it: a purpose, a notice, a ground. It is ""
	// for values without one, and [Others] for the groups beyond the first 1,000.
	Name string `json:"name"`
	Count
}

// Others is the name of the group that stands for those beyond the first 1,000.
const Others = "(others)"

// maxGroups bounds the groups of one property, which whoever writes values can choose.
const maxGroups = 1000

// A Month is the number of values under one notice that were collected in one month.
type Month struct {
	Month  string `json:"month"` // such as "2013-05", in UTC
	Notice string `json:"notice"`
	Values int64  `json:"values"`
}

// An Extension is the number of selected values that were extended from one purpose to
// another by one consent.
type Extension struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Consent string `json:"consent"`
	Values  int64  `json:"values"`
}

// An AffectedReport says how many people and values there are. It has no value and no id
// of a person.
type AffectedReport struct {
	Query Query     `json:"query"`
	At    time.Time `json:"at"`
	// Read is the number of cells that were read, and Unreadable the number of those with
	// text that is no sealed value.
	Read       int64 `json:"read"`
	Unreadable int64 `json:"unreadable"`
	// Total counts the selected values. Its People are the rows where no person is known.
	Total Count `json:"total"`
	// The selected values by property. Groups with most values come first.
	Purposes []Group `json:"purposes"`
	Notices  []Group `json:"notices"`
	Grounds  []Group `json:"grounds"`
	Kinds    []Group `json:"kinds"`
	Tables   []Group `json:"tables"`
	Consents []Group `json:"consents"`
	Months   []Month `json:"months"`
	// Held are the other purposes that selected values are held for.
	Held []Group `json:"held"`
	// Extended are the extensions of selected values to other purposes.
	Extended []Extension `json:"extended"`
	// Expired is the number of selected values whose retention is over, and which a sweep
	// would remove. Collected is the number of those that a collector sealed and that were
	// not taken in: anybody who knows its public key can have made them. Erased is the
	// number of those that did not open because their person is erased.
	Expired   int64 `json:"expired"`
	Collected int64 `json:"byCollector"`
	Erased    int64 `json:"erased"`
	// Verifies reports whether values were opened. Otherwise all numbers are claims.
	Verifies bool `json:"verifies"`

	activities map[activity]*activityCount
}

// Affected counts the selected values of all sources, such as [Values]. It needs no keys,
// and memory that does not grow with the number of values.
//
// Cells with text that is no sealed value are counted. An error of a source, of a function
// of opts and of the file system ends the report, and so does a ctx that is done, with an
// error that is [vault.ErrUnavailable]. There is no partial report.
func Affected(ctx context.Context, q Query, opts *Options, sources ...iter.Seq2[Value, error]) (*AffectedReport, error) {
	if opts == nil {
		opts = &Options{}
	}
	c := newCounter(q, opts)
	defer c.people.close()
	for _, source := range sources {
		for values, err := range ahead(source) {
			if err != nil {
				return nil, err
			}
			for i := range values {
				if err := c.add(ctx, &values[i]); err != nil {
					return nil, fmt.Errorf("report: counting %q: %w", values[i].Table, err)
				}
			}
		}
	}
	r, err := c.finish(ctx)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return r, nil
}

// A counter counts values.
type counter struct {
	report *AffectedReport
	opts   *Options
	people *people
	now    time.Time

	total                                                     *group
	purposes, notices, grounds, kinds, tables, consents, held groups
	months                                                    map[[2]string]*int64
	extended                                                  map[Extension]*int64
	activities                                                map[activity]*activityCount

	shapes             map[string]*shape
	key                []byte        // of a shape
	claims             []vault.Claim // of the value that is counted now
	slots              []slot
	lastTable, lastKey string // of Options.Row
	waiting            []opening
}

// A group is a Count under construction.
type group struct {
	Count
	id uint32 // of the people
}

type groups map[string]*group

// An opening is a value that waits to be verified, with the groups that count it.
type opening struct {
	purpose purpose.Purpose
	subject string
	value   vault.Sealed
	in      []*group
	err     error
}

const openings = 512

func newCounter(q Query, opts *Options) *counter {
	c := &counter{
		report: &AffectedReport{Query: q, At: time.Now().UTC().Truncate(time.Second), Verifies: opts.Verify != nil},
		opts:   opts, people: newPeople(opts.TempDir), now: time.Now(),
		purposes: groups{}, notices: groups{}, grounds: groups{}, kinds: groups{}, tables: groups{}, consents: groups{}, held: groups{},
		months: map[[2]string]*int64{}, extended: map[Extension]*int64{}, shapes: map[string]*shape{}, activities: map[activity]*activityCount{},
	}
	c.total = &group{id: c.people.group()}
	return c
}

// in returns the group of that name.
func (c *counter) in(all groups, name string) *group {
	g := all[name]
	if g == nil && len(all) >= maxGroups {
		name = Others
		g = all[name]
	}
	if g == nil {
		g = &group{id: c.people.group()}
		all[name] = g
	}
	return g
}

// add counts a value.
func (c *counter) add(ctx context.Context, v *Value) error {
	c.report.Read++
	if c.report.Read%1024 == 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", err, vault.ErrUnavailable)
		}
		if c.opts.Progress != nil {
			c.opts.Progress(c.report.Read)
		}
	}
	var sealed vault.Sealed
	if err := sealed.UnmarshalText(v.Text); err != nil || sealed.IsZero() {
		c.report.Unreadable++
		return nil
	}
	c.claims, c.slots = sealed.AppendClaims(c.claims[:0]), c.slots[:0]
	for i := range c.claims {
		of := &c.claims[i].Provenance
		c.slots = append(c.slots, slot{
			c.claims[i], c.report.Query.selects(c.claims[i].Purpose, of), !of.Expires.IsZero() && !c.now.Before(of.Expires),
		})
	}
	s := c.shapeOf(v.Table, sealed.Kind())
	s.add(c.slots)
	if s.first < 0 {
		return nil
	}
	if err := c.people.add(v, s); err != nil {
		return err
	}
	if err := c.row(v); err != nil {
		return err
	}
	return c.verify(ctx, v.Subject, sealed, s)
}

// row hands the row of a selected value to the caller, once for all values of a row.
func (c *counter) row(v *Value) error {
	if c.opts.Row == nil || v.Table == c.lastTable && v.Key == c.lastKey {
		return nil
	}
	c.lastTable, c.lastKey = v.Table, v.Key
	return c.opts.Row(v.Table, v.Key)
}

// verify has the value opened for the purpose of its first selected slot, together with
// others.
func (c *counter) verify(ctx context.Context, subject string, sealed vault.Sealed, s *shape) error {
	if c.opts.Verify == nil {
		return nil
	}
	c.waiting = append(c.waiting, opening{c.slots[s.first].Purpose, subject, sealed, s.in, nil})
	if len(c.waiting) < openings {
		return nil
	}
	return c.verifyAll(ctx)
}

// verifyAll opens the values that wait.
func (c *counter) verifyAll(ctx context.Context) error {
	all := c.waiting
	ctx = audit.WithOperation(ctx, "report.affected")
	audit.Batch(ctx, len(all), runtime.GOMAXPROCS(0), func(ctx context.Context, i int) {
		all[i].err = errEnded // unless Verify returns
		all[i].err = c.opts.Verify(ctx, all[i].purpose, all[i].subject, all[i].value)
	})
	for i := range all {
		err := all[i].err
		if errors.Is(err, vault.ErrUnavailable) {
			return err
		}
		if errors.Is(err, vault.ErrErased) {
			c.report.Erased++
		}
		for _, g := range all[i].in {
			if err == nil {
				g.Verified++
			} else {
				g.Refused++
			}
		}
	}
	clear(all)
	c.waiting = all[:0]
	return nil
}

var errEnded = fmt.Errorf("the function of Options.Verify ended its goroutine: %w", vault.ErrUnavailable)

// finish returns the report.
func (c *counter) finish(ctx context.Context) (*AffectedReport, error) {
	if err := c.verifyAll(ctx); err != nil {
		return nil, err
	}
	c.fold()
	counts, err := c.people.count()
	if err != nil {
		return nil, err
	}
	sorted := func(all groups) []Group {
		list := make([]Group, 0, len(all))
		for name, g := range all {
			g.People = counts[g.id]
			list = append(list, Group{name, g.Count})
		}
		slices.SortFunc(list, func(a, b Group) int { return cmp.Or(cmp.Compare(b.Values, a.Values), cmp.Compare(a.Name, b.Name)) })
		return list
	}
	r := c.report
	c.total.People = counts[c.total.id]
	r.Total = c.total.Count
	r.Purposes, r.Notices, r.Grounds = sorted(c.purposes), sorted(c.notices), sorted(c.grounds)
	r.Kinds, r.Tables, r.Consents, r.Held = sorted(c.kinds), sorted(c.tables), sorted(c.consents), sorted(c.held)
	r.Months = make([]Month, 0, len(c.months))
	for key, n := range c.months {
		r.Months = append(r.Months, Month{key[0], key[1], *n})
	}
	slices.SortFunc(r.Months, func(a, b Month) int { return cmp.Or(cmp.Compare(a.Month, b.Month), cmp.Compare(a.Notice, b.Notice)) })
	r.Extended = make([]Extension, 0, len(c.extended))
	for e, n := range c.extended {
		e.Values = *n
		r.Extended = append(r.Extended, e)
	}
	slices.SortFunc(r.Extended, func(a, b Extension) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Consent, b.Consent))
	})
	r.activities = c.activities
	return r, nil
}
