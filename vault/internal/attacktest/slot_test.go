package attacktest

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/format"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Values put together anew from parts that are whole: slots in another value, under
// another name, of another kind or type.

// A piece is a slot and whose it is.
type piece struct {
	reference.Slot
	owner int
	id    []byte
	kind  string
}

// Values put together from the parts of others, each with lengths and order
// put right, so that only cryptography can refuse them: kind, name, value id,
// header and sealed part, each from another slot.
func TestRecombinedParts(t *testing.T) {
	a := vaulttest.NewCatalogue(t)
	var pieces []piece
	for i, v := range a.Values {
		for _, s := range v.Slots {
			pieces = append(pieces, piece{s, i, v.ID, v.Kind})
		}
	}
	try := func(kind, name string, id []byte, h, s piece) {
		t.Helper()
		if h.Header[0] != s.Header[0] {
			return // of another shape: does not parse
		}
		forged := reference.Value{Kind: kind, ID: id, Slots: []reference.Slot{{Purpose: name, Header: h.Header, Sealed: s.Sealed}}}
		want := 0
		if bytes.Equal(id, s.id) && kind == s.kind && name == s.Purpose && bytes.Equal(h.Header, s.Header) {
			want = 1 // that is the slot itself, without those beside it
		}
		sealed, err := vault.ParseSealed(forged.Text())
		if h.Header[1]&0x10 != 0 && err != nil {
			return // says that it was extended from the purpose that it now names
		}
		require.NoError(t, err)
		require.Equal(t, want, a.Reveal(t, sealed))
	}
	for _, kind := range []string{"email", "phone"} {
		for _, v := range a.Values[:vaulttest.Few] {
			for h := range a.Sample(13, 13, false) { // slots of the same few
				for s := range a.Sample(13, 13, false) {
					for _, name := range vaulttest.Names {
						try(kind, name, v.ID, pieces[h], pieces[s])
					}
				}
			}
		}
	}
	recombinations := 1
	if vaulttest.Exhaustive() {
		recombinations = 50
	}
	pick := func() piece { return pieces[a.Rand.IntN(len(pieces))] }
	for i := range pieces {
		for range recombinations {
			s, h := pieces[i], pick()
			try(s.kind, s.Purpose, s.id, h, s)                            // another header
			try(s.kind, s.Purpose, pick().id, s, s)                       // another value's id
			try(s.kind, pick().Purpose, s.id, s, s)                       // another purpose's name
			try(pick().kind, s.Purpose, s.id, s, s)                       // another kind
			try(pick().kind, pick().Purpose, pick().id, h, pieces[i])     // none of its own
			try(h.kind, h.Purpose, h.id, h, s)                            // in another slot's place
			try(s.kind, s.Purpose, pick().id, h, s)                       // all but kind and purpose
			try(s.kind, vaulttest.Names[a.Rand.IntN(4)], pick().id, s, h) // the other way round
			try(vaulttest.Kinds[a.Rand.IntN(4)].String(), h.Purpose, s.id, s, h)
		}
	}
}

// Slots of one person's value in another's row, purpose by purpose: a slot that
// is bound to a subject opens for that subject alone, whichever value it stands in
// and whoever else has a key; one that is not says nothing of whose it is, and
// still does not open in another value.
func TestSlotsMovedBetweenValues(t *testing.T) {
	a := vaulttest.NewCatalogue(t)
	for i, v := range a.Values {
		for j := range a.Sample(len(a.Values), 1, vaulttest.Exhaustive()) {
			w := a.Values[j]
			for n := range v.Slots {
				if i == j || bytes.Equal(v.ID, w.ID) {
					continue // the same value before or after a change: its slots are its own
				}
				// In place of the slot that is there, or beside it.
				moved := w.Clone()
				moved.Slots = slices.DeleteFunc(moved.Slots, func(s reference.Slot) bool { return s.Purpose == v.Slots[n].Purpose })
				before := len(moved.Slots)
				moved.Slots = append(moved.Slots, v.Slots[n])
				slices.SortFunc(moved.Slots, func(x, y reference.Slot) int { return strings.Compare(x.Purpose, y.Purpose) })
				if len(moved.Slots) > format.MaxSlots {
					continue
				}
				require.Equal(t, before, a.Text(t, moved.Text()), "the moved slot opens for nobody, and the others as they did")
				require.Equal(t, before, a.Binary(t, moved.Binary()))
			}
		}
	}
}

// Relabelling is the attack that the library is there for: each slot under
// each name, alone and beside the slot that it was copied from.
func TestRelabelled(t *testing.T) {
	a := vaulttest.NewCatalogue(t)
	names := slices.Sorted(maps.Keys(a.Scopes))
	for n, v := range a.Values {
		kind := vaulttest.KindNamed(v.Kind)
		for i, s := range v.Slots {
			for j := range a.Sample(len(names), 2, n < vaulttest.Few || vaulttest.Exhaustive()) {
				name := names[j]
				if h, _, _ := reference.CutHeader(s.Header); h.From == name {
					continue // does not parse
				}
				alone := reference.Value{Kind: v.Kind, ID: v.ID, Slots: []reference.Slot{{Purpose: name, Header: s.Header, Sealed: s.Sealed}}}
				require.Equal(t, name == s.Purpose, a.Text(t, alone.Text()) == 1)
				if slices.Contains(v.Names(), name) {
					continue
				}
				renamed := v.Clone()
				renamed.Slots[i].Purpose = name
				forgeries := []reference.Value{renamed}
				if len(v.Slots) < format.MaxSlots {
					added := v.Clone()
					added.Slots = append(added.Slots, reference.Slot{Purpose: name, Header: s.Header, Sealed: s.Sealed})
					forgeries = append(forgeries, added)
				}
				for _, forged := range forgeries {
					slices.SortFunc(forged.Slots, func(x, y reference.Slot) int { return strings.Compare(x.Purpose, y.Purpose) })
					sealed, err := vault.ParseSealed(forged.Text())
					require.NoError(t, err)
					a.Reveal(t, sealed)
					asked := a.Scopes[name]
					if s.Header[0] == 2 {
						if !slices.Contains(vaulttest.Names, name) {
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

// Whoever edits the type of a slot gets a value that does not parse, for each type has a
// shape of its own. With the shape put right, it opens for nobody.
func TestRetypedSlots(t *testing.T) {
	a := vaulttest.NewCatalogue(t)
	for n, v := range a.Values {
		for i := range v.Slots {
			for typ := range a.Sample(256, vaulttest.Samples(v, 8), n < vaulttest.Few || vaulttest.Exhaustive()) {
				retype(t, a, v, i, byte(typ))
			}
			for typ := range byte(6) {
				retype(t, a, v, i, typ)
			}
		}
	}
}

func retype(t *testing.T, a *vaulttest.Victim, v reference.Value, i int, typ byte) {
	t.Helper()
	forged := v.Clone()
	own := forged.Slots[i].Header[0]
	forged.Slots[i].Header[0] = typ
	sealed, err := vault.ParseSealed(forged.Text())
	if typ == own {
		require.NoError(t, err)
		require.Equal(t, len(v.Slots), a.Reveal(t, sealed))
		return
	}
	require.Equal(t, vault.ErrCorrupt, err)
	if h, _, _ := reference.CutHeader(v.Slots[i].Header); typ < 1 || typ > 4 || typ > 2 && h.From != "" {
		return
	}
	prefix := map[byte]int{1: 5, 2: 0, 3: 85, 4: 1173}
	moved := forged.Slots[i].Sealed[prefix[own]:]
	forged.Slots[i].Sealed = slices.Concat(append([]byte{1}, make([]byte, 1172)...)[:prefix[typ]], moved)
	sealed, err = vault.ParseSealed(forged.Text())
	require.NoError(t, err)
	require.Equal(t, len(v.Slots)-1, a.Reveal(t, sealed))
}
