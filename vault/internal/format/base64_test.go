package format_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// decodeStrictly is the rule that AppendDecoded has to keep: the strict decoder of the
// standard library accepts the text, and its encoder writes the same text again. The
// decoder alone would accept line breaks.
func decodeStrictly(text string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return raw, err == nil && base64.RawURLEncoding.EncodeToString(raw) == text
}

// requireSame decodes text behind other bytes, with room for the result and without.
func requireSame(t *testing.T, text string) {
	t.Helper()
	want, ok := decodeStrictly(text)
	for _, dst := range [][]byte{nil, []byte("before"), append(make([]byte, 0, len(text)+6), "before"...)} {
		got, accepted := format.AppendDecoded(dst, text)
		if accepted != ok || ok && !bytes.Equal(got, append(bytes.Clone(dst), want...)) {
			t.Fatalf("%q: %v %x, want %v %x", text, accepted, got, ok, want)
		}
	}
}

func requireSameEncoding(t *testing.T, raw []byte) {
	t.Helper()
	want := base64.RawURLEncoding.EncodeToString(raw)
	require.Equal(t, want, string(format.AppendBase64(nil, raw)))
	require.Equal(t, "before"+want, string(format.AppendBase64([]byte("before"), raw)))
	room := append(make([]byte, 0, 6+len(want)+9), "before"...)
	require.Equal(t, "before"+want, string(format.AppendBase64(room, raw)))
	require.Equal(t, make([]byte, 9), room[:cap(room)][6+len(want):], "written beyond the encoding")
}

// randomBytes returns the same bytes in every run.
func randomBytes(n int) []byte {
	raw := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(raw)
	return raw
}

func TestBase64IsThatOfTheStandardLibrary(t *testing.T) {
	for n := range 260 {
		raw := randomBytes(n)
		requireSameEncoding(t, raw)
		requireSameEncoding(t, bytes.Repeat([]byte{0xff}, n))
		requireSame(t, base64.RawURLEncoding.EncodeToString(raw))
	}
	requireSameEncoding(t, randomBytes(format.MaxText))
}

// Every byte at every place of texts of every length up to three groups of eight: the
// characters of no alphabet, of the standard alphabet, padding, line breaks, bytes beyond
// ASCII, and other bits after the last byte.
func TestEveryOtherSpellingOfBase64IsRefused(t *testing.T) {
	for n := range 19 {
		text := []byte(base64.RawURLEncoding.EncodeToString(randomBytes(n)))
		for i := range text {
			was := text[i]
			for c := range 256 {
				text[i] = byte(c)
				requireSame(t, string(text))
			}
			text[i] = was
		}
		for i := range len(text) + 1 {
			for _, more := range []string{"\n", "\r\n", " ", "=", "==", "\x00", "A", "AA", "AAA", "é"} {
				requireSame(t, string(text[:i])+more+string(text[i:]))
			}
			requireSame(t, string(text[:i]))
		}
	}
}

// The last characters of a text can hold bits that belong to no byte.
func TestBase64HasNoSpareBits(t *testing.T) {
	accepted := 0
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, front := range []string{"", "AAAA", "AAAAAAAA", "AAAAAAAAAAAA"} {
		for _, a := range alphabet {
			for _, b := range alphabet {
				requireSame(t, front+string(a)+string(b))
				requireSame(t, front+"A"+string(a)+string(b))
				if _, ok := format.AppendDecoded(nil, front+string(a)+string(b)); ok {
					accepted++
				}
			}
		}
	}
	require.Equal(t, 4*256, accepted, "one spelling of each byte")
}

// FuzzBase64: for any text and any bytes, both codecs agree.
func FuzzBase64(f *testing.F) {
	f.Add("AAAA", []byte("AAA"))
	f.Add("AA\nAA", []byte{0xff, 0xff, 0xff, 0xff})
	f.Add("AB", []byte{})
	f.Add(strings.Repeat("_-", 45), randomBytes(100))
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		requireSame(t, text)
		requireSameEncoding(t, raw)
	})
}

// BenchmarkBase64 compares both codecs over the body of a usual value.
func BenchmarkBase64(b *testing.B) {
	raw := randomBytes(97)
	text := base64.RawURLEncoding.EncodeToString(raw)
	out := make([]byte, 0, 256)
	strict := base64.RawURLEncoding.Strict()
	for name, f := range map[string]func(){
		"encode":                   func() { format.AppendBase64(out, raw) },
		"decode":                   func() { format.AppendDecoded(out, text) },
		"encode, standard library": func() { base64.RawURLEncoding.AppendEncode(out, raw) },
		"decode, standard library": func() {
			if _, err := strict.AppendDecode(out, append(out[128:128], text...)); err != nil {
				b.Fatal(err)
			}
		},
	} {
		b.Run(fmt.Sprintf("%s of %d bytes", name, len(raw)), func(b *testing.B) {
			for b.Loop() {
				f()
			}
		})
	}
}
