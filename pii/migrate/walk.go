package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A walk goes through the rows of a selection in the order of their keys. While one
// batch is written, the next is sealed and the third is read. No more than three
// batches are in memory.
type walk struct {
	m      *Migration
	opts   Options
	reader *reader
	// work decides on the changes to a row. It is called from several goroutines. An
	// error ends the walk.
	work   func(context.Context, *rowEdit) error
	done   func(*rowEdit) // or nil
	report *Report
	start  time.Time
	total  int64
}

// A batch is a number of rows that one goroutine sends to the next, or an error.
type batch struct {
	rows []*rowEdit
	err  error
}

// run goes through all rows. After an error, the report covers the rows until then.
func (m *Migration) run(ctx context.Context, step string, opts *Options, sel selection, work func(context.Context, *rowEdit) error) (*Report, error) {
	report := m.newReport(step)
	return report, m.runInto(ctx, report, opts, sel, work, nil)
}

// runInto also calls done for each row that is done, from one goroutine and in
// order, before the row is counted.
func (m *Migration) runInto(ctx context.Context, report *Report, opts *Options, sel selection, work func(context.Context, *rowEdit) error, done func(*rowEdit)) error {
	ctx = audit.WithOperation(ctx, "migrate."+strings.ReplaceAll(report.Step, " ", "-"))
	readAndWork := func(ctx context.Context, r *rowEdit) error {
		if err := m.readPlain(r); err != nil {
			return err
		}
		if err := work(ctx, r); err != nil {
			return err
		}
		return m.recordCleared(ctx, r)
	}
	if report.writes { // the read-back compares all fields
		for i, f := range m.fields {
			if f.role != plainText {
				sel.fields = sel.fields.with(i)
			}
		}
	}
	w := &walk{m: m, reader: m.reader(sel), work: readAndWork, done: done, report: report, start: time.Now()}
	var err error
	if w.opts, err = opts.withDefaults(); err == nil {
		report.Last = w.opts.After
		err = w.run(ctx)
	}
	if err != nil {
		return &stepError{report.Step, m.table.Name, err}
	}
	return nil
}

func (w *walk) run(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return ctxError(ctx)
	}
	var after any
	if w.opts.After != "" {
		if after, err = w.m.key.parse(w.opts.After); err != nil {
			return err
		}
	}
	if w.opts.Progress != nil {
		if w.total, err = w.reader.count(ctx, after); err != nil {
			return err
		}
		defer w.progress(true)
	}
	if w.reader.clock {
		if err := w.m.checkClock(ctx); err != nil {
			return err
		}
	}
	if w.reader.done != nil {
		if err := w.reader.countDone(ctx, after, w.report); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	read, worked := make(chan batch), make(chan batch)
	running.Go(func() { w.read(ctx, after, read) })
	running.Go(func() { w.seal(ctx, read, worked) })
	for b := range worked {
		if b.err == nil {
			b.err = w.write(ctx, b.rows)
		}
		if b.err != nil {
			return b.err
		}
		w.progress(false)
		if err := w.pause(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return ctxError(ctx)
	}
	return nil
}

// send sends b. It reports whether another batch may follow.
func send(ctx context.Context, to chan<- batch, b batch) bool {
	select {
	case to <- b:
		return b.err == nil
	case <-ctx.Done():
		return false
	}
}

func (w *walk) read(ctx context.Context, after any, to chan<- batch) {
	defer close(to)
	for {
		rows, err := w.reader.page(ctx, after, w.opts.Batch)
		if err == nil && len(rows) == 0 || !send(ctx, to, batch{rows, err}) || len(rows) < w.opts.Batch {
			return
		}
		after = rows[len(rows)-1].key
	}
}

func (w *walk) seal(ctx context.Context, from <-chan batch, to chan<- batch) {
	defer close(to)
	for b := range from {
		if b.err == nil {
			b.err = w.workAll(ctx, b.rows)
		}
		// The clock may have been set since. While it is asked for, another batch is written.
		if b.err == nil && w.reader.clock && slices.ContainsFunc(b.rows, changes) {
			b.err = w.m.checkClock(ctx)
		}
		if !send(ctx, to, b) {
			return
		}
	}
}

// workAll calls work for all rows, on all workers. The events of the rows are joined, and no
// row is written before its events are recorded.
func (w *walk) workAll(ctx context.Context, rows []*rowEdit) error {
	if err := w.prefetch(ctx, rows); err != nil {
		return err
	}
	errs := make([]error, len(rows))
	var failed atomic.Bool
	audit.Batch(ctx, len(rows), w.opts.Workers, func(ctx context.Context, i int) {
		if failed.Load() || ctx.Err() != nil {
			return
		}
		w.workOn(ctx, rows[i], &errs[i])
		if errs[i] != nil {
			failed.Store(true)
		}
	})
	if err := ctx.Err(); err != nil {
		return ctxError(ctx)
	}
	return cmp.Or(errs...)
}

// workOn calls work for a row. A kind of the program's own that panics costs the row, and
// one that ends the goroutine ends the step.
func (w *walk) workOn(ctx context.Context, r *rowEdit, err *error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if recover() == nil {
			*err = errGoexit
			return
		}
		*err = nil
		r.reset()
		for _, c := range w.m.columns {
			r.find(c.name, Failed)
		}
	}()
	*err = w.work(ctx, r)
	returned = true
}

// errGoexit reports a method of a [pii.Kind] that ends its goroutine.
var errGoexit = fmt.Errorf("a kind called runtime.Goexit: %w", vault.ErrInvalid)

// prefetch loads the keys of a batch's subjects with few calls of the key store. A
// record that does not open is no error here: the rows of its subject get a finding each,
// and the walk goes on.
func (w *walk) prefetch(ctx context.Context, rows []*rowEdit) error {
	if w.m.table.Subject == "" || w.reader.withoutKeys {
		return nil
	}
	// A chunk fits into the smallest cache that anybody would set.
	for some := range slices.Chunk(rows, defaultBatch) {
		subjects := make([]string, 0, len(some))
		for _, r := range some {
			if id := r.subject.String; vault.ValidSubject(id) {
				subjects = append(subjects, id)
			}
		}
		for _, s := range w.m.table.Scopes {
			err := s.Prefetch(ctx, subjects...)
			if err != nil && (!errors.Is(err, vault.ErrCorrupt) || errors.Is(err, vault.ErrUnavailable)) {
				return err
			}
		}
	}
	return nil
}

// rereads is how often a row is read again after somebody changed it between the
// step's reading and writing.
const rereads = 5

// changes reports whether a step changes a row.
func changes(r *rowEdit) bool { return len(r.sets) > 0 }

// write writes the changes of a batch, and counts its rows.
func (w *walk) write(ctx context.Context, rows []*rowEdit) error {
	lost, err := w.m.writeAll(ctx, slices.DeleteFunc(slices.Clone(rows), unchanged))
	if err != nil {
		return err
	}
	if err := w.writeAgain(ctx, lost); err != nil {
		return err
	}
	for _, r := range rows {
		if w.done != nil {
			w.done(r)
		}
		w.m.count(w.report, r, &w.opts)
	}
	return nil
}

func unchanged(r *rowEdit) bool { return !changes(r) }

// writeAgain reads rows that somebody else has changed, decides on them again and writes
// them, until all are written or the others have won too often.
func (w *walk) writeAgain(ctx context.Context, lost []*rowEdit) error {
	for range rereads {
		if len(lost) == 0 {
			return nil
		}
		there, err := w.reader.again(ctx, lost)
		if err != nil {
			return err
		}
		if err := w.workAll(ctx, there); err != nil {
			return err
		}
		if lost, err = w.m.writeAll(ctx, slices.DeleteFunc(there, unchanged)); err != nil {
			return err
		}
	}
	for _, r := range lost {
		// An index alone counts too: a step that wrote nothing is not OK.
		reported := make([]bool, len(w.m.columns))
		for _, s := range r.sets {
			if i := w.m.fields[s.field].column; !reported[i] && !r.found(&w.m.columns[i]) {
				reported[i] = true
				r.find(w.m.columns[i].name, Contended)
			}
		}
	}
	return nil
}

func (w *walk) progress(finished bool) {
	if w.opts.Progress != nil {
		w.opts.Progress(Progress{
			Step: w.report.Step, Done: w.report.Rows, Total: w.total, Changed: w.report.Changed, Problems: w.report.problems(),
			Elapsed: time.Since(w.start), Last: w.report.Last, Finished: finished,
		})
	}
}

// pause waits as the options say.
func (w *walk) pause(ctx context.Context) error {
	if w.opts.RowsPerSecond > 0 {
		due := time.Duration(float64(w.report.Rows) / float64(w.opts.RowsPerSecond) * float64(time.Second))
		if early := due - time.Since(w.start); early > 0 && !sleep(ctx, early) {
			return ctxError(ctx)
		}
	}
	if w.opts.Pause != nil {
		return w.opts.Pause(ctx)
	}
	return nil
}
