package vault_test

import (
	mrand "math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// Everything that somebody can do to sealed values without keys: whatever is not
// the slot that was sealed, where it was sealed, opens for nobody, and is refused
// with the one sentinel that its header calls for.

func TestValuesOpenUntouched(t *testing.T) {
	a := newCatalogue(t)
	require.Greater(t, len(a.values), 300)
	shapes := map[string]bool{}
	for i, v := range a.values {
		require.Equal(t, len(v.Slots), a.text(t, v.Text()), a.shapes[i])
		require.Equal(t, len(v.Slots), a.binary(t, v.Binary()), a.shapes[i])
		shapes[a.shapes[i]] = true
	}
	// Every type of slot stands first, second and third, alone and beside all others.
	for _, one := range []string{"purpose", "subject", "collector", "batch"} {
		require.True(t, shapes[one], one)
		for _, other := range []string{"purpose", "subject", "collector", "batch"} {
			require.True(t, shapes[one+"+"+other], "%s+%s", one, other)
		}
	}
}

func TestEveryBitFlip(t *testing.T) {
	a := newCatalogue(t)
	for i, v := range a.values {
		text, data := []byte(v.Text()), v.Binary()
		// A value of several slots opens for those that the flip did not touch.
		most := len(v.Slots) - 1
		for bit := range sample(8*len(text), samples(v, 16), i < few || exhaustive()) {
			text[bit/8] ^= 1 << (bit % 8)
			atMost(t, most, a.text(t, string(text)))
			text[bit/8] ^= 1 << (bit % 8)
		}
		for bit := range sample(8*len(data), samples(v, 16), i < few || exhaustive()) {
			data[bit/8] ^= 1 << (bit % 8)
			atMost(t, most, a.binary(t, data))
			data[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func atMost(t testing.TB, most, opened int) {
	if opened > most {
		t.Helper()
		t.Fatalf("%d slots opened, and at most %d are as they were", opened, most)
	}
}

// Every other byte in every place, for characters that are more than a bit away.
func TestEveryByteReplaced(t *testing.T) {
	a := newCatalogue(t)
	k := 8
	if exhaustive() {
		k = 2000 // all would be a hundred million
	}
	for i, v := range a.values {
		text, data := []byte(v.Text()), v.Binary()
		most := len(v.Slots) - 1
		for n := range sample(256*len(text), samples(v, k), i == 0) {
			at, b := n/256, byte(n)
			if c := text[at]; b != c {
				text[at] = b
				atMost(t, most, a.text(t, string(text)))
				text[at] = c
			}
		}
		for n := range sample(256*len(data), samples(v, k), i == 0) {
			at, b := n/256, byte(n)
			if c := data[at]; b != c {
				data[at] = b
				atMost(t, most, a.binary(t, data))
				data[at] = c
			}
		}
	}
}

// A part of a value is no value, from whichever end it was cut.
func TestEveryTruncation(t *testing.T) {
	a := newCatalogue(t)
	for i, v := range a.values {
		text, data := v.Text(), v.Binary()
		for n := range sample(len(text), 100, i < few || exhaustive()) {
			_, err := vault.ParseSealed(text[:n])
			require.Equal(t, n == 0, err == nil, text[:n])
			atMost(t, 0, a.text(t, text[:n]))
			if n > 0 {
				atMost(t, 0, a.text(t, text[n:]))
			}
		}
		for n := range sample(len(data), 100, i < few || exhaustive()) {
			atMost(t, 0, a.binary(t, data[:n]))
			if n > 0 {
				atMost(t, 0, a.binary(t, data[n:]))
			}
		}
	}
}

func TestEveryInsertionAndDeletion(t *testing.T) {
	a := newCatalogue(t)
	inserted := []string{"\n", "\r", "\t", " ", "\x00", ".", "~", "=", "+", "/", "-", "_", "A", "a", "0", "\u00a0", "\ufeff"}
	for i, v := range a.values {
		text, data := v.Text(), v.Binary()
		most := len(v.Slots) - 1
		for n := range sample((len(text)+1)*len(inserted), samples(v, 20), i < 3 || exhaustive()) {
			at, s := n/len(inserted), inserted[n%len(inserted)]
			atMost(t, most, a.text(t, text[:at]+s+text[at:]))
		}
		for at := range sample(len(text), samples(v, 10), i < 3 || exhaustive()) {
			atMost(t, most, a.text(t, text[:at]+text[at+1:]))
		}
		for n := range sample((len(data)+1)*4, samples(v, 20), i < 3 || exhaustive()) {
			forged := slices.Insert(slices.Clone(data), n/4, []byte{0, 1, 0x80, 0xff}[n%4])
			atMost(t, most, a.binary(t, forged))
		}
		for at := range sample(len(data), samples(v, 10), i < 3 || exhaustive()) {
			atMost(t, most, a.binary(t, slices.Delete(slices.Clone(data), at, at+1)))
		}
	}
}

// The head of one value before the tail of another, cut at every byte of
// each that could fit.
func TestEverySplice(t *testing.T) {
	a := newCatalogue(t)
	others := 1
	if exhaustive() {
		others = 8 // each at every byte: all would take days
	}
	for i, v := range a.values {
		for range others {
			a.splice(t, v, a.values[mrand.IntN(len(a.values))], false)
		}
		for j := range few {
			if i < few {
				a.splice(t, v, a.values[j], true)
			}
		}
	}
}

func (a *victim) splice(t *testing.T, v, w reference.Value, all bool) {
	t.Helper()
	vt, wt, vb, wb := v.Text(), w.Text(), v.Binary(), w.Binary()
	if vt == wt {
		return
	}
	most := max(len(v.Slots), len(w.Slots)) // whole slots may change nothing but their neighbours
	for n := range sample(min(len(vt), len(wt)), samples(v, 16), all || exhaustive()) {
		atMost(t, most, a.text(t, vt[:n]+wt[n:]))
		atMost(t, most, a.text(t, vt[:len(vt)-n]+wt[len(wt)-n:]))
	}
	for n := range sample(min(len(vb), len(wb)), samples(v, 16), all || exhaustive()) {
		atMost(t, most, a.binary(t, append(vb[:n:n], wb[n:]...)))
		atMost(t, most, a.binary(t, append(vb[:len(vb)-n:len(vb)-n], wb[len(wb)-n:]...)))
	}
}

// What a refusal is called depends on where the value was altered, and on nothing
// secret: a flip in the purpose's name can make an honest-looking value of another
// purpose, one in the header a malformed value, and wherever else a bit is flipped
// there is one answer.
func TestRefusalsByPosition(t *testing.T) {
	a := newVictim(t)
	security, err := a.vault.Collector(t.Context(), purpose.MustParse("security"))
	require.NoError(t, err)
	for _, b := range []purpose.Basis{{}, attackFull} {
		for typ, sealer := range []vault.Sealer{
			1: a.scopes["security"].Under(b), 2: a.scopes["security"].For("alice").Under(b), 3: security.Under(b),
		} {
			if sealer == nil {
				continue
			}
			asked := a.scopes["security"]
			if typ == 2 {
				asked = asked.For("alice")
			}
			a.seal(t, "", vecEmail, vecAddress, "alice", sealer)
			v := a.values[len(a.values)-1]
			s := v.Slots[0]
			type field struct {
				name string
				size int
				may  string // besides "malformed"
			}
			fields := []field{
				{"magic", 1, ""}, {"length of the kind", 1, ""}, {"kind", len(v.Kind), "corrupt"}, {"number of purposes", 1, ""},
				{"length of the name", 1, ""}, {"name", len(s.Purpose), "mismatch"}, {"value id", 16, "corrupt"},
				{"slot type", 1, ""}, {"the rest of the header", len(s.Header) - 1, "corrupt"}, {"length", 2, ""},
				{"prefix", 1, ""}, {"key, nonce, ciphertext and tag", len(s.Sealed) - 1, "corrupt"},
			}
			data, at := v.Binary(), 0
			for _, f := range fields {
				for n := range sample(8*f.size, 64, typ != 3 || exhaustive()) {
					bit := 8*at + n
					data[bit/8] ^= 1 << (bit % 8)
					var forged vault.Sealed
					if err := forged.UnmarshalBinary(data); err != nil {
						require.Equal(t, vault.ErrCorrupt, err)
						require.NotContains(t, []string{"value id", "key, nonce, ciphertext and tag"}, f.name)
					} else {
						_, err := asked.Reveal(t.Context(), vecEmail, forged)
						require.True(t, isClass(err, f.may), "type %d, %s: %v", typ, f.name, err)
					}
					data[bit/8] ^= 1 << (bit % 8)
				}
				at += f.size
			}
			require.Len(t, data, at)
		}
	}
}
