package vault

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/onlyfor/onlyfor/vault/audit"
)

// Stats are counters of a [Vault] since it was opened. They only grow. A vault takes them
// while other operations go on, so they need not all be as of one moment.
type Stats struct {
	// Operations counts the events of an [audit.Auditor], with and without an auditor: a
	// value that is sealed for two purposes is two operations. The uses of collectors
	// are not counted, as they work on without their vault.
	Operations map[audit.Action]Outcomes
	// SubjectHits and SubjectMisses count the uses of subjects' keys that were at hand,
	// and that asked the store.
	SubjectHits, SubjectMisses uint64
	// StoreCalls and StoreFailures count the calls of the [Store], and those that
	// failed. A change that another process was first to make ([ErrConflict]) is no
	// failure.
	StoreCalls, StoreFailures uint64
	// KEKCalls and KEKFailures count the encryptions and decryptions of the key service,
	// and those that failed. A self-test of the key service counts as well, though it
	// succeeds by failing.
	KEKCalls, KEKFailures uint64
}

// Outcomes counts the results of one action.
type Outcomes struct {
	Allowed, Denied, Failed uint64
}

// Stats returns the counters of v. They are zero for a nil or zero Vault, and stay after
// Close. No counter tells anything about a value or a person.
func (v *Vault) Stats() Stats {
	if !v.valid() {
		return Stats{}
	}
	s, c := Stats{Operations: map[audit.Action]Outcomes{}}, v.stats
	for i, a := range countedActions {
		o := Outcomes{c.operations[i][0].load(), c.operations[i][1].load(), c.operations[i][2].load()}
		if o != (Outcomes{}) {
			s.Operations[a] = o
		}
	}
	s.SubjectHits, s.SubjectMisses = c.subjectHits.load(), c.subjectMisses.load()
	s.StoreCalls, s.StoreFailures = c.storeCalls.load(), c.storeFailures.load()
	s.KEKCalls, s.KEKFailures = c.kekCalls.load(), c.kekFailures.load()
	return s
}

// counters are the counters behind [Stats].
type counters struct {
	operations                 [len(countedActions)][3]counter
	subjectHits, subjectMisses counter
	storeCalls, storeFailures  counter
	kekCalls, kekFailures      counter
}

// countedActions are the actions that are counted. An action that is not among them is a
// step of another one.
var countedActions = [...]audit.Action{
	audit.Seal, audit.Reveal, audit.Index, audit.Hint, audit.Extend, audit.Reseal, audit.Erase, audit.Withdraw, audit.Sweep, audit.Clear,
	audit.Open, audit.CheckDenied, audit.CheckKEK, audit.List, audit.Generate, audit.Rotate, audit.Promote, audit.Retire, audit.Reinstate,
	audit.Destroy, audit.Rewrap, audit.RewrapSubjects, audit.Refresh, audit.Renew, audit.Count, audit.Due,
	audit.Suspend, audit.Resume, audit.Budget,
}

// operation counts an operation of the given result.
func (c *counters) operation(a audit.Action, err error) {
	if i := actionNumber(a); i >= 0 {
		outcome := 0
		if err != nil {
			outcome = 1
			if outcomeOf(err) == audit.Failed {
				outcome = 2
			}
		}
		c.operations[i][outcome].add(1)
	}
}

// actionNumber returns the position of a in countedActions, -1 if it has none.
func actionNumber(a audit.Action) int {
	switch a { // the ways of a value come first
	case audit.Seal:
		return 0
	case audit.Reveal:
		return 1
	case audit.Index:
		return 2
	}
	return slices.Index(countedActions[:], a)
}

// A counter has a cache line of its own. Two cores that count at the same time lose less
// by sharing the line than a choice among several lines costs.
type counter struct {
	n atomic.Uint64
	_ [56]byte
}

func (c *counter) add(n uint64) { c.n.Add(n) }

func (c *counter) load() uint64 { return c.n.Load() }

// called counts a call and its failure.
func called(calls, failures *counter, err error) {
	calls.add(1)
	if err != nil && !errors.Is(err, ErrConflict) {
		failures.add(1)
	}
}

// A countedStore counts the calls of a store.
type countedStore struct {
	Store
	stats *counters
}

func (s *countedStore) Get(ctx context.Context, names ...string) (records []Record, err error) {
	err = errBroken // unless Get returns
	defer func() { called(&s.stats.storeCalls, &s.stats.storeFailures, err) }()
	records, err = s.Store.Get(ctx, names...)
	return records, err
}

func (s *countedStore) Put(ctx context.Context, r Record) (revision int64, err error) {
	err = errBroken
	defer func() { called(&s.stats.storeCalls, &s.stats.storeFailures, err) }()
	revision, err = s.Store.Put(ctx, r)
	return revision, err
}

func (s *countedStore) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		failed := errBroken
		defer func() { called(&s.stats.storeCalls, &s.stats.storeFailures, failed) }()
		for name, err := range s.Store.List(ctx, prefix, after) {
			failed = err
			if !yield(name, err) {
				return
			}
		}
		failed = nil
	}
}
