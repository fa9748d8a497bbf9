package phonenumber_test

import (
	"fmt"
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"
)

// A plan is the numbering plan of one region, as the port's metadata have it.
type plan struct {
	region, code      string
	trunk             string   // digits dialled in front of a national number, "" if there are none
	preferred         string   // the preferred or only prefix for calls abroad, "" if there are several of one rank
	others            []string // the other prefixes for calls abroad
	patterns          map[string]string
	nationalByPattern map[string]*syntax.Regexp
}

// plans returns the plans of all regions, sorted, and the plans of no country with
// region "".
func plans(t testing.TB) []plan {
	t.Helper()
	metadata, err := phonenumbers.MetadataCollection()
	require.NoError(t, err)
	var all []plan
	for _, m := range metadata.GetMetadata() {
		p := plan{region: m.GetId(), code: fmt.Sprint(m.GetCountryCode()), trunk: digitsOf(m.GetNationalPrefix()), patterns: map[string]string{}, nationalByPattern: map[string]*syntax.Regexp{}}
		if p.region == "001" {
			p.region = ""
		}
		if prefix := m.GetInternationalPrefix(); prefix != "" {
			prefixes := wordsOf(parsePattern(t, prefix))
			if p.preferred = digitsOf(m.GetPreferredInternationalPrefix()); p.preferred == "" && len(prefixes) == 1 {
				p.preferred = prefixes[0]
			}
			p.others = slices.DeleteFunc(prefixes, func(other string) bool { return other == p.preferred })
		}
		for name, d := range map[string]*phonenumbers.PhoneNumberDesc{
			"fixed": m.GetFixedLine(), "mobile": m.GetMobile(), "tollfree": m.GetTollFree(), "premium": m.GetPremiumRate(), "shared": m.GetSharedCost(),
			"voip": m.GetVoip(), "personal": m.GetPersonalNumber(), "pager": m.GetPager(), "uan": m.GetUan(), "voicemail": m.GetVoicemail(),
		} {
			if pattern := d.GetNationalNumberPattern(); pattern != "" && pattern != "NA" {
				p.patterns[name], p.nationalByPattern[name] = pattern, parsePattern(t, pattern)
			}
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b plan) int { return strings.Compare(a.region+" "+a.code, b.region+" "+b.code) })
	require.Greater(t, len(all), 240)
	return all
}

func digitsOf(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, text)
}

func parsePattern(t testing.TB, pattern string) *syntax.Regexp {
	t.Helper()
	re, err := syntax.Parse(pattern, syntax.Perl)
	require.NoError(t, err)
	return re
}

// wordsOf returns all texts that a finite pattern matches.
func wordsOf(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}
	case syntax.OpLiteral:
		return []string{string(re.Rune)}
	case syntax.OpCharClass:
		var all []string
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				all = append(all, string(r))
			}
		}
		return all
	case syntax.OpCapture:
		return wordsOf(re.Sub[0])
	case syntax.OpQuest:
		return append(wordsOf(re.Sub[0]), "")
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			all = append(all, wordsOf(sub)...)
		}
		return all
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			var longer []string
			for _, head := range all {
				for _, tail := range wordsOf(sub) {
					longer = append(longer, head+tail)
				}
			}
			all = longer
		}
		return all
	}
	panic("pattern with " + re.Op.String())
}

// randomWord returns a text that the pattern matches.
func randomWord(random *rand.Rand, re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return ""
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		n := 0
		for i := 0; i < len(re.Rune); i += 2 {
			n += int(re.Rune[i+1]-re.Rune[i]) + 1
		}
		n = random.IntN(n)
		for i := 0; ; i += 2 {
			if size := int(re.Rune[i+1]-re.Rune[i]) + 1; n >= size {
				n -= size
				continue
			}
			return string(re.Rune[i] + rune(n))
		}
	case syntax.OpCapture:
		return randomWord(random, re.Sub[0])
	case syntax.OpQuest:
		if random.IntN(2) == 0 {
			return ""
		}
		return randomWord(random, re.Sub[0])
	case syntax.OpRepeat:
		var b strings.Builder
		for range re.Min + random.IntN(re.Max-re.Min+1) {
			b.WriteString(randomWord(random, re.Sub[0]))
		}
		return b.String()
	case syntax.OpAlternate:
		return randomWord(random, re.Sub[random.IntN(len(re.Sub))])
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			b.WriteString(randomWord(random, sub))
		}
		return b.String()
	}
	panic("pattern with " + re.Op.String())
}

// matchesSome reports whether the pattern matches some text of the shape: digits, and
// "." for any digit.
func matchesSome(prog *syntax.Prog, shape string) bool {
	states := map[uint32]bool{}
	addState(prog, states, uint32(prog.Start))
	for _, c := range shape {
		next := map[uint32]bool{}
		for pc := range states {
			inst := &prog.Inst[pc]
			if inst.Op != syntax.InstRune && inst.Op != syntax.InstRune1 {
				continue
			}
			ok := c != '.' && inst.MatchRune(c)
			for d := '0'; c == '.' && d <= '9'; d++ {
				ok = ok || inst.MatchRune(d)
			}
			if ok {
				addState(prog, next, inst.Out)
			}
		}
		states = next
	}
	for pc := range states {
		if prog.Inst[pc].Op == syntax.InstMatch {
			return true
		}
	}
	return false
}

func addState(prog *syntax.Prog, states map[uint32]bool, pc uint32) {
	if states[pc] {
		return
	}
	states[pc] = true
	switch inst := &prog.Inst[pc]; inst.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		addState(prog, states, inst.Out)
		addState(prog, states, inst.Arg)
	case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
		addState(prog, states, inst.Out)
	}
}
