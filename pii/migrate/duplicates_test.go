package migrate

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
)

// canonicalOf returns the canonical form of the i-th value, in a column.
func canonicalOf(column, i int) columnCanonical {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return columnCanonical{column, [vault.IndexSize]byte(sum[:])}
}

// run makes all passes over a table of values, each of which is there once, but for every
// rate-th, which is there again at the end. It returns the number of passes, with the one
// that names duplicates, and the duplicates that it names, and how many values the last pass
// had to keep.
func run(l limits, values, rate int) (passes, named, kept int) {
	walk := func(visit func(columnCanonical)) {
		passes++
		for i := range values {
			visit(canonicalOf(i%2, i))
		}
		for i := 0; i < values; i += rate {
			visit(canonicalOf(i%2, i))
			visit(canonicalOf(1-i%2, i)) // another column, so another value
		}
	}
	d := newDuplicates(uint64(values+2*((values+rate-1)/rate)), l)
	for n := 0; d.pass(n); n++ {
		walk(d.add)
	}
	if !d.any() {
		return passes, 0, 0
	}
	first := map[columnCanonical]bool{}
	walk(func(c columnCanonical) {
		if d.may(c) {
			if first[c] {
				named++
			}
			first[c] = true
		}
	})
	return passes, named, len(first)
}

// However many values there are, all duplicates are found and nothing else is, in three
// passes at most. The limits are those of Plan, cut by 1,024; so 270,000 values stand for
// 280 million. (A hash in memory for each value, in parts, took 34 passes.)
func TestPlanTakesThreePasses(t *testing.T) {
	const cut = 1024
	l := planLimits
	l.hashes, l.few, l.leastBits, l.mostBits = l.hashes/cut, l.few/cut, l.leastBits/cut, l.mostBits/cut
	for _, test := range []struct{ values, rate, passes int }{
		{8_000, 10_000, 2},
		{8_000, 10, 2},
		{9_000, 1_000, 2},
		{25_000, 1_000, 2},
		{50_000, 1_000, 3},
		{270_000, 100, 3},
		{270_000, 100_000, 3},
		{400_000, 100, 3},
	} {
		passes, named, kept := run(l, test.values, test.rate)
		require.Equal(t, test.passes, passes, test)
		duplicates := (test.values + test.rate - 1) / test.rate
		require.Equal(t, duplicates, named, test)
		require.Less(t, kept-duplicates, int(2*l.few), test)
	}
	passes, named, _ := run(l, 8_000, 8_001)
	require.Equal(t, []int{2, 1}, []int{passes, named})
}

// The passes that 280 million values take follow from their number alone, and so does the
// memory.
func TestPlanOf280Million(t *testing.T) {
	d := newDuplicates(280_000_000, limits{hashes: planLimits.hashes, few: planLimits.few, leastBits: 64, mostBits: 64})
	passes := 1 // the one that names
	for n := 0; n < 2; n++ {
		require.True(t, d.pass(n))
		passes++
		f := &d.filters[len(d.filters)-1]
		f.size = min(280_000_000*bitsPerValue, planLimits.mostBits) // without the memory of it
		f.bits[0] = 1
	}
	require.False(t, d.pass(2))
	require.Equal(t, 3, passes)
	require.Less(t, d.left, planLimits.few)
	require.Len(t, d.filters, 2)
	const mb = 1_000_000
	require.LessOrEqual(t, 3*280*mb*bitsPerValue/8, 420*mb)
	require.LessOrEqual(t, 3*planLimits.mostBits/8+uint64(planLimits.few)*100, uint64(950*mb))
	require.LessOrEqual(t, planLimits.hashes*8, uint64(68*mb))
}

// A table of duplicates alone ends, and so does one of a single value many times.
func TestPlanOfDuplicatesAlone(t *testing.T) {
	l := limits{hashes: 10, few: 1, leastBits: 64, mostBits: 256}
	passes, named, _ := run(l, 2_000, 1)
	require.Equal(t, 2_000, named)
	require.LessOrEqual(t, passes, mostFilters+1)
	d := newDuplicates(1000, limits{hashes: 10, few: 1, leastBits: 64, mostBits: 1 << 20})
	for n := 0; d.pass(n); n++ {
		for range 1000 {
			d.add(canonicalOf(0, 1))
		}
	}
	require.True(t, d.may(canonicalOf(0, 1)))
	// No duplicate at all needs no further pass, if the filter is as large as that.
	d = newDuplicates(11, limits{hashes: 10, few: 1, leastBits: 1 << 24, mostBits: 1 << 24})
	for n := 0; d.pass(n); n++ {
		require.Zero(t, n)
		for i := range 11 {
			d.add(canonicalOf(0, i))
		}
	}
	require.False(t, d.any())
}

// BenchmarkDuplicates is the processor time of a value in all passes, without reading and
// hashing it.
func BenchmarkDuplicates(b *testing.B) {
	const values = 9 << 20
	passes := 0
	for b.Loop() {
		var c columnCanonical
		d := newDuplicates(values, planLimits)
		for n := 0; d.pass(n); n++ {
			for i := range uint64(values) {
				binary.LittleEndian.PutUint64(c.canonical[:], i*0x9e3779b97f4a7c15)
				binary.LittleEndian.PutUint64(c.canonical[8:], (i+1)*0xbf58476d1ce4e5b9)
				d.add(c)
			}
			passes++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/values/float64(passes), "ns/value/pass")
}
