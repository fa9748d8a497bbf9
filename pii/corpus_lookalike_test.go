package pii_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/idna"

	"github.com/onlyfor/onlyfor/pii"
)

// mapped is what browsers and many mail systems do to a domain before they look
// it up: compatibility forms, case folding, ignored characters (UTS #46). It is
// how twins are made, and is used here to find them.
var mapped = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.ValidateLabels(false), idna.VerifyDNSLength(false))

// lookalikes returns what a person, a font or a library takes for a text of
// ASCII: forms that mapping turns into it, other cases, digits of other
// scripts, and the confusables of UTS #39.
func lookalikes(t testing.TB) map[string][]rune {
	t.Helper()
	all := make(map[string][]rune)
	for r := rune(utf8.RuneSelf); r <= unicode.MaxRune; r++ {
		if ascii, err := mapped.ToUnicode("x" + string(r) + "x"); err == nil && isASCII(ascii) {
			ascii = strings.TrimSuffix(strings.TrimPrefix(ascii, "x"), "x") // "" is ignored: to be inserted
			all[ascii] = append(all[ascii], r)
		}
		if low := unicode.ToLower(r); low < utf8.RuneSelf {
			all[string(low)] = append(all[string(low)], r)
		}
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if other < utf8.RuneSelf {
				all[string(other)] = append(all[string(other)], r)
			}
		}
	}
	for r := rune(utf8.RuneSelf); r <= unicode.MaxRune; r++ {
		if unicode.Is(unicode.Nd, r) {
			digit := string('0' + digitOf(r))
			all[digit] = append(all[digit], r)
		}
	}
	for ascii, runes := range readConfusables(t) {
		all[ascii] = append(all[ascii], runes...)
		if low := foldASCII(ascii); low != ascii {
			all[low] = append(all[low], runes...)
		}
	}
	// Blanks, dots, dashes and signs that are none of these to Unicode, and what
	// shows nothing at all.
	for ascii, runes := range map[string]string{
		"@": "\uff20\ufe6b\u24d0", ".": "\u3002\uff0e\uff61\u2024\u00b7\u0701\u06d4\ua60e", "+": "\uff0b\u207a\u208a\ufb29\ufe62",
		"-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u30fc\u00ad", "(": "\uff08\u207d\u208d", ")": "\uff09\u207e\u208e",
		"": "\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069" +
			"\u206a\u206f\u3164\ufe00\ufe0f\ufeff\uffa0\ufff9\U0001bca0\U0001d173\U000e0001\U000e0020\U000e0100" +
			"\u0300\u0301\u0307\u0308\u0323\u0327\u0336\u0338\u20dd\u3099\ufe20\x00\x01\x1b\x7f\u0080\u0085\u00a0\u1680\u2000\u2007\u2009\u2028\u2029\u202f\u205f\u3000",
	} {
		all[ascii] = append(all[ascii], []rune(runes)...)
	}
	return all
}

// digitOf returns the value of a decimal digit: of each script there are ten in
// a row, and rows begin where the one before ends.
func digitOf(r rune) rune {
	first := r
	for unicode.Is(unicode.Nd, first-1) {
		first--
	}
	return (r - first) % 10
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

func readConfusables(t testing.TB) map[string][]rune {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpusDir, "confusables.txt"))
	require.NoError(t, err)
	all := make(map[string][]rune)
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(line, "##") {
			continue
		}
		for _, code := range fields[1:] {
			r, err := strconv.ParseUint(code, 16, 32)
			require.NoError(t, err, line)
			all[fields[0]] = append(all[fields[0]], rune(r))
		}
	}
	require.Greater(t, len(all), 70)
	return all
}

// substitutes calls f with s in which one occurrence of a text is one of its
// lookalikes, for all of them.
func substitutes(s string, lookalikes map[string][]rune, f func(string)) {
	for ascii, runes := range lookalikes {
		for i := 0; i+len(ascii) <= len(s); i++ {
			if foldASCII(s[i:i+len(ascii)]) != foldASCII(ascii) {
				continue
			}
			for _, r := range runes {
				f(s[:i] + string(r) + s[i+len(ascii):])
			}
		}
	}
}

// An address with one character put for another that looks or folds like it is
// refused, or is somebody else's: never is its index that of the original. By
// default each seventh address is taken; ONLYFOR_RUNES=all takes them all.
func TestEmailLookalikesAreOthers(t *testing.T) {
	security, _ := newScopes(t)
	likes := lookalikes(t)
	byIndex := make(map[string]string)
	tried, accepted := 0, 0
	owner := func(typed string) {
		index, err := pii.IndexEmail(ctx, typed, security)
		require.NoError(t, err)
		key, mailbox := string(indexBytes(t, index)), inALabels(t, trimmed(typed))
		if other, taken := byIndex[key]; taken {
			require.Equal(t, other, mailbox, "two mailboxes have one index")
		}
		byIndex[key] = mailbox
	}
	for i, c := range readCorpus(t, "email") {
		if !c.valid || len(c.revealed) > 48 || i%7 != 0 && os.Getenv("ONLYFOR_RUNES") != "all" {
			continue // long ones have no letters that short ones have not
		}
		owner(c.revealed)
		substitutes(c.revealed, likes, func(typed string) {
			tried++
			if pii.ValidEmail(typed) {
				accepted++
				local, _, _ := strings.Cut(trimmed(typed), "@")
				require.True(t, isASCII(local), "the local part of %q is beyond ASCII", typed)
				owner(typed)
			}
		})
	}
	require.Greater(t, tried, 50_000)
	require.Greater(t, accepted, 1000, "internationalised domains were refused")
}

// A number with one character put for another that looks like it is refused, but for
// characters that are dropped around it. By
// default each third number is taken; ONLYFOR_RUNES=all takes them all.
func TestPhoneLookalikesAreRefused(t *testing.T) {
	likes := lookalikes(t)
	tried := 0
	for i, c := range readCorpus(t, "phone") {
		if !c.valid || i%3 != 0 && os.Getenv("ONLYFOR_RUNES") != "all" {
			continue
		}
		number := trimmed(c.typed)
		substitutes(number, likes, func(typed string) {
			tried++
			require.Equal(t, trimmed(typed) == number, pii.ValidPhone(typed), "%q", typed)
		})
	}
	require.Greater(t, tried, 50_000)
}
