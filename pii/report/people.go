package report

import (
	"bufio"
	"bytes"
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
// memory. It keeps a record for each value: the hash of the person's id, and the set of
// groups that the value is in. Sorted by the hash, the records of one person are
// neighbours. Many records go to temporary files, each of which is sorted by itself.
//
// Two people have one hash with a probability of 2^-64 for 2^32 people. The hash has a
// seed of its own in each people, so the files tell nothing without the process's memory.
type people struct {
	dir     string // for the temporary files, "" for the system's
	seeds   [2]maphash.Seed
	records []member
	counts  []int64 // by group

	sets   [][]uint32        // sets of groups, sorted
	number map[string]uint32 // of each set
	key    []byte

	files   []*os.File
	writers []*bufio.Writer
}

// A member is a person who is in the groups of a set.
type member struct {
	hash [16]byte
	set  uint32
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
	return &people{dir: dir, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, number: map[string]uint32{}}
}

// group returns the number of a new group.
func (p *people) group() uint32 {
	p.counts = append(p.counts, 0)
	return uint32(len(p.counts) - 1)
}

// add adds a person to some groups, which add sorts.
func (p *people) add(id string, groups []uint32) error {
	var hash [16]byte
	for i, seed := range p.seeds {
		binary.LittleEndian.PutUint64(hash[8*i:], maphash.String(seed, id))
	}
	slices.Sort(groups)
	if set, ok := p.setOf(groups); ok {
		return p.put(member{hash, set})
	}
	for i := range groups { // too many sets: one record for each group
		set, _ := p.setOf(groups[i : i+1])
		if err := p.put(member{hash, set}); err != nil {
			return err
		}
	}
	return nil
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
		_, err := w.Write(binary.LittleEndian.AppendUint32(append(w.AvailableBuffer(), m.hash[:]...), m.set))
		if err != nil {
			return errTemporary
		}
	}
	p.records = p.records[:0]
	return nil
}

// count returns the number of people in each group.
func (p *people) count() ([]int64, error) {
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
			p.records = append(p.records, member{[16]byte(b[:]), binary.LittleEndian.Uint32(b[16:])})
		}
		p.tally()
	}
	return p.counts, nil
}

// tally counts the people of the records in memory, which have all records of each of
// these people.
func (p *people) tally() {
	slices.SortFunc(p.records, func(a, b member) int { return bytes.Compare(a.hash[:], b.hash[:]) })
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
