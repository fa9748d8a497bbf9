package pii

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
)

// Indexes whose encrypted bytes are zero, collide in the first half, or lie at the end of the
// table can't be made by hand outside this package, and are members as all others.
func TestIndexTableOfRareIndexes(t *testing.T) {
	index := func(a, b uint64) Index {
		x := Index{state: usableIndex}
		binary.LittleEndian.PutUint64(x.hidden[:8], a)
		binary.LittleEndian.PutUint64(x.hidden[8:], b)
		return x
	}
	var all []Index
	for i := range uint64(40) {
		all = append(all, index(0, i), index(1<<63, i), index(^uint64(0), i), index(^i, 0))
	}
	members := make(map[[vault.IndexSize]byte]bool)
	var s IndexSet
	for i, x := range all {
		if i%2 == 1 { // absent
			require.Equal(t, members[x.hidden], s.Has(x))
			continue
		}
		require.Equal(t, members[x.hidden], s.Has(x))
		require.NoError(t, s.Add(x, x))
		members[x.hidden] = true
		require.True(t, s.Has(x))
		require.Equal(t, len(members), s.Len())
	}
	for _, x := range all {
		require.Equal(t, members[x.hidden], s.Has(x))
	}
	require.True(t, s.Has(index(0, 0)), "which is also how a free slot looks")
	require.False(t, s.Has(index(5, 5)))
	require.False(t, s.Has(Index{}) || s.Has(poisoned), "which have no bytes")
}

// A table is at most three quarters full, so each search ends at a free slot.
func TestIndexTableHasFreeSlots(t *testing.T) {
	var table indexTable
	var hidden [vault.IndexSize]byte
	for i := range uint64(1_000) {
		binary.LittleEndian.PutUint64(hidden[:8], i*0x9e3779b97f4a7c15+1)
		table.add(hidden)
		require.LessOrEqual(t, 4*table.len, 3*len(table.slots)+3)
		require.Less(t, table.len, len(table.slots))
		require.Equal(t, len(table.slots), 1<<(64-table.shift))
	}
}
