package migrate

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
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
	w := &walk{m: m, reader: m.reader(sel), work: work, done: done, report: report, start: time.Now()}
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
		if !send(ctx, to, b) {
			return
		}
	}
}

// chunk is the number of rows that a worker takes at a time.
const chunk = 64

// workAll calls work for all rows, on all workers.
func (w *walk) workAll(ctx context.Context, rows []*rowEdit) error {
	if err := w.prefetch(ctx, rows); err != nil {
		return err
	}
	chunks := make(chan []*rowEdit, len(rows)/chunk+1)
	for c := range slices.Chunk(rows, chunk) {
		chunks <- c
	}
	close(chunks)
	errs := make([]error, w.opts.Workers)
	var workers sync.WaitGroup
	for i := range errs {
		workers.Go(func() {
			for rows := range chunks {
				for _, r := range rows {
					if errs[i] = ctx.Err(); errs[i] == nil {
						errs[i] = w.work(ctx, r)
					}
					if errs[i] != nil {
						return
					}
				}
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return ctxError(ctx)
	}
	return cmp.Or(errs...)
}

// prefetch loads the keys of a batch's subjects with few calls of the key store.
func (w *walk) prefetch(ctx context.Context, rows []*rowEdit) error {
	if w.m.table.Subject == "" {
		return nil
	}
	// A chunk fits into the smallest cache that anybody would set.
	for some := range slices.Chunk(rows, defaultBatch) {
		subjects := make([]string, 0, len(some))
		for _, r := range some {
			if id := r.subject.String; id != "" && len(id) <= maxSubject {
				subjects = append(subjects, id)
			}
		}
		for _, s := range w.m.table.Scopes {
			if err := s.Prefetch(ctx, subjects...); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxSubject is the length of the longest id that [vault.Scope.For] accepts.
const maxSubject = 255

// rereads is how often a row is read again after somebody changed it between the
// step's reading and writing.
const rereads = 5

// write writes the changes of a batch, and counts its rows.
func (w *walk) write(ctx context.Context, rows []*rowEdit) error {
	var todo []*rowEdit
	for _, r := range rows {
		if len(r.sets) > 0 {
			todo = append(todo, r)
		}
	}
	lost, err := w.m.writeAll(ctx, todo)
	if err != nil {
		return err
	}
	w.report.Changed += int64(len(todo) - len(lost))
	for _, r := range todo {
		if r.refused {
			w.report.Changed--
		}
	}
	for _, r := range lost {
		if err := w.writeAgain(ctx, r); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if w.done != nil {
			w.done(r)
		}
		w.m.count(w.report, r, &w.opts)
	}
	return nil
}

// writeAgain reads a row that somebody else has changed, decides on it again and
// writes it.
func (w *walk) writeAgain(ctx context.Context, r *rowEdit) error {
	for range rereads {
		fresh, err := w.reader.one(ctx, r.key)
		if err != nil {
			return err
		}
		if fresh == nil { // deleted, or done by somebody else
			r.reset()
			return nil
		}
		*r = *fresh
		if err := w.work(ctx, r); err != nil {
			return err
		}
		if len(r.sets) == 0 {
			return nil
		}
		lost, err := w.m.writeAll(ctx, []*rowEdit{r})
		if err != nil {
			return err
		}
		if len(lost) == 0 {
			if !r.refused {
				w.report.Changed++
			}
			return nil
		}
	}
	for _, s := range r.sets {
		f := w.m.fields[s.field]
		if f.role != indexBytes {
			r.find(w.m.columns[f.column].name, Contended)
		}
	}
	return nil
}

func (w *walk) progress(finished bool) {
	if w.opts.Progress != nil {
		w.opts.Progress(Progress{
			Step: w.report.Step, Done: w.report.Rows, Total: w.total,
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
