package pii

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/idna"
)

// A countingIDNA adds up the work of the conversions: for each label, the square of its
// length.
type countingIDNA struct {
	idnaProfile
	work int
}

func (c *countingIDNA) count(domain string) {
	for label := range strings.SplitSeq(domain, ".") {
		n := utf8.RuneCountInString(label)
		c.work += n * n
	}
}

func (c *countingIDNA) ToASCII(s string) (string, error) {
	c.count(s)
	return c.idnaProfile.ToASCII(s)
}

func (c *countingIDNA) ToUnicode(s string) (string, error) {
	c.count(s)
	return c.idnaProfile.ToUnicode(s)
}

// Punycode takes time that grows with the square of a label, so hostile domains of the
// greatest length that a form accepts are refused before it.
func TestIDNAWorkIsBounded(t *testing.T) {
	letters := func(first rune, step rune, label int) string {
		var b strings.Builder
		for n := 1; b.Len() < maxTyped-utf8.UTFMax-2; n++ {
			b.WriteRune(first)
			first += step
			if label > 0 && n%label == 0 {
				b.WriteByte('.')
			}
		}
		return strings.TrimSuffix(b.String(), ".")
	}
	const most = 2 * maxLabel * maxAddress
	for name, domain := range map[string]string{
		"one label of two-byte letters":     letters(0x101, 2, 0),
		"one label of Han":                  letters(0x4e00, 7, 0),
		"one label of four-byte letters":    letters(0x20000, 97, 0),
		"one label of ASCII and an A-label": "xn--" + strings.Repeat("a", maxTyped-8),
		"labels of 20":                      letters(0x4e00, 7, 20),
		"labels of 59":                      letters(0x4e00, 7, 59),
		"labels of 60":                      letters(0x101, 2, 60),
		"labels of one":                     letters(0x4e00, 7, 1),
		"no letters":                        strings.Repeat(".é", 300),
		"broken UTF-8":                      strings.Repeat("\xff", maxTyped-4),
		"ideographic full stops":            strings.Repeat("例。", 150),
	} {
		c := &countingIDNA{idnaProfile: strictIDNA}
		_, ok := toASCII(c, domain)
		require.False(t, ok, name)
		require.LessOrEqual(t, c.work, most, name)
	}
	require.Less(t, most, 506*506, "the work for one label of 506 letters")
}

// The early refusal refuses no domain that the conversion accepts.
func TestNoDomainIsRefusedTooEarly(t *testing.T) {
	accepted, refused := 0, 0
	for _, letter := range []string{"a", "é", "ü", "例", "𠀀"} {
		for _, head := range []string{"", "a", "é", "aé"} {
			for n := range maxLabel + 6 {
				for _, tail := range []string{".example", ".例え", "." + strings.Repeat("é", 20) + ".com", strings.Repeat(".xn--9ca", 20)} {
					domain := head + strings.Repeat(letter, n) + tail
					ascii, err := strictIDNA.ToASCII(domain)
					fits := fitsALabels(domain)
					if err == nil && validAddress("a@"+ascii) {
						require.True(t, fits, fmt.Sprintf("%q", domain))
						accepted++
					}
					if !fits {
						refused++
					}
				}
			}
		}
	}
	require.Positive(t, accepted)
	require.Positive(t, refused)
}

// requireHint fails unless hint has one character of the local part, one of the domain and
// the top-level domain, and nothing that hides or moves the text around it.
func requireHint(t testing.TB, address, hint string) {
	t.Helper()
	local, domain, _ := strings.Cut(address, "@")
	labels := strings.Split(domain, ".")
	shown := func(label string) []string { // the ways to show a label
		own, err := idna.Punycode.ToUnicode(label)
		if err != nil || !strings.HasPrefix(label, aLabelPrefix) {
			return []string{label}
		}
		return []string{label, own}
	}
	var ways []string
	for _, host := range shown(labels[0]) {
		first, _ := utf8.DecodeRuneInString(host)
		for _, top := range shown(labels[len(labels)-1]) {
			ways = append(ways, local[:1]+"•••@"+string(first)+"•••."+top)
		}
	}
	require.Contains(t, ways, hint)
	for _, r := range hint {
		require.True(t, unicode.IsPrint(r) && r != ' ', "%q has %U", hint, r)
		require.False(t, isInvisible(r), "%q has %U", hint, r)
		require.False(t, unicode.In(r, unicode.Cf, unicode.Cc, unicode.Co, unicode.Z, unicode.Bidi_Control, unicode.Join_Control, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector), "%q has %U", hint, r)
	}
	require.True(t, utf8.ValidString(hint))
}

// Whoever has the keys can seal every address of ASCII, with A-labels of anything. The
// hint of each has what the documentation of [Email] says, and nothing else.
func FuzzMask(f *testing.F) {
	for _, address := range []string{"alice@example.com", "a@xn--bcher-kva.example", "m@xn--80a1acny.xn--p1ai", "a@xn--example-k06c.com", "a@b.xn--example-oka", "a@xn--a.xn--a", "a@xn--99999999999999.xn--99999999999999"} {
		f.Add(address)
	}
	for _, text := range []string{"\u202e\u0440", "\u200b", "\u0301a", "\u3164", "\u2800", "\ufe0f", "\U000e0061", "\u0dc1\u0dca\u200d\u0dbb\u0dd3"} {
		label, err := idna.Punycode.ToASCII(text)
		require.NoError(f, err)
		f.Add("a@" + label + ".example")
		f.Add("a@example." + label)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if !validAddress(address) {
			return
		}
		requireHint(t, address, email{}.Mask(address))
	})
}

// hostileLabels returns labels that show something else than they are, or nothing.
func hostileLabels() (all []string) {
	for r := rune(utf8.RuneSelf); r <= 0xe01ff; r++ {
		if isInvisible(r) || unicode.In(r, unicode.Cf, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == '\u2800' {
			all = append(all, string(r), "a"+string(r)+"b", "\u0440"+string(r)+"\u0444", string(r)+"\u0440", "\u05d0"+string(r), "\u0dc1\u0dca"+string(r)+"\u0dbb\u0dd3")
		}
	}
	return append(all, "\u0301a", "a\u0301\u0301\u0301", "\u2764", "\u2028", "\ufffd", "\U000e0001\U000e0061")
}

// No A-label of a hidden, blank or directing character shows it, and none of a stored
// value panics: the hint has the A-label in its place.
func TestHintsShowNothingHidden(t *testing.T) {
	asIs := 0
	for _, text := range hostileLabels() {
		label, err := idna.Punycode.ToASCII(text)
		if err != nil && text == "\ufffd" { // which the tables of Go 1.27 do not encode
			label = "xn--zn7c"
		} else {
			require.NoError(t, err)
		}
		for _, address := range []string{"a@" + label + ".example", "a@example." + label, "a@" + label + "." + label} {
			if !validAddress(address) {
				continue // too long
			}
			hint := email{}.Mask(address)
			requireHint(t, address, hint)
			if strings.HasSuffix(hint, label) {
				asIs++
			}
		}
	}
	require.Greater(t, asIs, 1000)
}

// Hints show no character that has no shape, moves the text around it or is none,
// whatever the tables of IDNA have.
func TestNothingHiddenIsShown(t *testing.T) {
	shown := 0
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if !isShown(r) {
			continue
		}
		shown++
		if isInvisible(r) || !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.S, unicode.P) {
			require.Fail(t, "shown", "%U", r)
		}
	}
	require.Greater(t, shown, 100_000)
}

// An A-label that this process does not know, of a newer version of Unicode or a
// collector, is shown as it is stored.
func TestHintOfAnUnknownLabelIsItsALabel(t *testing.T) {
	for address, want := range map[string]string{
		"a@xn--a.example":                         "a•••@x•••.example",       // no code point
		"a@example.xn--a":                         "a•••@e•••.xn--a",         //
		"a@xn--99999999999999.example":            "a•••@x•••.example",       // too large
		"a@xn--example-k06c.example":              "a•••@x•••.example",       // a joiner
		"a@example.xn--bcher-2pa":                 "a•••@e•••.xn--bcher-2pa", // a capital
		"a@example.xn--bucher-xyd":                "a•••@e•••.xn--bucher-xyd",
		"a@xn--bcher-kva.xn--a.xn--p1ai":          "a•••@b•••.рф",
		"a@xn--mgbh0fb.1und1.xn--kgbechtv":        "a•••@م•••.إختبار",
		"a@" + aLabelOf(t, "\U0003fffd") + ".com": "a•••@x•••.com", // never assigned
		"a@a." + aLabelOf(t, "\U0003fffd"):        "a•••@a•••." + aLabelOf(t, "\U0003fffd"),
	} {
		require.True(t, email{}.ValidPlaintext(address), address)
		require.Equal(t, want, email{}.Mask(address), address)
	}
}

func aLabelOf(t *testing.T, label string) string {
	t.Helper()
	a, err := idna.Punycode.ToASCII(label)
	require.NoError(t, err)
	return a
}
