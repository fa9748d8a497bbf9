package batch_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

var (
	forSecurity = purpose.MustParse("security")
	forAds      = purpose.MustParse("advertising")
)

// A badge is a kind of our own: the number of an employee.
type badge struct{}

var badgeKind = vault.MustKind("badge", "batch_test.badge")

func (badge) Kind() vault.Kind                 { return badgeKind }
func (badge) Parse(text string) (string, bool) { return text, len(text) == 6 && text[0] == 'B' }
func (badge) Canonical(text string) string     { return text }
func (badge) Mask(string) string               { return "B•••••" }

// The functions of a list beside those of one entry, with an entry that is right and one
// that is not.
var lists = map[string]struct {
	list func(context.Context, iter.Seq[string], vault.Indexer) iter.Seq2[[]pii.Index, error]
	one  func(context.Context, string, vault.Indexer) ([]pii.Index, error)
	of   func(i int) string
	bad  string
}{
	"IndexesEmail": {batch.IndexesEmail, pii.IndexesEmail, func(i int) string { return fmt.Sprintf("user-%d@example.com", i) }, "user at example.com"},
	"IndexesPhone": {batch.IndexesPhone, pii.IndexesPhone, func(i int) string { return fmt.Sprintf("+1415555%04d", i) }, "415 CALL ME"},
	"IndexesOf":    {batch.IndexesOf[badge], pii.IndexesOf[badge], func(i int) string { return fmt.Sprintf("B%05d", i) }, "X00001"},
}

const entries = 300 // of a list: some runs of 128

func listOf(of func(int) string) []string {
	all := make([]string, entries)
	for i := range all {
		all[i] = of(i)
	}
	return all
}

// A list yields for each entry the indexes that the function of one entry returns: one,
// and each of several while index keys rotate, in the same order.
func TestIndexesOfAList(t *testing.T) {
	for name, c := range lists {
		t.Run(name, func(t *testing.T) {
			kit := piitest.New(t, forSecurity)
			texts := listOf(c.of)
			texts[150] = c.bad
			for keys := 1; keys <= 3; keys++ {
				if keys > 1 {
					kit.Rotate(forSecurity, vault.RoleIndex)
				}
				lookup, err := kit.Vault.Lookup(t.Context(), forSecurity)
				require.NoError(t, err)
				for _, scope := range []vault.Indexer{kit.Scope(forSecurity), lookup} {
					got, errs := collect(c.list(t.Context(), slices.Values(texts), scope))
					require.Len(t, got, entries)
					for i, text := range texts {
						want, wantErr := c.one(t.Context(), text, scope)
						require.Equal(t, want, got[i])
						if i == 150 {
							require.ErrorIs(t, errs[i], pii.ErrMalformed)
							require.Equal(t, wantErr, errs[i])
							requirePoisoned(t, got[i])
							continue
						}
						require.NoError(t, errs[i])
						require.Len(t, got[i], keys)
					}
				}
			}
		})
	}
}

func requirePoisoned(t *testing.T, indexes []pii.Index) {
	t.Helper()
	require.Len(t, indexes, 1)
	_, err := indexes[0].Value()
	require.ErrorIs(t, err, pii.ErrPoisoned)
}

// A rotation while a list is indexed leaves no entry without the index under the key that
// was primary at the start: rows that were written before are found.
func TestIndexesWhileTheKeyRotates(t *testing.T) {
	kit := piitest.New(t, forSecurity)
	scope := kit.Scope(forSecurity)
	c := lists["IndexesEmail"]
	var before pii.IndexSet
	for _, text := range listOf(c.of) {
		index, err := pii.IndexEmail(t.Context(), text, scope)
		require.NoError(t, err)
		require.NoError(t, before.Add(index))
	}
	input := func(yield func(string) bool) {
		for i := range entries {
			if i == entries/2 {
				kit.Rotate(forSecurity, vault.RoleIndex)
			}
			if !yield(c.of(i)) {
				return
			}
		}
	}
	got, errs := collect(batch.IndexesEmail(t.Context(), input, scope))
	require.Len(t, got, entries)
	for i, wanted := range got {
		require.NoError(t, errs[i])
		require.True(t, before.Has(wanted...), i)
	}
	require.Len(t, got[entries-1], 2)
}

// A list is one event for each run of 128 entries, and for each result.
func TestListIsRecordedByTheRun(t *testing.T) {
	ctx, l := t.Context(), &ledger{}
	a, err := vault.OpenAdmin(ctx, vault.Memory(), piitest.New(t).KEK, &vault.Options{Audit: l})
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	require.NoError(t, a.Generate(ctx, forSecurity))
	scope, err := a.Scope(ctx, forSecurity)
	require.NoError(t, err)
	c := lists["IndexesEmail"]
	texts := listOf(c.of)
	l.events = nil
	for _, err := range batch.IndexesEmail(audit.WithCaller(ctx, "matcher"), slices.Values(texts), scope) {
		require.NoError(t, err)
	}
	var counts []int
	for _, e := range l.events {
		require.Equal(t, audit.Index, e.Action)
		require.Equal(t, audit.Allowed, e.Outcome)
		require.Equal(t, "matcher", e.Caller)
		counts = append(counts, e.Count)
	}
	require.ElementsMatch(t, []int{128, 128, 44}, counts)

	l.err = context.DeadlineExceeded
	for indexes, err := range batch.IndexesEmail(ctx, slices.Values(texts), scope) {
		require.ErrorIs(t, err, vault.ErrUnavailable)
		requirePoisoned(t, indexes)
	}
}

// A list that fails is answered in full, with indexes that match nobody.
func TestListsThatFail(t *testing.T) {
	kit := piitest.New(t, forSecurity)
	scope := kit.Scope(forSecurity)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range lists {
		t.Run(name, func(t *testing.T) {
			texts := listOf(c.of)
			got, errs := collect(c.list(t.Context(), nil, scope))
			require.Empty(t, got)
			require.Empty(t, errs)
			got, errs = collect(c.list(t.Context(), slices.Values(texts), nil))
			require.Len(t, got, entries)
			for i := range got {
				require.ErrorIs(t, errs[i], vault.ErrInvalid)
				requirePoisoned(t, got[i])
			}
			got, errs = collect(c.list(done, slices.Values(texts), scope))
			require.Len(t, errs, 1)
			require.ErrorIs(t, errs[0], vault.ErrUnavailable)
			require.ErrorIs(t, errs[0], context.Canceled)
			require.Empty(t, got[0])
			n := 0
			for range c.list(t.Context(), slices.Values(texts), scope) {
				if n++; n == 3 {
					break // and nothing hangs
				}
			}
		})
	}
}

// A list of one purpose finds nobody in the rows of another, in memory too.
func TestListOfAnotherPurpose(t *testing.T) {
	kit := piitest.New(t, forSecurity, forAds)
	for name, c := range lists {
		t.Run(name, func(t *testing.T) {
			texts := slices.Values(listOf(c.of))
			var rows pii.IndexSet
			for indexes, err := range c.list(t.Context(), texts, kit.Scope(forSecurity)) {
				require.NoError(t, err)
				require.NoError(t, rows.Add(indexes...))
			}
			require.Equal(t, entries, rows.Len())
			found := map[purpose.Purpose]int{}
			for _, p := range []purpose.Purpose{forSecurity, forAds} {
				for indexes, err := range c.list(t.Context(), texts, kit.Scope(p)) {
					require.NoError(t, err)
					if rows.Has(indexes...) {
						found[p]++
					}
				}
			}
			require.Equal(t, map[purpose.Purpose]int{forSecurity: entries}, found)
		})
	}
}

// The memory of a list does not grow with its length.
func TestMemoryOfAListIsBounded(t *testing.T) {
	kit := piitest.New(t, forSecurity)
	taken, yielded, most := 0, 0, 0
	input := func(yield func(string) bool) {
		for range 20 * 128 * runtime.GOMAXPROCS(0) {
			taken++
			if !yield("user@example.com") {
				return
			}
		}
	}
	for range batch.IndexesEmail(t.Context(), input, kit.Scope(forSecurity)) {
		yielded++
		most = max(most, taken-yielded)
	}
	require.Equal(t, taken, yielded)
	require.LessOrEqual(t, most, ahead())
}
