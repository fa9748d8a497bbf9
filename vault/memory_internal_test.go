package vault

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The first name of a List costs the same in a large store as in a small one. So going
// through all names page by page, as RewrapSubjects does, is linear.
func TestListOfMemoryReadsWhatIsTaken(t *testing.T) {
	ctx := t.Context()
	allocations := func(names int) float64 {
		store := Memory()
		for i := range names {
			_, err := store.Put(ctx, Record{Name: fmt.Sprintf("many/%06d", i), Data: []byte("x")})
			require.NoError(t, err)
		}
		after, first := fmt.Sprintf("many/%06d", names/2), ""
		n := testing.AllocsPerRun(10, func() {
			for name := range store.List(ctx, "many/", after) {
				first = name
				break
			}
		})
		require.Equal(t, fmt.Sprintf("many/%06d", names/2+1), first)
		return n
	}
	require.Equal(t, allocations(8), allocations(8000))
}

// Names stay sorted and distinct over many splits, in whatever order they come.
func TestSortedNames(t *testing.T) {
	for _, step := range []int{1, 7919, 9999} { // ascending, scattered, descending
		var l sortedNames
		const n = 10_000
		require.Empty(t, slices.Collect(l.from("")))
		var want []string
		for i := range n {
			l.add(fmt.Sprintf("%05d", i*step%n))
			want = append(want, fmt.Sprintf("%05d", i))
		}
		require.Equal(t, want, slices.Collect(l.from("")), step)
		for _, i := range []int{0, 1, 511, 512, 4999, n - 1} {
			require.Equal(t, want[i:], slices.Collect(l.from(want[i])))
			require.Equal(t, want[i+1:], append([]string{}, slices.Collect(l.from(want[i]+"-"))...))
		}
		require.Greater(t, len(l.chunks), n/maxChunk)
		for _, c := range l.chunks {
			require.NotEmpty(t, c)
			require.Less(t, len(c), maxChunk)
		}
	}
}
