package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// assess verifies a log, and reads its events for laundering. It needs no key but the public
// one of the log. The events of a log that was altered prove nothing, so they are read only if
// asked for.
func assess(ctx context.Context, w io.Writer, name string, log fs.FS, verifier note.Verifier, kept []auditlog.Head, read bool) error {
	apart := []purpose.Set{purpose.NewSet(security, advertising)}
	launderer := &launderer{}
	watch, err := audit.NewWatch(nil, audit.Rules{Apart: apart}, launderer.found)
	if err != nil {
		return err
	}
	opts := &auditlog.VerifyOptions{Entry: func(e auditlog.Entry) error { return replay(ctx, watch, e) }}
	if name == "support" { // for the administrators' jobs both purposes are meant
		opts.Apart = apart
	}
	report, err := auditlog.Verify(ctx, log, verifier, kept, opts)
	if err != nil {
		return err
	}
	verdict := "nothing found"
	if !report.OK() {
		verdict = "not as it should be"
	}
	fmt.Fprintf(w, "%s: %d entries, %d processes: %s\n", name, report.Entries, report.Starts, verdict)
	for _, f := range report.Findings {
		fmt.Fprintf(w, "  FOUND %s\n", f)
	}
	if read {
		for _, text := range launderer.moves {
			fmt.Fprintf(w, "  FOUND laundering: %s\n", text)
		}
	}
	for _, f := range report.Notes {
		fmt.Fprintf(w, "  note %s\n", f)
	}
	for _, s := range report.NotExcluded {
		fmt.Fprintf(w, "  not excluded: %s\n", s)
	}
	return nil
}

// A launderer collects the moves of data from one purpose to another one.
type launderer struct{ moves []string }

func (l *launderer) found(_ context.Context, f audit.Finding) error {
	if f.Rule == audit.Moved { // the report of the log has the other rule
		l.moves = append(l.moves, fmt.Sprintf("%s reveals for %s, and then %ss a value of kind %s for %s", f.Caller, f.From, f.Used, f.Kind, f.To))
	}
	return nil
}

// replay shows an event of a log to a watch, which reports a move of one caller once a
// minute.
func replay(ctx context.Context, watch *audit.Watch, e auditlog.Entry) error {
	var b struct {
		Entry, Action, Outcome, Kind, Caller string
		Time                                 time.Time
		Purpose                              purpose.Purpose
		Collected                            []purpose.Purpose
	}
	if err := json.Unmarshal(e.Body, &b); err != nil || b.Entry != auditlog.KindEvent {
		return nil // an altered body is a finding of the log
	}
	return watch.Audit(ctx, audit.Event{
		Time: b.Time, Action: audit.Action(b.Action), Outcome: audit.Outcome(b.Outcome), Purpose: b.Purpose,
		Collected: purpose.NewSet(b.Collected...), Kind: b.Kind, Caller: b.Caller,
	})
}
