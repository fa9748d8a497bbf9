package phonenumber_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/phonenumber"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

func newScope(t testing.TB) *vault.Scope {
	p := purpose.MustParse("security")
	return piitest.New(t, p).Scope(p)
}

func TestParse(t *testing.T) {
	scope := newScope(t)
	for _, test := range []struct{ rule, input, region, want string }{
		{"E.164", "+442079460018", "", "+442079460018"},
		{"with any region", "+442079460018", "US", "+442079460018"},
		{"separators", "+44 20-7946.0018", "", "+442079460018"},
		{"typographic hyphens, dashes and blanks", "+44\u00a020\u20117946\u20130018", "", "+442079460018"},
		{"blanks around", " \t+44 20 7946 0018 \r\n", "", "+442079460018"},
		{"marks of direction around", "\u202a+44 20 7946 0018\u202c", "", "+442079460018"},
		{"national", "020 7946 0018", "GB", "+442079460018"},
		{"area code in parentheses", "(020) 7946 0018", "GB", "+442079460018"},
		{"North America", "(212) 555-0123", "US", "+12125550123"},
		{"North America, 1 in front", "1-212-555-0123", "US", "+12125550123"},
		{"a region that shares its country code", "416 555 0123", "US", "+14165550123"},
		{"other than 00", "011 44 20 7946 0018", "US", "+442079460018"},
		{"00", "00 44 20 7946 0018", "DE", "+442079460018"},
		{"country code without plus", "44 20 7946 0018", "GB", "+442079460018"},
		{"plus in parentheses", "(+44) 20 7946 0018", "", "+442079460018"},
		{"full-width plus and parentheses", "\uff0b44\uff0820\uff0979460018", "", "+442079460018"},
		{"slash behind the area code", "030/901820", "DE", "+4930901820"},
		{"slash behind country and area code", "+49 30/901820", "", "+4930901820"},

		{"trunk zero in parentheses is dropped", "+44 (0)20 7946 0018", "", "+442079460018"},
		{"whatever the region", "+44 (0)20 7946 0018", "IT", "+442079460018"},
		{"behind 00", "0044 (0)20 7946 0018", "FR", "+442079460018"},
		{"with the area code", "+44 (020) 7946 0018", "", "+442079460018"},
		{"without blanks", "+49(0)30901820", "", "+4930901820"},
		{"Finland", "+358 (0)9 1234567", "", "+35891234567"},
		{"Hungary's trunk prefix is 06", "+36 (06) 1 234 5678", "", "+3612345678"},
		{"Russia's is 8", "+7 (8) 495 123 45 67", "", "+74951234567"},
		{"Italy's zero is part of the number", "+39 (0)6 6982", "", "+39066982"},
		{"so is Ivory Coast's", "+225 (0)712345678", "", "+2250712345678"},
		{"and Congo's", "+242 (0)6 123 4567", "", "+242061234567"},

		{"Argentina's mobile 15 becomes 9", "011 15-2345-6789", "AR", "+5491123456789"},
		{"Italy's leading zero stays", "06 6982", "IT", "+39066982"},
		{"Brazil's carrier code is dropped", "0 15 11 96123-4567", "BR", "+5511961234567"},
		{"no country's own: freephone", "+800 1234 5678", "", "+80012345678"},
		{"no country's own: satellite", "+881 612345678", "", "+881612345678"},
		{"shortest", "7012", "NU", "+6837012"},
		{"longest", "+88812345678901", "", "+88812345678901"},

		{"full-width digits", "０９０-１２３４-５６７８", "JP", "+819012345678"},
		{"Arabic-Indic digits", "٠١٠٠١٢٣٤٥٦٧", "EG", "+201001234567"},
		{"Persian digits", "۰۹۱۲ ۳۴۵ ۶۷۸۹", "IR", "+989123456789"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			got, err := phonenumber.Parse(test.input, test.region)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
			isKept(t, scope, got)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ rule, input, region string }{
		{"nothing", "", "GB"},
		{"blanks", "   ", "GB"},
		{"no digits", "+", "GB"},
		{"separators", "(-)", "GB"},
		{"national without a region", "020 7946 0018", ""},
		{"00 without a region", "00442079460018", ""},
		{"too short", "+44 20 7946", ""},
		{"too long", "+44 20 7946 0018 0", ""},
		{"no such country code", "+999 20 7946 0018", ""},
		{"plus zero", "+0 20 7946 0018", ""},
		{"plus and what is dialled to get abroad", "+00 44 20 7946 0018", "GB"},
		{"plus and what is dialled to get abroad, North America", "+011 44 20 7946 0018", "US"},
		{"plus and what is dialled to get abroad, in parentheses", "+(00) 44 20 7946 0018", "GB"},
		{"not valid in its country", "+1 123 456 7890", ""},
		{"not valid in the region", "020 7946 0018", "US"},
		{"emergency", "112", "DE"},
		{"short code", "84433", "US"},
		{"six digits in all, less than E.164 has", "+98 9601", ""},
		{"trunk zero where there is none", "+1 (0)212 555 0123", ""},
		{"trunk zero where there is none, Denmark", "+45 (0)32 12 34 56", ""},
		{"two trunk zeros", "+44 (0)020 7946 0018", ""},
		{"carrier placeholder", "+55 (0xx11) 96123-4567", ""},

		{"extension, x", "+44 2034567890 x 456", ""},
		{"extension, x and blanks behind", "+44 2034567890 x 456  ", ""},
		{"extension, x and a line feed behind", "+44 2034567890 x456\n", ""},
		{"extension, national", "020 3456 7890 x456", "GB"},
		{"extension, ext.", "+1 212 555 0123 ext. 5", ""},
		{"extension, #", "+1 212 555 0123#5", ""},
		{"extension, comma", "+1 212 555 0123,5", ""},
		{"extension, commas", "+1 212 555 0123,,5", ""},
		{"extension, semicolon", "+1 212 555 0123;5", ""},
		{"extension, RFC 3966", "+1-212-555-0123;ext=5", ""},
		{"extension, a few digits behind a slash", "+49 30 901820/12", ""},
		{"extension, behind a slash and the area code", "030/12", "DE"},
		{"extension, anexo", "+51 1 2345678 anexo 5", ""},
		{"extension, in Cyrillic", "+7 495 1234567 доб. 5", ""},
		{"extension, full-width", "+1 212 555 0123 ｘ 5", ""},
		{"extension, in brackets", "+1 212 555 0123 [5]", ""},

		{"vanity", "1-800-FLOWERS", "US"},
		{"vanity, international", "+1 800 FLOWERS", ""},
		{"vanity, full-width", "+1 800 ＦＬＯＷＥＲＳ", ""},
		{"RFC 3966", "tel:+442079460018", ""},
		{"RFC 3966, with context", "tel:2079460018;phone-context=+44", "GB"},
		{"RFC 3966, context first", ";phone-context=+44tel:2079460018", "GB"},
		{"isub", "+442079460018;isub=1", ""},
		{"text in front", "Tel. +44 20 7946 0018", ""},
		{"text behind", "+44 20 7946 0018 (home)", ""},
		{"two numbers, slash", "020 7946 0018 / 020 7946 0019", "GB"},
		{"two numbers, the end alone", "020 7946 0018/19", "GB"},
		{"two numbers, or", "020 7946 0018 or 020 7946 0019", "GB"},
		{"two numbers, comma", "+442079460018,+442079460019", ""},
		{"two numbers, blank", "+442079460018 +442079460019", ""},
		{"two numbers, national, blank", "020 7946 0018 020 7946 0019", "GB"},
		{"two numbers, lines", "+442079460018\n+442079460019", ""},
		{"two slashes", "03/0/901820", "DE"},
		{"slash behind more than an area code", "020 7946/0018", "GB"},
		{"slash first", "/030901820", "DE"},
		{"slash last", "030901820/", "DE"},

		{"two plus signs", "++442079460018", ""},
		{"plus inside", "44+2079460018", "GB"},
		{"plus at the end", "2079460018+44", "GB"},
		{"separator first", "-020 7946 0018", "GB"},
		{"separator last", "020 7946 0018-", "GB"},
		{"tab inside", "020\t7946 0018", "GB"},
		{"NUL inside", "020 7946\x000018", "GB"},
		{"NUL at the end", "020 7946 0018\x00", "GB"},
		{"mark of direction inside", "020 7946\u202e 0018", "GB"},
		{"zero-width blank inside", "020 7946\u200b0018", "GB"},
		{"invalid UTF-8", "020 7946 0018\xff", "GB"},
		{"parenthesis not closed", "(020 7946 0018", "GB"},
		{"parenthesis not opened", "020) 7946 0018", "GB"},
		{"empty parentheses", "020 () 7946 0018", "GB"},
		{"nested parentheses", "((020)) 7946 0018", "GB"},
		{"parenthesis opened twice", "((020) 7946 0018", "GB"},
		{"slash in parentheses", "(030/90)1820", "DE"},
		{"asterisk", "*31#02079460018", "GB"},
		{"tilde", "020~79460018", "GB"},
		{"digits of two kinds", "020 7946 001٨", "GB"},
		{"full-width and ASCII digits", "０20 7946 0018", "GB"},
		{"Devanagari digits", "+९१ ९१२३४५६७८९", "IN"},
		{"mathematical digits", "+𝟒𝟒𝟐𝟎𝟕𝟗𝟒𝟔𝟎𝟎𝟏𝟖", ""},
		{"superscript digits", "+44207946001⁸", ""},
		{"circled digits", "+44207946001⑧", ""},
		{"Cyrillic Z for 3", "+4420794600З8", ""},
		{"65 bytes", "+44 20 7946 0018" + strings.Repeat(" ", 49), ""},
		{"a megabyte", strings.Repeat("+44 20 7946 0018 ", 1<<16), "GB"},
		{"a megabyte of parentheses", strings.Repeat("(", 1<<20), "GB"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			got, err := phonenumber.Parse(test.input, test.region)
			require.Empty(t, got)
			require.ErrorIs(t, err, pii.ErrMalformed)
			require.EqualError(t, err, "phonenumber: not a valid phone number")
		})
	}
	_, err := phonenumber.Parse("+44 20 7946 0018"+strings.Repeat(" ", 48), "")
	require.NoError(t, err, "64 bytes")
}

func TestRegions(t *testing.T) {
	for _, region := range []string{"UK", "gb", "Gb", " GB", "GB ", "GBR", "EN", "EU", "aq", "AQ ", "001", "ZZ", "XX", "en-US", "+44", "G\x00", strings.Repeat("A", 1<<20)} {
		for _, input := range []string{"+442079460018", "020 7946 0018"} {
			_, err := phonenumber.Parse(input, region)
			require.ErrorIs(t, err, pii.ErrMalformed, "%.10q", region)
			require.EqualError(t, err, "phonenumber: not a region with a numbering plan")
		}
	}
}

// Countries of ISO 3166-1 that have no plan are as no region: with "+", their people's
// numbers are other countries'. The standard has 249 countries. Ascension, Tristan da
// Cunha and Kosovo have a plan and are not among them.
func TestRegionsWithoutAPlan(t *testing.T) {
	without := []string{"AQ", "BV", "GS", "HM", "PN", "TF", "UM"}
	plans := phonenumbers.GetSupportedRegions()
	for _, region := range []string{"AC", "TA", "XK"} {
		require.True(t, plans[region], region)
	}
	require.Equal(t, 249, len(plans)-3+len(without))
	for _, region := range without {
		require.False(t, plans[region], region)
		got, err := phonenumber.Parse("+1 415 555 2671", region)
		require.NoError(t, err, region)
		require.Equal(t, "+14155552671", got)
		for _, input := range []string{"415 555 2671", "00 1 415 555 2671", "1 415 555 2671"} {
			_, err = phonenumber.Parse(input, region)
			require.EqualError(t, err, "phonenumber: not a valid phone number", region)
		}
	}
}

func TestAmbiguous(t *testing.T) {
	_, err := phonenumber.Parse("49 151 23456789", "DE")
	require.ErrorIs(t, err, phonenumber.ErrAmbiguous)
	require.ErrorIs(t, err, pii.ErrMalformed)
	require.EqualError(t, err, `phonenumber: the text has two readings: type "+" and the country code`)
	_, err = phonenumber.Parse("49 151", "DE")
	require.NotErrorIs(t, err, phonenumber.ErrAmbiguous)
	require.ErrorIs(t, err, pii.ErrMalformed)
}

func TestErrorIsNoMistakeOfTheProgram(t *testing.T) {
	_, err := phonenumber.Parse("x", "")
	require.NotErrorIs(t, err, vault.ErrInvalid)
}

// isKept requires that package pii seals the number as it is, and that parsing
// it again changes nothing: an index of it is the same on every way.
func isKept(t testing.TB, scope *vault.Scope, number string) {
	t.Helper()
	for _, region := range []string{"", "IT"} {
		again, err := phonenumber.Parse(number, region)
		if err != nil || again != number {
			t.Fatalf("Parse of its own result, region %q: %q, error %v", region, again, err)
		}
	}
	sealed, err := pii.SealPhone(context.Background(), number, scope)
	if err != nil {
		t.Fatalf("sealing %q: %v", number, err)
	}
	revealed, err := sealed.Reveal(context.Background(), scope)
	if err != nil || revealed != number {
		t.Fatalf("sealed %q, revealed %q, error %v", number, revealed, err)
	}
}

// An example is a number of libphonenumber's own metadata.
type example struct{ region, e164, national, international string }

var types = map[string]phonenumbers.PhoneNumberType{
	"fixed": phonenumbers.FIXED_LINE, "mobile": phonenumbers.MOBILE, "tollfree": phonenumbers.TOLL_FREE, "premium": phonenumbers.PREMIUM_RATE,
	"shared": phonenumbers.SHARED_COST, "voip": phonenumbers.VOIP, "personal": phonenumbers.PERSONAL_NUMBER, "pager": phonenumbers.PAGER,
	"uan": phonenumbers.UAN, "voicemail": phonenumbers.VOICEMAIL,
}

// examples returns one number for each region and type, by "GB mobile" or, for
// numbers of no country, "800".
func examples() map[string]example {
	all := map[string]example{}
	add := func(key, region string, n *phonenumbers.PhoneNumber) {
		if n == nil {
			return
		}
		all[key] = example{
			region,
			phonenumbers.Format(n, phonenumbers.E164),
			phonenumbers.Format(n, phonenumbers.NATIONAL),
			phonenumbers.Format(n, phonenumbers.INTERNATIONAL),
		}
	}
	for region := range phonenumbers.GetSupportedRegions() {
		add(region, region, phonenumbers.GetExampleNumber(region))
		for name, typ := range types {
			add(region+" "+name, region, phonenumbers.GetExampleNumberForType(region, typ))
		}
	}
	for code := range phonenumbers.GetSupportedGlobalNetworkCallingCodes() {
		add(fmt.Sprint(code), "", phonenumbers.GetExampleNumberForNonGeoEntity(code))
	}
	return all
}

// exceptions are the examples that Parse refuses, and why.
var exceptions = map[string]string{
	"IR uan +989601":            "six digits, less than E.164 numbers have",
	"IR uan +98 9601":           "six digits, less than E.164 numbers have",
	"IR uan 09601":              "six digits, less than E.164 numbers have",
	"AR mobile 09 15-2345-6789": "the port misses the area code: 011 15-2345-6789",
}

// Everything that libphonenumber itself writes is understood.
func TestExamplesOfEveryRegion(t *testing.T) {
	scope := newScope(t)
	all := examples()
	require.Greater(t, len(all), 1300)
	refused := map[string]string{}
	for key, e := range all {
		for _, text := range []string{e.e164, e.international, e.national} {
			if e.region == "" && !strings.HasPrefix(text, "+") {
				continue // numbers of no country have no national form
			}
			for _, typed := range []string{text, text + " ", "\u202a " + strings.ReplaceAll(text, " ", "\u00a0") + "\t\n"} {
				got, err := phonenumber.Parse(typed, e.region)
				if err != nil {
					why := exceptions[key+" "+text]
					require.NotEmpty(t, why, "%s %s", key, text)
					refused[key+" "+text] = why
					continue
				}
				require.Equal(t, e.e164, got, "%s %q", key, typed)
			}
		}
		if _, err := phonenumber.Parse(e.e164, ""); err == nil {
			isKept(t, scope, e.e164)
		}
	}
	require.Equal(t, exceptions, refused, "an exception is gone")
}

// Whatever is added to an example is refused, or is dropped.
func TestExamplesWithSomethingAdded(t *testing.T) {
	for key, e := range examples() {
		for _, added := range []string{" x 456", " x 456  ", "x1", " ext. 7", "#7", ",7", ";7", ";ext=7", " / 7", "/789", "a", " +1", "\x00", "*", " 0123456789"} {
			for _, text := range []string{e.e164, e.international, e.national} {
				got, err := phonenumber.Parse(text+added, e.region)
				require.ErrorIs(t, err, pii.ErrMalformed, "%s %q became %q", key, text+added, got)
			}
		}
	}
}

var update = flag.Bool("update", false, "write testdata/examples.txt from the port's metadata")

const golden = "examples.txt"

// The committed examples keep their meaning whatever the port's metadata become.
// One that is refused after an update says that a country took the number out
// of its plan, which is to be looked at, and then written by -update.
func TestGolden(t *testing.T) {
	file := filepath.Join("testdata", golden)
	if *update {
		var b strings.Builder
		b.WriteString("# Region and type, E.164, international and national form: examples of libphonenumber.\n")
		all := examples()
		for _, key := range slices.Sorted(maps.Keys(all)) {
			e := all[key]
			line := []string{key, e.e164, e.international, e.national}
			if e.region == "" {
				line = line[:3]
			}
			for _, text := range line[1:] {
				if exceptions[key+" "+text] != "" {
					line = slices.DeleteFunc(line, func(s string) bool { return s == text })
				}
			}
			if len(line) > 2 {
				b.WriteString(strings.Join(line, " | ") + "\n")
			}
		}
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	regions := map[string]bool{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		fields := strings.Split(lines.Text(), " | ")
		require.GreaterOrEqual(t, len(fields), 3, "line %d", n)
		region, _, _ := strings.Cut(fields[0], " ")
		regions[region] = true
		if region[0] <= '9' {
			region = ""
		}
		for i, text := range fields[1:] {
			for _, r := range []string{region, ""} {
				if r == "" && !strings.HasPrefix(text, "+") {
					continue
				}
				got, err := phonenumber.Parse(text, r)
				require.NoError(t, err, "line %d, field %d", n, i)
				require.Equal(t, fields[1], got, "line %d, field %d", n, i)
			}
		}
	}
	require.NoError(t, lines.Err())
	for region := range phonenumbers.GetSupportedRegions() {
		require.True(t, regions[region], "no example for %s", region)
	}
}

// Text of any kind through each function that takes text: a typed error, no panic, no
// answer, and no time lost on long text.
func TestHostileText(t *testing.T) {
	texts := []string{
		"", " ", "\x00", "\x1b[31m", "\xff\xfe", "\xed\xa0\x80", "\u0000", "\u202e\u202d", "\ufeff", "\U000e0001", "\U0001f4a9", "\u0660", "\u0967\u0968\u0969\u096a\u096b\u096c\u096d",
		"null", "nil", "undefined", "true", "NaN", "-1", "0", "00", "+", "+0", "+00", "00+", "1e1000", "0x7fffffff", "1/0", "1,000,000", "9223372036854775808",
		"<script>alert(1)</script>", "' OR 1=1 --", "'; DROP TABLE users", "${jndi:ldap://x}", "{{7*7}}", "../../etc/passwd", "%s%n%x", "%00", "$(id)", "`id`", "\\", "\r\nBcc: x@example.com",
		"tel:;ext=;phone-context=", "tel:1;phone-context=+", ";phone-context=", ";ext=1", "+1;isub=1;phone-context=x", "((((((((", "))))", "(0)(0)(0)", "////", "0/0/0", "........", "--------",
		"++++++++", "+0000000000", "+999999999999999", "+1000000000000000", "00000000000000", strings.Repeat("0", 64), strings.Repeat("9", 64), strings.Repeat("(", 64), "+" + strings.Repeat("1", 63),
		strings.Repeat("1", 10_000), "+" + strings.Repeat("4", 10_000), "+44 20 7946 0018" + strings.Repeat(" ", 10_000), strings.Repeat("\u200b", 10_000) + "+442079460018", strings.Repeat("\u0660", 10_000),
	}
	regions := append([]string{"", "US", "HK", "DE", "AQ", "us", "ZZ", "001", "U", "USA", "\x00\x00", "\xff\xff"}, texts...)
	for _, text := range texts {
		for _, region := range regions {
			number, err := phonenumber.Parse(text, region)
			require.ErrorIs(t, err, pii.ErrMalformed, "%.20q in %.20q", text, region)
			require.Empty(t, number)
			require.Contains(t, []string{
				"phonenumber: not a valid phone number", "phonenumber: not a region with a numbering plan", phonenumber.ErrAmbiguous.Error(),
			}, err.Error())
		}
		require.Empty(t, phonenumber.OldForms(text))
		form, ok := phonenumber.NewForm(text)
		require.Empty(t, form)
		require.False(t, ok)
	}
}

func FuzzParse(f *testing.F) {
	for _, e := range examples() {
		f.Add(e.national, e.region)
		f.Add(e.international, "")
	}
	for _, s := range []string{"+44 2034567890 x 456  ", "+44 (0)20 7946 0018", "030/901820", "(+٤٤) ٢٠", "tel:+44;phone-context=", "\u202a+4420\u202c", "+", "((((", "\xff", "0/0/0"} {
		f.Add(s, "GB")
		f.Add(s, "")
	}
	scope := newScope(f)
	f.Fuzz(func(t *testing.T, input, region string) {
		number, err := phonenumber.Parse(input, region)
		if err != nil {
			if number != "" || !errors.Is(err, pii.ErrMalformed) {
				t.Fatalf("number %q, error %v", number, err)
			}
			return
		}
		isKept(t, scope, number)
		if pii.ValidPhone(input) {
			parsed, _ := pii.IndexPhone(context.Background(), number, scope)
			asTyped, err := pii.IndexPhone(context.Background(), input, scope)
			if err != nil || !parsed.Equal(asTyped) {
				t.Fatalf("%q is %s to Parse alone, error %v", input, number, err)
			}
		}
		if strings.ContainsAny(input, "+\uff0b") {
			if anywhere, err := phonenumber.Parse(input, ""); err != nil || anywhere != number {
				t.Fatalf("%q means another number in %s: %q, error %v", input, region, anywhere, err)
			}
		}
		if padded, err := phonenumber.Parse(input+" ", region); len(input) < 64 && (err != nil || padded != number) {
			t.Fatalf("%q with a blank behind: %q, error %v", input, padded, err)
		}
		digits := 0
		for _, c := range input {
			if strings.ContainsRune("0123456789", c) || c > 0x80 {
				digits++
			} else if !strings.ContainsRune(" \t\r\n+()-./", c) {
				t.Fatalf("%q was accepted", input)
			}
		}
	})
}
