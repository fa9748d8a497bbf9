package pii_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// manyIndexes returns n different indexes, as a database would hand them out.
func manyIndexes(tb testing.TB, from, n int) []pii.Index {
	tb.Helper()
	all := make([]pii.Index, n)
	var bytes [vault.IndexSize]byte
	for i := range all {
		binary.BigEndian.PutUint64(bytes[:], uint64(from+i))
		if err := all[i].Scan(bytes[:]); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// valueOf returns the bytes of an index in the only way that other packages have.
func valueOf(tb testing.TB, x pii.Index) [vault.IndexSize]byte {
	v, err := x.Value()
	if err != nil {
		tb.Fatal(err)
	}
	return [vault.IndexSize]byte(v.([]byte))
}

// Compare the set with a map by the index and with a map by its bytes. Half of the
// look-ups find something.
func BenchmarkIndexSet(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		present, absent := manyIndexes(b, 0, n), manyIndexes(b, n, n)
		asked := slices.Concat(present, absent)
		rand.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
		var set pii.IndexSet
		byIndex := make(map[pii.Index]struct{})
		byValue := make(map[[vault.IndexSize]byte]struct{})
		for _, x := range present {
			if err := set.Add(x); err != nil {
				b.Fatal(err)
			}
			byIndex[x] = struct{}{}
			byValue[valueOf(b, x)] = struct{}{}
		}
		has := func(name string, has func(pii.Index) bool) {
			b.Run(fmt.Sprintf("has/%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				found, i := 0, 0
				for b.Loop() {
					if has(asked[i]) {
						found++
					}
					if i++; i == len(asked) {
						i = 0
					}
				}
				if b.N >= len(asked) && found == 0 {
					b.Fatal("nothing was found")
				}
			})
		}
		has("set", func(x pii.Index) bool { return set.Has(x) })
		has("map by index", func(x pii.Index) bool { _, ok := byIndex[x]; return ok })
		has("map by value", func(x pii.Index) bool { _, ok := byValue[valueOf(b, x)]; return ok })
		add := func(name string, add func([]pii.Index)) {
			b.Run(fmt.Sprintf("add/%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					add(present)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/index")
			})
		}
		add("set", func(all []pii.Index) {
			var set pii.IndexSet
			for _, x := range all {
				_ = set.Add(x)
			}
		})
		add("map by value", func(all []pii.Index) {
			m := make(map[[vault.IndexSize]byte]struct{})
			for _, x := range all {
				m[valueOf(b, x)] = struct{}{}
			}
		})
	}
}
