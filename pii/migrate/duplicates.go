package migrate

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// duplicates tells which values may be in a table twice. Up to so many values it keeps a
// hash of each, in one pass over the table. Beyond that it keeps filters: few passes over
// any number of values leave few that may be there twice, and those that are. The last pass,
// which names the duplicates, compares whole canonical forms, so no finding depends on a
// hash.
type duplicates struct {
	values uint64
	limits limits

	hashes []columnHash // of the values, if there are few enough
	twice  map[columnHash]bool

	filters []filter // of the pass before, and of this one
	seen    bitmap   // of this pass
	// left is how many values are expected to pass the filters though they are there once,
	// by the number of values alone: real duplicates pass any number of filters.
	left float64
}

// limits bound the memory of Plan.
type limits struct {
	hashes uint64 // values of which a hash each is kept, 8 bytes long
	// few is the number of values that may be taken for duplicates though they are none.
	// Each takes some 100 bytes in the last pass.
	few float64
	// A filter has bitsPerValue bits for each value, within these limits. Three bitmaps of
	// this size are in memory at a time.
	leastBits, mostBits uint64
}

// planLimits allow 64 MB for hashes, and three bitmaps of 256 MB and a million false
// duplicates beyond that.
var planLimits = limits{hashes: 8 << 20, few: 1 << 20, leastBits: 1 << 28, mostBits: 1 << 31}

const (
	bitsPerValue = 4
	mostFilters  = 16 // for tables of which every value is there twice
)

func newDuplicates(values uint64, l limits) *duplicates {
	return &duplicates{values: values, limits: l, left: float64(values)}
}

// exact reports whether the hashes of all values fit.
func (d *duplicates) exact() bool { return d.values <= d.limits.hashes }

// pass ends pass n-1 over the table, and reports whether pass n is to be made before the
// duplicates can be named.
func (d *duplicates) pass(n int) bool {
	if d.exact() {
		if n > 0 {
			d.settle()
		}
		return n == 0
	}
	if n > 0 {
		f := &d.filters[len(d.filters)-1]
		full := 1 - math.Exp(-float64(f.hashes)*d.left/float64(f.size)) // the part of its bits that is set
		d.left *= math.Pow(full, float64(f.hashes))
		if d.left <= d.limits.few || n == mostFilters || !d.any() {
			d.seen = nil
			return false
		}
	}
	size := min(max(d.values*bitsPerValue, d.limits.leastBits), d.limits.mostBits)
	hashes := 2
	if n > 0 {
		hashes = 4 // of the fewer values that are left
	}
	if len(d.filters) > 1 {
		d.filters = d.filters[1:] // hardly a value that it refuses passes those that follow
	}
	d.filters = append(d.filters, filter{bits: newBitmap(size), size: size, first: uint64(8 * n), hashes: hashes})
	if n == 0 {
		d.seen = newBitmap(size)
	} else {
		clear(d.seen)
	}
	return true
}

// add notes a value of the table in this pass.
func (d *duplicates) add(c columnCanonical) {
	if d.exact() {
		d.hashes = append(d.hashes, c.short())
		return
	}
	last := len(d.filters) - 1
	if !passes(d.filters[:last], c) {
		return
	}
	f := &d.filters[last]
	for i := range f.hashes {
		if at := f.position(c, i); d.seen.has(at) {
			f.bits.set(at)
		} else {
			d.seen.set(at)
		}
	}
}

// any reports whether a value may be there twice, after the last pass.
func (d *duplicates) any() bool {
	if d.exact() {
		return len(d.twice) > 0
	}
	return slices.ContainsFunc(d.filters[len(d.filters)-1].bits, func(word uint64) bool { return word != 0 })
}

// may reports whether the value may be there twice, after the last pass. It is true for
// every value that is.
func (d *duplicates) may(c columnCanonical) bool {
	if d.exact() {
		return d.twice[c.short()]
	}
	return passes(d.filters, c)
}

// settle finds the hashes that occur twice.
func (d *duplicates) settle() {
	slices.Sort(d.hashes)
	for i := 1; i < len(d.hashes); i++ {
		if d.hashes[i] == d.hashes[i-1] {
			if d.twice == nil {
				d.twice = make(map[columnHash]bool)
			}
			d.twice[d.hashes[i]] = true
		}
	}
	d.hashes = nil
}

type columnHash uint64

// short returns the hash of a value in its column. It is keyed, because the canonical
// form is.
func (c columnCanonical) short() columnHash {
	return columnHash(binary.LittleEndian.Uint64(c.canonical[:])) ^ columnHash(uint64(c.column)*0x9e3779b97f4a7c15)
}

// A filter has a bit for each position that a second value came to, as in a Bloom filter. A
// value that is there twice passes: the second time it came to all of its positions.
type filter struct {
	bits   bitmap
	size   uint64 // in bits
	first  uint64 // number of the first hash, so that filters have hashes of their own
	hashes int
}

// passes reports whether the value passes all filters.
func passes(filters []filter, c columnCanonical) bool {
	for i := range filters {
		f := &filters[i]
		for j := range f.hashes {
			if !f.bits.has(f.position(c, j)) {
				return false
			}
		}
	}
	return true
}

// position returns where hash i of the value is. The two halves of the canonical form are
// hashes already, and hashes made of two are as good as independent ones (Kirsch and
// Mitzenmacher, 2006).
func (f *filter) position(c columnCanonical, i int) uint64 {
	step := binary.LittleEndian.Uint64(c.canonical[8:]) | 1
	position, _ := bits.Mul64(uint64(c.short())+(f.first+uint64(i))*step, f.size)
	return position
}

// A bitmap is a set of numbers.
type bitmap []uint64

func newBitmap(size uint64) bitmap { return make(bitmap, (size+63)/64) }

func (b bitmap) has(i uint64) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitmap) set(i uint64) { b[i/64] |= 1 << (i % 64) }
