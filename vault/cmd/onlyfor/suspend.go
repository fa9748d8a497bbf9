package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// suspendCmd stops actions of a purpose, or of one of its notices, in every process.
type suspendCmd struct {
	Purpose string   `arg:"" help:"The name of the purpose."`
	Notice  string   `placeholder:"ID" help:"Stop the values under this notice alone. Default: the whole purpose."`
	Actions []string `placeholder:"NAME,..." help:"Any of seal, reveal, hint, index and extend. Default: all for a purpose, and all but seal for a notice."`
	Until   string   `placeholder:"TIME" help:"When it ends by itself: as in 36h or 7d, or a time of RFC 3339. Default: with onlyfor resume."`
	Reason  string   `required:"" placeholder:"TEXT" help:"Why, for the next person on call and for the audit log."`
	DryRun  bool     `help:"Change nothing, and count the operations of the last 24 hours that would have been refused."`
	Log     []string `placeholder:"PATH,..." help:"With --dry-run: the audit logs of services, as files of JSON lines or directories. Default: the log of the configuration."`
}

func (c *suspendCmd) Help() string {
	return "Processes stop within the refresh time, which is 5 minutes by default, and within half a minute while something is suspended. " +
		"An index column knows no notices: people are found in it until onlyfor migrate clear-notice has cleared it. " +
		"Rotations, erasures and withdrawals go on."
}

// A suspensionReport is a suspension as JSON.
type suspensionReport struct {
	Purpose purpose.Purpose `json:"purpose"`
	Notice  string          `json:"notice,omitempty"`
	Actions []audit.Action  `json:"actions"`
	Reason  string          `json:"reason,omitempty"`
	Since   time.Time       `json:"since,omitzero"`
	Until   time.Time       `json:"until,omitzero"`
}

func reportOfSuspension(p purpose.Purpose, s vault.Suspension) suspensionReport {
	return suspensionReport{p, s.Notice, s.Actions, s.Reason, s.Since, s.Until}
}

func (c *suspendCmd) Run(ctx context.Context, s *session) error {
	if strings.TrimSpace(c.Reason) == "" {
		return misuse("--reason is empty: it is for the next person on call")
	}
	wanted := vault.Suspension{Notice: c.Notice, Reason: c.Reason}
	for _, name := range c.Actions {
		wanted.Actions = append(wanted.Actions, audit.Action(strings.TrimSpace(name)))
	}
	var err error
	if wanted.Until, err = parseUntil(c.Until, time.Now()); err != nil {
		return err
	}
	ctx, at, err := s.open(ctx, options{reason: c.Reason})
	if err != nil {
		return err
	}
	defer at.Close()
	p, err := at.purpose(c.Purpose)
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.dryRun(ctx, s, at, p, wanted)
	}
	if err := at.admin.Suspend(ctx, p, wanted); err != nil {
		return err
	}
	if err := at.writePins(ctx, p); err != nil {
		return err
	}
	all, err := at.vault.Suspensions(ctx, p)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(x vault.Suspension) bool { return x.Notice == c.Notice })
	if i < 0 {
		return misuse("another process ended the suspension meanwhile")
	}
	return s.print(reportOfSuspension(p, all[i]), func(w io.Writer, width int) {
		term.Text(w, width, "Suspended: "+sentence(p, all[i])+".")
		term.Text(w, width, fmt.Sprintf("All processes heed it within %s.", at.refresh()))
		if c.Notice != "" && slices.Contains(all[i].Actions, audit.Index) {
			term.Text(w, width, fmt.Sprintf("People are still found by index columns until: onlyfor migrate clear-notice --purpose %v --notice %s", p, c.Notice))
		}
	})
}

// refresh returns the time after which all processes know of a change.
func (at *site) refresh() time.Duration {
	if at.Refresh == 0 {
		return 5 * time.Minute
	}
	return time.Duration(at.Refresh)
}

// sentence describes a suspension.
func sentence(p purpose.Purpose, s vault.Suspension) string {
	var names []string
	for _, a := range s.Actions {
		names = append(names, string(a))
	}
	text := strings.Join(names, ", ") + " for " + p.String()
	if s.Notice != "" {
		text += " under notice " + s.Notice
	}
	if !s.Until.IsZero() {
		text += " until " + s.Until.Format(time.RFC3339)
	}
	return text
}

// parseUntil returns the time of a flag: a duration from now on, or a time. It is the zero
// time for "".
func parseUntil(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := config.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, misuse("--until is a time as in 36h, 7d or 2026-12-01T08:00:00Z")
	}
	if !at.After(now) {
		return at, misuse("--until is over already")
	}
	return at, nil
}

// resumeCmd ends a suspension.
type resumeCmd struct {
	Purpose string `arg:"" help:"The name of the purpose."`
	Notice  string `placeholder:"ID" help:"The notice that is suspended. Default: the whole purpose."`
	Reason  string `required:"" placeholder:"TEXT" help:"Why, for the audit log."`
	approved
}

func (c *resumeCmd) Help() string {
	return "Suspensions of other notices stay. After onlyfor migrate clear-notice, onlyfor migrate reindex brings the indexes back."
}

func (c *resumeCmd) Run(ctx context.Context, s *session) error {
	if strings.TrimSpace(c.Reason) == "" {
		return misuse("--reason is empty: it is for whoever reads the audit log")
	}
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		x, err := at.suspension(ctx, p, c.Notice)
		if err != nil {
			return "", err
		}
		if err := c.check(ctx, at, "resume", p, targetOf(c.Notice)); err != nil {
			return "", err
		}
		return "Resumed: " + sentence(p, x) + ". All processes heed it within half a minute.", at.admin.Resume(ctx, p, c.Notice)
	})
}

// suspension returns the suspension of a notice, or of the whole purpose for "".
func (at *site) suspension(ctx context.Context, p purpose.Purpose, notice string) (vault.Suspension, error) {
	all, err := at.vault.Suspensions(ctx, p)
	if err != nil {
		return vault.Suspension{}, err
	}
	i := slices.IndexFunc(all, func(x vault.Suspension) bool { return x.Notice == notice })
	if i < 0 {
		return vault.Suspension{}, refuse("nothing of that kind is suspended for %v", p).hinting("onlyfor suspensions lists what is suspended. Leave --notice out for the whole purpose.")
	}
	return all[i], nil
}

// suspensionsCmd lists suspensions.
type suspensionsCmd struct {
	Purposes []string `arg:"" optional:"" help:"Names of purposes. Default: all."`
}

func (c *suspensionsCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{})
	if err != nil {
		return err
	}
	defer at.Close()
	purposes, err := at.purposes(c.Purposes)
	if err != nil {
		return err
	}
	reports := []suspensionReport{}
	for _, p := range purposes {
		all, err := at.vault.Suspensions(ctx, p)
		if err != nil {
			return err
		}
		for _, x := range all {
			reports = append(reports, reportOfSuspension(p, x))
		}
	}
	return s.print(reports, func(w io.Writer, width int) {
		if len(reports) == 0 {
			fmt.Fprintln(w, "nothing is suspended")
			return
		}
		now := time.Now()
		t := term.Table{Head: []string{"purpose", "notice", "actions", "since", "until", "reason"}}
		for _, r := range reports {
			until := "resume"
			if !r.Until.IsZero() {
				until = r.Until.Format(time.RFC3339)
			}
			notice := r.Notice
			if notice == "" {
				notice = "(all)"
			}
			actions := make([]string, len(r.Actions))
			for i, a := range r.Actions {
				actions[i] = string(a)
			}
			t.Rows = append(t.Rows, []string{r.Purpose.String(), notice, strings.Join(actions, ","), ago(r.Since, now), until, r.Reason})
		}
		t.Write(w, width)
	})
}

// suspensions tells of the actions that are stopped now.
func (d *doctor) suspensions(p purpose.Purpose) {
	all, err := d.vault.Suspensions(d.ctx, p)
	if err != nil {
		d.fail(p.String(), err)
		return
	}
	for _, x := range all {
		text := "suspended: " + sentence(p, x)
		if x.Reason != "" {
			text += ". " + x.Reason
		}
		d.add(levelWarning, p.String(), "%s", text)
	}
}
