package formattest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Vectors of the counts of seals.

func (l *vecList) seals() {
	keys := vaulttest.Keys["security"]
	add := func(name, expect, comment string, data []byte) *vector {
		v := &vector{name: "seals_" + name, value: []byte(hex.EncodeToString(data) + "\n")}
		v.add("expect", expect)
		v.add("form", "seals")
		v.add("purpose", "security")
		v.add("vault", hex.EncodeToString(vaulttest.VaultID))
		v.addKeys("seal key", keys.Seal...)
		v.addKeys("subject key", keys.Subject...)
		v.add("comment", comment)
		*l = append(*l, v)
		return v
	}
	id := keys.Seal[0].ID
	for name, counts := range map[string][]reference.SealCount{
		"none": nil,
		"one":  {{ID: id, N: 1}},
		"many": {{ID: id, N: 1<<32 + 5}},
		"two":  {{ID: id, N: 7}, {ID: id + 1, N: 1<<64 - 1}},
	} {
		var words []string
		for _, c := range counts {
			words = append(words, fmt.Sprintf("%08x %d", c.ID, c.N))
		}
		add(name, "success", "so many seals of each key", reference.Seals(keys, "security", counts)).add("seals", strings.Join(words, ", "))
	}
	two := []reference.SealCount{{ID: id, N: 7}, {ID: id + 1, N: 9}}
	good := func(change func(b []byte) []byte) []byte { return change(reference.Seals(keys, "security", two)) }
	of := func(counts ...reference.SealCount) []byte { return reference.Seals(keys, "security", counts) }
	tagged := func(tag []byte) []byte { return append(good(slices.Clone)[:4+24], tag...) }
	body := reference.SealsBody(two)
	for _, c := range []struct {
		name, comment string
		data          []byte
	}{
		{"altered", "a count was set back", good(func(b []byte) []byte { b[15] = 6; return b })},
		{"key_id_altered", "a count is of another key", good(func(b []byte) []byte { b[4] ^= 0x80; return b })},
		{"tag_altered", "the last bit of the tag", good(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
		{"tag_zero", "a tag of zeros", tagged(make([]byte, 16))},
		{"version_unknown", "ofn2 is for another version", good(func(b []byte) []byte { b[3] = '2'; return b })},
		{"without_version", "nothing before the counts", good(func(b []byte) []byte { return b[4:] })},
		{"truncated_in_counts", "ends in a count", good(func(b []byte) []byte { return b[:20] })},
		{"truncated_after_counts", "no tag", good(func(b []byte) []byte { return b[:28] })},
		{"truncated_by_one", "the last byte of the tag is missing", good(func(b []byte) []byte { return b[:len(b)-1] })},
		{"trailing_byte", "a byte after the tag", good(func(b []byte) []byte { return append(b, 0) })},
		{"cut_by_a_key", "the count of one key is missing", good(func(b []byte) []byte { return slices.Delete(b, 16, 28) })},
		{"order", "the larger key id comes first", of(two[1], two[0])},
		{"key_twice", "two counts of one key", of(two[0], two[0])},
		{"count_zero", "a count of zero", of(reference.SealCount{ID: id}, two[1])},
		{"of_other_purpose", "another purpose's counts", reference.Seals(vaulttest.Keys["advertising"], "advertising", two)},
		{"bound_to_other_purpose", "another purpose is bound, under this one's key", reference.Seals(keys, "advertising", two)},
		{"bound_to_nothing", "the tag is over the counts alone", tagged(reference.CMAC(keys.Subject[0].Key, body))},
		{"bound_to_other_vault", "another vault is bound", tagged(reference.SealsTag(reference.Keys{Subject: keys.Subject, Vault: make([]byte, 16)}, "security", body))},
		{"bound_to_no_vault", "no vault is bound", tagged(reference.SealsTag(reference.Keys{Subject: keys.Subject}, "security", body))},
		{"under_index_key", "the tag is made with the index key", tagged(reference.SealsTag(reference.Keys{Subject: keys.Index, Vault: keys.Vault}, "security", body))},
		{"tag_of_pseudonym", "the tag is a pseudonym: that of a subject whose id is the counts", tagged(reference.Pseudonym("security", keys, string(body)))},
	} {
		add(c.name, "corrupt", c.comment, c.data)
	}
}

func checkSeals(t *testing.T, v *vector) {
	ctx := t.Context()
	data := reference.Hex(string(bytes.TrimSuffix(v.value, []byte("\n"))))
	asked := v.asked()
	p := purpose.MustParse(asked.Purpose)
	name := asked.Purpose + "/seals"
	store := vaulttest.StoreOfRecords(t, map[string]reference.Record{asked.Purpose: asked.Keys}, map[string][]byte{name: data})
	ours := vaulttest.OpenKept(t, store, vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
	keys, err := ours.Keys(ctx, p)
	require.Equal(t, v.get("expect"), vaulttest.Class(err))
	counts, ok := reference.ReadSeals(asked.Keys.Keys, asked.Purpose, data)
	require.Equal(t, err == nil, ok, "independent implementation")

	// A count that can't be read keeps nobody from sealing, and is not replaced.
	s, sealErr := ours.Scope(ctx, p)
	require.NoError(t, sealErr)
	vaulttest.Seal(t, s)
	require.NoError(t, ours.Close())
	after := vaulttest.Content(t, store)[name]
	if err != nil {
		require.Equal(t, data, after)
		return
	}
	var words []string
	byID := map[uint32]uint64{}
	for _, c := range counts {
		words = append(words, fmt.Sprintf("%08x %d", c.ID, c.N))
		byID[c.ID] = c.N
	}
	require.Equal(t, v.get("seals"), strings.Join(words, ", "))
	for _, k := range keys {
		if k.Role == vault.RoleSeal {
			require.Equal(t, byID[k.ID], k.Seals)
		}
	}
	id := asked.Keys.Keys.Seal[0].ID
	if len(counts) == 0 {
		counts = []reference.SealCount{{ID: id}}
	}
	counts[0].N++
	require.Equal(t, reference.Seals(asked.Keys.Keys, asked.Purpose, counts), after)
}

// Both implementations read the same counts of seals.
func FuzzSeals(f *testing.F) {
	addVectors(f, "seals")
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > vault.MaxRecord {
			return
		}
		counts, ok := reference.ReadSeals(vecSecurity, "security", data)
		v, _ := fuzzStore(t, "security/seals", data)
		keys, err := v.Keys(t.Context(), purpose.MustParse("security"))
		if ok != (err == nil) || err != nil && vaulttest.Class(err) != "corrupt" {
			t.Fatalf("want %v, got %v", ok, err)
		}
		for _, c := range counts {
			for _, k := range keys {
				if ok && k.ID == c.ID && k.Role == vault.RoleSeal && k.Seals != c.N {
					t.Fatal("another count")
				}
			}
		}
	})
}
