package phonenumber_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/phonenumber"
)

// programs returns the compiled patterns of the plans of each country code.
func programs(t testing.TB, all []plan) map[string][]*syntax.Prog {
	byCode := map[string][]*syntax.Prog{}
	known := map[string]bool{}
	for _, p := range all {
		for _, pattern := range p.patterns {
			if known[p.code+" "+pattern] {
				continue
			}
			known[p.code+" "+pattern] = true
			prog, err := syntax.Compile(parsePattern(t, "^(?:"+pattern+")$").Simplify())
			require.NoError(t, err)
			byCode[p.code] = append(byCode[p.code], prog)
		}
	}
	return byCode
}

func someMatches(progs []*syntax.Prog, shape string) bool {
	for _, prog := range progs {
		if matchesSome(prog, shape) {
			return true
		}
	}
	return false
}

// Package pii refuses digits behind a country code by a short table, which is here
// compared with the plans of the port. Whatever national numbers a plan has, by their
// first three digits and their length, package pii seals. An update of the port that
// makes this test fail brings a country whose numbers package pii would refuse: its
// table in phone.go has to have it first.
func TestNoNumberOfAPlanIsRefusedByPackagePII(t *testing.T) {
	all := plans(t)
	shapes := 0
	for code, progs := range programs(t, all) {
		var walk func(start string, digits int)
		walk = func(start string, digits int) {
			if !someMatches(progs, start+strings.Repeat(".", digits-len(start))) {
				return
			}
			if len(start) == 3 || len(start) == 1 && start != "0" && !hasKeptPrefix[code] {
				shapes++
				number := "+" + code + start + "5555555555555"[:digits-len(start)]
				require.True(t, pii.ValidPhone(number), "%s", number)
				return
			}
			for d := '0'; d <= '9'; d++ {
				walk(start+string(d), digits)
			}
		}
		for digits := max(4, 7-len(code)); digits <= 15-len(code); digits++ {
			walk("", digits)
		}
	}
	require.Greater(t, shapes, 2000)
}

// hasKeptPrefix has the country codes for which package pii looks at more than a zero.
var hasKeptPrefix = map[string]bool{"1": true, "7": true, "54": true, "241": true, "261": true, "370": true, "375": true, "378": true, "672": true, "692": true, "993": true}

// The reverse: package pii accepts a zero behind a country code where a plan has such
// numbers, and nowhere else. Where the trunk prefix is 0 too, the second digit decides.
func TestZeroBehindTheCountryCode(t *testing.T) {
	all := plans(t)
	progs := programs(t, all)
	trunkZero := map[string]bool{}
	for _, p := range all {
		trunkZero[p.code] = trunkZero[p.code] || strings.HasPrefix(p.trunk, "0")
	}
	accepted := map[string]bool{}
	possible := func(code, start string) bool {
		for digits := max(4, 7-len(code)); digits <= 15-len(code); digits++ {
			if someMatches(progs[code], start+strings.Repeat(".", digits-len(start))) {
				return true
			}
		}
		return false
	}
	for code := range progs {
		for d := '0'; d <= '9'; d++ {
			start := "0" + string(d)
			want := possible(code, "0")
			if trunkZero[code] {
				want = possible(code, start)
			}
			require.Equal(t, want, pii.ValidPhone("+"+code+" "+start+"34567"), "+%s %s", code, start)
			if want {
				accepted[code] = true
			}
		}
	}
	require.Len(t, accepted, 31)
}

// Input is one number to Parse and to package pii, or one of them refuses it: for each
// number of the plans with digits put in, left out and changed behind its country code.
func TestNoInputIsTwoNumbers(t *testing.T) {
	scope := newScope(t)
	ctx := context.Background()
	all := plans(t)
	seed, each := measured(t)
	random := rand.New(rand.NewPCG(seed, 1))
	var both, parsedAlone, sealedAlone int
	for _, n := range validNumbers(random, all, each) {
		code, national := "+"+n.code, n.national
		inputs := []string{n.e164, n.international}
		for _, kept := range []string{n.trunk, "0", "00", "01", "06", "1", "8", "80", "810", "9", "15", "044", "1" + n.code, "0" + n.code} {
			inputs = append(inputs, code+kept+national, code+" "+kept+" "+national, code+"("+kept+")"+national)
		}
		for range 2 {
			i := random.IntN(len(national))
			inputs = append(inputs, code+national[:i]+national[i+1:], code+national[:i]+"15"+national[i:], code+national[i:])
		}
		changed := []byte(national)
		changed[random.IntN(len(changed))] = '0' + byte(random.IntN(10))
		inputs = append(inputs, code+string(changed), fmt.Sprintf("%s%d", code, random.IntN(1e9)), fmt.Sprintf("%s0%d", code, random.IntN(1e9)))
		random.Shuffle(len(inputs), func(i, j int) { inputs[i], inputs[j] = inputs[j], inputs[i] })
		for _, input := range inputs[:20] {
			number, err := phonenumber.Parse(input, "")
			if sealed := pii.ValidPhone(input); err != nil || !sealed {
				if err == nil {
					parsedAlone++
				} else if sealed {
					sealedAlone++
				}
				continue
			}
			both++
			parsed, err := pii.IndexPhone(ctx, number, scope)
			require.NoError(t, err)
			asTyped, err := pii.IndexPhone(ctx, input, scope)
			require.NoError(t, err)
			require.True(t, parsed.Equal(asTyped), "seed %d: %q is %s to Parse alone", seed, input, number)
		}
	}
	t.Logf("seed %d: %d inputs are one number to both, %d to Parse alone, %d to package pii alone", seed, both, parsedAlone, sealedAlone)
	require.Greater(t, both, 3000)
}
