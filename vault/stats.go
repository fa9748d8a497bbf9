package vault

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// Stats are counters of a [Vault] since it was opened. They only grow. A vault takes them
// while other operations go on, so they need not all be as of one moment.
type Stats struct {
	// Operations counts the events of an [audit.Auditor], with and without an auditor: a
	// value that is sealed for two purposes is two operations. The uses of collectors
	// are not counted, as they work on without their vault.
	Operations map[audit.Action]Outcomes
	// Results has the same operations one by one: by purpose, action, kind and reason.
	// It is sorted by these, and has no result that never occurred.
	Results []Result
	// SubjectHits and SubjectMisses count the uses of subjects' keys that were at hand,
	// and that asked the store.
	SubjectHits, SubjectMisses uint64
	// StoreCalls and StoreFailures count the calls of the [Store], and those that
	// failed. A change that another process was first to make ([ErrConflict]) is no
	// failure. StoreTime is the sum of the times that the calls took.
	StoreCalls, StoreFailures uint64
	StoreTime                 time.Duration
	// KEKCalls and KEKFailures count the encryptions and decryptions of the key service,
	// and those that failed. A self-test of the key service counts as well, though it
	// succeeds by failing. KEKTime is the sum of the times that the calls took.
	KEKCalls, KEKFailures uint64
	KEKTime               time.Duration
	// AuditFailures counts the events that the auditor did not record, so that their
	// actions failed. Operations has the results that these actions had before.
	AuditFailures uint64
}

// Outcomes counts the results of one action.
type Outcomes struct {
	Allowed, Denied, Failed uint64
}

// A Result counts the operations that ended alike. All of its texts are from fixed sets,
// however many values and people there are.
type Result struct {
	// Purpose is the purpose of the scope or of the keys. It is zero for a purpose that
	// this vault has never found keys of, whose name could be any text.
	Purpose purpose.Purpose
	// Action is the action of the operations.
	Action audit.Action
	// Kind is the name of the kind of the values, "" for operations on keys. It is
	// [OtherKind] after the first 64 kinds under a purpose.
	Kind string
	// Outcome and Reason are as in [audit.Event]. Reason is "" for an allowed operation.
	Outcome audit.Outcome
	Reason  string
	// Count is the number of operations.
	Count uint64
}

// OtherKind is the kind of a [Result] of kinds that are not counted one by one.
const OtherKind = "_OTHER"

// Stats returns the counters of v. They are zero for a nil or zero Vault, and stay after
// Close. No counter tells anything about a value or a person.
func (v *Vault) Stats() Stats {
	if !v.valid() {
		return Stats{}
	}
	c := v.stats
	s := Stats{
		Results:     c.results(),
		Operations:  map[audit.Action]Outcomes{},
		SubjectHits: c.subjectHits.load(), SubjectMisses: c.subjectMisses.load(),
		AuditFailures: c.auditFailures.load(),
	}
	s.StoreCalls, s.StoreFailures, s.StoreTime = c.store.load()
	s.KEKCalls, s.KEKFailures, s.KEKTime = c.kek.load()
	for _, r := range s.Results {
		o := s.Operations[r.Action]
		switch r.Outcome {
		case audit.Allowed:
			o.Allowed += r.Count
		case audit.Denied:
			o.Denied += r.Count
		case audit.Failed:
			o.Failed += r.Count
		}
		s.Operations[r.Action] = o
	}
	return s
}

// A callCounter counts the calls of the store or of the key service.
type callCounter struct{ calls, failures, time counter }

// called counts a call that began at the given time, and its failure.
func (c *callCounter) called(began time.Time, err error) { c.took(time.Since(began), err) }

// took counts a call that took the given time, and its failure.
func (c *callCounter) took(d time.Duration, err error) {
	c.calls.add(1)
	c.time.add(uint64(max(d, 0)))
	if err != nil && !errors.Is(err, ErrConflict) {
		c.failures.add(1)
	}
}

func (c *callCounter) load() (calls, failures uint64, took time.Duration) {
	return c.calls.load(), c.failures.load(), time.Duration(c.time.load())
}

// A countedStore counts the calls of a store.
type countedStore struct {
	Store
	stats *callCounter
}

func (s *countedStore) Get(ctx context.Context, names ...string) (records []Record, err error) {
	began := time.Now()
	err = errBroken // unless Get returns
	defer func() { s.stats.called(began, err) }()
	records, err = s.Store.Get(ctx, names...)
	return records, err
}

func (s *countedStore) Put(ctx context.Context, r Record) (revision int64, err error) {
	began := time.Now()
	err = errBroken
	defer func() { s.stats.called(began, err) }()
	revision, err = s.Store.Put(ctx, r)
	return revision, err
}

// List counts as one call. The time of the caller between two names is not counted.
func (s *countedStore) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var took time.Duration
		began, failed := time.Now(), errBroken
		defer func() { s.stats.took(took+time.Since(began), failed) }()
		for name, err := range s.Store.List(ctx, prefix, after) {
			failed = err
			took += time.Since(began)
			more := yield(name, err)
			began = time.Now()
			if !more {
				return
			}
		}
		failed = nil
	}
}

// A countedReplacer counts the calls of a BatchReplacer, as calls of the store.
type countedReplacer struct {
	store BatchReplacer
	stats *callCounter
}

func (r *countedReplacer) replace(ctx context.Context, records []Record) (revisions []int64, err error) {
	began := time.Now()
	err = errBroken // unless Replace returns
	defer func() { r.stats.called(began, err) }()
	revisions, err = r.store.Replace(ctx, records...)
	return revisions, err
}
