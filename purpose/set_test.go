package purpose_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

func TestSet(t *testing.T) {
	none := purpose.Purpose{}
	for rule, c := range map[string]struct {
		of   []purpose.Purpose
		want []purpose.Purpose
		text string
	}{
		"of nothing":                     {nil, nil, ""},
		"of one":                         {[]purpose.Purpose{security}, []purpose.Purpose{security}, "security"},
		"in ascending order":             {[]purpose.Purpose{security, advertising, billing}, []purpose.Purpose{advertising, billing, security}, "advertising+billing+security"},
		"duplicates count once":          {[]purpose.Purpose{security, billing, security, security}, []purpose.Purpose{billing, security}, "billing+security"},
		"one purpose twice":              {[]purpose.Purpose{security, security}, []purpose.Purpose{security}, "security"},
		"a zero purpose is left out":     {[]purpose.Purpose{none, security, none}, []purpose.Purpose{security}, "security"},
		"a zero purpose alone is none":   {[]purpose.Purpose{none}, nil, ""},
		"zero purposes are none":         {[]purpose.Purpose{none, none}, nil, ""},
		"a name that begins another one": {[]purpose.Purpose{purpose.MustParse("ab"), purpose.MustParse("a"), purpose.MustParse("a-b")}, []purpose.Purpose{purpose.MustParse("a"), purpose.MustParse("a-b"), purpose.MustParse("ab")}, "a+a-b+ab"},
	} {
		t.Run(rule, func(t *testing.T) {
			given := slices.Clone(c.of)
			s := purpose.NewSet(c.of...)
			require.Equal(t, given, c.of, "the arguments are left as they were")
			require.Equal(t, c.want, slices.Collect(s.All()))
			require.Equal(t, len(c.want), s.Len())
			require.Equal(t, len(c.want) == 0, s.IsZero())
			require.Equal(t, c.text, s.String())
			for _, p := range c.want {
				require.True(t, s.Contains(p))
			}
			require.False(t, s.Contains(none))
			require.False(t, s.Contains(purpose.MustParse("unrelated")))
			slices.Reverse(c.of)
			require.True(t, s == purpose.NewSet(c.of...), "== compares members")
		})
	}
}

func TestSetContainsWholeNamesAlone(t *testing.T) {
	s := purpose.NewSet(purpose.MustParse("security"), purpose.MustParse("z-security"))
	for _, name := range []string{"secur", "ecurity", "s", "z", "z-", "security-z", "securityz"} {
		require.False(t, s.Contains(purpose.MustParse(name)), name)
	}
}

func TestSetsAreNotAmbiguous(t *testing.T) {
	a, b, ab := purpose.MustParse("a"), purpose.MustParse("b"), purpose.MustParse("a-b")
	sets := []purpose.Set{{}, purpose.NewSet(a), purpose.NewSet(b), purpose.NewSet(ab), purpose.NewSet(a, b), purpose.NewSet(a, ab), purpose.NewSet(b, ab), purpose.NewSet(a, b, ab)}
	seen := make(map[purpose.Set]bool)
	for _, s := range sets {
		require.False(t, seen[s], "%v", s)
		seen[s] = true
	}
}

func TestSetAllCanBeLeft(t *testing.T) {
	for p := range purpose.NewSet(security, billing).All() {
		require.Equal(t, billing, p)
		break
	}
}

func TestSetOfManyPurposes(t *testing.T) {
	var many []purpose.Purpose
	for i := range purpose.MaxLen {
		many = append(many, purpose.MustParse(strings.Repeat("a", i+1)))
	}
	s := purpose.NewSet(many...)
	require.Equal(t, len(many), s.Len())
	require.Equal(t, many, slices.Collect(s.All()))
}

func TestSetText(t *testing.T) {
	for _, text := range []string{"", "security", "billing+security"} {
		var s purpose.Set
		require.NoError(t, s.UnmarshalText([]byte(text)))
		require.Equal(t, text, s.String())
		again, err := s.MarshalText()
		require.NoError(t, err)
		require.Equal(t, text, string(again))
	}
	for name, text := range map[string]string{
		"other order": "security+billing", "twice": "billing+billing", "empty name": "billing+",
		"not a name": "Billing", "blank": "billing + security", "huge": strings.Repeat("a+", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			s := purpose.NewSet(purpose.MustParse("kept"))
			require.ErrorIs(t, s.UnmarshalText([]byte(text)), purpose.ErrSyntax)
			require.Equal(t, "kept", s.String())
		})
	}
}

func TestSetOfTheEmptyTextIsEmpty(t *testing.T) {
	s := purpose.NewSet(purpose.MustParse("before"))
	require.NoError(t, s.UnmarshalText(nil))
	require.True(t, s.IsZero())
}

// A purpose's grammar has no end to how many there are, so the text's length is
// bounded by itself.
func TestSetTextIsBounded(t *testing.T) {
	const names = 64 << 10 / 8 // of seven letters, each with a joint but the last
	var longest strings.Builder
	for i := range names {
		fmt.Fprintf(&longest, "n%06d+", i)
	}
	text := longest.String() // one byte too long, with a joint at its end
	var s purpose.Set
	require.NoError(t, s.UnmarshalText([]byte(text[:len(text)-1])))
	require.Equal(t, names, s.Len())
	longer := text[:len(text)-1] + "a"
	require.Len(t, longer, 64<<10)
	require.NoError(t, s.UnmarshalText([]byte(longer)))
	require.ErrorIs(t, s.UnmarshalText([]byte(longer+"a")), purpose.ErrSyntax)
}
