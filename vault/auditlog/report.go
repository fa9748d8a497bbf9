package auditlog

import (
	"fmt"
	"strings"
)

// A FindingKind is the kind of a finding of [Verify].
type FindingKind string

// The kinds of findings.
const (
	// FindingEdited reports entries, or their number, that are not as their head has them.
	FindingEdited FindingKind = "edited"
	// FindingMissing reports files or entries that are missing.
	FindingMissing FindingKind = "missing"
	// FindingCut reports a log with fewer entries than one of its heads has: its end was
	// cut off, or it is an older copy.
	FindingCut FindingKind = "cut"
	// FindingFork reports two histories that the key of the log has signed.
	FindingFork FindingKind = "fork"
	// FindingHead reports a head that the key of the log has not signed.
	FindingHead FindingKind = "head"
	// FindingTile reports a tile that is not of the tree.
	FindingTile FindingKind = "tile"
	// FindingHidden reports bodies that are missing without an entry of their removal.
	FindingHidden FindingKind = "hidden"
	// FindingForeign reports a file that is not of the log, or is not a regular file.
	FindingForeign FindingKind = "foreign"
	// FindingClock reports a clock that ran back.
	FindingClock FindingKind = "clock"
	// FindingKeyStore reports keys that went back to an older generation, or two changes
	// that made one generation.
	FindingKeyStore FindingKind = "key store"
	// FindingTogether reports one process with two purposes that no role may have together.
	FindingTogether FindingKind = "together"

	// FindingUnwitnessed reports entries that a witness cosigned late or never.
	FindingUnwitnessed FindingKind = "unwitnessed"
	// FindingCosignature reports a cosignature that does not verify.
	FindingCosignature FindingKind = "cosignature"
	// FindingBuild reports a program whose build was not reviewed.
	FindingBuild FindingKind = "build"

	// NoteStop notes a process that did not stop in order.
	NoteStop FindingKind = "no stop"
	// NoteTorn notes an incomplete commit, of which no event was acknowledged.
	NoteTorn FindingKind = "torn"
	// NoteRefused notes events that were refused because they could not be written.
	NoteRefused FindingKind = "refused"
	// NoteBuffered notes a process that could lose events in a crash.
	NoteBuffered FindingKind = "buffered"
	// NoteRemoval notes a removal of bodies that did not come to its end.
	NoteRemoval FindingKind = "removal"
)

// A Finding is one thing that [Verify] found.
type Finding struct {
	Kind FindingKind
	// Entry is the number of the entry that it is about, or of the first one. It is -1
	// for a finding about no entry.
	Entry int64
	// Text says it in words. It has numbers and names: of files, purposes, builds and
	// witnesses. It never has the body of an entry.
	Text string
}

// String returns the finding on one line.
func (f Finding) String() string {
	if f.Entry < 0 {
		return fmt.Sprintf("%s: %s", f.Kind, f.Text)
	}
	return fmt.Sprintf("%s: entry %d: %s", f.Kind, f.Entry, f.Text)
}

// maxFindings is the number of findings of each kind that a report has in words.
const maxFindings = 100

// A Report is the result of [Verify].
type Report struct {
	// Origin is the name of the log, and Head its last head that verifies.
	Origin string
	Head   Head
	// Entries is the number of entries, and Bodies the number of them whose body is there.
	Entries, Bodies int64
	// Removed is the number of removed bodies by the rule of their removal.
	Removed map[string]int64
	// Starts is the number of processes that wrote the log, one after the other.
	Starts int
	// Findings are things that must not be: the log was altered, or what it records is
	// alarming. Notes are things that a reader has to know. Both are in the order of
	// the entries as far as they are about entries.
	Findings, Notes []Finding
	// More is the number of findings and notes that were left out: each kind is listed
	// 100 times.
	More int64
	// NotExcluded says which alterations this verification could not have found.
	NotExcluded []string

	counts map[FindingKind]int
}

// OK reports whether there are no findings.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// String returns the report as text of several lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d entries, %d with a body, %d processes\n", r.Origin, r.Entries, r.Bodies, r.Starts)
	for _, rule := range sortedKeys(r.Removed) {
		fmt.Fprintf(&b, "%d bodies removed under rule %q\n", r.Removed[rule], rule)
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

func (r *Report) find(kind FindingKind, entry int64, format string, args ...any) {
	r.add(&r.Findings, kind, entry, fmt.Sprintf(format, args...))
}

func (r *Report) note(kind FindingKind, entry int64, format string, args ...any) {
	r.add(&r.Notes, kind, entry, fmt.Sprintf(format, args...))
}

func (r *Report) add(to *[]Finding, kind FindingKind, entry int64, text string) {
	if r.counts[kind]++; r.counts[kind] > maxFindings {
		r.More++
		return
	}
	*to = append(*to, Finding{kind, entry, text})
}
