package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// auditCmd has the commands about audit logs of package auditlog.
type auditCmd struct {
	Verify    auditVerifyCmd    `cmd:"" help:"Verify audit logs, without keys and without a configuration."`
	Tail      auditTailCmd      `cmd:"" help:"Show the last entries of an audit log."`
	Who       auditWhoCmd       `cmd:"" help:"Count the uses in audit logs by process, caller, purpose, action and month."`
	Person    auditPersonCmd    `cmd:"" help:"Show the events about one person."`
	Reconcile auditReconcileCmd `cmd:"" help:"Compare audit logs with the log of the key service."`
	Key       auditKeyCmd       `cmd:"" help:"Make the key that signs the audit log of the configuration, and print its public half."`
	Witness   auditWitnessCmd   `cmd:"" help:"Cosign the heads of the audit logs of others, as a witness."`
}

// auditLogs name audit logs and what is known about them from elsewhere.
type auditLogs struct {
	Dirs []string `arg:"" optional:"" name:"dir" help:"The directories of the logs, or of copies. Default: the log of the configuration."`
	Key  []string `placeholder:"VERIFIER" sep:"none" help:"The public key of a log, or a file with it: one for each directory, in their order."`
	Kept []string `placeholder:"FILE" sep:"none" help:"A file, or the directory of a witness, with heads that were kept from before. Each log takes its own."`
}

// A namedLog is an audit log that the command line names.
type namedLog struct {
	dir      string
	verifier note.Verifier
	kept     []auditlog.Head
}

// open returns the logs.
func (a *auditLogs) open(s *session) ([]namedLog, error) {
	kept := a.Kept
	dirs, keys := a.Dirs, a.Key
	var folders []config.Witness
	if len(dirs) == 0 {
		conf, err := s.config()
		if err != nil {
			return nil, err
		}
		if conf.AuditLog == nil {
			return nil, misuse("name the directory of a log: the configuration has no [audit_log]")
		}
		dirs = []string{conf.AuditLog.Dir}
		if len(keys) == 0 {
			keys = []string{publicFile(conf.AuditLog.Key)}
		}
		if _, err := os.Stat(conf.AuditLog.Heads); conf.AuditLog.Heads != "" && err == nil {
			kept = append(slices.Clone(kept), conf.AuditLog.Heads)
		}
		folders = conf.AuditLog.Witnesses
	}
	if len(keys) != len(dirs) {
		return nil, misuse("there are %d logs and %d keys: give --key for each", len(dirs), len(keys))
	}
	var logs []namedLog
	used := make([]bool, len(kept))
	for i, dir := range dirs {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, misuse("there is no directory %s", dir)
		}
		v, err := parseVerifier(keys[i])
		if err != nil {
			return nil, err
		}
		l := namedLog{dir: dir, verifier: v}
		for _, w := range folders {
			if w.Dir == "" {
				continue
			}
			heads, _, err := witness.ReadHeads(os.DirFS(w.Dir), v)
			if err != nil {
				return nil, misuse("the heads in %s can't be read", w.Dir)
			}
			l.kept = append(l.kept, heads...)
		}
		for n, file := range kept {
			heads, err := readHeads(file, v)
			switch refusal := new(problem); {
			case err == nil:
				l.kept, used[n] = append(l.kept, heads...), true
			case len(dirs) == 1 || !errors.As(err, &refusal) || refusal.code != found:
				return nil, err
			}
		}
		logs = append(logs, l)
	}
	if n := slices.Index(used, false); n >= 0 {
		return nil, refuse("the heads in %s are of none of the logs", kept[n])
	}
	return logs, nil
}

// verify verifies a log, and calls f with each entry if it is not nil.
func (l *namedLog) verify(ctx context.Context, s *session, opts auditlog.VerifyOptions, f func(auditlog.Entry) error) (*auditlog.Report, error) {
	opts.Entry = f
	if !s.cli.JSON && term.IsTerminal(s.stderr) {
		opts.Progress = func(n int64) { fmt.Fprintf(s.stderr, "\r\x1b[K%s %d entries", filepath.Base(l.dir), n) }
		defer fmt.Fprint(s.stderr, "\r\x1b[K")
	}
	r, err := auditlog.Verify(ctx, os.DirFS(l.dir), l.verifier, l.kept, &opts)
	var p *problem
	switch {
	case err == nil, errors.As(err, &p), ctx.Err() != nil:
		return r, err
	}
	return nil, misuse("the log in %s can't be read", l.dir)
}

// verifyReport is a report of a log as JSON has it.
type verifyReport struct {
	Log         string           `json:"log"`
	Dir         string           `json:"dir"`
	OK          bool             `json:"ok"`
	Entries     int64            `json:"entries"`
	Bodies      int64            `json:"bodies"`
	Processes   int              `json:"processes"`
	Head        string           `json:"head,omitempty"`
	Removed     map[string]int64 `json:"removed,omitempty"`
	Findings    []verifyFinding  `json:"findings"`
	Notes       []verifyFinding  `json:"notes"`
	More        int64            `json:"more,omitempty"`
	NotExcluded []string         `json:"not_excluded"`
}

type verifyFinding struct {
	Kind  string `json:"kind"`
	Entry int64  `json:"entry"`
	Text  string `json:"text"`
}

func logReportOf(l namedLog, r *auditlog.Report) verifyReport {
	all := func(fs []auditlog.Finding) []verifyFinding {
		out := []verifyFinding{}
		for _, f := range fs {
			out = append(out, verifyFinding{string(f.Kind), f.Entry, f.Text})
		}
		return out
	}
	v := verifyReport{
		Log: r.Origin, Dir: l.dir, OK: r.OK(), Entries: r.Entries, Bodies: r.Bodies, Processes: r.Starts, Removed: r.Removed,
		Findings: all(r.Findings), Notes: all(r.Notes), More: r.More, NotExcluded: r.NotExcluded,
	}
	if r.Head.Size > 0 {
		v.Head = r.Head.String()
	}
	return v
}

// auditVerifyCmd verifies logs.
type auditVerifyCmd struct {
	auditLogs   `embed:""`
	Apart       []string        `placeholder:"NAME,NAME" sep:"none" help:"Purposes of which one process may open no more than one."`
	Witness     []string        `placeholder:"VERIFIER" sep:"none" help:"The public key of a witness that has to cosign the logs, or a file with it. Default: those of the configuration, for its log."`
	Unwitnessed config.Duration `default:"1m" placeholder:"TIME" help:"The time within which each witness has to cosign an entry. Default: 1m."`
}

func (c *auditVerifyCmd) Run(ctx context.Context, s *session) error {
	logs, err := c.open(s)
	if err != nil {
		return err
	}
	opts := auditlog.VerifyOptions{Unwitnessed: time.Duration(c.Unwitnessed)}
	if opts.Witnesses, err = c.witnesses(s); err != nil {
		return err
	}
	for _, text := range c.Apart {
		var set []purpose.Purpose
		for name := range strings.SplitSeq(text, ",") {
			p, err := purpose.Parse(name)
			if err != nil {
				return misuse("--apart has purposes with a comma between them")
			}
			set = append(set, p)
		}
		opts.Apart = append(opts.Apart, purpose.NewSet(set...))
	}
	reports, ok := []verifyReport{}, true
	var text strings.Builder
	for _, l := range logs {
		r, err := l.verify(ctx, s, opts, nil)
		if err != nil {
			return err
		}
		ok = ok && r.OK()
		reports = append(reports, logReportOf(l, r))
		text.WriteString(r.String())
	}
	if err := s.print(reports, func(w io.Writer, width int) { term.Text(w, width, strings.TrimSuffix(text.String(), "\n")) }); err != nil {
		return err
	}
	if !ok {
		return exit{found}
	}
	return nil
}

// witnesses returns the public keys of the witnesses.
func (c *auditVerifyCmd) witnesses(s *session) (verifiers []note.Verifier, err error) {
	keys := c.Witness
	if len(c.Dirs) == 0 {
		conf, err := s.config()
		if err != nil {
			return nil, err
		}
		for _, w := range conf.AuditLog.Witnesses {
			if w.Key != "" && len(c.Witness) == 0 {
				keys = append(keys, w.Key)
			}
		}
	}
	if c.Unwitnessed <= 0 {
		return nil, misuse("--unwitnessed is a time above zero")
	}
	for _, text := range keys {
		v, err := parseWitness(text)
		if err != nil {
			return nil, err
		}
		verifiers = append(verifiers, v)
	}
	return verifiers, nil
}

// An auditEntry has the fields of an entry that the commands show. Their texts are printed
// as the log has them: without characters that do not print.
type auditEntry struct {
	Log       string    `json:"log,omitempty"`
	Index     int64     `json:"index"`
	Entry     string    `json:"entry"`
	Time      time.Time `json:"time"`
	Action    string    `json:"action,omitempty"`
	Outcome   string    `json:"outcome,omitempty"`
	Purpose   string    `json:"purpose,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	Kind      string    `json:"kind,omitempty"`
	Notice    string    `json:"notice,omitempty"`
	Consent   string    `json:"consent,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Count     int64     `json:"count,omitempty"`
	Recipient string    `json:"recipient,omitempty"`
	Operation string    `json:"operation,omitempty"`
	Caller    string    `json:"caller,omitempty"`
	Service   string    `json:"service,omitempty"`
	Host      string    `json:"host,omitempty"`
	Process   int64     `json:"process,omitempty"`
}

// parseEntry reads an entry. A body that was removed has no fields.
func parseEntry(e auditlog.Entry) auditEntry {
	out := auditEntry{Entry: "removed"}
	if e.Body != nil && json.Unmarshal(e.Body, &out) != nil {
		out = auditEntry{Entry: "unreadable"}
	}
	for _, text := range []*string{
		&out.Entry, &out.Action, &out.Outcome, &out.Purpose, &out.Subject, &out.Kind, &out.Notice, &out.Consent, &out.Reason, &out.Recipient, &out.Operation, &out.Caller,
		&out.Service, &out.Host,
	} {
		*text = printable(*text)
	}
	out.Index = e.Index
	return out
}

// String returns the entry on one line.
func (e auditEntry) String() string {
	parts := []string{fmt.Sprint(e.Index)}
	if !e.Time.IsZero() {
		parts = append(parts, e.Time.UTC().Format(time.RFC3339))
	}
	if e.Entry != auditlog.KindEvent {
		parts = append(parts, e.Entry)
	}
	for _, f := range []struct{ name, text string }{
		{"", e.Action}, {"", e.Outcome}, {"", e.Purpose}, {"reason ", e.Reason}, {"kind ", e.Kind}, {"subject ", e.Subject}, {"notice ", e.Notice},
		{"consent ", e.Consent}, {"to ", e.Recipient}, {"by ", e.Caller}, {"for ", e.Operation}, {"service ", e.Service}, {"host ", e.Host},
	} {
		if f.text != "" {
			parts = append(parts, f.name+f.text)
		}
	}
	if e.Count > 1 {
		parts = append(parts, fmt.Sprintf("count %d", e.Count))
	}
	return strings.Join(parts, " ")
}

// unproven tells about logs with findings: their entries prove nothing. It returns the
// exit of the command.
func unproven(s *session, logs []namedLog, reports []*auditlog.Report) error {
	bad := false
	for i, r := range reports {
		if !r.OK() {
			bad = true
			s.note("The log in %s has %d findings, so its entries prove nothing: onlyfor audit verify shows them.", logs[i].dir, len(r.Findings))
		}
	}
	if bad {
		return exit{found}
	}
	return nil
}

// auditTailCmd shows the end of a log.
type auditTailCmd struct {
	auditLogs `embed:""`
	Lines     int  `short:"n" default:"20" placeholder:"N" help:"The number of entries."`
	Follow    bool `short:"f" help:"Go on with entries that come, until the command is interrupted."`
}

func (c *auditTailCmd) Run(ctx context.Context, s *session) error {
	logs, err := c.open(s)
	if err != nil {
		return err
	}
	if len(logs) != 1 || c.Lines < 0 || c.Lines > 1_000_000 {
		return misuse("audit tail shows one log, and at most a million entries")
	}
	next := int64(0)
	for first := true; ; first = false {
		var last []auditEntry
		r, err := logs[0].verify(ctx, s, auditlog.VerifyOptions{}, func(e auditlog.Entry) error {
			if e.Index < next || first && c.Lines == 0 {
				return nil
			}
			if last = append(last, parseEntry(e)); first && len(last) > 2*c.Lines {
				last = slices.Delete(last, 0, len(last)-c.Lines)
			}
			return nil
		})
		if err != nil {
			if c.Follow && ctx.Err() != nil {
				return nil
			}
			return err
		}
		if first {
			last = last[max(0, len(last)-c.Lines):]
		}
		next = r.Entries
		if err := c.show(s, last); err != nil {
			return err
		}
		if err := unproven(s, logs, []*auditlog.Report{r}); err != nil || !c.Follow {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func (c *auditTailCmd) show(s *session, entries []auditEntry) error {
	for _, e := range entries {
		if !s.cli.JSON {
			fmt.Fprintln(s.stdout, e)
		} else if err := json.NewEncoder(s.stdout).Encode(e); err != nil {
			return misuse("standard output can't be written")
		}
	}
	return nil
}

// printable returns a text without characters that move a cursor or turn the direction of
// text.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
