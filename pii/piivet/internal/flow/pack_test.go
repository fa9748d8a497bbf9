package flow

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// filled sets all exported fields of v, to values that differ.
func filled(v reflect.Value, random *rand.Rand, depth int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(random.IntN(2) == 0)
	case reflect.Int:
		v.SetInt(int64(random.IntN(1000)))
	case reflect.String:
		v.SetString([]string{"", "example.com/shop.User.Email", "example.com/shop.User.Phone", fmt.Sprint(random.IntN(1000))}[random.IntN(4)])
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), random, depth)
	case reflect.Slice:
		n := random.IntN(4)
		if depth == 0 || n == 0 {
			return // nil, as a packer reads it
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			filled(v.Index(i), random, depth-1)
		}
	case reflect.Array:
		for i := range v.Len() {
			filled(v.Index(i), random, depth)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range random.IntN(4) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			filled(key, random, depth)
			filled(value, random, depth)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[item]() {
			v.Set(reflect.ValueOf(filledItem(random)))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				filled(v.Field(i), random, depth)
			}
		}
	default:
		panic("no packer for " + v.Type().String())
	}
}

// filledItem returns an item with one of the four that it may have.
func filledItem(random *rand.Rand) item {
	bit := func() bool { return random.IntN(2) == 0 }
	it := item{Param: -1, Content: bit(), Veiled: bit(), Inner: bit(), Hidden: bit()}
	switch random.IntN(4) {
	case 0:
		it.Source = &source{}
		filled(reflect.ValueOf(it.Source).Elem(), random, 2)
		if bit() {
			it.Source.Transport = nil
		}
	case 1:
		it.Shared = fmt.Sprintf("example.com/shop.Field%d", random.IntN(9))
	case 2:
		it.Fn = fmt.Sprintf("example.com/shop.Func%d", random.IntN(9))
	default:
		it.Param, it.Result = random.IntN(9), random.IntN(3)
	}
	return it
}

// read unpacks all parts of the flows of a package.
func read(packed []byte) (*flows, bool) {
	u, err := newUnpacker(packed)
	if err != nil {
		return nil, false
	}
	var all flows
	ok1 := u.inflows(func(uses bool) { all.Uses = uses }, func(in *inflow, _ int, _ []string) { all.Places = append(all.Places, *in) })
	funcs, ok2 := u.summaries()
	sinks, ok3 := u.sinks()
	all.Funcs, all.Open, all.Seen, all.Pending = funcs, sinks.Open, sinks.Seen, sinks.Pending
	return &all, ok1 && ok2 && ok3
}

// unnumbered is f without the numbers of names that unpacked items have.
func unnumbered(f *flows) *flows {
	clean := func(items []item) {
		for i := range items {
			items[i].name = 0
		}
	}
	for i := range f.Places {
		for j := range f.Places[i].In {
			clean(f.Places[i].In[j])
		}
	}
	for _, s := range f.Funcs {
		for i := range s.Results {
			clean(s.Results[i])
		}
		for i := range s.Sinks {
			s.Sinks[i].Item.name = 0
		}
		for i := range s.Calls {
			for j := range s.Calls[i].Args {
				clean(s.Calls[i].Args[j])
			}
		}
	}
	for i := range f.Open {
		f.Open[i].Sink.Item.name = 0
	}
	return f
}

// TestFlowsArePacked packs flows with all fields set: a field that the packer does not
// know would be lost in other packages.
func TestFlowsArePacked(t *testing.T) {
	for seed := range uint64(200) {
		var f flows
		filled(reflect.ValueOf(&f).Elem(), rand.New(rand.NewPCG(seed, 0)), 3)
		packed := pack(&f)
		got, ok := read(packed)
		require.True(t, ok)
		require.Equal(t, unnumbered(&f), unnumbered(got), "seed %d", seed)
		require.Equal(t, packed, pack(got), "seed %d: packed twice", seed)
	}
}

// TestDamagedFacts reads what another program may have written: each byte changed, and
// all beginnings.
func TestDamagedFacts(t *testing.T) {
	var f flows
	for seed := uint64(0); len(f.Places) == 0 || len(f.Open) == 0 || len(f.Funcs) == 0; seed++ {
		filled(reflect.ValueOf(&f).Elem(), rand.New(rand.NewPCG(seed, 0)), 2)
	}
	data, err := (&fact{map[string][]byte{"example.com/shop": pack(&f), "example.com/users": pack(&f)}}).GobEncode()
	require.NoError(t, err)
	open := func(data []byte) bool {
		var got fact
		if got.GobDecode(data) != nil {
			return false
		}
		for _, packed := range got.packages {
			if _, ok := read(packed); !ok {
				return false
			}
		}
		return len(got.packages) == 2
	}
	require.True(t, open(data))
	for i := range data {
		require.False(t, open(data[:i]), "the first %d bytes", i)
		for _, flip := range []byte{1, 0x80, 0xff} {
			damaged := append([]byte(nil), data...)
			damaged[i] ^= flip
			open(damaged) // does not panic, and takes no memory that the file does not have
		}
	}
	_, err = newUnpacker([]byte{3, 1})
	require.ErrorIs(t, err, errDamaged)
}

// TestNamesAreBounded is about names that repeat the beginning of others, so that a small
// file has many of them.
func TestNamesAreBounded(t *testing.T) {
	long := make([]byte, 1<<20)
	names := appendFramed([]byte{2, 0}, long)
	names = appendFramed(append(names, 0x80, 0x80, 0x40), nil) // all of the name before
	all, ok := unpackNames(names)
	require.True(t, ok)
	require.Len(t, all[1], 1<<20)
	_, ok = unpackNames([]byte{1, 1, 0})
	require.False(t, ok, "the beginning of no name")
}
