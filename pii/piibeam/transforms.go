package piibeam

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/onlyfor/onlyfor/vault"
)

func init() {
	register.DoFn5x1[context.Context, string, string, func(string, string), func(string, string), error](&sealFn{})
	register.DoFn5x1[context.Context, string, string, func(string, string), func(string, string), error](&resealFn{})
	register.DoFn5x1[context.Context, string, string, func(string, []byte), func(string, string), error](&indexFn{})
	register.Function2x2(swap)
	register.Function4x0(pairs)
	register.Emitter2[string, string]()
	register.Emitter2[string, []byte]()
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
}

// Setup opens the keys, once for each worker.
func (f *sealFn) Setup(ctx context.Context) (err error) {
	f.worker, err = f.Job.worker(ctx)
	return err
}

// ProcessElement seals one row.
func (f *sealFn) ProcessElement(ctx context.Context, id, text string, emit, failed func(string, string)) error {
	if !f.worker.takes(id) {
		return give(id, errRowID, failed)
	}
	scopes := f.worker.of(id)
	sealers := make([]vault.Sealer, len(scopes))
	for i, s := range scopes {
		sealers[i] = s
	}
	sealed, err := f.worker.seal(ctx, text, sealers)
	if err == nil {
		emit(id, sealed)
		return nil
	}
	return give(id, err, failed)
}

// resealFn is the work of Reseal.
type resealFn struct {
	Job Job

	worker *worker
}

// Setup opens the keys, once for each worker.
func (f *resealFn) Setup(ctx context.Context) (err error) {
	f.worker, err = f.Job.worker(ctx)
	return err
}

// ProcessElement re-seals one value.
func (f *resealFn) ProcessElement(ctx context.Context, id, text string, emit, failed func(string, string)) error {
	if !f.worker.takes(id) {
		return give(id, errRowID, failed)
	}
	sealed, err := f.worker.reseal(ctx, text, f.worker.of(id))
	if err == nil {
		emit(id, sealed)
		return nil
	}
	return give(id, err, failed)
}

// indexFn is the work of Index and, on typed text, of Match.
type indexFn struct {
	Job   Job
	Typed bool

	worker *worker
}

// Setup opens the keys, once for each worker.
func (f *indexFn) Setup(ctx context.Context) (err error) {
	f.worker, err = f.Job.worker(ctx)
	return err
}

// ProcessElement computes one index.
func (f *indexFn) ProcessElement(ctx context.Context, id, text string, emit func(string, []byte), failed func(string, string)) error {
	compute := f.worker.index
	scope := f.worker.scopes[0]
	if f.Typed {
		compute = f.worker.lookup
	} else {
		if !f.worker.takes(id) {
			return give(id, errRowID, failed)
		}
		scope = f.worker.of(id)[0]
	}
	index, err := compute(ctx, text, scope)
	if err == nil {
		emit(id, index)
		return nil
	}
	return give(id, err, failed)
}

// give emits a row as failed, or fails the bundle.
func give(id string, err error, failed func(string, string)) error {
	if !rowsFault(err) {
		return err
	}
	failed(id, err.Error())
	return nil
}
