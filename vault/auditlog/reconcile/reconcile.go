package reconcile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// A Log is an audit log, as [auditlog.Verify] takes it.
type Log struct {
	// Name names the log in the report.
	Name     string
	FS       fs.FS
	Verifier note.Verifier
	Kept     []auditlog.Head
}

// Options are the options of [Run]. Keys and Purposes are required.
type Options struct {
	// Keys has the key-encryption keys of the Purposes. A purpose without one is compared
	// by the encryption context alone.
	Keys     kms.Keys
	Purposes purpose.Set
	// Verify are the options of the verification of each log. Its Entry is not called.
	Verify *auditlog.VerifyOptions
	// Skew is the largest difference between the clocks of the processes and of the key
	// service. 0 is ten seconds.
	Skew time.Duration
	// Delay is the longest time between an unwrap and its event. 0 is 30 seconds, the
	// default of vault.Options.Timeout.
	Delay time.Duration
	// Horizon is how much later than its order a record may stand in the key service's
	// log. 0 is an hour, as AWS delivers files within minutes and in no order.
	Horizon time.Duration
	// Retries is how many more times the client of the key service may have asked for one
	// unwrap. 0 is two, as the AWS SDK asks up to three times; a negative number is none.
	Retries int
}

// Run compares audit logs with the log of a key service: see the package documentation.
// Several sources are one log, such as the files of all audit devices of a server; a
// request that is in two of them counts once. Copy all logs at one time, the audit logs
// last: an unwrap whose event is not in the copy is a finding.
//
// Its memory does not grow with the logs. Things that should not be are findings of the
// report, not errors. Run returns [ErrArgument] for arguments that can't be used,
// [ErrFormat] for a file that is not of the key service, the errors of [auditlog.Verify],
// those of reading, and the error of ctx.
func Run(ctx context.Context, logs []Log, sources []Source, opts *Options) (*Report, error) {
	if opts == nil {
		opts = &Options{}
	}
	m := &matcher{
		opts: *opts, names: map[string]string{}, logs: logs,
		report: &Report{Logs: make([]*auditlog.Report, len(logs)), Purposes: map[string]*Counts{}, counts: map[FindingKind]int{}},
		open:   map[string]*queues{},
	}
	if err := m.prepare(sources); err != nil {
		return nil, err
	}
	calls := make([]iter.Seq2[item, error], len(sources))
	for i, s := range sources {
		calls[i] = ordered(m.calls(ctx, s), m.opts.Horizon)
	}
	events := make([]iter.Seq2[item, error], len(logs))
	for i := range logs {
		events[i] = ordered(m.events(ctx, i), m.opts.Delay+m.opts.Skew)
	}
	for x, err := range merged(merged(calls...), merged(events...)) {
		if err != nil {
			return nil, err
		}
		m.take(x)
	}
	m.end()
	return m.report, ctx.Err()
}

func (m *matcher) prepare(sources []Source) error {
	o := &m.opts
	fact := ""
	switch {
	case len(m.logs) == 0:
		fact = "no audit log"
	case len(sources) == 0:
		fact = "no log of a key service"
	case o.Purposes.Len() == 0:
		fact = "no purposes"
	case o.Skew < 0 || o.Delay < 0 || o.Horizon < 0:
		fact = "negative time"
	}
	for _, s := range sources {
		if s == nil {
			fact = "nil source"
		}
	}
	for _, l := range m.logs {
		if l.FS == nil || l.Verifier == nil {
			fact = "an audit log without files or without a verifier"
		}
	}
	if fact != "" {
		return fmt.Errorf("reconcile: %s: %w", fact, ErrArgument)
	}
	def := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	def(&o.Skew, 10*time.Second)
	def(&o.Delay, 30*time.Second)
	def(&o.Horizon, time.Hour)
	if o.Retries == 0 {
		o.Retries = 2
	}
	for p := range o.Purposes.All() {
		m.report.of(p.String())
		if o.Keys == nil {
			continue
		}
		key, err := o.Keys.Key(p)
		switch {
		case errors.Is(err, vault.ErrNoKeys):
		case err != nil:
			return fmt.Errorf("reconcile: %w: %w", err, ErrArgument)
		default:
			m.names[key.Name()] = p.String()
		}
	}
	return nil
}

// calls yields the calls of a source that are about keys of the purposes, and ticks.
func (m *matcher) calls(ctx context.Context, s Source) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		var t ticking
		for c, err := range s {
			if ctx.Err() != nil {
				yield(item{}, ctx.Err())
				return
			}
			var d *Damage
			switch {
			case errors.As(err, &d):
				if !yield(item{damage: d, service: true}, nil) {
					return
				}
				continue
			case err != nil:
				yield(item{}, err)
				return
			}
			x := item{at: c.Time, service: true, purpose: m.purposeOf(&c)}
			if x.purpose == "" || c.Use == None || c.Use == Look || c.Use == Wrap {
				if x.tick = true; !t.due(c.Time) {
					continue
				}
			} else {
				x.call = &c
			}
			if !yield(x, nil) {
				return
			}
		}
	}
}

// purposeOf returns the purpose of the key of a call, "" if it is about none of the
// purposes. It leaves the key of the purpose in c.Keys, if there is one.
func (m *matcher) purposeOf(c *Call) string {
	for i, key := range c.Keys {
		p, ok := m.names[key]
		if !ok {
			continue
		}
		// A call by an alias also has the key that the alias stands for.
		if c.Refused == "" && c.Purpose == p && len(m.names) < maxLearned {
			for _, other := range c.Keys {
				m.names[other] = p
			}
		}
		if c.Use == Unwrap && c.Contexts && c.Purpose != p && c.Refused == "" {
			c.Use, c.Action = Other, c.Action+" with another context"
		}
		c.Keys = c.Keys[i : i+1]
		return p
	}
	if c.Purpose != "" && m.report.Purposes[c.Purpose] != nil {
		return c.Purpose
	}
	return ""
}

// maxLearned bounds the keys that are known by several names.
const maxLearned = 10_000

// An unwrapBody has the fields of an entry that are compared.
type unwrapBody struct {
	Entry   string    `json:"entry"`
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`
	Purpose string    `json:"purpose"`
	Unwraps int       `json:"unwraps"`
}

var (
	unwrapsField = []byte(`"unwraps":`)
	timeField    = []byte(`"time":"`)
)

// events yields the events of a log that have unwraps of the purposes, and ticks.
func (m *matcher) events(ctx context.Context, log int) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		var t ticking
		opts := auditlog.VerifyOptions{}
		if m.opts.Verify != nil {
			opts = *m.opts.Verify
		}
		opts.Entry = func(e auditlog.Entry) error {
			x := item{log: log, entry: e.Index, tick: true}
			if bytes.Contains(e.Body, unwrapsField) {
				var b unwrapBody
				if json.Unmarshal(e.Body, &b) == nil && b.Unwraps > 0 && m.report.Purposes[b.Purpose] != nil {
					x = item{at: b.Time, log: log, entry: e.Index, purpose: b.Purpose, unwraps: b.Unwraps, action: b.Action}
				}
			}
			if x.tick {
				var ok bool
				if x.at, ok = entryTime(e.Body); !ok || !t.due(x.at) {
					return nil
				}
			}
			if !yield(x, nil) {
				return errStopped
			}
			return nil
		}
		l := &m.logs[log]
		report, err := auditlog.Verify(ctx, l.FS, l.Verifier, l.Kept, &opts)
		switch {
		case errors.Is(err, errStopped):
		case err != nil:
			yield(item{}, err)
		default:
			m.report.Logs[log] = report
		}
	}
}

// entryTime returns the time of an entry.
func entryTime(body []byte) (time.Time, bool) {
	_, rest, _ := bytes.Cut(body, timeField)
	text, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok || len(text) > len(time.RFC3339Nano) {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	return at, err == nil
}

// identity returns the hash of a call, by which a second record of it is known.
func identity(c *Call) (id [16]byte) {
	h := sha256.New()
	for _, s := range []string{c.ID, c.Action, c.Refused, c.Purpose, c.Vault, c.Principal, c.Address} {
		fmt.Fprintf(h, "%d %s ", len(s), s)
	}
	sum := h.Sum(nil)
	return [16]byte(sum)
}
