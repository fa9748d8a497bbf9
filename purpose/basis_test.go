package purpose_test

import (
	"encoding"
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

func TestBasisValidate(t *testing.T) {
	for rule, c := range map[string]struct {
		basis purpose.Basis
		want  string // in place of nil
	}{
		"the zero basis":                   {purpose.Basis{}, ""},
		"all that can be stated":           {purpose.Basis{Legal: purpose.Consent, Notice: "signup-v1", Consent: "c-1", Retain: time.Hour}, ""},
		"the last ground":                  {purpose.Basis{Legal: purpose.LegitimateInterests}, ""},
		"a ground beyond the last":         {purpose.Basis{Legal: purpose.LegitimateInterests + 1}, "unknown legal ground"},
		"the largest number as a ground":   {purpose.Basis{Legal: math.MaxUint8}, "unknown legal ground"},
		"a notice that is no reference":    {purpose.Basis{Notice: "alice@example.com"}, "malformed notice id"},
		"a consent that is no reference":   {purpose.Basis{Consent: "+1 415 555 2671"}, "malformed consent reference"},
		"a second":                         {purpose.Basis{Retain: time.Second}, ""},
		"half a second":                    {purpose.Basis{Retain: time.Second / 2}, "retention is not in whole seconds"},
		"a nanosecond over":                {purpose.Basis{Retain: time.Second + 1}, "retention is not in whole seconds"},
		"the longest retention":            {purpose.Basis{Retain: purpose.MaxRetain}, ""},
		"a second longer":                  {purpose.Basis{Retain: purpose.MaxRetain + time.Second}, "retention beyond 100 years"},
		"the largest duration":             {purpose.Basis{Retain: math.MaxInt64}, "retention beyond 100 years"},
		"less than none":                   {purpose.Basis{Retain: -time.Second}, "negative retention"},
		"the smallest duration":            {purpose.Basis{Retain: math.MinInt64}, "negative retention"},
		"the first day that can be stated": {purpose.Basis{Collected: time.Unix(24*60*60, 0)}, ""},
		"a second earlier":                 {purpose.Basis{Collected: time.Unix(24*60*60-1, 0)}, "collection stated before 1970-01-02"},
		"a column that held 0":             {purpose.Basis{Collected: time.Unix(0, 0)}, "collection stated before 1970-01-02"},
		"the time before the zero Time":    {purpose.Basis{Collected: time.Time{}.Add(-1)}, "collection stated before 1970-01-02"},
		"the least Unix time":              {purpose.Basis{Collected: time.Unix(math.MinInt64, 0)}, "collection stated before 1970-01-02"},
		"now":                              {purpose.Basis{Collected: time.Now()}, ""},
		"a clock that is ahead":            {purpose.Basis{Collected: time.Now().Add(5 * time.Minute)}, ""},
		"an hour from now":                 {purpose.Basis{Collected: time.Now().Add(time.Hour)}, "collection stated in the future"},
		"the last second of 9999":          {purpose.Basis{Collected: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}, "collection stated in the future"},
		"the year 10000":                   {purpose.Basis{Collected: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "collection stated after the year 9999"},
		"the greatest Unix time":           {purpose.Basis{Collected: time.Unix(math.MaxInt64, 0)}, "collection stated after the year 9999"},
	} {
		t.Run(rule, func(t *testing.T) {
			err := c.basis.Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, purpose.ErrBasis)
			require.EqualError(t, err, c.want+": not a valid basis", "the message is constant")
		})
	}
}

// reference is what [purpose.Basis] documents, said another way.
var reference = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z`)

func validReference(s string) bool {
	return reference.MatchString(s) && strings.ContainsFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' })
}

func TestReferencesHaveNoRoomForAPerson(t *testing.T) {
	for rule, c := range map[string]struct {
		reference string
		ok        bool
	}{
		"a notice":                       {"2fa-prompt-v3", true},
		"a consent":                      {"consent-2026-81f3", true},
		"every kind of sign":             {"A.b_c-9", true},
		"one letter":                     {"v", true},
		"a UUID":                         {"1f0d9c5e-41c5-4d0e-9a55-0f5b6a1f7c11", true},
		"the longest":                    {strings.Repeat("a", purpose.MaxReference), true},
		"one byte more":                  {strings.Repeat("a", purpose.MaxReference+1), false},
		"10 kB":                          {strings.Repeat("a", 10_000), false},
		"64 MB":                          {strings.Repeat("a", 64<<20), false},
		"nothing":                        {"", false},
		"an e-mail address":              {"alice@example.com", false},
		"an e-mail address in brackets":  {"<alice@example.com>", false},
		"a phone number":                 {"+14155552671", false},
		"a phone number without a plus":  {"14155552671", false},
		"a phone number with hyphens":    {"415-555-2671", false},
		"a phone number with dots":       {"415.555.2671", false},
		"a phone number with lines":      {"415_555_2671", false},
		"a phone number with blanks":     {"415 555 2671", false},
		"a phone number in Arabic":       {"a٤١٥٥٥٥٢٦٧١", false},
		"a line break at the end":        {"notice-v1\n", false},
		"a line break within":            {"notice\nlevel=ERROR", false},
		"a carriage return":              {"notice\r", false},
		"NUL":                            {"notice\x00", false},
		"a blank":                        {"notice v1", false},
		"a dot first":                    {".notice", false},
		"a hyphen first":                 {"-notice", false},
		"an underscore first":            {"_notice", false},
		"a path":                         {"../notice", false},
		"a letter beyond ASCII":          {"notïce", false},
		"a fullwidth at sign":            {"alice＠example.com", false},
		"a quote":                        {`notice"`, false},
		"an angle bracket":               {"<notice", false},
		"invalid UTF-8":                  {"notice\xff", false},
		"the separator of sealed text":   {"notice~v1", false},
		"a plus, as in a tagged address": {"alice+notice", false},
	} {
		t.Run(rule, func(t *testing.T) {
			require.Equal(t, c.ok, validReference(c.reference), "the table contradicts the grammar")
			require.Equal(t, c.ok, purpose.ValidReference(c.reference))
			if c.reference == "" {
				return // in a basis it states nothing
			}
			for field, basis := range map[string]purpose.Basis{
				"malformed notice id":         {Notice: c.reference},
				"malformed consent reference": {Consent: c.reference},
			} {
				err := basis.Validate()
				if c.ok {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, purpose.ErrBasis)
				require.EqualError(t, err, field+": not a valid basis")
			}
		})
	}
}

func TestReferenceOfEveryByte(t *testing.T) {
	for c := range 256 {
		for _, ref := range []string{string([]byte{byte(c)}), string([]byte{'a', byte(c)}), string([]byte{'1', byte(c)})} {
			require.Equal(t, validReference(ref), purpose.ValidReference(ref), "%q", ref)
		}
	}
}

func FuzzValidReference(f *testing.F) {
	for _, seed := range []string{"", "v1", "2fa-prompt-v3", "a@b", "1", "-a", "a\n", "\xff", "é", strings.Repeat("a", 64), strings.Repeat("a", 65)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		require.Equal(t, validReference(s), purpose.ValidReference(s))
	})
}

// The numbers are part of the sealed format.
func TestLegalNumbersAreFrozen(t *testing.T) {
	for number, ground := range []purpose.Legal{
		purpose.Unstated, purpose.Consent, purpose.Contract, purpose.LegalObligation, purpose.VitalInterests, purpose.PublicTask, purpose.LegitimateInterests,
	} {
		require.EqualValues(t, number, ground)
	}
}

var (
	_ encoding.TextMarshaler   = purpose.Legal(0)
	_ encoding.TextUnmarshaler = (*purpose.Legal)(nil)
)

func TestLegalTextRoundTrip(t *testing.T) {
	names := []string{"unstated", "consent", "contract", "legal-obligation", "vital-interests", "public-task", "legitimate-interests"}
	for number, name := range names {
		ground := purpose.Legal(number)
		require.Equal(t, name, ground.String())
		text, err := ground.MarshalText()
		require.NoError(t, err)
		require.Equal(t, name, string(text))
		got := purpose.Legal(math.MaxUint8)
		require.NoError(t, got.UnmarshalText(text))
		require.Equal(t, ground, got)
	}
	beyond := purpose.Legal(len(names))
	require.Equal(t, "invalid", beyond.String())
	text, err := beyond.MarshalText()
	require.ErrorIs(t, err, purpose.ErrBasis)
	require.Empty(t, text)
	require.NotContains(t, err.Error(), "7")
}

func TestLegalRefusedTextLeavesItUnchanged(t *testing.T) {
	for _, text := range []string{"", "Consent", "consent ", " consent", "consent\n", "1", "invalid", "alice@example.com", strings.Repeat("consent", 1<<20)} {
		ground := purpose.Contract
		err := ground.UnmarshalText([]byte(text))
		require.ErrorIs(t, err, purpose.ErrBasis)
		require.EqualError(t, err, "unknown legal ground: not a valid basis")
		require.Equal(t, purpose.Contract, ground)
	}
}

func TestBasisJSON(t *testing.T) {
	want := purpose.Basis{Legal: purpose.LegalObligation, Notice: "tax-v2", Consent: "c-7", Retain: time.Hour}
	text, err := json.Marshal(want)
	require.NoError(t, err)
	require.JSONEq(t, `{"Legal":"legal-obligation","Notice":"tax-v2","Consent":"c-7","Retain":3600000000000}`, string(text))
	var got purpose.Basis
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, want, got)

	want = purpose.Basis{Collected: time.Date(2019, 3, 4, 0, 0, 0, 0, time.UTC)}
	text, err = json.Marshal(want)
	require.NoError(t, err)
	require.JSONEq(t, `{"Legal":"unstated","Notice":"","Consent":"","Retain":0,"Collected":"2019-03-04T00:00:00Z"}`, string(text))
	got = purpose.Basis{}
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, want, got)

	_, err = json.Marshal(purpose.Basis{Legal: 200})
	require.ErrorIs(t, err, purpose.ErrBasis)
	require.NotContains(t, err.Error(), "200")
	require.Error(t, json.Unmarshal([]byte(`{"Legal":2}`), &got), "the number of a ground is not its text")
}
