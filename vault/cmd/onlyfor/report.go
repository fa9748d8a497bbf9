package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/onlyfor/onlyfor/pii/report"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// reportCmd has the reports of package report.
type reportCmd struct {
	Affected affectedCmd `cmd:"" help:"Count the people and values under a notice, a consent or a purpose, and what they were used for."`
	Use      useCmd      `cmd:"" help:"Count what values were used for, from audit logs."`
	Ropa     ropaCmd     `cmd:"" help:"Write the record of processing activities (Article 30 GDPR)."`
}

// reportQuery selects the values and events of a report.
type reportQuery struct {
	Purpose string `short:"p" placeholder:"NAME" help:"Only values that were collected for this purpose."`
	Notice  string `placeholder:"ID" help:"Only values that were collected under this notice."`
	Consent string `placeholder:"ID" help:"Only values that were collected by this consent."`
	Since   string `placeholder:"DAY" help:"Only from this day on, as in 2013-05-01, in UTC."`
	Until   string `placeholder:"DAY" help:"Only before this day."`
}

// query returns the query. The purpose need not be in a configuration.
func (q *reportQuery) query() (r report.Query, err error) {
	r.Notice, r.Consent = q.Notice, q.Consent
	if q.Purpose != "" {
		if r.Purpose, err = purpose.Parse(q.Purpose); err != nil {
			return r, misuse("--purpose is no name of a purpose")
		}
	}
	if r.Since, err = dayOf("--since", q.Since); err != nil {
		return r, err
	}
	r.Until, err = dayOf("--until", q.Until)
	return r, err
}

func dayOf(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return at, misuse("%s is a day, as in 2013-05-01", flag)
	}
	return at, nil
}

// reportLogs name the audit logs that a report reads.
type reportLogs struct {
	Log  []string `placeholder:"DIR" sep:"none" help:"The directory of an audit log, or of a copy. Default: the log of the configuration, if it has one."`
	Key  []string `placeholder:"VERIFIER" sep:"none" help:"The public key of a log, or a file with it: one for each --log, in their order."`
	Kept []string `placeholder:"FILE" sep:"none" help:"A file with heads that were kept from before."`
}

// open returns the logs, none if neither the command line nor the configuration names one.
func (l *reportLogs) open(s *session) (logs []report.Log, err error) {
	if len(l.Log) == 0 {
		if c, err := s.config(); err != nil || c.AuditLog == nil {
			return nil, err
		}
	}
	named, err := (&auditLogs{Dirs: l.Log, Key: l.Key, Kept: l.Kept}).open(s)
	for _, n := range named {
		logs = append(logs, report.Log{Dir: os.DirFS(n.dir), Verifier: n.verifier, Kept: n.kept})
	}
	return logs, err
}

// uses counts what the logs have.
func (s *session) reportUses(ctx context.Context, q report.Query, logs []report.Log) (*report.UsesReport, error) {
	r, err := report.Uses(ctx, q, nil, logs...)
	if err != nil && ctx.Err() == nil {
		return nil, misuse("an audit log can't be read")
	}
	return r, err
}

// reportPage is the file that a report is also written to.
type reportPage struct {
	HTML string `name:"html" placeholder:"FILE" help:"Also write one page for people, without script, to this file. It must not exist."`
}

func (p *reportPage) write(affected *report.AffectedReport, uses *report.UsesReport, ropa *report.RopaReport) error {
	if p.HTML == "" {
		return nil
	}
	var page bytes.Buffer
	if err := report.WriteHTML(&page, affected, uses, ropa); err != nil {
		return err
	}
	f, err := newFile(p.HTML)
	if err != nil {
		return err
	}
	_, err = f.Write(page.Bytes())
	if err := errors.Join(err, f.Close()); err != nil {
		return misuse("%s can't be written", p.HTML)
	}
	return nil
}

// newFile makes a file that only this user reads.
func newFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil, misuse("%s exists already", path).hinting("Move it away, or name another file.")
	case err != nil:
		return nil, misuse("%s can't be written", path)
	}
	return f, nil
}

// affectedCmd counts people and values.
type affectedCmd struct {
	reportQuery `embed:""`
	reportLogs  `embed:""`
	reportPage  `embed:""`
	Table       []string `placeholder:"NAME" help:"The tables to read. Default: all of the configuration."`
	Rows        string   `placeholder:"FILE" help:"Write the keys of the rows, one line a row, to this file: the addressees of a letter. It must not exist. A key that a spreadsheet would run as a formula has an apostrophe before it."`
	Verify      bool     `help:"Open each value with the keys of its purpose, which proves what it states. This is recorded."`
	Reason      string   `placeholder:"TEXT" help:"Why values are opened, for the audit log. Required with --verify."`
}

func (c *affectedCmd) Help() string {
	return "Without --verify no key is used, and all numbers are claims of the values. Other purposes that the same people's values are held for are in the report."
}

func (c *affectedCmd) Run(ctx context.Context, s *session) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	if c.Verify && c.Reason == "" {
		return misuse("--verify needs --reason")
	}
	logs, err := c.reportLogs.open(s)
	if err != nil {
		return err
	}
	affected, err := c.count(ctx, s, q)
	if err != nil {
		return err
	}
	var uses *report.UsesReport
	if len(logs) > 0 {
		uses, err = s.reportUses(ctx, q, logs)
	}
	if err == nil {
		err = c.write(affected, uses, nil)
	}
	if err != nil {
		if c.Rows != "" {
			os.Remove(c.Rows) // so that the same command can be run again
		}
		return err
	}
	err = s.print(struct {
		*report.AffectedReport
		Uses *report.UsesReport `json:"uses,omitempty"`
	}{affected, uses}, func(w io.Writer, _ int) {
		affected.WriteText(w)
		if uses != nil {
			fmt.Fprintln(w)
			uses.WriteText(w)
		}
	})
	if err == nil && uses != nil && !uses.OK() {
		return exit{found}
	}
	return err
}

// count reads the tables.
func (c *affectedCmd) count(ctx context.Context, s *session, q report.Query) (*report.AffectedReport, error) {
	opts := &report.Options{}
	if c.Rows != "" {
		f, err := newFile(c.Rows)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		rows := csv.NewWriter(f)
		defer rows.Flush()
		opts.Row = func(table, key string) error {
			if err := rows.Write([]string{table, cell(key)}); err != nil {
				return misuse("%s can't be written", c.Rows)
			}
			return nil
		}
		r, err := s.affected(ctx, q, c.Table, c.Verify, c.Reason, opts)
		if err != nil { // a list that is cut off is no list, and the next run may write it
			os.Remove(c.Rows)
			return nil, err
		}
		rows.Flush()
		if err := errors.Join(rows.Error(), f.Sync()); err != nil {
			return nil, misuse("%s can't be written", c.Rows)
		}
		return r, nil
	}
	return s.affected(ctx, q, c.Table, c.Verify, c.Reason, opts)
}

// cell returns a key as a spreadsheet may open it. A spreadsheet takes text that begins
// like a formula as one, which may send other cells away, and some people choose their
// keys. So an apostrophe comes before such a key, and before one that begins with an
// apostrophe itself. A number is no formula.
func cell(key string) string {
	first, _ := utf8.DecodeRuneInString(key)
	_, err := strconv.ParseInt(key, 10, 64)
	if key == "" || err == nil && first == '-' || !strings.ContainsRune("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20", first) {
		return key
	}
	return "'" + key
}

// affected counts the values of tables of the configuration.
func (s *session) affected(ctx context.Context, q report.Query, names []string, verify bool, reason string, opts *report.Options) (*report.AffectedReport, error) {
	var at *site
	var err error
	if verify {
		if ctx, at, err = s.open(ctx, options{reason: reason}); err != nil {
			return nil, err
		}
		opts.Verify = (&opener{at: at, scopes: map[purpose.Purpose]*vault.Scope{}}).open
	} else {
		c, err := s.config()
		if err != nil {
			return nil, err
		}
		at = &site{Config: c, databases: map[string]*sql.DB{}}
	}
	defer at.Close()
	tables, err := at.tables(names)
	if err != nil {
		return nil, err
	}
	if !s.cli.JSON && term.IsTerminal(s.stderr) {
		opts.Progress = func(n int64) {
			if n%4096 == 0 {
				fmt.Fprintf(s.stderr, "\r\x1b[K%d values", n)
			}
		}
		defer fmt.Fprint(s.stderr, "\r\x1b[K")
	}
	var sources []iter.Seq2[report.Value, error]
	for _, t := range tables {
		db, err := at.database(t.Database)
		if err != nil {
			return nil, err
		}
		d, _ := at.Config.Database(t.Database)
		sources = append(sources, report.Values(ctx, db, dialects[d.Kind].migrate, reported(t)))
	}
	return report.Affected(ctx, q, opts, sources...)
}

// reported returns a table of the configuration as package report reads it.
func reported(t config.Table) report.Table {
	r := report.Table{Name: t.Name, Key: t.Key, Subject: t.Subject}
	for _, c := range t.Columns {
		r.Columns = append(r.Columns, c.Sealed)
	}
	return r
}

// An opener opens values with the keys of their purposes. It reveals nothing to anybody.
type opener struct {
	at     *site
	mu     sync.Mutex
	scopes map[purpose.Purpose]*vault.Scope
}

func (o *opener) open(ctx context.Context, p purpose.Purpose, subject string, v vault.Sealed) error {
	scope, err := o.scope(ctx, p)
	if err != nil {
		return err
	}
	if _, named := v.KeyID(p); !named && vault.ValidSubject(subject) { // of a person
		scope = scope.For(subject)
	}
	_, err = reveal(ctx, v, scope)
	return err
}

// scope opens a purpose once.
func (o *opener) scope(ctx context.Context, p purpose.Purpose) (*vault.Scope, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.scopes[p]; s != nil {
		return s, nil
	}
	s, err := o.at.vault.Scope(ctx, p)
	if err == nil {
		o.scopes[p] = s
	}
	return s, err
}

// useCmd counts the uses in audit logs.
type useCmd struct {
	reportQuery `embed:""`
	reportLogs  `embed:""`
	reportPage  `embed:""`
}

func (c *useCmd) Run(ctx context.Context, s *session) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	logs, err := c.reportLogs.open(s)
	if err != nil {
		return err
	}
	if len(logs) == 0 {
		return misuse("name the directory of an audit log with --log: the configuration has no [audit_log]")
	}
	uses, err := s.reportUses(ctx, q, logs)
	if err != nil {
		return err
	}
	if err := c.write(nil, uses, nil); err != nil {
		return err
	}
	if err := s.print(uses, func(w io.Writer, _ int) { uses.WriteText(w) }); err != nil || uses.OK() {
		return err
	}
	return exit{found}
}

// ropaCmd writes the record of processing activities.
type ropaCmd struct {
	reportPage `embed:""`
	Register   string `placeholder:"FILE" help:"The register that piivet writes with -report -json: the places in the source."`
}

func (c *ropaCmd) Help() string {
	return "The record has the purposes, notices, grounds and retention of the values, the places of --register, and the statements of [record] in the configuration. It lists what it lacks, and then the exit code is 1."
}

func (c *ropaCmd) Run(ctx context.Context, s *session) error {
	conf, err := s.config()
	if err != nil {
		return err
	}
	var register io.Reader
	if c.Register != "" {
		f, err := os.Open(c.Register)
		if err != nil {
			return misuse("the register %s can't be read", c.Register)
		}
		defer f.Close()
		register = f
	}
	affected, err := s.affected(ctx, report.Query{}, nil, false, "", &report.Options{})
	if err != nil {
		return err
	}
	controller, statements := recordOf(conf)
	r, err := report.Ropa(affected, register, controller, statements)
	if err != nil {
		return misuse("%s is no register of piivet", c.Register).hinting("piivet -report -json ./... writes one.")
	}
	if err := c.write(nil, nil, r); err != nil {
		return err
	}
	if err := s.print(r, func(w io.Writer, _ int) { r.WriteText(w) }); err != nil || len(r.Missing) == 0 {
		return err
	}
	return exit{found}
}

// recordOf returns the statements of the configuration.
func recordOf(c *config.Config) (report.Controller, map[string]report.Statement) {
	statements := map[string]report.Statement{}
	if c.Record == nil {
		return report.Controller{}, statements
	}
	for name, s := range c.Record.Purposes {
		statements[name] = report.Statement{Description: s.Description, Categories: s.Categories, Recipients: s.Recipients, Transfers: s.Transfers, Measures: s.Measures}
	}
	return report.Controller{Name: c.Record.Controller, Contact: c.Record.Contact, Officer: c.Record.Officer}, statements
}
