package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// A useCount counts uses that have these fields in common.
type useCount struct {
	Month   string `json:"month"`
	Log     string `json:"log"`
	Service string `json:"service,omitempty"`
	Host    string `json:"host,omitempty"`
	Caller  string `json:"caller,omitempty"`
	Purpose string `json:"purpose"`
	Action  string `json:"action"`
	Outcome string `json:"outcome"`
	Count   int64  `json:"count"`
}

// auditWhoCmd counts uses.
type auditWhoCmd struct {
	auditLogs `embed:""`
	Purpose   string `short:"p" placeholder:"NAME" help:"Only this purpose."`
	Since     string `placeholder:"DAY" help:"From this day on, such as 2026-05-01, in UTC."`
}

// maxCounts bounds the memory for counts in a log that somebody forged.
const maxCounts = 1_000_000

func (c *auditWhoCmd) Run(ctx context.Context, s *session) error {
	logs, err := c.open(s)
	if err != nil {
		return err
	}
	var since time.Time
	if c.Since != "" {
		if since, err = time.Parse(time.DateOnly, c.Since); err != nil {
			return misuse("--since is not a day such as 2026-05-01")
		}
	}
	counts := map[useCount]int64{}
	var reports []*auditlog.Report
	for _, l := range logs {
		var service, host string
		r, err := l.verify(ctx, s, auditlog.VerifyOptions{}, func(e auditlog.Entry) error {
			entry := parseEntry(e)
			switch {
			case entry.Entry == auditlog.KindStart:
				service, host = entry.Service, entry.Host
			case entry.Entry != auditlog.KindEvent, c.Purpose != "" && entry.Purpose != c.Purpose, entry.Time.Before(since):
			default:
				key := useCount{
					Month: entry.Time.UTC().Format("2006-01"), Log: l.verifier.Name(), Service: service, Host: host, Caller: entry.Caller,
					Purpose: entry.Purpose, Action: entry.Action, Outcome: entry.Outcome,
				}
				if counts[key] += max(entry.Count, 1); len(counts) > maxCounts {
					return refuse("the logs have too many callers to count")
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	all := make([]useCount, 0, len(counts))
	for u, n := range counts {
		u.Count = n
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b useCount) int {
		return cmp.Or(cmp.Compare(a.Month, b.Month), cmp.Compare(a.Log, b.Log), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Caller, b.Caller),
			cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Service, b.Service))
	})
	err = s.print(all, func(w io.Writer, width int) {
		table := term.Table{Head: []string{"month", "log", "host", "caller", "purpose", "action", "outcome", "count"}}
		for _, u := range all {
			table.Rows = append(table.Rows, []string{u.Month, u.Log, u.Host, u.Caller, u.Purpose, u.Action, u.Outcome, fmt.Sprint(u.Count)})
		}
		table.Write(w, width)
	})
	if err != nil {
		return err
	}
	return unproven(s, logs, reports)
}

// auditPersonCmd shows the events about one person.
type auditPersonCmd struct {
	Subject   string `arg:"" help:"The person's id, as values are sealed for it, or - for standard input."`
	auditLogs `embed:""`
	Purpose   []string `short:"p" sep:"," placeholder:"NAME" help:"The purposes to look under. Default: all. Each needs its keys, for the person's pseudonym."`
	Reason    string   `required:"" placeholder:"TEXT" help:"Why, for the audit log: the number of the request, say."`
}

func (c *auditPersonCmd) Run(ctx context.Context, s *session) error {
	if strings.TrimSpace(c.Reason) == "" {
		return misuse("--reason is empty: it is for whoever reads the audit log")
	}
	subject := c.Subject
	if subject == "-" {
		var err error
		if subject, err = s.line("The id of the person: "); err != nil {
			return err
		}
	}
	if !vault.ValidSubject(subject) {
		return misuse("that is no id of a person")
	}
	logs, err := c.open(s)
	if err != nil {
		return err
	}
	pseudonyms, err := c.pseudonyms(ctx, s, subject)
	if err != nil {
		return err
	}
	events := []auditEntry{}
	var reports []*auditlog.Report
	for _, l := range logs {
		r, err := l.verify(ctx, s, auditlog.VerifyOptions{}, func(e auditlog.Entry) error {
			if entry := parseEntry(e); entry.Subject != "" && pseudonyms[entry.Subject] {
				entry.Log = l.verifier.Name()
				events = append(events, entry)
			}
			return nil
		})
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	slices.SortStableFunc(events, func(a, b auditEntry) int { return a.Time.Compare(b.Time) })
	err = s.print(events, func(w io.Writer, _ int) {
		for _, e := range events {
			fmt.Fprintln(w, e)
		}
	})
	if err != nil {
		return err
	}
	s.note("%d events about this person under %d purposes. An event of many values at once names no person.", len(events), len(pseudonyms))
	return unproven(s, logs, reports)
}

// pseudonyms returns the person's pseudonyms under the purposes.
func (c *auditPersonCmd) pseudonyms(ctx context.Context, s *session, subject string) (map[string]bool, error) {
	ctx, at, err := s.open(ctx, options{reason: c.Reason})
	if err != nil {
		return nil, err
	}
	defer at.Close()
	purposes, err := at.purposes(c.Purpose)
	if err != nil {
		return nil, err
	}
	pseudonyms := map[string]bool{}
	for _, p := range purposes {
		scope, err := at.vault.Scope(ctx, p)
		if err != nil {
			return nil, err
		}
		pseudonym, err := scope.Pseudonym(ctx, subject)
		if err != nil {
			return nil, err
		}
		pseudonyms[pseudonym] = true
	}
	return pseudonyms, nil
}
