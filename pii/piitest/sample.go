package piitest

import (
	"encoding/base64"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// The sizes of a sample: all pairs of so many purposes; else so many pairs, in which each
// purpose is at least so often; and the other pairs that are tried in brief, for each
// purpose.
const (
	maxWhole  = 15
	manyPairs = 200
	leastEach = 4
	maxBrief  = 256
)

// seedVariable is the variable of the environment with another seed for the sample.
const seedVariable = "PIITEST_SEED"

// A sample is a choice of ordered pairs of n purposes. They stand in a circle, in an order
// that follows from the seed, and each makes a pair with the ones that follow it.
type sample struct {
	seed  uint64
	place []int // in the circle, of each purpose
	most  int   // how many that follow make a pair that is tried in full
}

// samplePairs returns the sample for the given purposes. The text of the seed may be "".
func samplePairs(purposes purpose.Set, seed string) sample {
	n := purposes.Len()
	s := sample{most: n}
	if n > maxWhole {
		s.most = max(leastEach, manyPairs/n)
	}
	names := fnv.New64a()
	names.Write([]byte(purposes.String())) // never fails
	var err error
	if s.seed, err = strconv.ParseUint(seed, 10, 64); err != nil {
		s.seed = names.Sum64()
	}
	s.place = rand.New(rand.NewPCG(s.seed, 0)).Perm(n)
	return s
}

// whole reports whether all pairs are tried in full.
func (s sample) whole() bool { return s.most >= len(s.place)-1 }

// count returns the number of pairs where each purpose makes one with so many others.
func (s sample) count(most int) int { return len(s.place) * min(most, len(s.place)-1) }

// has reports whether purpose j is one of the first most that follow purpose i.
func (s sample) has(i, j, most int) bool {
	n := len(s.place)
	after := (s.place[j] - s.place[i] + n) % n
	return after >= 1 && after <= most
}

// A sealedOnce has a value that was sealed for one purpose, and the indexes of its text under
// it, for all pairs that are tried in brief.
type sealedOnce[V value[V]] struct {
	made    bool
	fields  []string // of the value
	body    []byte
	indexes []pii.Index
}

// of makes the value and the indexes, the first time.
func (s *sealedOnce[V]) of(b *boundary, k kind[V], h handles) *sealedOnce[V] {
	b.t.Helper()
	if s.made {
		return s
	}
	ctx := b.t.Context()
	v, err := k.seal(ctx, k.text[0], h.scope)
	b.must(err)
	s.fields, s.body = dissect(b, v)
	s.indexes, err = k.indexes(ctx, k.text[0], h.scope)
	b.must(err)
	s.made = true
	return s
}

// brief tries a boundary by one value with a header that was changed, and by its indexes.
func brief[V value[V]](b *boundary, k kind[V], from, to *sealedOnce[V]) {
	b.t.Helper()
	b.noun, b.way = k.noun, "for the purpose"
	from, to = from.of(b, k, b.from), to.of(b, k, b.to)
	text := strings.Join([]string{from.fields[0], from.fields[1], b.to.purpose().String(), base64.RawURLEncoding.EncodeToString(from.body)}, ".")
	forged, err := k.parse([]byte(text))
	b.must(err)
	_, err = forged.Reveal(b.t.Context(), b.to.scope)
	b.refused("reveal", "with a header that was changed", err, vault.ErrCorrupt, believed)
	for _, theirs := range from.indexes {
		for _, ours := range to.indexes {
			if theirs.Equal(ours) {
				b.joined()
				return
			}
		}
	}
}
