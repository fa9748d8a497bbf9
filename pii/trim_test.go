package pii_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
)

// dropped are the characters that are dropped around an address and a number.
const dropped = " \t\r\n" +
	"\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000" +
	"\u200b\u200c\u200d\u2060\ufeff\u00ad" +
	"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" +
	"\ufe00\ufe01\ufe02\ufe03\ufe04\ufe05\ufe06\ufe07\ufe08\ufe09\ufe0a\ufe0b\ufe0c\ufe0d\ufe0e\ufe0f"

func isDropped(c string) bool { return strings.Contains(dropped, c) && utf8.ValidString(c) }

// trimmed returns typed without the dropped characters around it. A joiner behind a
// letter beyond ASCII stays.
func trimmed(typed string) string {
	s := strings.TrimLeft(typed, dropped)
	core := strings.TrimRight(s, dropped)
	for _, joiner := range []string{"\u200c", "\u200d"} {
		if last, _ := utf8.DecodeLastRuneInString(core); last >= utf8.RuneSelf && strings.HasPrefix(s[len(core):], joiner) {
			return core + joiner
		}
	}
	return core
}

// Every dropped character, in front, behind, on both sides, several times and mixed
// with blanks, leaves an address and a number as they are. Within, each is refused at
// every place, but for the signs that a number can have.
func TestInvisibleCharactersAroundAreDropped(t *testing.T) {
	security, _ := newScopes(t)
	for name, kind := range map[string]struct {
		text     []string
		seal     func(string) (string, error)
		index    func(string) (pii.Index, error)
		valid    func(string) bool
		accepted string // characters that are accepted within
	}{
		"email": {
			[]string{testAddress, "Alice@XN--BCHER-KVA.example"},
			func(s string) (string, error) {
				email, err := pii.SealEmail(ctx, s, security)
				if err != nil {
					return "", err
				}
				return email.Reveal(ctx, security)
			},
			func(s string) (pii.Index, error) { return pii.IndexEmail(ctx, s, security) },
			pii.ValidEmail, "",
		},
		"phone": {
			[]string{"+14155552671", "+1 (415) 555-2671"},
			func(s string) (string, error) {
				phone, err := pii.SealPhone(ctx, s, security)
				if err != nil {
					return "", err
				}
				return phone.Reveal(ctx, security)
			},
			func(s string) (pii.Index, error) { return pii.IndexPhone(ctx, s, security) },
			pii.ValidPhone, " ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, text := range kind.text {
				want, err := kind.seal(text)
				require.NoError(t, err)
				wantIndex, err := kind.index(text)
				require.NoError(t, err)
				for _, r := range dropped {
					c := string(r)
					for _, typed := range []string{c + text, text + c, c + text + c, c + c + c + text + c + c, " " + c + text + "\t" + c + "\r\n", c + " " + text + c + "\u00a0"} {
						got, err := kind.seal(typed)
						require.NoError(t, err, "%U: %q", r, typed)
						require.Equal(t, want, got, "%U: %q", r, typed)
						index, err := kind.index(typed)
						require.NoError(t, err)
						require.True(t, index.Equal(wantIndex), "%U: %q", r, typed)
						require.True(t, kind.valid(typed))
					}
					for i := 1; i < len(text); i++ {
						typed := text[:i] + c + text[i:]
						if strings.Contains(kind.accepted, c) {
							continue
						}
						require.False(t, kind.valid(typed), "%U at %d: %q", r, i, typed)
					}
				}
			}
			// Nothing is left of them.
			for _, nothing := range []string{dropped, "\u200b", "\u2068\u2069", "@" + dropped, dropped + "@" + dropped, dropped + "+"} {
				require.False(t, kind.valid(nothing), "%q", nothing)
			}
			// Half a character is none of them.
			for i := 1; i < 3; i++ {
				require.False(t, kind.valid(kind.text[0]+"\u200b"[:i]))
				require.False(t, kind.valid("\u200b"[i:]+kind.text[0]))
			}
		})
	}
}

// The blanks of Unicode and the marks of direction are all in the list.
func TestDroppedCharactersAreWholeClasses(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if unicode.In(r, unicode.Zs, unicode.Bidi_Control) {
			require.True(t, isDropped(string(r)), "%U", r)
		}
	}
	require.Equal(t, 54, utf8.RuneCountInString(dropped))
}

// Marks count as text does, so that the bounds of the text are those of the work.
func TestMarksAroundAreBounded(t *testing.T) {
	for n, valid := range map[int]bool{0: true, (1016 - len(testAddress)) / 3: true, (1016-len(testAddress))/3 + 1: false} {
		require.Equal(t, valid, pii.ValidEmail(testAddress+strings.Repeat("\u200b", n)), "%d behind", n)
		require.Equal(t, valid, pii.ValidEmail(strings.Repeat("\u2066", n)+testAddress), "%d in front", n)
	}
	for n, valid := range map[int]bool{0: true, 17: true, 18: false} {
		require.Equal(t, valid, pii.ValidPhone("+14155552671"+strings.Repeat("\u200b", n)), "%d behind", n)
		require.Equal(t, valid, pii.ValidPhone(strings.Repeat("\u2066", n)+"+14155552671"), "%d in front", n)
	}
}

// A joiner can be the last character of a domain, and makes another domain of it. So it
// stays behind a letter beyond ASCII, and is dropped behind ASCII.
func TestAJoinerAtTheEndOfADomainStays(t *testing.T) {
	security, _ := newScopes(t)
	reveal := func(typed string) string {
		email, err := pii.SealEmail(ctx, typed, security)
		require.NoError(t, err, "%q", typed)
		revealed, err := email.Reveal(ctx, security)
		require.NoError(t, err)
		return revealed
	}
	seen := make(map[string]string)
	for _, typed := range []string{"a@example.\u0915\u094d", "a@example.\u0915\u094d\u200c", "a@example.\u0915\u094d\u200d"} {
		revealed := reveal(typed)
		require.Empty(t, seen[revealed], "%q", typed)
		seen[revealed] = typed
		for _, around := range []string{" ", "\u00a0", "\ufeff", "\u2069", "\ufe0f"} {
			require.Equal(t, revealed, reveal(around+typed+around), "%q", around)
		}
	}
	require.Equal(t, "a@example.com", reveal("a@example.com\u200d"))
	require.False(t, pii.ValidEmail("a@example.\u0440\u0444\u200d"), fmt.Sprintf("%q", "a joiner that IDNA refuses"))
}
