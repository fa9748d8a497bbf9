package vault

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// counters are the counters behind [Stats]. The way of a value costs one atomic addition,
// to a counter that is found without a lock.
type counters struct {
	purposes sync.Map      // of purpose.Purpose to *purposeCounts
	mu       sync.Mutex    // held while a purpose is added
	counted  int           // the number of purposes
	other    purposeCounts // of purposes that are not in the map

	subjectHits, subjectMisses counter
	store, kek                 callCounter
	auditFailures              counter
}

// The bounds of the counters. Purposes are those with keys and kinds are those of the
// program, so nobody comes to the bounds by accident.
const (
	maxCountedPurposes = 4096
	maxCountedKinds    = 64
)

// purpose returns the counters of p, which has keys.
func (c *counters) purpose(p purpose.Purpose) *purposeCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.find(p)
	switch {
	case counts != nil:
	case c.counted >= maxCountedPurposes:
		return &c.other
	default:
		counts = &purposeCounts{}
		c.purposes.Store(p, counts)
		c.counted++
	}
	return counts
}

// find returns the counters of p, nil if p has none of its own. It takes no lock.
func (c *counters) find(p purpose.Purpose) *purposeCounts {
	counts, _ := c.purposes.Load(p)
	found, _ := counts.(*purposeCounts)
	return found
}

// operation counts an operation that need not be one of a scope. A purpose gets counters
// of its own when it turns out to have keys. Until then its name may be any text that
// somebody asked for.
func (c *counters) operation(p purpose.Purpose, a audit.Action, kind string, err error) {
	counts := c.find(p)
	if kind != "" && !registered(kind) { // a name that the header of a value claims
		kind = OtherKind
	}
	result := resultNumber(err)
	switch {
	case counts != nil:
	case !p.IsZero() && provesKeys(a, result):
		counts = c.purpose(p)
	default:
		counts = &c.other
	}
	counts.count(a, kind, result)
}

// provesKeys reports whether a result shows that the purpose has keys in the store.
func provesKeys(a audit.Action, result int) bool {
	switch a {
	case audit.Withdraw, audit.Sweep, audit.Clear, audit.Erase: // about a value, or a person
		return false
	}
	switch resultWord(result) {
	case "", "access", "granted", "corrupt":
		return true
	}
	return false
}

// results returns all counts above 0, in order.
func (c *counters) results() []Result {
	all := map[purpose.Purpose]*purposeCounts{{}: &c.other}
	for p, counts := range c.purposes.Range {
		all[p.(purpose.Purpose)] = counts.(*purposeCounts)
	}
	var results []Result
	for p, counts := range all {
		results = counts.appendTo(results, p)
	}
	slices.SortFunc(results, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.Purpose.String(), b.Purpose.String()), cmp.Compare(a.Action, b.Action),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	return results
}

// purposeCounts are the counters of the operations under one purpose.
type purposeCounts struct {
	kinds atomic.Pointer[[]*kindCounts]
	mu    sync.Mutex // held while a kind is added
}

// count counts an operation.
func (c *purposeCounts) count(a audit.Action, kind string, result int) {
	i := actionNumber(a)
	if i < 0 {
		return
	}
	counts := c.find(kind)
	if counts == nil {
		counts = c.add(kind)
	}
	row := counts.actions[i].Load()
	if row == nil {
		row = counts.addAction(i)
	}
	if result == 0 {
		row.allowed.add(1)
	} else {
		row.others[result-1].Add(1)
	}
}

func (c *purposeCounts) find(kind string) *kindCounts {
	if kinds := c.kinds.Load(); kinds != nil {
		for _, k := range *kinds {
			if k.kind == kind {
				return k
			}
		}
	}
	return nil
}

func (c *purposeCounts) add(kind string) *kindCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.find(kind); k != nil {
		return k
	}
	var kinds []*kindCounts
	if all := c.kinds.Load(); all != nil {
		kinds = slices.Clone(*all)
	}
	if len(kinds) >= maxCountedKinds {
		if kind = OtherKind; c.find(kind) != nil {
			return c.find(kind)
		}
	}
	k := &kindCounts{kind: kind}
	kinds = append(kinds, k)
	c.kinds.Store(&kinds)
	return k
}

func (c *purposeCounts) appendTo(results []Result, p purpose.Purpose) []Result {
	kinds := c.kinds.Load()
	if kinds == nil {
		return results
	}
	for _, k := range *kinds {
		for i := range k.actions {
			row := k.actions[i].Load()
			if row == nil {
				continue
			}
			r := Result{Purpose: p, Action: countedActions[i], Kind: k.kind}
			if r.Count = row.allowed.load(); r.Count > 0 {
				r.Outcome = audit.Allowed
				results = append(results, r)
			}
			for i := range row.others {
				if r.Count = row.others[i].Load(); r.Count > 0 {
					r.Outcome, r.Reason = resultOutcome(i+1), resultWord(i+1)
					results = append(results, r)
				}
			}
		}
	}
	return results
}

// kindCounts are the counters of the operations on values of one kind.
type kindCounts struct {
	kind    string
	actions [len(countedActions)]atomic.Pointer[resultCounts]
}

func (k *kindCounts) addAction(i int) *resultCounts {
	k.actions[i].CompareAndSwap(nil, &resultCounts{})
	return k.actions[i].Load()
}

// resultCounts are the counters of the results of one action.
type resultCounts struct {
	allowed counter
	others  [len(reasons) + 1]atomic.Uint64
}

// countedActions are the actions that are counted. An action that is not among them is a
// step of another one.
var countedActions = [...]audit.Action{
	audit.Seal, audit.Reveal, audit.Index, audit.Send, audit.Hint, audit.Extend, audit.Reseal, audit.Erase, audit.Withdraw, audit.Sweep, audit.Clear,
	audit.Open, audit.CheckDenied, audit.CheckKEK, audit.List, audit.Generate, audit.Rotate, audit.Promote, audit.Retire, audit.Reinstate,
	audit.Destroy, audit.Rewrap, audit.RewrapSubjects, audit.Refresh, audit.Renew, audit.Count, audit.Due,
	audit.Suspend, audit.Resume, audit.Budget,
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
