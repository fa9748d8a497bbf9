package purpose_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

// grammar is what [purpose.Parse] documents, said another way.
var grammar = regexp.MustCompile(`\A[a-z][a-z0-9-]{0,62}\z`)

func TestParseTakesTheGrammarAndNothingElse(t *testing.T) {
	for rule, c := range map[string]struct {
		name string
		ok   bool
	}{
		"a word":                        {"security", true},
		"one letter":                    {"a", true},
		"digits after the letter":       {"a1", true},
		"hyphens between":               {"account-recovery", true},
		"a hyphen at the end":           {"a-", true},
		"hyphens in a row":              {"a--b", true},
		"the longest":                   {strings.Repeat("a", purpose.MaxLen), true},
		"one byte more":                 {strings.Repeat("a", purpose.MaxLen+1), false},
		"a megabyte":                    {strings.Repeat("a", 1<<20), false},
		"nothing":                       {"", false},
		"a digit first":                 {"2fa", false},
		"a hyphen first":                {"-a", false},
		"an upper-case letter first":    {"Security", false},
		"an upper-case letter":          {"securitY", false},
		"a blank before":                {" security", false},
		"a blank after":                 {"security ", false},
		"a blank within":                {"account recovery", false},
		"a line break":                  {"security\n", false},
		"a tab":                         {"security\t", false},
		"NUL":                           {"security\x00", false},
		"the joint of a set":            {"billing+security", false},
		"the separator of sealed text":  {"billing~security", false},
		"a dot":                         {"billing.security", false},
		"an underscore":                 {"account_recovery", false},
		"a slash":                       {"../security", false},
		"KELVIN SIGN, which folds to k": {"mar\u212aeting", false},
		"LONG S, which folds to s":      {"\u017fecurity", false},
		"a Cyrillic letter":             {"sеcurity", false},
		"a zero-width joiner":           {"secu\u200drity", false},
		"invalid UTF-8":                 {"security\xff", false},
	} {
		t.Run(rule, func(t *testing.T) {
			p, err := purpose.Parse(c.name)
			require.Equal(t, grammar.MatchString(c.name), c.ok, "the table contradicts the grammar")
			if c.ok {
				require.NoError(t, err)
				require.Equal(t, c.name, p.String())
				require.False(t, p.IsZero())
				require.Equal(t, p, purpose.MustParse(c.name))
				return
			}
			require.ErrorIs(t, err, purpose.ErrSyntax)
			require.Equal(t, purpose.ErrSyntax.Error(), err.Error(), "the message is constant")
			require.True(t, p.IsZero())
			require.PanicsWithValue(t, purpose.ErrSyntax.Error(), func() { purpose.MustParse(c.name) })
		})
	}
}

// The ends of a range of letters are what a table of examples leaves out.
func TestParseOfEveryByte(t *testing.T) {
	for c := range 256 {
		for _, name := range []string{string([]byte{byte(c)}), string([]byte{'a', byte(c)}), string([]byte{'a', byte(c), 'a'})} {
			_, err := purpose.Parse(name)
			require.Equal(t, grammar.MatchString(name), err == nil, "%q", name)
		}
	}
}

func TestZeroPurposeNamesNothing(t *testing.T) {
	var p purpose.Purpose
	require.True(t, p.IsZero())
	require.Empty(t, p.String())
	require.Equal(t, purpose.Purpose{}, p)
}

func TestPurposesAreComparable(t *testing.T) {
	require.True(t, purpose.MustParse("security") == security)
	require.False(t, security == billing)
	require.Equal(t, 1, map[purpose.Purpose]int{security: 1}[purpose.MustParse("security")])
}

var (
	_ encoding.TextMarshaler   = purpose.Purpose{}
	_ encoding.TextUnmarshaler = (*purpose.Purpose)(nil)
)

func TestPurposeTextRoundTrip(t *testing.T) {
	for _, want := range []purpose.Purpose{{}, security, purpose.MustParse(strings.Repeat("z", purpose.MaxLen))} {
		text, err := want.MarshalText()
		require.NoError(t, err)
		require.Equal(t, want.String(), string(text))
		got := billing
		require.NoError(t, got.UnmarshalText(text))
		require.Equal(t, want, got)
	}
}

func TestPurposeTextIsACopy(t *testing.T) {
	text := []byte("security")
	var p purpose.Purpose
	require.NoError(t, p.UnmarshalText(text))
	copy(text, "billing!")
	require.Equal(t, security, p)
}

func TestPurposeRefusedTextLeavesItUnchanged(t *testing.T) {
	for rule, text := range map[string]string{
		"grammar":  "Not A Purpose",
		"length":   strings.Repeat("a", purpose.MaxLen+1),
		"huge":     strings.Repeat("a", 64<<20),
		"one bit":  "securit\xf9",
		"appended": "security+billing",
	} {
		t.Run(rule, func(t *testing.T) {
			p := security
			require.Equal(t, purpose.ErrSyntax, p.UnmarshalText([]byte(text)), "constant: nothing is wrapped")
			require.Equal(t, security, p)
		})
	}
}

func TestPurposeRefusesHugeTextWithoutCopyingIt(t *testing.T) {
	huge := make([]byte, 64<<20)
	var p purpose.Purpose
	require.Zero(t, testing.AllocsPerRun(1000, func() { p.UnmarshalText(huge) }))
	require.ErrorIs(t, p.UnmarshalText(huge), purpose.ErrSyntax)
}

func TestPurposeJSON(t *testing.T) {
	type config struct {
		P    purpose.Purpose            `json:"p,omitzero"`
		Many map[purpose.Purpose]string `json:"many,omitempty"`
	}
	text, err := json.Marshal(config{P: security, Many: map[purpose.Purpose]string{billing: "b"}})
	require.NoError(t, err)
	require.JSONEq(t, `{"p":"security","many":{"billing":"b"}}`, string(text))

	var got config
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, config{P: security, Many: map[purpose.Purpose]string{billing: "b"}}, got)

	empty, err := json.Marshal(config{})
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(empty))

	for _, bad := range []string{
		`{"p":"kq7vZ Hxw93"}`, `{"p":7391846250}`, `{"p":{"kq7vZHxw93":1}}`, `{"p":["kq7vZHxw93"]}`, `{"p":true}`, `{"many":{"kq7vZHxw93":""}}`,
	} {
		got := config{P: security}
		err := json.Unmarshal([]byte(bad), &got)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "Hxw93")
		require.NotContains(t, err.Error(), "739184")
		require.Equal(t, config{P: security}.P, got.P)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "a", "security", "account-recovery", "a--", "2fa", "-a", "A", "a+b", "a~b", "a.b", "a\n", "\x00", "\u212a", "\xff",
		strings.Repeat("a", purpose.MaxLen), strings.Repeat("a", purpose.MaxLen+1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p, err := purpose.Parse(name)
		require.Equal(t, grammar.MatchString(name), err == nil)
		if err != nil {
			require.True(t, errors.Is(err, purpose.ErrSyntax) && err.Error() == purpose.ErrSyntax.Error())
			require.True(t, p.IsZero())
			return
		}
		require.Equal(t, name, p.String())
		again, err := purpose.Parse(p.String())
		require.NoError(t, err)
		require.Equal(t, p, again)

		set := purpose.NewSet(p, security)
		require.True(t, set.Contains(p) && set.Contains(security))
	})
}
