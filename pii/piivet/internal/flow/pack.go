package flow

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// A packer writes the flows of a package, or reads them: each of its methods does both,
// with a pointer to the value, so that the two can't differ. Strings and sources are
// written once, and then by their number.
type packer struct {
	reading bool
	// data are the bytes that are written, or left to be read. Damaged says that they are
	// not what a packer wrote.
	data    []byte
	damaged bool
	*tables
}

// tables are the strings and sources of the flows of one package.
type tables struct {
	names    []string
	numbers  map[string]int // of the names
	sources  []*source
	ofSource map[*source]int
}

func (p *packer) fail() { p.data, p.damaged = nil, true }

func (p *packer) number(n *int) {
	if !p.reading {
		p.data = binary.AppendUvarint(p.data, uint64(*n))
		return
	}
	v, size := binary.Uvarint(p.data)
	if size <= 0 || v > math.MaxInt32 {
		*n = 0
		p.fail()
		return
	}
	*n, p.data = int(v), p.data[size:]
}

// index is number for an index below a bound.
func (p *packer) index(n *int, bound int) bool {
	p.number(n)
	if *n >= bound {
		*n = 0
		p.fail()
	}
	return !p.damaged
}

func (p *packer) text(s *string) { p.textAt(s) }

// textAt is text, and returns the number of the string.
func (p *packer) textAt(s *string) int {
	n := 0
	if p.reading {
		if p.index(&n, len(p.names)) {
			*s = p.names[n]
		}
		return n
	}
	n, ok := p.numbers[*s]
	if !ok {
		n = len(p.names)
		p.numbers[*s] = n
		p.names = append(p.names, *s)
	}
	p.number(&n)
	return n
}

// flags are up to eight bools.
func (p *packer) flags(all ...*bool) {
	n := 0
	for i, f := range all {
		if *f {
			n |= 1 << i
		}
	}
	p.number(&n)
	if n >= 1<<len(all) {
		p.fail()
		return
	}
	for i, f := range all {
		*f = n&(1<<i) != 0
	}
}

// list packs the elements of a list with one.
func list[T any](p *packer, all *[]T, one func(*T)) {
	n := len(*all)
	p.number(&n)
	if p.reading {
		if n > len(p.data) { // each element takes a byte at least
			p.fail()
			return
		}
		*all = nil
		if n > 0 {
			*all = make([]T, n)
		}
	}
	for i := range *all {
		one(&(*all)[i])
	}
}

// table packs the entries of a map in the order of their keys.
func table[T any](p *packer, all *map[string]T, one func(*T)) {
	type entry struct {
		key   string
		value T
	}
	var entries []entry
	for k, v := range *all {
		entries = append(entries, entry{k, v})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	list(p, &entries, func(x *entry) {
		p.text(&x.key)
		one(&x.value)
	})
	if p.reading {
		*all = make(map[string]T, len(entries))
		for _, x := range entries {
			(*all)[x.key] = x.value
		}
	}
}

func (p *packer) texts(all *[]string) { list(p, all, p.text) }
func (p *packer) items(all *[]item)   { list(p, all, p.item) }

// The kinds of items.
const (
	ofPlace = iota
	ofSource
	ofFunction
	ofParam
)

func (p *packer) item(it *item) {
	kind := ofPlace
	switch {
	case it.Source != nil:
		kind = ofSource
	case it.Fn != "":
		kind = ofFunction
	case it.Param >= 0:
		kind = ofParam
	}
	both := kind
	for i, f := range [...]bool{it.Content, it.Veiled, it.Inner, it.Hidden} {
		if f {
			both |= 4 << i
		}
	}
	p.number(&both)
	if p.reading {
		*it = item{Param: -1, Content: both&4 != 0, Veiled: both&8 != 0, Inner: both&16 != 0, Hidden: both&32 != 0}
		kind = both & 3
		if both >= 64 {
			p.fail()
		}
	}
	switch kind {
	case ofPlace:
		it.name = p.textAt(&it.Shared)
	case ofSource:
		p.source(&it.Source)
	case ofFunction:
		p.text(&it.Fn)
	case ofParam:
		p.number(&it.Param)
		p.number(&it.Result)
	}
}

func (p *packer) source(s **source) {
	n := 0
	if p.reading {
		if p.index(&n, len(p.sources)) {
			*s = p.sources[n]
		}
		return
	}
	n, ok := p.ofSource[*s]
	if !ok {
		n = len(p.sources)
		p.ofSource[*s] = n
		p.sources = append(p.sources, *s)
	}
	p.number(&n)
}

// sourceFields packs a source in the table of sources.
func (p *packer) sourceFields(s **source) {
	if p.reading {
		*s = &source{}
	}
	x := *s
	carries := x.Transport != nil
	p.flags(&x.Label, &x.Sealed, &carries)
	p.text(&x.Where)
	p.text(&x.Pkg)
	p.text(&x.In)
	p.ref(&x.Scope)
	if !carries {
		return
	}
	if p.reading {
		x.Transport = &transport{}
	}
	p.flags(&x.Transport.Whole)
	list(p, &x.Transport.Rules, func(r *egressRule) {
		p.text(&r.Host)
		p.text(&r.Method)
		p.text(&r.Path)
		p.texts(&r.Fields)
		p.flags(&r.Whole)
	})
}

func (p *packer) ref(r *purposes.Ref) {
	p.texts(&r.Names)
	p.texts(&r.From)
	p.flags(&r.Unknown)
	p.texts(&r.Why)
	list(p, &r.Bases, func(b *purposes.Basis) {
		for _, s := range []*string{&b.Legal, &b.Notice, &b.Consent, &b.Retain, &b.Collected} {
			p.text(s)
		}
		p.flags(&b.Part)
	})
}

func (p *packer) inflow(in *inflow) int {
	n := p.textAt(&in.Name)
	p.flags(&in.Slot, &in.Called)
	p.texts(&in.Reached)
	for i := range in.In {
		p.items(&in.In[i])
	}
	return n
}

func (p *packer) summary(s **summary) {
	if p.reading {
		*s = &summary{}
	}
	x := *s
	list(p, &x.Results, p.items)
	list(p, &x.Sinks, p.sunk)
	list(p, &x.Calls, func(h *handed) {
		p.number(&h.Param)
		list(p, &h.Args, p.items)
	})
	list(p, &x.Places, p.number)
}

func (p *packer) sunk(k *sunk) {
	p.item(&k.Item)
	p.text((*string)(&k.Kind))
	p.text(&k.What)
	p.text(&k.In)
	p.text(&k.Where)
	p.ref(&k.To)
}

// sinks packs the open sinks and the pending flows.
func (p *packer) sinks(f *flows) {
	list(p, &f.Open, func(o *open) {
		p.sunk(&o.Sink)
		p.text(&o.Pkg)
	})
	table(p, &f.Seen, p.texts)
	list(p, &f.Pending, func(w *pending) {
		for _, s := range []*string{&w.In, &w.InPackage, &w.Pkg, &w.Where, &w.What} {
			p.text(s)
		}
		p.ref(&w.From)
		p.ref(&w.To)
	})
}

// pack returns the packed flows of a package: three parts, each with its own tables, so
// that a reader unpacks those that it needs. All packages that import this one, directly
// or not, read the first part, so that it is not compressed.
func pack(f *flows) []byte {
	var out []byte
	out = appendFramed(out, packPart(func(p *packer) {
		p.flags(&f.Uses)
		list(p, &f.Places, func(in *inflow) { p.inflow(in) })
	}))
	out = appendFramed(out, compressed(packPart(func(p *packer) { table(p, &f.Funcs, p.summary) })))
	return appendFramed(out, compressed(packPart(func(p *packer) { p.sinks(f) })))
}

// packPart returns what write writes, with its tables. It writes twice: the first time
// finds all names, so that they can be sorted.
func packPart(write func(*packer)) []byte {
	t := &tables{numbers: map[string]int{}}
	var data, sources []byte
	for range 2 {
		t.sources, t.ofSource = nil, map[*source]int{}
		slices.Sort(t.names)
		for i, s := range t.names {
			t.numbers[s] = i
		}
		p := &packer{tables: t}
		write(p)
		data, p.data = p.data, nil
		list(p, &t.sources, p.sourceFields)
		sources = p.data
	}
	// Each name is the number of bytes that it shares with the name before, and the rest.
	names := binary.AppendUvarint(nil, uint64(len(t.names)))
	before := ""
	for _, s := range t.names {
		n := 0
		for n < min(len(s), len(before)) && s[n] == before[n] {
			n++
		}
		names = appendFramed(binary.AppendUvarint(names, uint64(n)), []byte(s[n:]))
		before = s
	}
	return slices.Concat(appendFramed(nil, names), appendFramed(nil, sources), data)
}

// maxNames bounds the bytes of the names of one part, which are read from a file.
const maxNames = 1 << 28

// unpackPart reads what packPart wrote, and reports whether it is all that it wrote.
func unpackPart(part []byte, read func(*packer)) bool {
	packed, rest, ok1 := framed(part)
	sources, data, ok2 := framed(rest)
	names, ok3 := unpackNames(packed)
	if !ok1 || !ok2 || !ok3 {
		return false
	}
	p := &packer{reading: true, data: sources, tables: &tables{names: names}}
	list(p, &p.sources, p.sourceFields)
	if p.damaged || len(p.data) > 0 {
		return false
	}
	p.data = data
	read(p)
	return !p.damaged && len(p.data) == 0
}

func unpackNames(packed []byte) ([]string, bool) {
	count, size := binary.Uvarint(packed)
	if size <= 0 || count > uint64(len(packed)) {
		return nil, false
	}
	packed = packed[size:]
	ends := make([]int, 0, count)
	var all []byte // one array for all names
	last := 0      // where the name before begins
	for range count {
		n, size := binary.Uvarint(packed)
		if size <= 0 || n > uint64(len(all)-last) || len(all) > maxNames {
			return nil, false
		}
		rest, behind, ok := framed(packed[size:])
		if !ok {
			return nil, false
		}
		begin := len(all)
		all = append(append(all, all[last:last+int(n)]...), rest...)
		ends = append(ends, len(all))
		last, packed = begin, behind
	}
	text := string(all)
	names := make([]string, len(ends))
	begin := 0
	for i, end := range ends {
		names[i] = text[begin:end]
		begin = end
	}
	return names, len(packed) == 0
}

func compressed(b []byte) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestSpeed) // the level is right
	w.Write(b)                                     // a buffer does not fail
	w.Close()
	return out.Bytes()
}

// uncompressed is the reverse of compressed, up to maxNames bytes.
func uncompressed(b []byte) ([]byte, bool) {
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), maxNames))
	return out, err == nil
}

// An unpacker unpacks the flows of a package, each part when it is needed.
type unpacker struct {
	parts [3][]byte
	funcs map[string]*summary
}

func newUnpacker(data []byte) (*unpacker, error) {
	u := &unpacker{}
	for i := range u.parts {
		ok := false
		if u.parts[i], data, ok = framed(data); !ok {
			return nil, errDamaged
		}
	}
	if len(data) > 0 {
		return nil, errDamaged
	}
	return u, nil
}

// inflows calls uses, and then place with the names of the package for each place. Name is
// the number of the place's name.
func (u *unpacker) inflows(uses func(bool), place func(in *inflow, name int, names []string)) bool {
	return unpackPart(u.parts[0], func(p *packer) {
		ours := false
		p.flags(&ours)
		uses(ours)
		n := 0
		p.number(&n)
		for range n {
			var in inflow
			name := p.inflow(&in)
			if p.damaged {
				return
			}
			place(&in, name, p.names)
		}
	})
}

// summaries returns the summaries of the functions, false if they are damaged.
func (u *unpacker) summaries() (map[string]*summary, bool) {
	if u.funcs != nil {
		return u.funcs, true
	}
	part, ok := uncompressed(u.parts[1])
	ok = ok && unpackPart(part, func(p *packer) { table(p, &u.funcs, p.summary) })
	return u.funcs, ok
}

// sinks returns flows with the open sinks and the pending flows alone, false if they are
// damaged.
func (u *unpacker) sinks() (*flows, bool) {
	f := &flows{}
	part, ok := uncompressed(u.parts[2])
	return f, ok && unpackPart(part, func(p *packer) { p.sinks(f) })
}
