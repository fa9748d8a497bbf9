package attacktest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/seed"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Two dumps are compared that hold something of each person, under different purposes.
// Nothing in the bytes may tell which two entries are of one person.

// linked compares dump a with dump b, whose entries with one number are of one person. It
// returns how many people have an entry in each dump with a rare string of four bytes in
// common, and the greatest number that chance explains.
//
// A string is rare if at most ten entries of a have it: a string of every value, such as
// a key id of the purpose, tells nobody apart. Strings of random bytes, and of few random
// bytes beside a byte of a header, meet by chance. How often, the pairs of entries of two
// people tell: there are a thousand times as many. If nothing links the entries, the
// pairs of one person are as likely to meet, so their number has a binomial
// distribution. It exceeds the returned bound with a probability below 1e-10.
func linked(a, b [][]byte) (people, bound int) {
	const size, rare = 4, 10
	grams := func(entry []byte) map[uint32]bool {
		set := map[uint32]bool{}
		for i := range len(entry) - size + 1 {
			set[binary.BigEndian.Uint32(entry[i:])] = true
		}
		return set
	}
	owners := map[uint32][]int{}
	for i, entry := range a {
		for g := range grams(entry) {
			if len(owners[g]) <= rare {
				owners[g] = append(owners[g], i)
			}
		}
	}
	others := 0
	for j, entry := range b {
		met := map[int]bool{}
		for g := range grams(entry) {
			if len(owners[g]) <= rare {
				for _, i := range owners[g] {
					met[i] = true
				}
			}
		}
		if met[j] {
			people++
			delete(met, j)
		}
		others += len(met)
	}
	n := float64(len(a))
	p := (float64(others) + 7*math.Sqrt(float64(others)) + 25) / (n * (n - 1)) // seven standard deviations above
	// The tail of the binomial distribution, from the top.
	tail := 0.0
	for bound = len(a); bound > 0; bound-- {
		k := float64(bound)
		all, _ := math.Lgamma(n + 1)
		in, _ := math.Lgamma(k + 1)
		out, _ := math.Lgamma(n - k + 1)
		if tail += math.Exp(all - in - out + k*math.Log(p) + (n-k)*math.Log1p(-p)); tail > 1e-10 {
			return people, bound
		}
	}
	return people, bound
}

// bodies returns the decoded bodies of values, without their labels.
func bodies(t testing.TB, values []vault.Sealed) [][]byte {
	t.Helper()
	all := make([][]byte, len(values))
	for i, v := range values {
		value, ok := reference.Parse(string(vaulttest.MustText(t, v)))
		require.True(t, ok)
		all[i] = value.Body()
	}
	return all
}

const population = 1000

// signUps seals two values of each person at one moment: one for security, and one for
// advertising and perhaps for security, too. Either may be of a purpose, of the person or
// of a collector, and may be re-sealed later.
func signUps(t *testing.T, exact bool) (security, advertising []vault.Sealed) {
	r := seed.Rand(t)
	v := vaulttest.Generated(t, &vault.Options{ExactTimes: exact}, vaulttest.Security, vaulttest.Advertising, vaulttest.Billing)
	defer v.Close()
	names := []purpose.Purpose{vaulttest.Security, vaulttest.Advertising, vaulttest.Billing}
	scopes, collectors := map[purpose.Purpose]*vault.Scope{}, map[purpose.Purpose]*vault.Collector{}
	for _, p := range names {
		scopes[p], collectors[p] = vaulttest.Scope(t, v, p), vaulttest.Collector(t, v, p)
	}
	bases := []purpose.Basis{{}, {Notice: "n-1"}, {Legal: purpose.Consent, Consent: "campaign-7"}, {Retain: 30 * 24 * time.Hour}}
	seal := func(person string, of ...purpose.Purpose) vault.Sealed {
		t.Helper()
		var sealers []vault.Sealer
		var own []*vault.Scope
		for _, p := range of {
			b := bases[r.IntN(len(bases))]
			switch r.IntN(10) {
			case 0:
				sealers = append(sealers, collectors[p].Under(b))
			case 1, 2:
				sealers = append(sealers, scopes[p].Under(b))
			default:
				sealers = append(sealers, scopes[p].For(person).Under(b))
			}
			own = append(own, scopes[p].For(person))
		}
		value, err := vault.Seal(t.Context(), vaulttest.Note, fmt.Sprintf("%016x", r.Uint64()), sealers...)
		require.NoError(t, err)
		if r.IntN(4) == 0 { // taken in for the person
			value, err = vault.Reseal(t.Context(), vaulttest.Note, value, nil, own...)
			require.NoError(t, err)
		}
		return value
	}
	for i := range population {
		time.Sleep(time.Duration(1+r.IntN(60)) * time.Second) // and all within a day
		person := fmt.Sprint("user-", i)
		one := []purpose.Purpose{vaulttest.Security}
		if r.IntN(3) == 0 {
			one = append(one, vaulttest.Billing)
		}
		other := []purpose.Purpose{vaulttest.Advertising}
		if r.IntN(3) > 0 {
			other = append(other, vaulttest.Security)
		}
		security = append(security, seal(person, one...))
		advertising = append(advertising, seal(person, other...))
	}
	return security, advertising
}

// Values that one person gave for two purposes have no rare string in common. The dumps
// are those of a thousand sign-ups in a day: whoever reads both, without any key, can't
// tell which rows are of one person.
func TestNothingJoinsValuesOfOnePerson(t *testing.T) {
	var security, advertising []vault.Sealed
	synctest.Test(t, func(t *testing.T) { security, advertising = signUps(t, false) })
	a, b := bodies(t, security), bodies(t, advertising)
	people, bound := linked(a, b)
	t.Logf("%d people of %d are linked, and chance explains up to %d", people, population, bound)
	require.LessOrEqual(t, people, bound, "of %d people", population)
	require.Less(t, bound, population/10, "the measure sees no more than this")

	// The same measure finds each of the links that the format had or that it declares.
	finds := func(how string, least int, a, b [][]byte) {
		t.Helper()
		people, bound := linked(a, b)
		t.Logf("%s: %d people of %d are linked, and chance explains up to %d", how, people, population, bound)
		require.Greater(t, people, bound, how)
		require.GreaterOrEqual(t, people, least, how)
	}
	synctest.Test(t, func(t *testing.T) {
		security, advertising := signUps(t, true)
		finds("exact times", population*9/10, bodies(t, security), bodies(t, advertising))
	})
	// A key id for each person and purpose in the slots of persons.
	named := func(values []vault.Sealed) [][]byte {
		all := make([][]byte, len(values))
		for i, v := range values {
			value, ok := reference.Parse(string(vaulttest.MustText(t, v)))
			require.True(t, ok)
			for n, s := range value.Slots {
				if s.Header[0] == 2 {
					id := vaulttest.Bytes(fmt.Sprint("key id ", i, s.Purpose), 4)
					value.Slots[n].Sealed = append(append([]byte{1}, id...), s.Sealed...)
				}
			}
			all[i] = value.Body()
		}
		return all
	}
	finds("key ids of persons", population/5, named(security), named(advertising))
	// The halves of one value have its id.
	var halves [2][]vault.Sealed
	for _, v := range advertising {
		if v.Purposes().Contains(vaulttest.Security) {
			halves[0], halves[1] = append(halves[0], v.Without(vaulttest.Advertising)), append(halves[1], v.Without(vaulttest.Security))
		}
	}
	finds("value ids", len(halves[0]), bodies(t, halves[0]), bodies(t, halves[1]))
}

// The records that a key store has of one person under two purposes have neither their
// names nor their bytes in common, and all have one size.
func TestNothingJoinsRecordsOfOnePerson(t *testing.T) {
	ctx := t.Context()
	store := vault.Memory()
	v := vaulttest.Open(t, store, vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
	require.NoError(t, v.Generate(ctx, vaulttest.Security, vaulttest.Advertising))
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	var pseudonyms [2][]string
	for i := range population {
		person := fmt.Sprint("user-", i)
		vaulttest.Seal(t, sec.For(person), ads.For(person))
		for n, s := range []*vault.Scope{sec, ads} {
			pseudonym, err := s.Pseudonym(ctx, person)
			require.NoError(t, err)
			pseudonyms[n] = append(pseudonyms[n], pseudonym)
		}
	}
	records := map[string][]byte{} // by pseudonym
	sizes := map[int]int{}
	for name, data := range vaulttest.Content(t, store) {
		if pseudonym := name[strings.LastIndexByte(name, '/')+1:]; len(pseudonym) == 32 {
			raw, err := hex.DecodeString(pseudonym)
			require.NoError(t, err)
			records[pseudonym] = slices.Concat(raw, data)
			sizes[len(data)]++
		}
	}
	require.Len(t, records, 2*population)
	require.Len(t, sizes, 1, "a size tells people apart")
	var dumps [2][][]byte
	for n, all := range pseudonyms {
		for _, pseudonym := range all {
			require.NotNil(t, records[pseudonym])
			dumps[n] = append(dumps[n], records[pseudonym])
		}
	}
	people, bound := linked(dumps[0], dumps[1])
	t.Logf("%d people of %d are linked, and chance explains up to %d", people, population, bound)
	require.LessOrEqual(t, people, bound)
	for i := range dumps[1] { // and it would see a link
		dumps[1][i] = slices.Concat(dumps[1][i], dumps[0][i][:4])
	}
	people, bound = linked(dumps[0], dumps[1])
	require.Greater(t, people, bound)
	require.Equal(t, population, people)
}

// The files of a Dir do not tell in which order people signed up, so two purposes' listings
// are not joined by their order.
func TestNothingJoinsFilesOfOnePerson(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "keys")
	v := vaulttest.Open(t, vault.Dir(dir), vault.SharedKEK(vaulttest.NewAEAD(t)), nil)
	require.NoError(t, v.Generate(ctx, vaulttest.Security, vaulttest.Advertising))
	scopes := []*vault.Scope{vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)}
	const people = 60
	owner := map[string]string{} // by pseudonym
	for i := range people {
		person := fmt.Sprint("user-", i)
		vaulttest.Seal(t, scopes[0].For(person), scopes[1].For(person))
		for _, s := range scopes {
			pseudonym, err := s.Pseudonym(ctx, person)
			require.NoError(t, err)
			owner[pseudonym] = person
		}
	}
	// byTime returns the people in the order of a time of their files.
	byTime := func(p purpose.Purpose, of func(fs.FileInfo) time.Time) (names []string) {
		t.Helper()
		at := map[string]time.Time{}
		require.NoError(t, filepath.WalkDir(filepath.Join(dir, p.String(), "subjects"), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			person := owner[strings.TrimSuffix(e.Name(), ".key")]
			names, at[person] = append(names, person), of(info)
			return err
		}))
		require.Len(t, names, people)
		slices.SortFunc(names, func(a, b string) int { return at[a].Compare(at[b]) })
		return names
	}
	// joined returns how many people stand at one place of both lists: one, on average, and
	// sixteen with a probability below 1e-13.
	joined := func(a, b []string) (n int) {
		for i := range a {
			if a[i] == b[i] {
				n++
			}
		}
		return n
	}
	modified := func(info fs.FileInfo) time.Time { return info.ModTime() }
	require.Less(t, joined(byTime(vaulttest.Security, modified), byTime(vaulttest.Advertising, modified)), 16)
	// The measure sees an order, such as that of sign-ups.
	inOrder := func(info fs.FileInfo) time.Time {
		n, err := strconv.Atoi(strings.TrimPrefix(owner[strings.TrimSuffix(info.Name(), ".key")], "user-"))
		require.NoError(t, err)
		return time.Unix(int64(n), 0)
	}
	require.Equal(t, people, joined(byTime(vaulttest.Security, inOrder), byTime(vaulttest.Advertising, inOrder)))
}
