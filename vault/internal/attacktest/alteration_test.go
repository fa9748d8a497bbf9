package attacktest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Everything that somebody can do to sealed values without keys: whatever is not
// the slot that was sealed, where it was sealed, opens for nobody, and is refused
// with the one sentinel that its header calls for.

func TestValuesOpenUntouched(t *testing.T) {
	a := vaulttest.NewCatalogue(t)
	require.Greater(t, len(a.Values), 300)
	shapes := map[string]bool{}
	for i, v := range a.Values {
		require.Equal(t, len(v.Slots), a.Text(t, v.Text()), a.Shapes[i])
		require.Equal(t, len(v.Slots), a.Binary(t, v.Binary()), a.Shapes[i])
		shapes[a.Shapes[i]] = true
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
	a := vaulttest.NewCatalogue(t)
	for i, v := range a.Values {
		text, data := []byte(v.Text()), v.Binary()
		// A value of several slots opens for those that the flip did not touch.
		most := len(v.Slots) - 1
		for bit := range a.Sample(8*len(text), vaulttest.Samples(v, 16), i < vaulttest.Few || vaulttest.Exhaustive()) {
			text[bit/8] ^= 1 << (bit % 8)
			vaulttest.AtMost(t, most, a.Text(t, string(text)))
			text[bit/8] ^= 1 << (bit % 8)
		}
		for bit := range a.Sample(8*len(data), vaulttest.Samples(v, 16), i < vaulttest.Few || vaulttest.Exhaustive()) {
			data[bit/8] ^= 1 << (bit % 8)
			vaulttest.AtMost(t, most, a.Binary(t, data))
			data[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// Every other byte in every place, for characters that are more than a bit away.
func TestEveryByteReplaced(t *testing.T) {
	a := vaulttest.NewCatalogue(t)
	k := 8
	if vaulttest.Exhaustive() {
		k = 2000 // all would be a hundred million
	}
	for i, v := range a.Values {
		text, data := []byte(v.Text()), v.Binary()
		most := len(v.Slots) - 1
		for n := range a.Sample(256*len(text), vaulttest.Samples(v, k), i == 0) {
			at, b := n/256, byte(n)
			if c := text[at]; b != c {
				text[at] = b
				vaulttest.AtMost(t, most, a.Text(t, string(text)))
				text[at] = c
			}
		}
		for n := range a.Sample(256*len(data), vaulttest.Samples(v, k), i == 0) {
			at, b := n/256, byte(n)
			if c := data[at]; b != c {
				data[at] = b
				vaulttest.AtMost(t, most, a.Binary(t, data))
				data[at] = c
			}
		}
	}
}

// A part of a value is no value, from whichever end it was cut.
func TestEveryTruncation(t *testing.T) {
	a := vaulttest.NewCatalogue(t)
	for i, v := range a.Values {
		text, data := v.Text(), v.Binary()
		for n := range a.Sample(len(text), 100, i < vaulttest.Few || vaulttest.Exhaustive()) {
			_, err := vault.ParseSealed(text[:n])
			require.Equal(t, n == 0, err == nil, text[:n])
			vaulttest.AtMost(t, 0, a.Text(t, text[:n]))
			if n > 0 {
				vaulttest.AtMost(t, 0, a.Text(t, text[n:]))
			}
		}
		for n := range a.Sample(len(data), 100, i < vaulttest.Few || vaulttest.Exhaustive()) {
			vaulttest.AtMost(t, 0, a.Binary(t, data[:n]))
			if n > 0 {
				vaulttest.AtMost(t, 0, a.Binary(t, data[n:]))
			}
		}
	}
}

func TestEveryInsertionAndDeletion(t *testing.T) {
	a := vaulttest.NewCatalogue(t)
	inserted := []string{"\n", "\r", "\t", " ", "\x00", ".", "~", "=", "+", "/", "-", "_", "A", "a", "0", "\u00a0", "\ufeff"}
	for i, v := range a.Values {
		text, data := v.Text(), v.Binary()
		most := len(v.Slots) - 1
		for n := range a.Sample((len(text)+1)*len(inserted), vaulttest.Samples(v, 20), i < 3 || vaulttest.Exhaustive()) {
			at, s := n/len(inserted), inserted[n%len(inserted)]
			vaulttest.AtMost(t, most, a.Text(t, text[:at]+s+text[at:]))
		}
		for at := range a.Sample(len(text), vaulttest.Samples(v, 10), i < 3 || vaulttest.Exhaustive()) {
			vaulttest.AtMost(t, most, a.Text(t, text[:at]+text[at+1:]))
		}
		for n := range a.Sample((len(data)+1)*4, vaulttest.Samples(v, 20), i < 3 || vaulttest.Exhaustive()) {
			forged := slices.Insert(slices.Clone(data), n/4, []byte{0, 1, 0x80, 0xff}[n%4])
			vaulttest.AtMost(t, most, a.Binary(t, forged))
		}
		for at := range a.Sample(len(data), vaulttest.Samples(v, 10), i < 3 || vaulttest.Exhaustive()) {
			vaulttest.AtMost(t, most, a.Binary(t, slices.Delete(slices.Clone(data), at, at+1)))
		}
	}
}

// The head of one value before the tail of another, cut at every byte of
// each that could fit.
func TestEverySplice(t *testing.T) {
	a := vaulttest.NewCatalogue(t)
	others := 1
	if vaulttest.Exhaustive() {
		others = 8 // each at every byte: all would take days
	}
	for i, v := range a.Values {
		for range others {
			splice(t, a, v, a.Values[a.Rand.IntN(len(a.Values))], false)
		}
		for j := range vaulttest.Few {
			if i < vaulttest.Few {
				splice(t, a, v, a.Values[j], true)
			}
		}
	}
}

func splice(t *testing.T, a *vaulttest.Victim, v, w reference.Value, all bool) {
	t.Helper()
	vt, wt, vb, wb := v.Text(), w.Text(), v.Binary(), w.Binary()
	if vt == wt {
		return
	}
	most := max(len(v.Slots), len(w.Slots)) // whole slots may change nothing but their neighbours
	for n := range a.Sample(min(len(vt), len(wt)), vaulttest.Samples(v, 16), all || vaulttest.Exhaustive()) {
		vaulttest.AtMost(t, most, a.Text(t, vt[:n]+wt[n:]))
		vaulttest.AtMost(t, most, a.Text(t, vt[:len(vt)-n]+wt[len(wt)-n:]))
	}
	for n := range a.Sample(min(len(vb), len(wb)), vaulttest.Samples(v, 16), all || vaulttest.Exhaustive()) {
		vaulttest.AtMost(t, most, a.Binary(t, append(vb[:n:n], wb[n:]...)))
		vaulttest.AtMost(t, most, a.Binary(t, append(vb[:len(vb)-n:len(vb)-n], wb[len(wb)-n:]...)))
	}
}

// What a refusal is called depends on where the value was altered, and on nothing
// secret: a flip in the purpose's name can make an honest-looking value of another
// purpose, one in the header a malformed value, and wherever else a bit is flipped
// there is one answer.
func TestRefusalsByPosition(t *testing.T) {
	a := vaulttest.NewVictim(t)
	security, err := a.Vault.Collector(t.Context(), purpose.MustParse("security"))
	require.NoError(t, err)
	for _, b := range []purpose.Basis{{}, vaulttest.FullBasis} {
		for typ, sealer := range []vault.Sealer{
			1: a.Scopes["security"].Under(b), 2: a.Scopes["security"].For("alice").Under(b), 3: security.Under(b),
		} {
			if sealer == nil {
				continue
			}
			asked := a.Scopes["security"]
			if typ == 2 {
				asked = asked.For("alice")
			}
			a.Seal(t, "", vaulttest.Email, vaulttest.Address, "alice", sealer)
			v := a.Values[len(a.Values)-1]
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
			if typ == 2 { // nonce, ciphertext and tag
				fields[10].may = "corrupt"
			}
			data, at := v.Binary(), 0
			for _, f := range fields {
				for n := range a.Sample(8*f.size, 64, typ != 3 || vaulttest.Exhaustive()) {
					bit := 8*at + n
					data[bit/8] ^= 1 << (bit % 8)
					var forged vault.Sealed
					if err := forged.UnmarshalBinary(data); err != nil {
						require.Equal(t, vault.ErrCorrupt, err)
						require.NotContains(t, []string{"value id", "key, nonce, ciphertext and tag"}, f.name)
					} else {
						_, err := asked.Reveal(t.Context(), vaulttest.Email, forged)
						require.True(t, vaulttest.IsClass(err, f.may), "type %d, %s: %v", typ, f.name, err)
					}
					data[bit/8] ^= 1 << (bit % 8)
				}
				at += f.size
			}
			require.Len(t, data, at)
		}
	}
}
