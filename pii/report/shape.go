package report

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A shape is all values that are counted in the same groups: of one table and kind, with the
// same purposes, notices, consents, grounds and months. The values of a table have few
// shapes, so the groups are looked up once for each shape, and the values of a shape are
// added to them at the end.
type shape struct {
	values int64
	slots  []shapeSlot
	in     []*group // that count a value of the shape, each once
	first  int      // of the selected slots; -1 if no slot is selected

	expired, collected bool
	extended           []*int64 // counts of extensions

	set   uint32 // of the groups, in people
	asSet bool   // people has the set
}

// A shapeSlot is one slot of all values of a shape.
type shapeSlot struct {
	groups      []*group // whose first and last time the slot has a part in
	first, last time.Time
	month       *int64 // nil if the slot is not selected
	activity    *activityCount
	kept        int64 // values without an end of retention
	retention   time.Duration
}

// maxShapes bounds the shapes that are kept, which whoever writes values can choose. A test
// sets it.
var maxShapes = 4096

// A slot is a claim of a value.
type slot struct {
	vault.Claim
	selected, expired bool
}

// shapeOf returns the shape of the value with the slots of c.slots.
func (c *counter) shapeOf(table, kind string) *shape {
	c.key = c.appendKey(c.key[:0], table, kind)
	if s, ok := c.shapes[string(c.key)]; ok {
		return s
	}
	if len(c.shapes) >= maxShapes {
		c.fold()
	}
	s := c.newShape(table, kind)
	c.shapes[string(c.key)] = s
	return s
}

// appendKey appends all that the groups of the value depend on. Names for which there is no
// group any more are in it as [Others], as in the groups: a value with a consent of its own
// has no shape of its own then.
func (c *counter) appendKey(b []byte, table, kind string) []byte {
	b = appendName(appendName(b, table), kind)
	for i := range c.slots {
		s := &c.slots[i]
		of := &s.Provenance
		var flags byte
		for j, is := range [...]bool{s.selected, s.expired, s.ByCollector, !of.From.IsZero()} {
			if is {
				flags |= 1 << j
			}
		}
		b = appendName(append(b, flags), s.Purpose.String())
		if s.selected {
			b = append(b, byte(of.Legal))
			b = appendName(b, known(c.notices, of.Notice))
			b = appendName(b, known(c.consents, of.Consent))
			year, month, _ := of.Collected.UTC().Date()
			b = binary.AppendVarint(b, int64(year)*12+int64(month))
		}
		if e, ok := s.extension(); ok {
			e = c.knownExtension(e)
			b = appendName(appendName(b, e.From), e.Consent)
		}
	}
	return b
}

func appendName(b []byte, name string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(name))), name...)
}

// known returns the name of the group for a name: the name itself, or [Others] if there are
// too many groups for another one.
func known(all groups, name string) string {
	if len(all) >= maxGroups && all[name] == nil {
		return Others
	}
	return name
}

// extension returns the extension that a slot comes from.
func (s *slot) extension() (Extension, bool) {
	if s.Provenance.From.IsZero() {
		return Extension{}, false
	}
	return Extension{From: s.Provenance.From.String(), To: s.Purpose.String(), Consent: s.Provenance.Consent}, true
}

func (c *counter) knownExtension(e Extension) Extension {
	if len(c.extended) >= maxGroups && c.extended[e] == nil {
		e.Consent = Others
	}
	return e
}

// newShape looks up the groups of a value.
func (c *counter) newShape(table, kind string) *shape {
	s := &shape{slots: make([]shapeSlot, len(c.slots)), first: slices.IndexFunc(c.slots, func(s slot) bool { return s.selected })}
	if s.first < 0 {
		return s
	}
	for i := range c.slots {
		slot, into := &c.slots[i], &s.slots[i]
		name, of := slot.Purpose.String(), &slot.Provenance
		if !slot.selected {
			continue
		}
		into.groups = []*group{c.total, c.in(c.purposes, name), c.in(c.notices, of.Notice), c.in(c.grounds, ground(of)),
			c.in(c.kinds, kind), c.in(c.tables, table), c.in(c.consents, of.Consent)}
		into.month = c.month(of)
		into.activity = c.activity(activity{purpose: name, notice: of.Notice, ground: ground(of), kind: kind, table: table})
		s.expired = s.expired || slot.expired
		s.collected = s.collected || slot.ByCollector
	}
	for i := range c.slots {
		slot := &c.slots[i]
		if !slot.selected {
			s.slots[i].groups = []*group{c.in(c.held, slot.Purpose.String())}
		}
		if e, ok := slot.extension(); ok {
			s.extended = append(s.extended, countOf(c.extended, c.knownExtension(e)))
		}
	}
	for _, slot := range s.slots {
		for _, g := range slot.groups {
			if !slices.Contains(s.in, g) {
				s.in = append(s.in, g)
			}
		}
	}
	ids := make([]uint32, len(s.in))
	for i, g := range s.in {
		ids[i] = g.id
	}
	slices.Sort(ids)
	s.set, s.asSet = c.people.setOf(ids)
	return s
}

// ground returns the name of a ground, "" if none was stated.
func ground(of *purpose.Provenance) string {
	if of.Legal == purpose.Unstated {
		return ""
	}
	return of.Legal.String()
}

// month returns the count of the month and notice of a slot.
func (c *counter) month(of *purpose.Provenance) *int64 {
	key := [2]string{of.Collected.UTC().Format("2006-01"), of.Notice}
	if c.months[key] == nil && len(c.months) >= maxGroups {
		key[1] = Others
	}
	return countOf(c.months, key)
}

// countOf returns the count of a key.
func countOf[K comparable](all map[K]*int64, key K) *int64 {
	n := all[key]
	if n == nil {
		n = new(int64)
		all[key] = n
	}
	return n
}

// add counts a value with the slots of c.slots.
func (s *shape) add(slots []slot) {
	for i := range s.slots {
		into, of := &s.slots[i], &slots[i].Provenance
		if s.values == 0 || of.Collected.Before(into.first) {
			into.first = of.Collected
		}
		if s.values == 0 || of.Collected.After(into.last) {
			into.last = of.Collected
		}
		if into.activity == nil {
			continue
		}
		if of.Expires.IsZero() {
			into.kept++
		} else {
			into.retention = max(into.retention, of.Expires.Sub(of.Collected))
		}
	}
	s.values++
}

// fold adds the values of all shapes to their groups, and forgets the shapes.
func (c *counter) fold() {
	for _, s := range c.shapes {
		if s.values > 0 && s.first >= 0 {
			c.foldShape(s)
		}
	}
	clear(c.shapes)
}

func (c *counter) foldShape(s *shape) {
	for _, g := range s.in {
		g.Values += s.values
	}
	for _, n := range s.extended {
		*n += s.values
	}
	if s.expired {
		c.report.Expired += s.values
	}
	if s.collected {
		c.report.Collected += s.values
	}
	for i := range s.slots {
		slot := &s.slots[i]
		for _, g := range slot.groups {
			if g.First.IsZero() || slot.first.Before(g.First) {
				g.First = slot.first
			}
			if slot.last.After(g.Last) {
				g.Last = slot.last
			}
		}
		if slot.month != nil {
			*slot.month += s.values
			slot.activity.kept += slot.kept
			slot.activity.retention = max(slot.activity.retention, slot.retention)
		}
	}
}
