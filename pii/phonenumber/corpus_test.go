package phonenumber_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/phonenumber"
)

// A typed is one line of testdata/corpus: what other projects test with, told
// anew. The lines are those of pii/testdata/corpus, with the region between.
type typed struct {
	rule, input, region, want string
}

func readCorpus(t testing.TB) []typed {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "corpus", "*.txt"))
	require.NoError(t, err)
	var all []typed
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			if line == "" || line[0] == '#' {
				continue
			}
			rule, _, found := strings.Cut(line, `"`)
			require.True(t, found, line)
			quoted, err := strconv.QuotedPrefix(line[len(rule):])
			require.NoError(t, err, line)
			input, err := strconv.Unquote(quoted)
			require.NoError(t, err, line)
			verdict, note, _ := strings.Cut(line[len(rule)+len(quoted):], " # ")
			fields := strings.Fields(verdict)
			require.Len(t, fields, 2, line)
			c := typed{strings.TrimSuffix(filepath.Base(file), ".txt") + "/" + strings.TrimSpace(rule), input, strings.Trim(fields[0], "-"), ""}
			if fields[1] != "invalid" {
				c.want = strings.Trim(fields[1], `"`)
			}
			if note != "" && !strings.HasPrefix(note, "they reveal: ") {
				require.Equal(t, strings.HasPrefix(note, "they refuse: "), c.want != "", "the note is of the other verdict: %s", line)
				require.Equal(t, strings.HasPrefix(note, "they accept: "), c.want == "", "the note is of the other verdict: %s", line)
			}
			all = append(all, c)
		}
	}
	require.Greater(t, len(all), 200)
	return all
}

// What other projects test with is refused, or is the number that the corpus
// says, which package pii seals as it is and finds again.
func TestCorpus(t *testing.T) {
	scope := newScope(t)
	byIndex := make(map[string]string)
	for _, c := range readCorpus(t) {
		t.Run(c.rule, func(t *testing.T) {
			got, err := phonenumber.Parse(c.input, c.region)
			if c.want == "" {
				require.ErrorIs(t, err, pii.ErrMalformed)
				require.Empty(t, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			isKept(t, scope, got)
			index, err := pii.IndexPhone(context.Background(), got, scope)
			require.NoError(t, err)
			column, err := index.Value()
			require.NoError(t, err)
			key := string(column.([]byte))
			if other, taken := byIndex[key]; taken {
				require.Equal(t, other, got, "two numbers have one index")
			}
			byIndex[key] = got
		})
	}
	require.Greater(t, len(byIndex), 80)
}

// Two inputs that libphonenumber itself takes for different numbers never become
// one: over the corpus and all examples, whatever becomes the same E.164 number
// here is an exact match there.
func TestOneNumberIsOneNumberThere(t *testing.T) {
	first := make(map[string]*phonenumbers.PhoneNumber)
	pairs := 0
	check := func(input, region string) {
		got, err := phonenumber.Parse(input, region)
		if err != nil {
			return
		}
		if region == "" {
			region = "ZZ"
		}
		// There, 00 and the first digit of a country code are a carrier's prefix.
		if rest, is := strings.CutPrefix(input, "00"); is && region == "HK" && !strings.HasPrefix(input, "001") {
			input = "+" + rest
		}
		there, err := phonenumbers.Parse(strings.Trim(input, " \t\r\n\u200f\u061c\u00ad\u200c\u200d\ufe0f"), region)
		require.NoError(t, err, "%q in %s", input, region)
		require.Empty(t, there.GetExtension(), "%q in %s", input, region)
		known, taken := first[got]
		if !taken {
			first[got] = there
			return
		}
		pairs++
		require.Equal(t, phonenumbers.EXACT_MATCH, phonenumbers.IsNumberMatchWithNumbers(known, there), "%q in %s became %s", input, region, got)
	}
	for _, c := range readCorpus(t) {
		check(c.input, c.region)
	}
	for _, e := range examples() {
		for _, text := range []string{e.e164, e.international, e.national} {
			check(text, e.region)
		}
	}
	require.Greater(t, pairs, 2000)
}

// A number that begins with "+" is the same person's wherever it is typed. The
// port reads +00 as what is dialled to get abroad, and then +0012015550123 is a
// number of North America in 190 regions and of Egypt in seven.
func TestPlusMeansTheSameInEveryRegion(t *testing.T) {
	inputs := []string{"+0012015550123", "+00 1 201 555 0123", "+011201 555 0123", "+(0)012015550123", "\uff0b0012015550123", "(+001) 201 555 0123", "+\u0660\u0660\u0661\u0662\u0660\u0661\u0665\u0665\u0665\u0660\u0661\u0662\u0663", "+8102015550123", "+810 1 201 555 0123"}
	for _, c := range readCorpus(t) {
		if strings.ContainsAny(c.input, "+\uff0b") {
			inputs = append(inputs, c.input)
		}
	}
	require.Greater(t, len(inputs), 40)
	for _, input := range inputs {
		want, err := phonenumber.Parse(input, "")
		for region := range phonenumbers.GetSupportedRegions() {
			got, regionErr := phonenumber.Parse(input, region)
			require.Equal(t, err == nil, regionErr == nil, "%q in %s", input, region)
			require.Equal(t, want, got, "%q in %s", input, region)
		}
	}
}

// A sign that gets between the digits changes no number into another: what is
// accepted with it is what is typed without it. By default each fifth region is
// taken; ONLYFOR_RUNES=all takes them all.
func TestASignWithinMakesNoOtherNumber(t *testing.T) {
	signs := []string{" ", "-", ".", "/", "(", ")", "\u00a0", "\u2011", "\u200b", "\u200e", ",", ";", "#", "*", "~", "x", "\uff10", "\u0660", "\u0966", "e"}
	all := examples()
	for i, key := range slices.Sorted(maps.Keys(all)) {
		if _, kind, typed := strings.Cut(key, " "); typed && kind != "mobile" || i%5 != 0 && os.Getenv("ONLYFOR_RUNES") != "all" {
			continue // the first example of a region, and its mobile number
		}
		e := all[key]
		for _, text := range []string{e.e164, e.national} {
			want, err := phonenumber.Parse(text, e.region)
			if err != nil {
				continue
			}
			for i := 1; i < len(text); i += 2 {
				for _, sign := range signs {
					input := text[:i] + sign + text[i:]
					if got, err := phonenumber.Parse(input, e.region); err == nil && got != want {
						t.Fatalf("%s: %q became %s, without %q it is %s", key, input, got, sign, want)
					}
				}
			}
		}
	}
}
