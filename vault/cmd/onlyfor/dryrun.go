package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// dryRunPeriod is the time that a dry run looks back.
const dryRunPeriod = 24 * time.Hour

// A dryRun is a count of operations that a suspension would have refused.
type dryRun struct {
	DryRun     bool             `json:"dry_run"`
	Suspension suspensionReport `json:"suspension"`
	From       time.Time        `json:"from"`
	// Refused counts by action, and Of counts all allowed operations of the purpose with
	// these actions.
	Refused map[audit.Action]int64 `json:"refused"`
	Of      map[audit.Action]int64 `json:"of"`
	// Events is the number of entries that were read, and Unread of lines that are none.
	Events int64 `json:"events"`
	Unread int64 `json:"unread"`
}

// dryRun reports how many operations the suspension would have refused.
func (c *suspendCmd) dryRun(ctx context.Context, s *session, at *site, p purpose.Purpose, wanted vault.Suspension) error {
	logs := c.Log
	if len(logs) == 0 && at.Audit != "" {
		logs = []string{at.Audit}
	}
	if len(logs) == 0 {
		return misuse("a dry run needs an audit log: name the logs of the services with --log")
	}
	wanted, err := completed(ctx, p, wanted)
	if err != nil {
		return err
	}
	now := time.Now()
	run := &dryRun{DryRun: true, Suspension: reportOfSuspension(p, wanted), From: now.Add(-dryRunPeriod).UTC(),
		Refused: map[audit.Action]int64{}, Of: map[audit.Action]int64{}}
	for _, a := range wanted.Actions {
		run.Refused[a], run.Of[a] = 0, 0
	}
	for _, log := range logs {
		if err := run.read(ctx, log); err != nil {
			if ctx.Err() != nil {
				return err
			}
			return misuse("the audit log %s can't be read", log)
		}
	}
	return s.print(run, func(w io.Writer, width int) {
		term.Text(w, width, "Nothing was changed. In the last 24 hours, this would have been refused: "+sentence(p, wanted)+".")
		t := term.Table{Head: []string{"action", "refused", "of"}}
		for _, a := range slices.Sorted(maps.Keys(run.Refused)) {
			t.Rows = append(t.Rows, []string{string(a), fmt.Sprint(run.Refused[a]), fmt.Sprint(run.Of[a])})
		}
		t.Write(w, width)
		text := fmt.Sprintf("%d entries of %s were read.", run.Events, strings.Join(logs, ", "))
		if run.Unread > 0 {
			text += fmt.Sprintf(" %d lines are no entries.", run.Unread)
		}
		if wanted.Notice != "" && slices.Contains(wanted.Actions, audit.Index) {
			text += " Look-ups of texts have no notice, and would have gone on."
		}
		term.Text(w, width, text)
	})
}

// completed returns the suspension with the actions that it would have. It asks a vault in
// memory, which has the rules.
func completed(ctx context.Context, p purpose.Purpose, s vault.Suspension) (vault.Suspension, error) {
	dir, err := os.MkdirTemp("", "onlyfor-dry-run-")
	if err != nil {
		return s, misuse("there is no directory for temporary files")
	}
	defer os.RemoveAll(dir)
	a, err := vault.OpenAdmin(ctx, vault.Memory(), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
	if err != nil {
		return s, err
	}
	defer a.Close()
	if err := a.Generate(ctx, p); err != nil {
		return s, err
	}
	if err := a.Suspend(ctx, p, s); err != nil {
		return s, err
	}
	all, err := a.Suspensions(ctx, p)
	if err != nil {
		return s, err
	}
	if len(all) != 1 {
		return s, misuse("--until is over already")
	}
	return all[0], nil
}

// read counts the entries of one log: a file of JSON lines, as audit.Slog writes it, or a
// directory of package auditlog, whose lines begin with a salt. The log is not verified.
func (d *dryRun) read(ctx context.Context, root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		// Beside its entries, a directory of package auditlog has tiles and heads.
		if path != root && !slices.Contains([]string{".log", ".json", ".jsonl"}, filepath.Ext(path)) {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return d.lines(ctx, f)
	})
}

func (d *dryRun) lines(ctx context.Context, r io.Reader) error {
	lines := bufio.NewReaderSize(r, 1<<20)
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // of an entry of no log of ours
			d.Unread++
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = lines.ReadSlice('\n')
			}
		default:
			d.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// line counts one line.
func (d *dryRun) line(line []byte) {
	line = bytes.TrimSpace(line)
	at := bytes.IndexByte(line, '{')
	if len(line) == 0 || line[0] == '#' || at < 0 && !bytes.ContainsRune(line, ' ') {
		return // a head, or an entry whose body was removed
	}
	var e struct {
		Time    time.Time
		Action  audit.Action
		Outcome audit.Outcome
		Purpose string
		Notice  string
		Count   int64
	}
	if at < 0 || json.Unmarshal(line[at:], &e) != nil {
		d.Unread++
		return
	}
	d.Events++
	if _, asked := d.Of[e.Action]; !asked || e.Outcome != audit.Allowed || e.Purpose != d.Suspension.Purpose.String() || e.Time.Before(d.From) {
		return
	}
	n := max(1, e.Count)
	d.Of[e.Action] += n
	if d.Suspension.Notice == "" || d.Suspension.Notice == e.Notice {
		d.Refused[e.Action] += n
	}
}
