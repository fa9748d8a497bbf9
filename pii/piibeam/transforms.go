package piibeam

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/onlyfor/onlyfor/vault"
)

func init() {
	register.DoFn7x1[context.Context, beam.Window, beam.EventTime, string, string, emitter[string], emitter[string], error](&sealFn{})
	register.DoFn7x1[context.Context, beam.Window, beam.EventTime, string, string, emitter[string], emitter[string], error](&resealFn{})
	register.DoFn7x1[context.Context, beam.Window, beam.EventTime, string, string, emitter[[]byte], emitter[string], error](&indexFn{})
	register.Function2x2(swap)
	register.Function4x0(pairs)
	register.Emitter2[string, string]()
	register.Emitter3[beam.EventTime, string, string]()
	register.Emitter3[beam.EventTime, string, []byte]()
	register.Iter1[string]()
}

// Seal seals rows, KV<string, string> of id and typed text, for the purposes of the
// job. It returns KV<string, string> of id and sealed text, and the rows that could
// not be sealed.
func Seal(s beam.Scope, j Job, rows beam.PCollection) (sealed, failed beam.PCollection) {
	return beam.ParDo2(s.Scope("piibeam.Seal"), &sealFn{Job: j.clone()}, rows)
}

// Reseal re-seals values, KV<string, string> of id and sealed text, under the present
// primary keys. It also takes in values of collectors. It returns KV<string, string> of
// id and sealed text, and the rows that could not be re-sealed.
func Reseal(s beam.Scope, j Job, values beam.PCollection) (resealed, failed beam.PCollection) {
	return beam.ParDo2(s.Scope("piibeam.Reseal"), &resealFn{Job: j.clone()}, values)
}

// Index computes the blind indexes of values, KV<string, string> of id and
// sealed text, under the first purpose of the job. It returns KV<string, []byte>
// of id and index, and the rows without an index.
func Index(s beam.Scope, j Job, values beam.PCollection) (indexes, failed beam.PCollection) {
	return beam.ParDo2(s.Scope("piibeam.Index"), &indexFn{Job: j.clone()}, values)
}

// Match finds the people of a list, KV<string, string> of an entry's id and a typed
// address or number, among indexes, KV<string, []byte> of a row's id and its index
// under the first purpose of the job. It returns KV<string, string> of the entry's id
// and the row's id, for each pair that is one person, and the entries that are no
// address or number.
//
// A row whose index is of another purpose matches nobody.
func Match(s beam.Scope, j Job, list, indexes beam.PCollection) (matches, failed beam.PCollection) {
	s = s.Scope("piibeam.Match")
	asked, failed := beam.ParDo2(s, &indexFn{Job: j.clone(), Typed: true}, list)
	both := beam.CoGroupByKey(s, beam.ParDo(s, swap, asked), beam.ParDo(s, swap, indexes))
	return beam.ParDo(s, pairs, both), failed
}

func swap(id string, index []byte) ([]byte, string) { return index, id }

// pairs emits each entry with each row that has the same index. There are few of
// either for an index, because all rows are of one person.
func pairs(_ []byte, entries, rows func(*string) bool, emit func(string, string)) {
	var all []string
	for row := ""; rows(&row); {
		all = append(all, row)
	}
	for entry := ""; entries(&entry); {
		for _, row := range all {
			emit(entry, row)
		}
	}
}

// sealFn is the work of Seal.
type sealFn struct {
	Job Job

	worker *worker
	rows   bundle[string]
}

// Setup opens the keys, once for each worker.
func (f *sealFn) Setup(ctx context.Context) (err error) {
	f.worker, err = f.Job.worker(ctx)
	return err
}

// StartBundle drops the rows of a bundle that failed.
func (f *sealFn) StartBundle(_ context.Context, _, _ emitter[string]) error {
	return f.rows.start("beam.seal", f.seal)
}

// ProcessElement seals one row, or keeps it for a batch.
func (f *sealFn) ProcessElement(ctx context.Context, w beam.Window, t beam.EventTime, id, text string, emit, failed emitter[string]) error {
	return f.rows.add(ctx, w, row{t, id, text}, emit, failed)
}

// FinishBundle seals the rows that are left.
func (f *sealFn) FinishBundle(ctx context.Context, emit, failed emitter[string]) error {
	return f.rows.finish(ctx, emit, failed)
}

func (f *sealFn) seal(ctx context.Context, id, text string) (string, error) {
	if !f.worker.takes(id) {
		return "", errRowID
	}
	scopes := f.worker.of(id)
	sealers := make([]vault.Sealer, len(scopes))
	for i, s := range scopes {
		sealers[i] = s
	}
	return f.worker.seal(ctx, text, sealers)
}

// resealFn is the work of Reseal.
type resealFn struct {
	Job Job

	worker *worker
	rows   bundle[string]
}

// Setup opens the keys, once for each worker.
func (f *resealFn) Setup(ctx context.Context) (err error) {
	f.worker, err = f.Job.worker(ctx)
	return err
}

// StartBundle drops the rows of a bundle that failed.
func (f *resealFn) StartBundle(_ context.Context, _, _ emitter[string]) error {
	return f.rows.start("beam.reseal", f.reseal)
}

// ProcessElement re-seals one value, or keeps it for a batch.
func (f *resealFn) ProcessElement(ctx context.Context, w beam.Window, t beam.EventTime, id, text string, emit, failed emitter[string]) error {
	return f.rows.add(ctx, w, row{t, id, text}, emit, failed)
}

// FinishBundle re-seals the values that are left.
func (f *resealFn) FinishBundle(ctx context.Context, emit, failed emitter[string]) error {
	return f.rows.finish(ctx, emit, failed)
}

func (f *resealFn) reseal(ctx context.Context, id, text string) (string, error) {
	if !f.worker.takes(id) {
		return "", errRowID
	}
	return f.worker.reseal(ctx, text, f.worker.of(id))
}

// indexFn is the work of Index and, on typed text, of Match.
type indexFn struct {
	Job   Job
	Typed bool

	worker *worker
	rows   bundle[[]byte]
}

// Setup opens the keys, once for each worker.
func (f *indexFn) Setup(ctx context.Context) (err error) {
	f.worker, err = f.Job.worker(ctx)
	return err
}

// StartBundle drops the rows of a bundle that failed.
func (f *indexFn) StartBundle(_ context.Context, _ emitter[[]byte], _ emitter[string]) error {
	if f.Typed {
		return f.rows.start("beam.match", f.index)
	}
	return f.rows.start("beam.index", f.index)
}

// ProcessElement computes one index, or keeps the row for a batch.
func (f *indexFn) ProcessElement(ctx context.Context, w beam.Window, t beam.EventTime, id, text string, emit emitter[[]byte], failed emitter[string]) error {
	return f.rows.add(ctx, w, row{t, id, text}, emit, failed)
}

// FinishBundle computes the indexes of the rows that are left.
func (f *indexFn) FinishBundle(ctx context.Context, emit emitter[[]byte], failed emitter[string]) error {
	return f.rows.finish(ctx, emit, failed)
}

func (f *indexFn) index(ctx context.Context, id, text string) ([]byte, error) {
	switch {
	case f.Typed:
		return f.worker.lookup(ctx, text, f.worker.scopes[0])
	case !f.worker.takes(id):
		return nil, errRowID
	}
	return f.worker.index(ctx, text, f.worker.of(id)[0])
}
