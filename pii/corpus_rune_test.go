package pii_test

import (
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/idna"

	"github.com/onlyfor/onlyfor/pii"
)

// eachRune calls f with every code point, surrogates and noncharacters too, as
// UTF-8 would have it. By default it takes one in seven of the ideographs and
// syllables and one in 97 of the planes that are not assigned or private;
// ONLYFOR_RUNES=all takes them all, 1,114,112, in some 10 s of one core.
func eachRune(f func(r rune, text string)) {
	all := os.Getenv("ONLYFOR_RUNES") == "all"
	for r := rune(0); r <= unicode.MaxRune; r++ {
		switch {
		case all:
		case r >= 0x3400 && r <= 0x9fff, r >= 0xac00 && r <= 0xd7a3, r >= 0x17000 && r <= 0x18cff, r >= 0x20000 && r <= 0x3ffff:
			if r%7 != 0 {
				continue
			}
		case r >= 0x40000 && r&0xffff > 0xfff && r&0xffff < 0xfff0:
			if r%97 != 0 {
				continue
			}
		}
		if r >= 0xd800 && r <= 0xdfff {
			f(r, string([]byte{0xed, byte(0x80 | r>>6&0x3f), byte(0x80 | r&0x3f)}))
			continue
		}
		f(r, string(r))
	}
}

const atext = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"

// In the local part, in place of the at sign and of a dot there is nothing but
// ASCII.
func TestNoRuneHasATwinInTheLocalPart(t *testing.T) {
	security, _ := newScopes(t)
	plain, err := pii.IndexEmail(ctx, "ab@example.com", security)
	require.NoError(t, err)
	seen := make(map[string]rune)
	eachRune(func(r rune, c string) {
		isAtext := r < utf8.RuneSelf && strings.ContainsRune(atext, r)
		isBlank := isDropped(c)
		for typed, valid := range map[string]bool{
			c + "b@example.com":   isAtext || isBlank, // a blank around is no part of it
			"a" + c + "@mail.com": isAtext,
			"a" + c + "b@mail.eu": isAtext || r == '.',
			"ab" + c + "mail.eu":  r == '@',
		} {
			if pii.ValidEmail(typed) != valid {
				require.Equal(t, valid, !valid, "%U: %q", r, typed)
			}
		}
		if typed := "ab@example.com" + c; pii.ValidEmail(typed) {
			index, err := pii.IndexEmail(ctx, typed, security)
			require.NoError(t, err)
			if index.Equal(plain) != isBlank {
				require.Equal(t, isBlank, !isBlank, "%U: %q", r, typed)
			}
		} else if isBlank {
			require.Fail(t, "refused", "%U: %q", r, typed)
		}
		if typed := "a" + c + "b@example.com"; pii.ValidEmail(typed) {
			index, err := pii.IndexEmail(ctx, typed, security)
			require.NoError(t, err)
			key := string(indexBytes(t, index))
			if twin, taken := seen[key]; taken {
				require.Equal(t, unicode.ToUpper(r), unicode.ToUpper(twin), "%U and %U", r, twin)
			}
			seen[key] = r
		}
	})
	require.Len(t, seen, len(atext)-26+1)
}

// smallOf returns the small letter of a capital that is written for this letter alone:
// domains do not have the capital, the two are the one capital and the one small letter
// of each other, and domains have no other letter that folds into them.
func smallOf(r rune) rune {
	small := unicode.ToLower(r)
	if r < utf8.RuneSelf || small == r {
		return small
	}
	if small < utf8.RuneSelf || unicode.ToUpper(small) != r || isLetterOfDomains(r) {
		return r
	}
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		if other != small && isLetterOfDomains(other) {
			return r
		}
	}
	return small
}

func isLetterOfDomains(r rune) bool {
	_, err := idna.Registration.ToASCII(string(r))
	return err == nil
}

// In the domain no letter of any script becomes one of ASCII, nor another
// letter, but for a capital whose small letter is not in doubt, as A to Z. Lower-casing
// is the only fold: the ways into the same index are the very same domain, typed as it
// is or in A-labels, and the same domain in capitals. Everything that UTS #46 maps to
// something else is refused, and so are all but one of the letters, beside their
// capitals, that fold into one another.
func TestNoRuneHasATwin(t *testing.T) {
	security, _ := newScopes(t)
	seen := make(map[string]rune)
	folds := make(map[rune]bool)
	accepted, capitals := 0, 0
	eachRune(func(r rune, c string) {
		indexed := false
		for _, form := range [][2]string{{"a@", ".example"}, {"a@a", "b.example"}, {"a@a.", ""}} { // alone, among letters, at the top
			typed := form[0] + c + form[1]
			plain := typed // in small letters
			if small := smallOf(r); r >= utf8.RuneSelf && small != r {
				plain = form[0] + string(small) + form[1]
			}
			valid := pii.ValidEmail(typed)
			if r < utf8.RuneSelf {
				number := form[1] == "" && unicode.IsDigit(r)
				within := form[1] == "b.example" && (r == '-' || r == '.')
				require.Equal(t, unicode.IsLetter(r) || unicode.IsDigit(r) && !number || within, valid, "%q", typed)
			} else if raw, err := idna.Punycode.ToASCII(plain[2:]); err != nil || pii.ValidEmail("a@"+raw) != valid {
				require.Equal(t, utf8.RuneError, []rune(c)[0], "U-label and A-label differ: %U: %q", r, typed)
			}
			if !valid || indexed {
				continue
			}
			indexed = true
			accepted++
			if r >= utf8.RuneSelf {
				// The tables of Unicode 15 disallow some capitals that later ones map.
				if m, err := mapped.ToUnicode(typed[2:]); m != plain[2:] && (err == nil || plain == typed) {
					require.Equal(t, plain[2:], m, "%U is mapped", r)
				}
				for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
					if other < utf8.RuneSelf || folds[other] && smallOf(r) != smallOf(other) && r != '\u03c3' { // sigma and final sigma are two letters to DNS
						require.Fail(t, "two letters that fold into one another", "%U and %U", r, other)
					}
				}
				folds[r] = true
				if plain != typed {
					capitals++
				}
			}
			index, err := pii.IndexEmail(ctx, typed, security)
			require.NoError(t, err)
			key := string(indexBytes(t, index))
			if twin, taken := seen[key]; taken && smallOf(r) != smallOf(twin) {
				require.Fail(t, "two domains have one index", "%U and %U", r, twin)
			}
			seen[key] = r
			if r >= utf8.RuneSelf {
				raw, err := idna.Punycode.ToASCII(plain[2:])
				require.NoError(t, err)
				of, err := pii.IndexEmail(ctx, "a@"+raw, security)
				require.NoError(t, err)
				if !index.Equal(of) {
					require.Fail(t, "more than lower-casing", "%U", r)
				}
			}
		}
	})
	require.Greater(t, accepted, 30_000, "the scripts of the world were refused")
	require.Greater(t, capitals, 1100, "the capitals of the world were refused")
}

// In a number there is nothing but the ten digits of ASCII and its separators.
func TestNoRuneHasATwinInANumber(t *testing.T) {
	security, _ := newScopes(t)
	of := func(typed string) string {
		index, err := pii.IndexPhone(ctx, typed, security)
		require.NoError(t, err)
		return string(indexBytes(t, index))
	}
	plain, seen := of("+14155552671"), make(map[string]rune)
	eachRune(func(r rune, c string) {
		digit := r >= '0' && r <= '9'
		separator := r == ' ' || r == '-' || r == '.'
		blank := isDropped(c)
		for typed, valid := range map[string]bool{
			"+1415" + c + "5552671": digit || separator,
			"+" + c + "4155552671":  digit && r != '0',
			"+14155552671" + c:      digit || blank,
			c + "+14155552671":      blank,
			c + "14155552671":       r == '+',
			"+1 " + c + "415) 5552": r == '(',
			"+1 (415" + c + " 5552": r == ')',
		} {
			if pii.ValidPhone(typed) != valid {
				require.Equal(t, valid, !valid, "%U: %q", r, typed)
			}
		}
		if typed := "+1415" + c + "5552671"; digit {
			key := of(typed)
			require.NotEqual(t, plain, key)
			require.Zero(t, seen[key], "%U has a twin", r)
			seen[key] = r
		} else if separator {
			require.Equal(t, plain, of(typed))
		}
	})
	require.Len(t, seen, 10)
}
