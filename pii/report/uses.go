package report

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A Log is an audit log that [Uses] verifies and counts.
type Log struct {
	// Dir is the directory of the log, or a copy of it, and Verifier its public key.
	Dir      fs.FS
	Verifier note.Verifier
	// Kept are heads of the log that were kept elsewhere: see [auditlog.Verify].
	Kept []auditlog.Head
}

// UsesOptions are the options of [Uses]. A nil *UsesOptions has the defaults.
type UsesOptions struct {
	// Verify are the options of the verification. Its Entry is not called.
	Verify auditlog.VerifyOptions
}

// A LogState says how far the counts of a log are proven.
type LogState struct {
	// Origin is the name of the log. Size and Hash are those of its last head: they prove
	// the counts of this log to whoever keeps the head.
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Hash   string `json:"hash"`
	// First and Last are the times of the first and the last entry.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Removed is the number of entries whose body was removed, and which nobody can count.
	Removed int64 `json:"removed"`
	// Findings, Notes and NotExcluded are those of [auditlog.Report]. A log with findings
	// proves nothing.
	Findings    []string `json:"findings"`
	Notes       []string `json:"notes"`
	NotExcluded []string `json:"notExcluded"`
}

// A Use is a number of actions that have these properties in common.
type Use struct {
	Log     string `json:"log"`     // the origin
	Service string `json:"service"` // as the start of the process has it
	Month   string `json:"month"`   // such as "2013-05", in UTC
	Purpose string `json:"purpose"`
	Action  string `json:"action"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	// Notice is the notice of the values, or "" if the event knows none: an index of a text
	// that somebody typed is of no value.
	Notice string `json:"notice,omitempty"`
	// To and From are the other purpose of an extension.
	To   string `json:"to,omitempty"`
	From string `json:"from,omitempty"`
	// Events is the number of entries, and Values the number of values that they are about.
	Events int64 `json:"events"`
	Values int64 `json:"values"`
}

// A UsesReport says what values were used for, according to audit logs. It has no value, no
// caller and no pseudonym.
type UsesReport struct {
	Query Query      `json:"query"`
	At    time.Time  `json:"at"`
	Logs  []LogState `json:"logs"`
	Uses  []Use      `json:"uses"`
	// More is the number of events beyond the first 10,000 lines of Uses.
	More int64 `json:"more,omitempty"`
}

// OK reports whether all logs verified without a finding.
func (r *UsesReport) OK() bool {
	return !slices.ContainsFunc(r.Logs, func(l LogState) bool { return len(l.Findings) > 0 })
}

// maxUses bounds the lines of a report.
const maxUses = 10_000

// Uses verifies the logs, and counts their events about values: reveals, hints, indexes,
// seals, extensions, withdrawals, sweeps and erasures, allowed and refused. If q names a
// notice or a consent, an event that knows neither is counted as well, under no notice,
// because it may be about such a value: the index of a text, and an erasure.
//
// It returns the errors of [auditlog.Verify]. A log that does not verify is no error: its
// LogState has the findings.
func Uses(ctx context.Context, q Query, opts *UsesOptions, logs ...Log) (*UsesReport, error) {
	if opts == nil {
		opts = &UsesOptions{}
	}
	r := &UsesReport{Query: q, At: time.Now().UTC().Truncate(time.Second), Logs: []LogState{}, Uses: []Use{}}
	all := map[Use]*Use{}
	for _, log := range logs {
		if log.Dir == nil || log.Verifier == nil {
			return nil, fmt.Errorf("report: a log has a directory and a verifier: %w", auditlog.ErrArgument)
		}
		c := &useCounter{report: r, all: all, state: LogState{Origin: log.Verifier.Name()}}
		verify := opts.Verify
		verify.Entry = c.entry
		verified, err := auditlog.Verify(ctx, log.Dir, log.Verifier, log.Kept, &verify)
		if err != nil {
			return nil, fmt.Errorf("report: reading the audit log: %w", err)
		}
		c.state.Size, c.state.Hash, c.state.Removed = verified.Head.Size, verified.Head.Hash.String(), verified.Entries-verified.Bodies
		c.state.Findings, c.state.Notes, c.state.NotExcluded = texts(verified.Findings), texts(verified.Notes), verified.NotExcluded
		r.Logs = append(r.Logs, c.state)
	}
	for _, u := range all {
		r.Uses = append(r.Uses, *u)
	}
	slices.SortFunc(r.Uses, compareUses)
	return r, nil
}

func compareUses(a, b Use) int {
	return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Outcome, b.Outcome),
		cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Notice, b.Notice), cmp.Compare(a.Service, b.Service),
		cmp.Compare(a.Month, b.Month), cmp.Compare(a.Log, b.Log), cmp.Compare(a.To, b.To), cmp.Compare(a.From, b.From))
}

func texts(findings []auditlog.Finding) []string {
	list := make([]string, len(findings))
	for i, f := range findings {
		list[i] = f.String()
	}
	return list
}

// A useCounter counts the events of one log.
type useCounter struct {
	report  *UsesReport
	all     map[Use]*Use
	state   LogState
	service string // of the process that wrote the entry
}

// An entry has the fields of a log's entry that are counted.
type entry struct {
	Entry   string    `json:"entry"`
	Time    time.Time `json:"time"`
	Service string    `json:"service"`
	Program string    `json:"program"`
	Action  string    `json:"action"`
	Outcome string    `json:"outcome"`
	Purpose string    `json:"purpose"`
	Reason  string    `json:"reason"`
	Notice  string    `json:"notice"`
	Consent string    `json:"consent"`
	To      string    `json:"to"`
	From    string    `json:"from"`
	Kind    string    `json:"kind"`
	Count   int64     `json:"count"`
}

func (c *useCounter) entry(e auditlog.Entry) error {
	if e.Body == nil {
		return nil
	}
	var b entry
	if json.NewDecoder(bytes.NewReader(e.Body)).Decode(&b) != nil {
		return nil // a finding of the verification
	}
	if c.state.First.IsZero() {
		c.state.First = b.Time
	}
	c.state.Last = b.Time
	switch b.Entry {
	case auditlog.KindStart:
		c.service = cmp.Or(b.Service, b.Program)
	case auditlog.KindEvent:
		c.event(&b)
	}
	return nil
}

// event counts an event that is about values and that the query selects.
func (c *useCounter) event(b *entry) {
	if b.Count == 0 {
		return // about keys
	}
	q := &c.report.Query
	switch {
	case !q.within(b.Time), !q.Purpose.IsZero() && !ofPurpose(q.Purpose, b):
		return
	case b.Notice == "" && b.Consent == "": // may be about such a value
	case q.Notice != "" && b.Notice != q.Notice, q.Consent != "" && b.Consent != q.Consent:
		return
	}
	u := Use{
		Log: c.state.Origin, Service: c.service, Month: b.Time.UTC().Format("2006-01"), Purpose: b.Purpose,
		Action: b.Action, Outcome: b.Outcome, Reason: b.Reason, Notice: b.Notice, To: b.To, From: b.From,
	}
	n := c.all[u]
	if n == nil {
		if len(c.all) >= maxUses {
			c.report.More++
			return
		}
		line := u
		n = &line
		c.all[u] = n
	}
	n.Events++
	n.Values += b.Count
}

func ofPurpose(p purpose.Purpose, b *entry) bool {
	name := p.String()
	return b.Purpose == name || b.To == name || b.From == name
}
