package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/auditlog/reconcile"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// auditReconcileCmd compares audit logs with the log of the key service. The configuration
// names the purposes and the key-encryption keys; no key is opened.
type auditReconcileCmd struct {
	auditLogs  `embed:""`
	VaultAudit []string        `placeholder:"FILE" sep:"none" help:"The file of an audit device of HashiCorp Vault or OpenBao. Give the files of all its devices."`
	Cloudtrail string          `placeholder:"DIR" help:"The directory with the records of AWS CloudTrail."`
	Skew       config.Duration `default:"10s" placeholder:"TIME" help:"How much the clocks may differ."`
	Delay      config.Duration `default:"30s" placeholder:"TIME" help:"The longest time between an unwrap and its event: the timeout of the services."`
	Retries    int             `default:"2" placeholder:"N" help:"How often the client of the key service asks again. 0 is never."`
}

// reconcileReport is a report of the comparison as JSON has it.
type reconcileReport struct {
	OK          bool                         `json:"ok"`
	From        *time.Time                   `json:"from,omitempty"`
	Until       *time.Time                   `json:"until,omitempty"`
	Purposes    map[string]*reconcile.Counts `json:"purposes"`
	Duplicates  int64                        `json:"duplicates"`
	Findings    []reconcileFinding           `json:"findings"`
	Notes       []reconcileFinding           `json:"notes"`
	More        int64                        `json:"more,omitempty"`
	NotExcluded []string                     `json:"not_excluded"`
	Logs        []verifyReport               `json:"logs"`
}

type reconcileFinding struct {
	Kind      string     `json:"kind"`
	Time      *time.Time `json:"time,omitempty"`
	Purpose   string     `json:"purpose,omitempty"`
	Key       string     `json:"key,omitempty"`
	Action    string     `json:"action,omitempty"`
	Principal string     `json:"principal,omitempty"`
	Address   string     `json:"address,omitempty"`
	Log       string     `json:"log,omitempty"`
	Entry     int64      `json:"entry,omitempty"`
	Text      string     `json:"text,omitempty"`
}

func (c *auditReconcileCmd) Run(ctx context.Context, s *session) error {
	conf, err := s.config()
	if err != nil {
		return err
	}
	if (len(c.VaultAudit) == 0) == (c.Cloudtrail == "") {
		return misuse("give the log of the key service: --vault-audit or --cloudtrail")
	}
	opts := &reconcile.Options{
		Purposes: purpose.NewSet(conf.Purposes...), Skew: time.Duration(c.Skew), Delay: time.Duration(c.Delay), Retries: c.Retries,
	}
	switch {
	case c.Skew <= 0 || c.Delay <= 0 || c.Retries < 0:
		return misuse("--skew and --delay are times above zero, and --retries is not negative")
	case c.Retries == 0:
		opts.Retries = -1
	}
	switch {
	case conf.KEK.Service != "":
		opts.Keys = kms.Template(conf.KEK.Service)
	case len(conf.KEK.Keys) > 0:
		opts.Keys = kms.URIs(config.ByPurpose(conf.KEK.Keys))
	default:
		return misuse("[kek] of the configuration is no key service, and has no log")
	}
	named, err := c.open(s)
	if err != nil {
		return err
	}
	var logs []reconcile.Log
	for _, l := range named {
		logs = append(logs, reconcile.Log{Name: l.dir, FS: os.DirFS(l.dir), Verifier: l.verifier, Kept: l.kept})
	}
	sources, done, err := c.sources()
	if err != nil {
		return err
	}
	defer done()
	r, err := reconcile.Run(ctx, logs, sources, opts)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, reconcile.ErrFormat):
		return misuse("the log of the key service is not of the kind that the command line says")
	case errors.Is(err, reconcile.ErrArgument):
		return misuse("[kek] of the configuration has a key that can't be used")
	case err != nil:
		return misuse("a log can't be read")
	}
	if err := s.print(reconciled(named, r), func(w io.Writer, width int) { term.Text(w, width, strings.TrimSuffix(r.String(), "\n")) }); err != nil {
		return err
	}
	if !r.OK() {
		return exit{found}
	}
	return nil
}

// sources opens the log of the key service.
func (c *auditReconcileCmd) sources() (sources []reconcile.Source, done func(), err error) {
	var files []*os.File
	done = func() {
		for _, f := range files {
			f.Close()
		}
	}
	for _, name := range c.VaultAudit {
		f, err := os.Open(name)
		if err != nil {
			done()
			return nil, nil, misuse("%s can't be read", name)
		}
		files = append(files, f)
		sources = append(sources, reconcile.HCVault(name, f))
	}
	if c.Cloudtrail != "" {
		if info, err := os.Stat(c.Cloudtrail); err != nil || !info.IsDir() {
			return nil, nil, misuse("there is no directory %s", c.Cloudtrail)
		}
		sources = append(sources, reconcile.CloudTrail(os.DirFS(c.Cloudtrail)))
	}
	return sources, done, nil
}

func reconciled(named []namedLog, r *reconcile.Report) reconcileReport {
	moment := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		at = at.UTC()
		return &at
	}
	all := func(fs []reconcile.Finding) []reconcileFinding {
		out := []reconcileFinding{}
		for _, f := range fs {
			out = append(out, reconcileFinding{string(f.Kind), moment(f.Time), f.Purpose, f.Key, f.Action, f.Principal, f.Address, f.Log, f.Entry, f.Text})
		}
		return out
	}
	report := reconcileReport{
		OK: r.OK(), From: moment(r.From), Until: moment(r.Until), Purposes: r.Purposes, Duplicates: r.Duplicates,
		Findings: all(r.Findings), Notes: all(r.Notes), More: r.More, NotExcluded: r.NotExcluded, Logs: []verifyReport{},
	}
	for i, log := range r.Logs {
		if log != nil {
			report.Logs = append(report.Logs, logReportOf(named[i], log))
		}
	}
	return report
}
