package vault

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

// FuzzParseTextKEK reads each input as the text of a key, and as the keyset of a text
// whose checksum is right: a fuzzer finds no checksum by chance. It looks for texts that
// make Tink panic, that are accepted and are of no use, or that an error quotes, and for
// two texts of one key.
func FuzzParseTextKEK(f *testing.F) {
	security := purpose.MustParse("security")
	// A key that protects nothing, so that every run has the same corpus.
	const text = "ofkek1.security.CIO7qN4BEmQKWAowdHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUuY3J5cHRvLnRpbmsuQWVzR2NtS2V5EiIaIH6H97tRSVsYWkOLdnjNa7oi2m5YGzLQpP1_l5ccoT5WGAEQARiDu6jeASABNPVl3Q"
	keys, err := textKEKEncoding.DecodeString(text[len("ofkek1.security."):])
	require.NoError(f, err)
	keys = keys[:len(keys)-4]
	textOf := func(p purpose.Purpose, keys []byte) string {
		check := collectorCheck(textKEKVersion, p, keys)
		return "ofkek1." + p.String() + "." + textKEKEncoding.EncodeToString(append(bytes.Clone(keys), check...))
	}
	require.Equal(f, text, textOf(security, keys))

	f.Add(text)
	f.Add(" " + text + "\r\n")
	f.Add(textOf(purpose.MustParse("advertising"), keys))
	f.Add(text[:50] + "\n" + text[50:])
	f.Add("ofkek2.security.AAAA")
	f.Add("ofkek1.security.")
	f.Add(text[:len(text)-1] + "R") // another last character for the same bytes
	f.Add(string(keys))
	f.Add(string(bytes.Replace(keys, []byte("AesGcmKey"), []byte("AesSivKey"), 1)))
	f.Add(string(keys) + string(keys)) // two keysets, which protobuf merges

	parse := func(t *testing.T, text string) AEAD {
		a, err := parseTextKEK(security, text)
		if err != nil {
			if err == errTextMalformed || err == errTextVersion {
				return nil
			}
			require.ErrorIs(t, err, ErrNoKeys)
			require.NotErrorIs(t, err, ErrCorrupt)
			if name, ok := strings.CutPrefix(err.Error(), "text of the key of "); ok {
				of, err := purpose.Parse(strings.TrimSuffix(name, ": no usable keys"))
				require.NoError(t, err, "the error quotes more than a purpose")
				require.NotEqual(t, security, of)
				return nil
			}
			require.EqualError(t, err, "no text for this purpose: no usable keys")
			require.Empty(t, strings.TrimSpace(text))
			return nil
		}
		sealed, err := a.Encrypt([]byte("keyset"), []byte("aad"))
		require.NoError(t, err)
		opened, err := a.Decrypt(sealed, []byte("aad"))
		require.NoError(t, err)
		require.Equal(t, "keyset", string(opened))
		_, err = a.Decrypt(sealed, []byte("other"))
		require.ErrorIs(t, err, ErrCorrupt)
		return a
	}
	f.Fuzz(func(t *testing.T, input string) {
		if parse(t, input) != nil {
			// One key has one text: the encoding is strict.
			only := strings.TrimSpace(input)
			data, err := textKEKEncoding.DecodeString(only[strings.LastIndexByte(only, '.')+1:])
			require.NoError(t, err)
			require.Equal(t, only, textOf(security, data[:len(data)-4]))
		}
		parse(t, textOf(security, []byte(input)))
	})
}
