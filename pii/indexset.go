package pii

import (
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"

	"github.com/onlyfor/onlyfor/vault"
)

// An IndexSet is a set of blind indexes in memory: the people of a table, an advertiser's
// list, or the people who may not be written to.
//
//	var users pii.IndexSet
//	err := users.Add(index) // for each row
//	for wanted, err := range batch.IndexesEmail(ctx, list, advertising) {
//		… users.Has(wanted...)
//	}
//
// Indexes of two purposes, of two kinds or of two vaults have no bytes in common. A set with
// the indexes of one purpose therefore never has an index of another, and to mix them in one
// set is harmless.
//
// The zero IndexSet is empty and ready to use. A nil *IndexSet is empty and can't be added
// to. A copy of a set that is not empty is the same set, as with a map. Has, Match and Len
// may run in many goroutines at once, and not while Add runs.
//
// A set takes 21 to 43 bytes for each index. These are encrypted with a random key of the
// process, as [Index] describes. As an Index does, a set prints as a label, "pii.IndexSet",
// and refuses encodings with [ErrNoText].
type IndexSet struct{ table *indexTable }

// Add adds indexes to the set. The zero Index is the absence of one and is left out, as NULL
// is in a join. If one of the indexes is poisoned, Add returns [ErrPoisoned] and adds none of
// them. Adding to a nil *IndexSet is [vault.ErrInvalid].
func (s *IndexSet) Add(indexes ...Index) error {
	if s == nil {
		return fmt.Errorf("pii: adding to index set: nil set: %w", vault.ErrInvalid)
	}
	for _, x := range indexes {
		if x.state == poisonedIndex {
			return ErrPoisoned
		}
	}
	for _, x := range indexes {
		if x.state == usableIndex {
			if s.table == nil {
				s.table = new(indexTable)
			}
			s.table.add(x.hidden)
		}
	}
	return nil
}

// Has reports whether one of the indexes is in the set. It takes the result of
// [IndexesEmail] and its kin as it is: Has(wanted...). The zero Index and a poisoned one are
// in no set. So a false says nothing about a person unless the error that came with the
// index was checked.
func (s *IndexSet) Has(indexes ...Index) bool {
	if s == nil || s.table == nil {
		return false
	}
	for _, x := range indexes {
		if x.state == usableIndex && s.table.has(x.hidden) {
			return true
		}
	}
	return false
}

// Match returns an iterator over the indexes that are in the set, each with its position in
// the input, from 0. An index that occurs twice in the input is yielded twice. The zero
// Index and poisoned ones are never yielded. A nil input is an empty one.
func (s *IndexSet) Match(indexes iter.Seq[Index]) iter.Seq2[int, Index] {
	return func(yield func(int, Index) bool) {
		if indexes == nil {
			return
		}
		i := 0
		for x := range indexes {
			if s.Has(x) && !yield(i, x) {
				return
			}
			i++
		}
	}
}

// Len returns the number of different indexes in the set.
func (s *IndexSet) Len() int {
	if s == nil || s.table == nil {
		return 0
	}
	return s.table.len
}

// MarshalText always fails with [ErrNoText], so that encoders of JSON, XML and YAML
// fail too.
func (s IndexSet) MarshalText() ([]byte, error) { return nil, ErrNoText }

// UnmarshalText always fails with [ErrNoText].
func (s *IndexSet) UnmarshalText([]byte) error { return ErrNoText }

// MarshalBinary always fails with [ErrNoText], so that encoders of gob and CBOR fail too.
func (s IndexSet) MarshalBinary() ([]byte, error) { return nil, ErrNoText }

// UnmarshalBinary always fails with [ErrNoText].
func (s *IndexSet) UnmarshalBinary([]byte) error { return ErrNoText }

// MarshalBSONValue always fails with [ErrNoText]. It implements the ValueMarshaler of
// MongoDB's driver, version 2.
func (s IndexSet) MarshalBSONValue() (typ byte, data []byte, err error) { return 0, nil, ErrNoText }

const indexSetLabel = "pii.IndexSet"

// GoString returns "pii.IndexSet".
func (s IndexSet) GoString() string { return indexSetLabel }

// Format prints "pii.IndexSet" for every verb. It implements [fmt.Formatter].
func (s IndexSet) Format(f fmt.State, verb rune) { printLabel(f, verb, indexSetLabel) }

// LogValue returns "pii.IndexSet". It implements [slog.LogValuer].
func (s IndexSet) LogValue() slog.Value { return slog.StringValue(indexSetLabel) }

// A hiddenIndex has the encrypted bytes of an [Index], as two numbers.
type hiddenIndex struct{ a, b uint64 }

// An indexTable is a hash table with open addressing and linear probing. The encrypted bytes
// of an index are their own hash: nobody who lacks the key of the process can choose indexes
// that collide.
type indexTable struct {
	slots []hiddenIndex // as many as a power of two; a zero slot is free
	shift int           // slots has 2^(64-shift) elements
	len   int
	zero  bool // the index whose encrypted bytes are zero is in the set
}

const smallestTable = 8 // slots

func (t *indexTable) add(hidden [vault.IndexSize]byte) {
	x := hiddenIndex{binary.LittleEndian.Uint64(hidden[:8]), binary.LittleEndian.Uint64(hidden[8:])}
	if x == (hiddenIndex{}) {
		if !t.zero {
			t.zero = true
			t.len++
		}
		return
	}
	if 4*t.len >= 3*len(t.slots) {
		t.grow()
	}
	if slot := t.find(x); *slot != x {
		*slot = x
		t.len++
	}
}

func (t *indexTable) has(hidden [vault.IndexSize]byte) bool {
	x := hiddenIndex{binary.LittleEndian.Uint64(hidden[:8]), binary.LittleEndian.Uint64(hidden[8:])}
	if x == (hiddenIndex{}) {
		return t.zero
	}
	return len(t.slots) > 0 && *t.find(x) == x
}

// find returns the slot of x, or the free slot where x would be. A quarter of the slots is free, so
// the search ends.
func (t *indexTable) find(x hiddenIndex) *hiddenIndex {
	mask := uint64(len(t.slots) - 1)
	for i := x.a >> t.shift; ; i++ {
		slot := &t.slots[i&mask]
		if *slot == x || *slot == (hiddenIndex{}) {
			return slot
		}
	}
}

func (t *indexTable) grow() {
	old := t.slots
	if len(old) == 0 {
		t.slots, t.shift = make([]hiddenIndex, smallestTable), 64-3
	} else {
		t.slots, t.shift = make([]hiddenIndex, 2*len(old)), t.shift-1
	}
	for _, x := range old {
		if x != (hiddenIndex{}) {
			*t.find(x) = x
		}
	}
}
