package pii_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
)

// indexFor returns the index of an address.
func indexFor(t testing.TB, address string, scope *vault.Scope) pii.Index {
	t.Helper()
	x, err := pii.IndexEmail(ctx, address, scope)
	require.NoError(t, err)
	return x
}

func TestIndexSet(t *testing.T) {
	security, _ := newScopes(t)
	alice, bob := indexFor(t, "alice@example.com", security), indexFor(t, "bob@example.com", security)
	var s pii.IndexSet
	require.Zero(t, s.Len())
	require.False(t, s.Has(alice))
	require.False(t, s.Has())
	require.NoError(t, s.Add())
	require.NoError(t, s.Add(alice, alice))
	require.NoError(t, s.Add(indexFor(t, "ALICE@EXAMPLE.COM", security)))
	require.Equal(t, 1, s.Len())
	var stored pii.Index
	require.NoError(t, stored.Scan(indexBytes(t, alice)))
	require.True(t, s.Has(stored), "a row of the database")
	require.False(t, s.Has(bob))
	require.True(t, s.Has(bob, alice), "one of several")

	again := s
	require.NoError(t, again.Add(bob))
	require.True(t, s.Has(bob), "a copy is the same set")
	require.Equal(t, 2, s.Len())
}

// The absence of an index is in no set, and neither is a poisoned index. To add a poisoned
// one is an error, for the person would be missing without a word.
func TestIndexSetOfNobody(t *testing.T) {
	security, _ := newScopes(t)
	alice := indexFor(t, "alice@example.com", security)
	poisoned, err := pii.IndexEmail(ctx, "", security)
	require.Error(t, err)
	var zeros pii.Index // 16 zero bytes are an index as any other
	require.NoError(t, zeros.Scan(make([]byte, vault.IndexSize)))
	var s pii.IndexSet
	require.NoError(t, s.Add(pii.Index{}))
	require.Zero(t, s.Len())
	require.Equal(t, pii.ErrPoisoned, s.Add(alice, poisoned))
	require.Zero(t, s.Len(), "all of the indexes are added, or none")
	for _, x := range []pii.Index{{}, poisoned, zeros} {
		require.False(t, s.Has(x))
	}
	require.NoError(t, s.Add(alice, zeros))
	require.False(t, s.Has(pii.Index{}) || s.Has(poisoned) || s.Has(pii.Index{}, poisoned))
	require.True(t, s.Has(pii.Index{}, poisoned, zeros))

	none := (*pii.IndexSet)(nil)
	require.Zero(t, none.Len())
	require.False(t, none.Has(alice))
	require.ErrorIs(t, none.Add(alice), vault.ErrInvalid)
	for range none.Match(slices.Values([]pii.Index{alice})) {
		require.Fail(t, "a nil set has nothing")
	}
}

// Two purposes, two kinds and two vaults have no index in common.
func TestIndexSetsOfTwoPurposes(t *testing.T) {
	const number, people = "+14155550000", 200
	kit, elsewhere := piitest.New(t, forSecurity, forAdvertising), piitest.New(t, forSecurity)
	address := func(i int) string { return fmt.Sprintf("user-%d@example.com", i) }
	filled := func(of func(i int) (pii.Index, error)) (s pii.IndexSet, all []pii.Index) {
		for i := range people {
			x, err := of(i)
			require.NoError(t, err)
			require.NoError(t, s.Add(x))
			all = append(all, x)
		}
		return s, all
	}
	of := func(scope *vault.Scope) func(int) (pii.Index, error) {
		return func(i int) (pii.Index, error) { return pii.IndexEmail(ctx, address(i), scope) }
	}
	sets, lists := map[string]pii.IndexSet{}, map[string][]pii.Index{}
	for name, index := range map[string]func(int) (pii.Index, error){
		"security":              of(kit.Scope(forSecurity)),
		"advertising":           of(kit.Scope(forAdvertising)),
		"security of elsewhere": of(elsewhere.Scope(forSecurity)),
		"another kind": func(i int) (pii.Index, error) {
			return pii.IndexOf[anyKind](ctx, address(i), kit.Scope(forSecurity))
		},
	} {
		sets[name], lists[name] = filled(index)
	}
	for one, set := range sets {
		for two, list := range lists {
			n := 0
			for range set.Match(slices.Values(list)) {
				n++
			}
			want := 0
			if one == two {
				want = people
			}
			require.Equal(t, want, n, "the set of %s and the list of %s", one, two)
		}
	}
	mixed := pii.IndexSet{}
	for _, list := range lists {
		require.NoError(t, mixed.Add(list...))
	}
	require.Equal(t, people*len(lists), mixed.Len())
}

// Match yields the members of the set with their positions, in order, and stops when the
// range does.
func TestIndexSetMatch(t *testing.T) {
	all := manyIndexes(t, 0, 10)
	var s pii.IndexSet
	require.NoError(t, s.Add(all[2], all[3], all[7]))
	poisoned, err := pii.IndexEmail(ctx, "", nil)
	require.Error(t, err)
	list := []pii.Index{all[3], {}, all[0], poisoned, all[7], all[3]}
	var at []int
	for i, x := range s.Match(slices.Values(list)) {
		require.Equal(t, list[i], x)
		at = append(at, i)
	}
	require.Equal(t, []int{0, 4, 5}, at)
	taken := 0
	counted := func(yield func(pii.Index) bool) {
		for _, x := range list {
			if taken++; !yield(x) {
				return
			}
		}
	}
	for range s.Match(counted) {
		break
	}
	require.Equal(t, 1, taken, "nothing is read ahead")
	for range s.Match(nil) {
		require.Fail(t, "a nil list has nothing")
	}
}

// Many goroutines may ask one set at once.
func TestIndexSetOfManyGoroutines(t *testing.T) {
	all := manyIndexes(t, 0, 2_000)
	var s pii.IndexSet
	require.NoError(t, s.Add(all[:1_000]...))
	var wg sync.WaitGroup
	found := make([]int, 4)
	for i := range found {
		wg.Go(func() {
			for range s.Match(slices.Values(all)) {
				found[i]++
			}
			found[i] += s.Len()
		})
	}
	wg.Wait()
	require.Equal(t, []int{2_000, 2_000, 2_000, 2_000}, found)
}

// A set that got lost in JSON without a word would be an empty one: of the people who may
// not be written to, nobody.
func TestIndexSetHasNoText(t *testing.T) {
	security, _ := newScopes(t)
	var filled pii.IndexSet
	require.NoError(t, filled.Add(indexFor(t, testAddress, security)))
	for name, s := range map[string]pii.IndexSet{"empty": {}, "filled": filled} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []any{s, &s, struct{ Set pii.IndexSet }{s}, struct{ Set *pii.IndexSet }{&s}} {
				_, err := json.Marshal(v)
				require.ErrorIs(t, err, pii.ErrNoText)
				_, err = xml.Marshal(v)
				require.Error(t, err)
			}
			require.ErrorIs(t, gob.NewEncoder(new(bytes.Buffer)).Encode(s), pii.ErrNoText)
			_, err := s.MarshalText()
			require.Equal(t, pii.ErrNoText, err)
			_, err = s.MarshalBinary()
			require.Equal(t, pii.ErrNoText, err)
			_, _, err = s.MarshalBSONValue()
			require.Equal(t, pii.ErrNoText, err)
			n := s.Len()
			require.Equal(t, pii.ErrNoText, s.UnmarshalText([]byte("pii.IndexSet")))
			require.Equal(t, pii.ErrNoText, s.UnmarshalBinary(make([]byte, vault.IndexSize)))
			require.ErrorIs(t, json.Unmarshal([]byte(`{"Set":"AAAA"}`), &struct{ Set pii.IndexSet }{s}), pii.ErrNoText)
			require.Equal(t, n, s.Len())
		})
	}
}

// FuzzIndexSet compares a set with a map by the bytes of indexes. Each byte of the input is an
// operation: the index of one of some bytes is added, or asked for. Two bits choose
// indexes that are stored, absent or poisoned.
func FuzzIndexSet(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 128, 1, 129, 0, 2, 130, 131})
	f.Add(bytes.Repeat([]byte{64, 192, 65, 193}, 5))
	for _, n := range []int{6, 7, 24, 25, 255} { // around the sizes at which the table grows
		all := make([]byte, 0, 2*n)
		for i := range n {
			all = append(all, byte(i), byte(i)|128)
		}
		f.Add(all)
	}
	poisoned, err := pii.IndexEmail(ctx, "", nil)
	require.Error(f, err)
	indexes := append(manyIndexes(f, 0, 62), pii.Index{}, poisoned)
	f.Fuzz(func(t *testing.T, ops []byte) {
		var set pii.IndexSet
		naive := map[string]bool{}
		var asked []pii.Index
		var want []int
		for i, op := range ops {
			x := indexes[(int(op&63)+i/64)%len(indexes)]
			value, err := x.Value()
			bytes, _ := value.([]byte)
			usable := err == nil && bytes != nil
			if op&128 == 0 {
				require.Equal(t, err, set.Add(x))
				if usable {
					naive[string(bytes)] = true
				}
			}
			require.Equal(t, usable && naive[string(bytes)], set.Has(x))
			require.Equal(t, len(naive), set.Len())
			asked = append(asked, x)
		}
		for i, x := range asked {
			if value, err := x.Value(); err == nil && value != nil && naive[string(value.([]byte))] {
				want = append(want, i)
			}
		}
		var got []int
		for i, x := range set.Match(slices.Values(asked)) {
			require.Equal(t, asked[i], x)
			got = append(got, i)
		}
		require.Equal(t, want, got)
	})
}

// A set as large as that of a small company has each index that was added, and no other.
func TestIndexSetGrows(t *testing.T) {
	const n = 50_000
	all := manyIndexes(t, 0, 2*n)
	var s pii.IndexSet
	for i, x := range all[:n] {
		require.NoError(t, s.Add(x))
		if s.Len() != i+1 {
			require.Equal(t, i+1, s.Len())
		}
	}
	for i, x := range all {
		if s.Has(x) != (i < n) {
			require.Equal(t, i < n, s.Has(x), i)
		}
	}
}
