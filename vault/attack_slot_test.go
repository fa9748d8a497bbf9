package vault_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Values put together anew from parts that are whole: slots in another value, under
// another name, of another kind or type.

// A piece is a slot and whose it is.
type piece struct {
	refSlot
	owner int
	id    []byte
	kind  string
}

// Values put together from the parts of others, each with lengths and order
// put right, so that only cryptography can refuse them: kind, name, value id,
// header and sealed part, each from another slot.
func TestRecombinedParts(t *testing.T) {
	a := newCatalogue(t)
	var pieces []piece
	for i, v := range a.values {
		for _, s := range v.slots {
			pieces = append(pieces, piece{s, i, v.id, v.kind})
		}
	}
	try := func(kind, name string, id []byte, h, s piece) {
		t.Helper()
		if (h.header[0] == 3) != (s.header[0] == 3) {
			return // of another shape: does not parse
		}
		forged := refValue{kind, id, []refSlot{{name, h.header, s.sealed}}}
		want := 0
		if bytes.Equal(id, s.id) && kind == s.kind && name == s.purpose && bytes.Equal(h.header, s.header) {
			want = 1 // that is the slot itself, without those beside it
		}
		sealed, err := vault.ParseSealed(forged.text())
		if h.header[1]&0x10 != 0 && err != nil {
			return // says that it was extended from the purpose that it now names
		}
		require.NoError(t, err)
		require.Equal(t, want, a.reveal(t, sealed))
	}
	for _, kind := range []string{"email", "phone"} {
		for _, v := range a.values[:few] {
			for h := range a.sample(13, 13, false) { // slots of the same few
				for s := range a.sample(13, 13, false) {
					for _, name := range attackNames {
						try(kind, name, v.id, pieces[h], pieces[s])
					}
				}
			}
		}
	}
	recombinations := 1
	if exhaustive() {
		recombinations = 50
	}
	pick := func() piece { return pieces[a.rand.IntN(len(pieces))] }
	for i := range pieces {
		for range recombinations {
			s, h := pieces[i], pick()
			try(s.kind, s.purpose, s.id, h, s)                        // another header
			try(s.kind, s.purpose, pick().id, s, s)                   // another value's id
			try(s.kind, pick().purpose, s.id, s, s)                   // another purpose's name
			try(pick().kind, s.purpose, s.id, s, s)                   // another kind
			try(pick().kind, pick().purpose, pick().id, h, pieces[i]) // none of its own
			try(h.kind, h.purpose, h.id, h, s)                        // in another slot's place
			try(s.kind, s.purpose, pick().id, h, s)                   // all but kind and purpose
			try(s.kind, attackNames[a.rand.IntN(4)], pick().id, s, h) // the other way round
			try(attackKinds[a.rand.IntN(4)].String(), h.purpose, s.id, s, h)
		}
	}
}

// Slots of one person's value in another's row, purpose by purpose: a slot that
// is bound to a subject opens for that subject alone, whichever value it stands in
// and whoever else has a key; one that is not says nothing of whose it is, and
// still does not open in another value.
func TestSlotsMovedBetweenValues(t *testing.T) {
	a := newCatalogue(t)
	for i, v := range a.values {
		for j := range a.sample(len(a.values), 1, exhaustive()) {
			w := a.values[j]
			for n := range v.slots {
				if i == j || bytes.Equal(v.id, w.id) {
					continue // the same value before or after a change: its slots are its own
				}
				// In place of the slot that is there, or beside it.
				moved := w.clone()
				moved.slots = slices.DeleteFunc(moved.slots, func(s refSlot) bool { return s.purpose == v.slots[n].purpose })
				before := len(moved.slots)
				moved.slots = append(moved.slots, v.slots[n])
				slices.SortFunc(moved.slots, func(x, y refSlot) int { return strings.Compare(x.purpose, y.purpose) })
				if len(moved.slots) > vault.MaxSlots {
					continue
				}
				require.Equal(t, before, a.text(t, moved.text()), "the moved slot opens for nobody, and the others as they did")
				require.Equal(t, before, a.binary(t, moved.binary()))
			}
		}
	}
}

// Relabelling is the attack that the library is there for: each slot under
// each name, alone and beside the slot that it was copied from.
func TestRelabelled(t *testing.T) {
	a := newCatalogue(t)
	names := slices.Sorted(maps.Keys(a.scopes))
	for n, v := range a.values {
		kind := vault.MustKind(v.kind, "vault_test.Value")
		for i, s := range v.slots {
			for j := range a.sample(len(names), 2, n < few || exhaustive()) {
				name := names[j]
				if h, _, _ := refCutHeader(s.header); h.from == name {
					continue // does not parse
				}
				alone := refValue{v.kind, v.id, []refSlot{{name, s.header, s.sealed}}}
				require.Equal(t, name == s.purpose, a.text(t, alone.text()) == 1)
				if slices.Contains(v.names(), name) {
					continue
				}
				renamed := v.clone()
				renamed.slots[i].purpose = name
				forgeries := []refValue{renamed}
				if len(v.slots) < vault.MaxSlots {
					added := v.clone()
					added.slots = append(added.slots, refSlot{name, s.header, s.sealed})
					forgeries = append(forgeries, added)
				}
				for _, forged := range forgeries {
					slices.SortFunc(forged.slots, func(x, y refSlot) int { return strings.Compare(x.purpose, y.purpose) })
					sealed, err := vault.ParseSealed(forged.text())
					require.NoError(t, err)
					a.reveal(t, sealed)
					asked := a.scopes[name]
					if s.header[0] == 2 {
						if !slices.Contains(attackNames, name) {
							continue
						}
						asked = asked.For("alice") // who has a key for each
					}
					_, err = asked.Reveal(t.Context(), kind, sealed)
					require.ErrorIs(t, err, vault.ErrCorrupt)
					require.NotErrorIs(t, err, purpose.ErrMismatch)
				}
			}
		}
	}
}

// Whoever edits the type of a slot gets a value that does not parse, for the
// shape of a collector's is another, or one that opens for nobody.
func TestRetypedSlots(t *testing.T) {
	a := newCatalogue(t)
	for n, v := range a.values {
		for i := range v.slots {
			for typ := range a.sample(256, samples(v, 8), n < few || exhaustive()) {
				a.retype(t, v, i, byte(typ))
			}
			for typ := range byte(5) {
				a.retype(t, v, i, typ)
			}
		}
	}
}

func (a *victim) retype(t *testing.T, v refValue, i int, typ byte) {
	t.Helper()
	forged := v.clone()
	own := forged.slots[i].header[0]
	forged.slots[i].header[0] = typ
	want := len(v.slots)
	if typ != own {
		want--
	}
	sealed, err := vault.ParseSealed(forged.text())
	if typ < 1 || typ > 3 || (typ == 3) != (own == 3) {
		require.Equal(t, vault.ErrCorrupt, err)
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, a.reveal(t, sealed))
}
