package report

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"slices"

	"github.com/onlyfor/onlyfor/vault"
)

// A people counts the different people in each of many groups, exactly and in bounded
// memory. It keeps a record for each row: the hash of the person's id, and the set of groups
// that the values of the row are in. Sorted by the hash, the records of one person are
// neighbours. Many records go to temporary files, each of which is sorted by itself.
//
// Two people have one hash with a probability of 2^-64 for 2^32 people. The hash has a
// seed of its own in each people, so the files tell nothing without the process's memory.
type people struct {
	dir     string // for the temporary files, "" for the system's
	seeds   [2]maphash.Seed
	records []member
	counts  []int64 // by group

	sets   [][]uint32           // sets of groups, sorted
	number map[string]uint32    // of each set
	unions map[[2]uint32]uint32 // of two sets, by their numbers
	key    []byte

	last   member // the record of the last value, which the next one of the row joins
	lastID []byte // "" if there is none
	thisID []byte

	files   []*os.File
	writers []*bufio.Writer
}

// A member is a person who is in the groups of a set.
type member struct {
	hash [2]uint64
	set  uint32
}

// compare orders records by the hash.
func (m member) compare(other member) int {
	return cmp.Or(cmp.Compare(m.hash[0], other.hash[0]), cmp.Compare(m.hash[1], other.hash[1]))
}

const (
	memberSize = 20
	partitions = 64
	// maxSets bounds the sets with several groups, which whoever writes values can choose.
	maxSets = 1 << 16
)

// mostMembers is the number of records that are kept in memory. A test sets it.
var mostMembers = 1 << 19

func newPeople(dir string) *people {
	return &people{dir: dir, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, number: map[string]uint32{}, unions: map[[2]uint32]uint32{}}
}

// group returns the number of a new group.
func (p *people) group() uint32 {
	p.counts = append(p.counts, 0)
	return uint32(len(p.counts) - 1)
}

// add adds the person of a value to the groups of its shape.
func (p *people) add(v *Value, s *shape) error {
	id := p.thisID[:0]
	if v.Subject != "" {
		id = append(append(id, 's'), v.Subject...)
	} else {
		id = append(append(append(append(id, 'r'), v.Table...), 0), v.Key...)
	}
	p.thisID = id
	if s.asSet && bytes.Equal(id, p.lastID) {
		if union, ok := p.union(p.last.set, s.set); ok {
			p.last.set = union
			return nil
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	var hash [2]uint64
	for i, seed := range p.seeds {
		hash[i] = maphash.Bytes(seed, id)
	}
	if s.asSet {
		p.last = member{hash, s.set}
		p.lastID, p.thisID = id, p.lastID
		return nil
	}
	for _, g := range s.in { // too many sets: one record for each group
		set, _ := p.setOf([]uint32{g.id})
		if err := p.put(member{hash, set}); err != nil {
			return err
		}
	}
	return nil
}

// flush keeps the record of the last value.
func (p *people) flush() error {
	if len(p.lastID) == 0 {
		return nil
	}
	p.lastID = p.lastID[:0]
	return p.put(p.last)
}

// union returns the number of the union of two sets. It returns false if there are too many
// sets.
func (p *people) union(a, b uint32) (uint32, bool) {
	if a == b {
		return a, true
	}
	if n, ok := p.unions[[2]uint32{a, b}]; ok {
		return n, true
	}
	if len(p.unions) >= maxSets {
		return 0, false
	}
	both := slices.Concat(p.sets[a], p.sets[b])
	slices.Sort(both)
	n, ok := p.setOf(slices.Compact(both))
	if ok {
		p.unions[[2]uint32{a, b}] = n
	}
	return n, ok
}

// setOf returns the number of a set of groups. It returns false if there are too many.
func (p *people) setOf(groups []uint32) (uint32, bool) {
	p.key = p.key[:0]
	for _, g := range groups {
		p.key = binary.LittleEndian.AppendUint32(p.key, g)
	}
	if n, ok := p.number[string(p.key)]; ok {
		return n, true
	}
	if len(p.sets) >= maxSets && len(groups) > 1 {
		return 0, false
	}
	n := uint32(len(p.sets))
	p.sets = append(p.sets, slices.Clone(groups))
	p.number[string(p.key)] = n
	return n, true
}

// put keeps a record.
func (p *people) put(m member) error {
	if len(p.records) >= mostMembers {
		if err := p.spill(); err != nil {
			return err
		}
	}
	p.records = append(p.records, m)
	return nil
}

// spill moves all records to the files.
func (p *people) spill() error {
	for len(p.files) < partitions {
		f, err := os.CreateTemp(p.dir, "onlyfor-"+rand.Text()+"-*")
		if err != nil {
			return errTemporary
		}
		_ = os.Remove(f.Name()) // an open file needs no name; close removes it on other systems
		p.files = append(p.files, f)
		p.writers = append(p.writers, bufio.NewWriter(f))
	}
	for _, m := range p.records {
		w := p.writers[m.hash[0]%partitions]
		b := binary.LittleEndian.AppendUint64(w.AvailableBuffer(), m.hash[0])
		_, err := w.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(b, m.hash[1]), m.set))
		if err != nil {
			return errTemporary
		}
	}
	p.records = p.records[:0]
	return nil
}

// count returns the number of people in each group.
func (p *people) count() ([]int64, error) {
	if err := p.flush(); err != nil {
		return nil, err
	}
	if p.files == nil {
		p.tally()
		return p.counts, nil
	}
	if err := p.spill(); err != nil {
		return nil, err
	}
	for i, f := range p.files {
		if err := p.writers[i].Flush(); err != nil {
			return nil, errTemporary
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, errTemporary
		}
		r := bufio.NewReader(f)
		for p.records = p.records[:0]; ; {
			var b [memberSize]byte
			if _, err := io.ReadFull(r, b[:]); err == io.EOF {
				break
			} else if err != nil {
				return nil, errTemporary
			}
			p.records = append(p.records, member{[2]uint64{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}, binary.LittleEndian.Uint32(b[16:])})
		}
		p.tally()
	}
	return p.counts, nil
}

// tally counts the people of the records in memory, which have all records of each of
// these people.
func (p *people) tally() {
	slices.SortFunc(p.records, member.compare)
	var in []uint32
	for from := 0; from < len(p.records); {
		to := from + 1
		in = append(in[:0], p.sets[p.records[from].set]...)
		for to < len(p.records) && p.records[to].hash == p.records[from].hash {
			in = append(in, p.sets[p.records[to].set]...)
			to++
		}
		if to > from+1 {
			slices.Sort(in)
			in = slices.Compact(in)
		}
		for _, g := range in {
			p.counts[g]++
		}
		from = to
	}
}

// close removes the files.
func (p *people) close() {
	for _, f := range p.files {
		f.Close()
		if err := os.Remove(f.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
			continue // the system's directory of temporary files is emptied by others
		}
	}
	p.files, p.writers = nil, nil
}

var errTemporary = fmt.Errorf("temporary file can't be written or read: %w", vault.ErrUnavailable)
