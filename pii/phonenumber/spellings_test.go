package phonenumber_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/phonenumber"
)

// A spelling counts the readings of numbers that are typed in one way.
type spelling struct {
	tried, same, refused, ambiguous int
	// another has the number of misreadings by region, and the first of them.
	another map[string]int
	first   string
	// zeros is the number of ambiguous texts that begin with 00.
	zeros int
}

func (s *spelling) add(typed, region, want string) {
	s.tried++
	got, err := phonenumber.Parse(typed, region)
	switch {
	case errors.Is(err, phonenumber.ErrAmbiguous):
		s.ambiguous++
		if strings.HasPrefix(typed, "00") {
			s.zeros++
		}
	case err != nil:
		s.refused++
	case got == want:
		s.same++
	default:
		if s.another == nil {
			s.another, s.first = map[string]int{}, fmt.Sprintf("%q in %s became %s, is %s", typed, region, got, want)
		}
		s.another[region]++
	}
}

func (s *spelling) misread() (n int) {
	for _, m := range s.another {
		n += m
	}
	return n
}

const (
	asE164             = "E.164"
	asInternational    = "international, grouped"
	asNational         = "national, as libphonenumber writes it"
	asDigits           = "national digits, no trunk prefix"
	asTrunk            = "trunk prefix, national digits"
	asCode             = "country code, no plus"
	asCodeGrouped      = "country code, no plus, grouped"
	asCodeTrunk        = "country code, trunk prefix, no plus"
	asPlusTrunk        = "plus, country code, trunk prefix"
	asPlusTrunkParens  = "plus, country code, trunk prefix in parentheses"
	asPreferred        = "preferred prefix, own code"
	asOther            = "other prefix, own code"
	as00               = "00, own code"
	as00Grouped        = "00, own code, grouped"
	as00Trunk          = "00, own code, trunk prefix"
	asForeignPreferred = "foreign number, preferred prefix"
	asForeignOther     = "foreign number, other prefix"
	asForeign00        = "foreign number, 00"
	asForeignBare      = "foreign number, no plus"
)

var spellings = []string{
	asE164, asInternational, asNational, asDigits, asTrunk, asCode, asCodeGrouped, asCodeTrunk, asPlusTrunk, asPlusTrunkParens,
	asPreferred, asOther, as00, as00Grouped, as00Trunk, asForeignPreferred, asForeignOther, asForeign00, asForeignBare,
}

// Numbers of all regions and types, typed in each way in which people type them, are
// read as the number that is meant, or are refused. Two ways are counted and not
// judged: a foreign number without any prefix can't be told from a national one, and
// national digits of a few plans begin with the plan's own prefix.
//
// By default there are two numbers for each region and type. ONLYFOR_SPELLINGS=50 takes
// fifty, some minutes, and ONLYFOR_SEED chooses others. The table is printed with -v.
func TestSpellings(t *testing.T) {
	seed, each := measured(t)
	all := plans(t)
	counts := map[string]*spelling{}
	for _, name := range spellings {
		counts[name] = &spelling{}
	}
	random := rand.New(rand.NewPCG(seed, 0))
	numbers := validNumbers(random, all, each)
	abroad := make([]typedNumber, 0, len(numbers))
	for _, n := range numbers {
		if n.region == "" || n.kind == "mobile" || n.kind == "fixed" {
			abroad = append(abroad, n)
		}
	}
	for _, n := range numbers {
		if n.region == "" {
			continue
		}
		p := n.plan
		add := func(name, typed string) { counts[name].add(typed, n.region, n.e164) }
		add(asE164, n.e164)
		add(asInternational, n.international)
		add(asNational, phonenumbers.Format(n.number, phonenumbers.NATIONAL))
		add(asDigits, n.national)
		add(asCode, p.code+n.national)
		add(asCodeGrouped, n.international[1:])
		add(as00, "00"+p.code+n.national)
		add(as00Grouped, "00 "+n.international[1:])
		if p.trunk != "" {
			add(asTrunk, p.trunk+n.national)
			add(asCodeTrunk, p.code+p.trunk+n.national)
			add(asPlusTrunk, "+"+p.code+" "+p.trunk+n.national)
			add(asPlusTrunkParens, "+"+p.code+" ("+p.trunk+")"+n.national)
			add(as00Trunk, "00"+p.code+p.trunk+n.national)
		}
		if p.preferred != "" {
			add(asPreferred, p.preferred+p.code+n.national)
		}
		if len(p.others) > 0 {
			add(asOther, p.others[random.IntN(len(p.others))]+p.code+n.national)
		}
	}
	for _, p := range all {
		if p.region == "" {
			continue
		}
		for range 15 * each {
			n := abroad[random.IntN(len(abroad))]
			if n.code == p.code {
				continue
			}
			add := func(name, typed string) { counts[name].add(typed, p.region, n.e164) }
			digits := n.e164[1:]
			add(asForeignBare, digits)
			add(asForeign00, "00"+digits)
			if p.preferred != "" {
				add(asForeignPreferred, p.preferred+digits)
			}
			if len(p.others) > 0 {
				add(asForeignOther, p.others[random.IntN(len(p.others))]+digits)
			}
		}
	}

	var table strings.Builder
	fmt.Fprintf(&table, "seed %d\n| typed as | tried | same | refused | ambiguous | another number |\n|---|---:|---:|---:|---:|---:|\n", seed)
	for _, name := range spellings {
		s := counts[name]
		fmt.Fprintf(&table, "| %s | %d | %d | %d | %d | %d |", name, s.tried, s.same, s.refused, s.ambiguous, s.misread())
		if n := len(s.another); n > 0 && name != asForeignBare {
			fmt.Fprint(&table, " ", slices.Sorted(maps.Keys(s.another)), " ", s.first)
		}
		table.WriteByte('\n')
	}
	t.Log(table.String())

	for _, name := range spellings {
		s := counts[name]
		require.Greater(t, s.tried, 300, name)
		if name == asForeignBare {
			continue // counted, and not judged
		}
		require.Greater(t, s.same, s.tried/2, name)
		another := maps.Clone(s.another)
		for region := range mayDiffer[name] {
			delete(another, region)
		}
		require.Empty(t, another, "%s: %s", name, s.first)
	}
	for _, name := range []string{asE164, asInternational, asPlusTrunk, asPlusTrunkParens} {
		require.Zero(t, counts[name].ambiguous, name)
	}
	// A national number with its trunk prefix begins neither with 00 nor with the
	// country code, but for freephone numbers.
	for _, name := range []string{asNational, asTrunk} {
		require.Equal(t, counts[name].zeros, counts[name].ambiguous, name)
	}
}

// measured returns the seed, and how many numbers there are for each region and type.
func measured(t testing.TB) (seed uint64, each int) {
	t.Helper()
	seed, each = 1, 2
	for name, set := range map[string]func(n uint64){
		"ONLYFOR_SPELLINGS": func(n uint64) { each = int(n) },
		"ONLYFOR_SEED":      func(n uint64) { seed = n },
	} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 64)
			require.NoError(t, err, name)
			set(n)
		}
	}
	return seed, each
}

// mayDiffer has the regions in which a way to type some numbers means others too, and
// why the other reading is right.
var mayDiffer = map[string]map[string]string{
	asNational: {"GA": "the port writes old seven-digit numbers as new ones are dialled"},
	asDigits: {
		"KZ": "a freephone number begins with 8 10, the prefix for calls abroad",
		"RU": "a freephone number begins with 8 10, the prefix for calls abroad",
	},
}

// A typedNumber is a number that is valid by its plan.
type typedNumber struct {
	plan
	kind                          string
	number                        *phonenumbers.PhoneNumber
	e164, national, international string
}

// validNumbers returns the example and further numbers of each type in each plan.
func validNumbers(random *rand.Rand, all []plan, each int) []typedNumber {
	var numbers []typedNumber
	known := map[string]bool{}
	for _, p := range all {
		for _, kind := range slices.Sorted(maps.Keys(p.patterns)) {
			add := func(national string) bool {
				text := "+" + p.code + national
				if known[p.region+text] || len(text) < 1+7 || len(text) > 1+15 {
					return false
				}
				// Made by hand, for a Parse of the port would drop a prefix.
				n := &phonenumbers.PhoneNumber{CountryCode: new(int32), NationalNumber: new(uint64)}
				code, _ := strconv.Atoi(p.code)
				*n.CountryCode = int32(code)
				*n.NationalNumber, _ = strconv.ParseUint(national, 10, 64)
				if zeros := int32(len(national) - len(strings.TrimLeft(national, "0"))); zeros > 0 {
					yes := true
					n.ItalianLeadingZero, n.NumberOfLeadingZeros = &yes, &zeros
				}
				if phonenumbers.Format(n, phonenumbers.E164) != text || !phonenumbers.IsValidNumber(n) ||
					p.region != "" && phonenumbers.GetRegionCodeForNumber(n) != p.region {
					return false
				}
				known[p.region+text] = true
				numbers = append(numbers, typedNumber{p, kind, n, text, national, phonenumbers.Format(n, phonenumbers.INTERNATIONAL)})
				return true
			}
			found := 0
			if typ, ok := types[kind]; ok && p.region != "" {
				if example := phonenumbers.GetExampleNumberForType(p.region, typ); example != nil && add(phonenumbers.GetNationalSignificantNumber(example)) {
					found++
				}
			}
			for tries := 0; found < each && tries < 20*each; tries++ {
				if add(randomWord(random, p.nationalByPattern[kind])) {
					found++
				}
			}
		}
	}
	return numbers
}
