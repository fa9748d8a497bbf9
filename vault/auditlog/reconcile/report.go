package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A FindingKind is the kind of a finding of [Run].
type FindingKind string

// The kinds of findings.
const (
	// FindingUnlogged reports an unwrap that the key service has seen and no audit log has.
	FindingUnlogged FindingKind = "unlogged"
	// FindingUnseen reports an unwrap of an audit log that the key service has not seen.
	FindingUnseen FindingKind = "unseen"
	// FindingOther reports a use of a key that no vault makes: an export, a decryption
	// with another context, a change of the key.
	FindingOther FindingKind = "other use"
	// FindingDamaged reports a part of the key service's log that can't be read.
	FindingDamaged FindingKind = "damaged"
	// FindingLate reports a record that comes so long after later ones that it can't be
	// compared.
	FindingLate FindingKind = "late"
	// FindingLog reports an audit log that [auditlog.Verify] has findings about. Its report
	// has them.
	FindingLog FindingKind = "audit log"

	// NoteRetried notes an unwrap without an event, by the principal and from the address
	// of one with an event at that time: the client asked again.
	NoteRetried FindingKind = "retried"
)

// A Finding is one thing that [Run] found. The texts in it are those of the key service,
// without characters that do not print.
type Finding struct {
	Kind FindingKind
	// Time is the time in the log that has it, the zero time for a finding about a log.
	Time time.Time
	// Purpose is the purpose of the keys, "" if it is not known.
	Purpose string
	// Key is a name of the key-encryption key, Action its use, and Principal and Address
	// say who used it from where. They are "" for FindingUnseen, but for the action of the
	// event.
	Key, Action, Principal, Address string
	// Log is the name of the audit log, and Entry the number of its entry, of FindingUnseen
	// and FindingLog.
	Log   string
	Entry int64
	// Text says more, or is "".
	Text string
}

// String returns the finding on one line.
func (f Finding) String() string {
	parts := []string{string(f.Kind) + ":"}
	if !f.Time.IsZero() {
		parts = append(parts, f.Time.UTC().Format(time.RFC3339))
	}
	add := func(word, text string) {
		if text != "" {
			parts = append(parts, word+text)
		}
	}
	add("", f.Action)
	add("for ", f.Purpose)
	add("with ", f.Key)
	add("by ", f.Principal)
	add("from ", f.Address)
	if f.Log != "" {
		add("", fmt.Sprintf("in %s, entry %d", fileName(f.Log), f.Entry))
	}
	add("", f.Text)
	return strings.Join(parts, " ")
}

// Counts are the unwraps of one purpose.
type Counts struct {
	// Seen is the number of unwraps in the key service's log, and Logged the number in
	// audit logs. Matched is the number of pairs.
	Seen    int64 `json:"seen"`
	Logged  int64 `json:"logged"`
	Matched int64 `json:"matched"`
	// Retried is the number of notes of that kind, Unlogged and Unseen the number of
	// findings.
	Retried  int64 `json:"retried"`
	Unlogged int64 `json:"unlogged"`
	Unseen   int64 `json:"unseen"`
	// Refused is the number of decryptions that the key service refused: nobody got keys.
	// Tests of the own grants and of the key-encryption key are among them.
	Refused int64 `json:"refused"`
	// NotCompared is the number of unwraps without a pair, in either log, that are outside
	// the time that both logs cover.
	NotCompared int64 `json:"not_compared"`
}

// maxFindings is the number of findings of each kind that a report lists.
const maxFindings = 100

// A Report is the result of [Run].
type Report struct {
	// Logs are the reports of [auditlog.Verify], in the order of the logs.
	Logs []*auditlog.Report
	// From and Until are the time that the audit logs and the key service's log both
	// cover. Nothing outside of it is compared. Both are zero if there is no such time.
	From, Until time.Time
	// Purposes are the counts by purpose.
	Purposes map[string]*Counts
	// Duplicates is the number of records of the key service that were there twice.
	Duplicates int64
	// Findings are things that must not be, and Notes things that a reader has to know.
	Findings, Notes []Finding
	// More is the number of findings and notes that were left out: each kind is listed 100
	// times.
	More int64
	// NotExcluded says which things this comparison could not have found.
	NotExcluded []string

	counts map[FindingKind]int
}

// OK reports whether there are no findings.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// String returns the report as text of several lines.
func (r *Report) String() string {
	var b strings.Builder
	if r.From.IsZero() {
		b.WriteString("no time is covered by both logs\n")
	} else {
		fmt.Fprintf(&b, "compared from %s until %s\n", r.From.UTC().Format(time.RFC3339), r.Until.UTC().Format(time.RFC3339))
	}
	for _, p := range slices.Sorted(maps.Keys(r.Purposes)) {
		c := r.Purposes[p]
		fmt.Fprintf(&b, "%s: %d unwraps seen, %d logged, %d matched, %d retried, %d unlogged, %d unseen, %d refused, %d not compared\n",
			p, c.Seen, c.Logged, c.Matched, c.Retried, c.Unlogged, c.Unseen, c.Refused, c.NotCompared)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "FOUND %s\n", f)
	}
	for _, f := range r.Notes {
		fmt.Fprintf(&b, "note %s\n", f)
	}
	if r.More > 0 {
		fmt.Fprintf(&b, "and %d more\n", r.More)
	}
	for _, s := range r.NotExcluded {
		fmt.Fprintf(&b, "not excluded: %s\n", s)
	}
	return b.String()
}

func (r *Report) find(f Finding) { r.add(&r.Findings, f) }
func (r *Report) note(f Finding) { r.add(&r.Notes, f) }

func (r *Report) add(to *[]Finding, f Finding) {
	if r.counts[f.Kind]++; r.counts[f.Kind] > maxFindings {
		r.More++
		return
	}
	*to = append(*to, f)
}

// of returns the counts of a purpose.
func (r *Report) of(purpose string) *Counts {
	c := r.Purposes[purpose]
	if c == nil {
		c = new(Counts)
		r.Purposes[purpose] = c
	}
	return c
}
