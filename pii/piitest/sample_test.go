package piitest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

func manyPurposes(n int) (all []purpose.Purpose) {
	for i := range n {
		all = append(all, purpose.MustParse(fmt.Sprintf("p%04d", i)))
	}
	return all
}

// Each purpose is as often the first as the second of a pair, in the same pairs each time,
// and another seed has others.
func TestSamplePairs(t *testing.T) {
	for n, most := range map[int]int{2: 2, 15: 15, 16: 12, 50: 4, 1000: 4} {
		set := purpose.NewSet(manyPurposes(n)...)
		s := samplePairs(set, "")
		require.Equal(t, most, s.most)
		require.Equal(t, s, samplePairs(set, ""))
		require.Equal(t, s, samplePairs(set, "not a number"))
		require.Equal(t, uint64(7), samplePairs(set, "7").seed)
		require.Equal(t, n <= maxWhole, s.whole())
		first, second, other := make([]int, n), make([]int, n), 0
		for i := range n {
			for j := range n {
				if !s.has(i, j, s.most) {
					continue
				}
				require.NotEqual(t, i, j)
				first[i]++
				second[j]++
				if !samplePairs(set, "7").has(i, j, s.most) && n == 50 {
					other++
				}
			}
		}
		each := min(most, n-1)
		for i := range n {
			require.Equal(t, []int{each, each}, []int{first[i], second[i]})
		}
		require.Equal(t, n*each, s.count(s.most))
		require.Equal(t, n == 50, other > 0)
	}
}

// The log has the seed of a sample, and only of a sample.
type logged struct {
	testing.TB
	lines []string
}

func (l *logged) Logf(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// Fifty purposes cost a number of refusals that grows with the purposes and not with their
// pairs, but for one short one of each kind.
func TestSeparateOfManyPurposes(t *testing.T) {
	const n = 50
	kit := New(t, manyPurposes(n)...)
	log := &logged{TB: t}
	t.Setenv(seedVariable, "1")
	Separate(log, kit.Vault)
	require.Equal(t, []string{"piitest: Separate tries everything on 200 of 2450 ordered pairs of purposes, and the forged header and the indexes on 2450: PIITEST_SEED=1"}, log.lines)
	tried := map[purpose.Purpose]int{} // by forged headers
	for _, e := range kit.Audit.Events() {
		if e.Action == audit.Reveal && e.Outcome != audit.Allowed && e.Err != nil && errors.Is(e.Err, vault.ErrCorrupt) {
			tried[e.Purpose]++
		}
	}
	require.Len(t, tried, n)
	for p, times := range tried {
		require.GreaterOrEqual(t, times, 2*(n-1), p) // of each kind, by all others
	}
	// All pairs in full would be 350,000 events.
	require.Less(t, len(kit.Audit.Events()), 60_000)
	log.lines = nil
	Separate(log, kit.Vault, manyPurposes(15)...)
	require.Empty(t, log.lines)
}

// Two purposes that share keys are found wherever they stand in the circle: by a forged
// header that is believed, and by an index that is the same.
func TestBriefFindsSharedKeys(t *testing.T) {
	b, rec := newBoundary(t, forSecurity, forAds)
	var from, to sealedOnce[leaky]
	brief(b, leakyKind(&fault{}), &from, &to)
	require.Empty(t, rec.log)
	brief(b, leakyKind(&fault{verb: "reveal", class: vault.ErrCorrupt}), &sealedOnce[leaky]{}, &sealedOnce[leaky]{})
	require.Len(t, rec.log, 1)
	require.Contains(t, rec.log[0], believed)
	rec.log = nil
	to.indexes = from.indexes
	brief(b, leakyKind(&fault{}), &from, &to)
	require.Len(t, rec.log, 1)
	require.True(t, strings.Contains(rec.log[0], "has the same index under security and advertising"))
}
