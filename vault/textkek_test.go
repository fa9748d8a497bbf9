package vault_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
	"github.com/onlyfor/onlyfor/vault/kektest"
)

// A text of version 1, and a ciphertext of it.
const (
	kekText    = "ofkek1.security.CIO7qN4BEmQKWAowdHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUuY3J5cHRvLnRpbmsuQWVzR2NtS2V5EiIaIH6H97tRSVsYWkOLdnjNa7oi2m5YGzLQpP1_l5ccoT5WGAEQARiDu6jeASABNPVl3Q"
	kekWrapped = "011bca1d8355aa0c3196e7f5b15c0b47359546ade8bd9929943b778594f0fc4d1a217ca69a7706"
)

// always is a source of one text for every purpose.
func always(text string) func(purpose.Purpose) (string, error) {
	return func(purpose.Purpose) (string, error) { return text, nil }
}

func TestTextKEKVector(t *testing.T) {
	for _, text := range []string{kekText, kekText + "\n", " \t" + kekText + "\r\n"} {
		a, err := vault.TextKEK(always(text)).For(t.Context(), vaulttest.Security)
		require.NoError(t, err)
		wrapped, err := hex.DecodeString(kekWrapped)
		require.NoError(t, err)
		opened, err := a.Decrypt(wrapped, []byte("aad"))
		require.NoError(t, err)
		require.Equal(t, "keyset", string(opened))
		require.Regexp(t, `^tink:\d+$`, a.(vault.KeyNamer).KeyName())
	}
}

func TestTextKEKKeepsTheContract(t *testing.T) {
	kektest.Run(t, func(t testing.TB) vault.KEK {
		texts := map[purpose.Purpose]string{}
		for _, p := range []purpose.Purpose{vaulttest.Security, vaulttest.Advertising} {
			text, err := vault.GenerateKEK(p)
			require.NoError(t, err)
			texts[p] = text
		}
		return vault.TextKEK(func(p purpose.Purpose) (string, error) { return texts[p], nil })
	}, &kektest.Options{Purposes: [2]purpose.Purpose{vaulttest.Security, vaulttest.Advertising}})
}

func TestGenerateKEK(t *testing.T) {
	one, err := vault.GenerateKEK(vaulttest.Security)
	require.NoError(t, err)
	two, err := vault.GenerateKEK(vaulttest.Security)
	require.NoError(t, err)
	require.NotEqual(t, one, two)
	require.Regexp(t, `^ofkek1\.security\.[A-Za-z0-9_-]+$`, one)
	_, err = vault.GenerateKEK(purpose.Purpose{})
	require.ErrorIs(t, err, vault.ErrInvalid)

	// A vault under the text opens its keys again, and under no other text.
	store := vault.Memory()
	v := vaulttest.Open(t, store, vault.TextKEK(always(one)), nil)
	require.NoError(t, v.Generate(t.Context(), vaulttest.Security))
	value := vaulttest.Seal(t, vaulttest.Scope(t, v, vaulttest.Security))
	again := vaulttest.Open(t, store, vault.TextKEK(always(one)), nil)
	vaulttest.Opens(t, vaulttest.Scope(t, again, vaulttest.Security), value)
	_, err = vaulttest.Open(t, store, vault.TextKEK(always(two)), nil).Scope(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrCorrupt)
}

func TestTextKEKRefuses(t *testing.T) {
	ads, err := vault.GenerateKEK(vaulttest.Advertising)
	require.NoError(t, err)
	key := kekText[strings.LastIndexByte(kekText, '.')+1:]
	const malformed = "text KEK: malformed, cut off or mistyped text of a key: not sealed here, or altered since"
	texts := map[string]struct {
		text, err string
		is        error
	}{
		"nothing":           {"", "text KEK: no text for this purpose: no usable keys", vault.ErrNoKeys},
		"blanks":            {" \r\n", "text KEK: no text for this purpose: no usable keys", vault.ErrNoKeys},
		"another purpose":   {ads, "text KEK: text of the key of advertising: no usable keys", vault.ErrNoKeys},
		"another version":   {strings.Replace(kekText, "ofkek1", "ofkek2", 1), "text KEK: text of a key of another version: not sealed here, or altered since", vault.ErrCorrupt},
		"relabelled":        {strings.Replace(ads, "advertising", "security", 1), malformed, vault.ErrCorrupt},
		"a passphrase":      {"correct.horse.battery", malformed, vault.ErrCorrupt},
		"two texts":         {kekText + "\n" + kekText, malformed, vault.ErrCorrupt},
		"padded":            {kekText + "=", malformed, vault.ErrCorrupt},
		"no purpose":        {"ofkek1.." + key, malformed, vault.ErrCorrupt},
		"no key":            {"ofkek1.security.", malformed, vault.ErrCorrupt},
		"no dot":            {"ofkek1.security", malformed, vault.ErrCorrupt},
		"upper case":        {strings.ToUpper(kekText), malformed, vault.ErrCorrupt},
		"a broken line":     {kekText[:50] + "\n" + kekText[50:], malformed, vault.ErrCorrupt},
		"quoted":            {`"` + kekText + `"`, malformed, vault.ErrCorrupt},
		"too long":          {kekText + strings.Repeat(" ", 1<<16), malformed, vault.ErrCorrupt},
		"a check of no key": {"ofkek1.security." + base64.RawURLEncoding.EncodeToString([]byte("abc")), malformed, vault.ErrCorrupt},
	}
	for i := range kekText { // cut off, or one character mistyped
		texts[fmt.Sprint("cut at ", i)] = struct {
			text, err string
			is        error
		}{kekText[:i], "", nil}
		texts[fmt.Sprint("mistyped at ", i)] = struct {
			text, err string
			is        error
		}{kekText[:i] + string(kekText[i]^1) + kekText[i+1:], "", nil}
	}
	for name, c := range texts {
		_, err := vault.TextKEK(always(c.text)).For(t.Context(), vaulttest.Security)
		require.Error(t, err, name)
		if c.is != nil {
			require.ErrorIs(t, err, c.is, name)
			require.EqualError(t, err, c.err, name)
		}
		require.NotContains(t, err.Error(), key[40:80])
	}
	_, err = vault.TextKEK(nil).For(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	_, err = vault.TextKEK(always(kekText)).For(t.Context(), purpose.Purpose{})
	require.ErrorIs(t, err, vault.ErrInvalid)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = vault.TextKEK(always(kekText)).For(cancelled, vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrUnavailable)

	// A source that fails is not quoted, unless the error is a sentinel.
	_, err = vault.TextKEK(func(purpose.Purpose) (string, error) { return "", errors.New("secret " + kekText) }).For(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrNoKeys)
	require.NotContains(t, err.Error(), "secret")
	_, err = vault.TextKEK(func(purpose.Purpose) (string, error) { return "", vault.ErrUnavailable }).For(t.Context(), vaulttest.Security)
	require.ErrorIs(t, err, vault.ErrUnavailable)
}

// No printer shows a key.
func TestTextKEKPrintsNothing(t *testing.T) {
	t.Setenv("ONLYFOR_KEK_SECURITY", kekText)
	kek := vault.EnvKEK("ONLYFOR_KEK_")
	a, err := kek.For(t.Context(), vaulttest.Security)
	require.NoError(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(kekText[strings.LastIndexByte(kekText, '.')+1:])
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, held := range []any{kek, a, struct{ A, B any }{kek, a}} {
			printed := fmt.Sprintf(verb, held)
			require.NotContains(t, printed, kekText[30:60])
			require.NotContains(t, printed, hex.EncodeToString(raw[60:70]))
			require.NotContains(t, printed, strings.Trim(fmt.Sprint(raw[60:70]), "[]"))
		}
	}
}

func TestEnvKEK(t *testing.T) {
	kek := vault.EnvKEK("ONLYFOR_KEK_")
	p := purpose.MustParse("two-factor")
	_, err := kek.For(t.Context(), p)
	require.EqualError(t, err, "environment variable ONLYFOR_KEK_TWO_FACTOR: no text for this purpose: no usable keys")
	text, err := vault.GenerateKEK(p)
	require.NoError(t, err)
	t.Setenv("ONLYFOR_KEK_TWO_FACTOR", text)
	_, err = kek.For(t.Context(), p)
	require.NoError(t, err)
	t.Setenv("ONLYFOR_KEK_SECURITY", text) // the wrong one
	_, err = kek.For(t.Context(), vaulttest.Security)
	require.EqualError(t, err, "environment variable ONLYFOR_KEK_SECURITY: text of the key of two-factor: no usable keys")
}
