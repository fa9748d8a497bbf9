package piitest_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piitest"
)

// finds reports whether out has the contact's number in it.
func finds(t *testing.T, out func(number string) string) bool {
	t.Helper()
	return len(failures(t, func(tb testing.TB) {
		piitest.NoLeakParallel(tb, func(c *piitest.Contact) { c.Search("output", out(c.Number)) })
	})) > 0
}

func TestNumbersAreFoundAsPeopleAndProgramsWriteThem(t *testing.T) {
	for name, out := range map[string]func(area, exchange, line string) string{
		"national":                func(a, e, l string) string { return "number=" + a + e + l + ";" },
		"of a word":               func(a, e, l string) string { return "phone" + a + e + l },
		"before a word":           func(a, e, l string) string { return a + e + l + "x45" },
		"with country code":       func(a, e, l string) string { return "1" + a + e + l },
		"with 00":                 func(a, e, l string) string { return "001" + a + e + l },
		"with 011":                func(a, e, l string) string { return "0111" + a + e + l },
		"after another number":    func(a, e, l string) string { return "42+1" + a + e + l },
		"before another number":   func(a, e, l string) string { return "+1" + a + e + l + "42" },
		"with too many digits":    func(a, e, l string) string { return "+1" + a + e + l + "00000000" },
		"with a wrong trunk code": func(a, e, l string) string { return "+0" + a + e + l },
		"in three groups":         func(a, e, l string) string { return "7 " + a + " " + e + " " + l + " 8" },
		"with dots":               func(a, e, l string) string { return "1." + a + "." + e + "." + l },
		"in parentheses":          func(a, e, l string) string { return "1 (" + a + ") " + e + "-" + l },
		"area code apart":         func(a, e, l string) string { return a + "/" + e + l },
		"line apart":              func(a, e, l string) string { return a + e + " " + l },
		"thousands": func(a, e, l string) string {
			return "1" + a[:1] + "," + a[1:] + e[:1] + "," + e[1:] + l[:1] + "," + l[1:]
		},
		"thousands of national":    func(a, e, l string) string { return a[:1] + "," + a[1:] + e[:1] + "," + e[1:] + l[:1] + "," + l[1:] },
		"floating point":           func(a, e, l string) string { return "1." + a + e + l + "e+10" },
		"floating point, national": func(a, e, l string) string { return a[:1] + "." + a[1:] + e + l + "e+09" },
		"digits apart":             func(a, e, l string) string { return strings.Join(strings.Split("1"+a+e+l, ""), " ") },
		"digits in a list":         func(a, e, l string) string { return `["` + strings.Join(strings.Split(a+e+l, ""), `","`) + `"]` },
		"across lines":             func(a, e, l string) string { return "a column that ends with " + a + e[:1] + "\n" + e[1:] + l },
		"in UTF-16": func(a, e, l string) string {
			b, _ := binary.Append(nil, binary.LittleEndian, utf16.Encode([]rune("x ("+a+") "+e+"-"+l+" y")))
			return string(b)
		},
		"before a tag that is a digit":   func(a, e, l string) string { return "\x0a\x0a" + a + e + l + "2\x05hello" },
		"after a length that is a digit": func(a, e, l string) string { return "\x00\x000" + a + e + l + "\x00" },
		"in binary in base64": func(a, e, l string) string {
			return base64.StdEncoding.EncodeToString([]byte("\x0a\x0a" + a + e + l + "2\x05hello"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.True(t, finds(t, func(number string) string { return out(number[2:5], number[5:8], number[8:]) }))
			if strings.Contains(name, "base64") || strings.Contains(name, "floating") {
				return // backwards they are something else
			}
			require.True(t, finds(t, func(number string) string {
				text := []byte(out(number[2:5], number[5:8], number[8:]))
				slices.Reverse(text)
				return string(text)
			}), "backwards")
		})
	}
}

// Random bytes, in dumps of any form, and times have the digits of any number now and
// then.
func TestDigitsOfDumpsAreNoNumbers(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("ONLYFOR_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "ONLYFOR_SEED")
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d: repeat with ONLYFOR_SEED=%d", seed, seed)
		}
	})
	random := rand.New(rand.NewPCG(seed, 0))
	of := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	const digits, hexDigits = "0123456789", "0123456789abcdef"
	// among returns the digits of the number among others, and how many are before
	// it: more than a country code has, and as many or more behind.
	among := func(alphabet, national string) string {
		return of(alphabet, 5+random.IntN(20)) + "7" + national + "7" + of(alphabet, 5+random.IntN(20))
	}
	grouped := func(text string, size int, separator string) string {
		var groups []string
		for ; len(text) > size; text = text[size:] {
			groups = append(groups, text[:size])
		}
		return strings.Join(append(groups, text), separator)
	}
	for name, out := range map[string]func(national string) string{
		"random digits":        func(n string) string { return among(digits, n) },
		"hexadecimal":          func(n string) string { return among(hexDigits, n) },
		"capitals":             func(n string) string { return strings.ToUpper(among(hexDigits, n)) },
		"beside letters":       func(n string) string { return "id=" + of("abcdef", 1) + n },
		"before letters":       func(n string) string { return "id=" + n + of("abcdef", 1) },
		"an address in memory": func(n string) string { return "0x" + n },
		"pairs":                func(n string) string { return "a " + grouped(of(hexDigits, 6)+n+of(hexDigits, 6), 2, " ") },
		"pairs with colons":    func(n string) string { return grouped(n, 2, ":") },
		"pairs alone":          func(n string) string { return grouped(n, 2, " ") },
		"fours":                func(n string) string { return grouped(n+of(hexDigits, 6), 4, " ") },
		"hexdump": func(n string) string {
			b, _ := hex.DecodeString(of(hexDigits, 2*random.IntN(32)) + n + of(hexDigits, 2*random.IntN(32)))
			return hex.Dump(b)
		},
		"UUID":                    func(n string) string { return n[:8] + "-" + n[8:] + "ab-4abc-8abc-" + of(hexDigits, 12) },
		"end of a UUID":           func(n string) string { return of(hexDigits, 8) + "-4abc-8abc-9abc-ab" + n },
		"digits of many in a row": func(n string) string { return strings.Join(strings.Split(among(digits, n), ""), " ") },
		"time with microseconds":  func(n string) string { return "18:" + n[:2] + ":" + n[2:4] + "." + n[4:] },
		"nanoseconds since 1970":  func(n string) string { return "179" + n + "123456" },
		"list of bytes": func(n string) string {
			return "[" + n[:2] + " " + n[2:4] + " " + n[4:6] + " " + n[6:8] + " " + n[8:] + "]"
		},
		"list of larger and smaller": func(n string) string { return n[:2] + ", " + n[2:3] + ", " + n[3:5] + ", " + n[5:7] + ", " + n[7:] },
	} {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				require.False(t, finds(t, func(number string) string { return out(number[2:]) }))
			}
		})
	}
}

// Some thousand contacts of a process have numbers of their own, none of which is
// an integer of 32 bits, forwards or backwards.
func TestNumbersOfContacts(t *testing.T) {
	seen := make(map[string]bool)
	for range 3000 {
		var number string
		piitest.NoLeakParallel(t, func(c *piitest.Contact) { number = c.Number })
		require.Regexp(t, `^\+1[5-9]\d\d55501\d[5-9]$`, number)
		require.False(t, seen[number], fmt.Sprint(len(seen), " contacts are different"))
		seen[number] = true
	}
}
