package pii_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var (
	forSecurity    = purpose.MustParse("security")
	forAdvertising = purpose.MustParse("advertising")
	forBilling     = purpose.MustParse("billing")
)

// Plaintexts whose parts occur in no message. In megabytes of sealed text, which
// is random, [leaked] finds a part of them by chance less than once in 10^9 runs.
const (
	testAddress = "Kq7vZ.Hxw93Jd@mx4.wyr8bqp.example"
	testNumber  = "+73918462504"
	testTaxID   = "86095742719"
)

func newScopes(t testing.TB) (security, advertising *vault.Scope) {
	t.Helper()
	kit := piitest.New(t, forSecurity, forAdvertising)
	return kit.Scope(forSecurity), kit.Scope(forAdvertising)
}

// requireNone fails if output has any part of secret that is longer than a
// chance: as text, in hexadecimal, in base64 or as a list of bytes.
func requireNone(t testing.TB, output, secret string) {
	t.Helper()
	if part := leaked(output, secret); part != "" {
		require.Fail(t, "leak", "%q in: %.2000s", part, output)
	}
}

// chance is how many bytes of a secret in base64, or as text that base64 could be,
// do not stand in megabytes of random base64: 11 bytes are 13 characters or more,
// 65 bits without regard to case.
const chance = 11

// leaked returns a part of secret that output has, "" if there is none. Eight
// bytes are a part in every spelling that random base64 can't be, and chance bytes
// in the others.
func leaked(output, secret string) string { return leakedBytes(output, secret, 8, chance) }

// leakedBytes returns a part of so many bytes of secret, and of so many in base64.
func leakedBytes(output, secret string, few, few64 int) string {
	lower := string(asciiLower([]byte(output)))
	for _, part := range partsOf(secret, few, few64) {
		if strings.Contains(lower, part) {
			return part
		}
	}
	return ""
}

var allParts sync.Map // of [3]any{secret, few, few64}

// partsOf returns, in lower case, how each run of so many bytes of secret is
// shown. Case decides nothing here, and is not always kept.
func partsOf(secret string, few, few64 int) []string {
	key := [3]any{secret, few, few64}
	if parts, ok := allParts.Load(key); ok {
		return parts.([]string)
	}
	var parts []string
	add := func(spellings ...string) {
		for _, s := range spellings {
			parts = append(parts, string(asciiLower([]byte(s))))
		}
	}
	for i := 0; i+few <= len(secret); i++ {
		part := secret[i : i+few]
		add(spellings([]byte(part))...)
		if strings.Trim(part, base64URL) != "" {
			add(part)
		}
	}
	for i := 0; i+few64 <= len(secret); i++ {
		part := secret[i : i+few64]
		add(part)
		add(spellings64([]byte(part))...)
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	allParts.Store(key, parts)
	return parts
}

// base64URL are the characters of sealed text, but for its full stops.
const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// spellings returns how printers show b.
func spellings(b []byte) []string {
	return []string{
		hex.EncodeToString(b),
		fmt.Sprintf("% x", b),
		strings.Trim(fmt.Sprint(b), "[]"),
		strings.ReplaceAll(strings.Trim(fmt.Sprint(b), "[]"), " ", ", "),
		strings.ReplaceAll(strings.Trim(fmt.Sprint(b), "[]"), " ", ","),
		byteList(b, "0x%02x"), byteList(b, "0x%x"),
	}
}

// spellings64 returns how encoders show b, at whatever place it begins in base64.
func spellings64(b []byte) (all []string) {
	for shift := range 3 {
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := e.EncodeToString(append(make([]byte, shift), b...))
			all = append(all, text[(shift*8+5)/6:len(text)-1]) // less what its neighbours decide
		}
	}
	return all
}

func byteList(b []byte, format string) string {
	var list []string
	for _, c := range b {
		list = append(list, fmt.Sprintf(format, c))
	}
	return strings.Join(list, ", ")
}

// The check has to find what it is for.
func TestLeaked(t *testing.T) {
	for name, output := range map[string]string{
		"text":           "invalid address " + testAddress,
		"a part":         "near \"7vZ.Hxw9\"",
		"digits":         "near 73918462504 and more",
		"in lower case":  strings.ToLower(testAddress),
		"%x":             fmt.Sprintf("%x", testAddress),
		"%X":             fmt.Sprintf("%X", testAddress),
		"% x":            fmt.Sprintf("% x", testAddress),
		"%v of bytes":    fmt.Sprint([]byte(testAddress)),
		"%#v of bytes":   fmt.Sprintf("%#v", []byte(testAddress)),
		"base64":         base64.StdEncoding.EncodeToString([]byte(testAddress)),
		"base64 shifted": base64.URLEncoding.EncodeToString([]byte("x" + testAddress)),
		"base64 further": base64.RawURLEncoding.EncodeToString([]byte("xy" + testAddress)),
	} {
		secret := testAddress
		if name == "digits" {
			secret = testNumber
		}
		require.NotEmpty(t, leaked(output, secret), name)
	}
	require.Empty(t, leaked("pii: sealing email: not a valid email", testAddress))
}

// A vector is one line of a file of golden vectors.
type vector struct {
	rule, typed       string
	valid             bool
	revealed, indexed string
}

func readVectors(t testing.TB, file string) []vector {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var vectors []vector
	rules := make(map[string]bool)
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		rule, rest, found := strings.Cut(line, `"`)
		require.True(t, found, line)
		v := vector{rule: strings.TrimSpace(rule)}
		require.False(t, rules[v.rule], "two vectors are named %q", v.rule)
		rules[v.rule] = true
		var fields []string
		for rest = `"` + rest; rest != "" && rest != "invalid"; rest = strings.TrimLeft(rest, " ") {
			quoted, err := strconv.QuotedPrefix(rest)
			require.NoError(t, err, line)
			field, err := strconv.Unquote(quoted)
			require.NoError(t, err, line)
			fields, rest = append(fields, field), rest[len(quoted):]
		}
		v.typed, v.valid = fields[0], rest != "invalid"
		switch {
		case !v.valid:
			require.Len(t, fields, 1, line)
		case len(fields) == 2:
			v.revealed, v.indexed = fields[1], fields[1]
		default:
			require.Len(t, fields, 3, line)
			v.revealed, v.indexed = fields[1], fields[2]
		}
		vectors = append(vectors, v)
	}
	require.NotEmpty(t, vectors)
	return vectors
}

// indexBytes returns what goes into a database.
func indexBytes(t testing.TB, x pii.Index) []byte {
	t.Helper()
	column, err := x.Value()
	require.NoError(t, err)
	require.IsType(t, []byte(nil), column)
	return bytes.Clone(column.([]byte))
}

// requirePoisoned fails unless x is what comes with an error.
func requirePoisoned(t testing.TB, x pii.Index) {
	t.Helper()
	require.False(t, x.IsZero())
	require.False(t, x.Equal(x))
	require.False(t, x.Equal(pii.Index{}))
	column, err := x.Value()
	require.Equal(t, []byte{}, column, "an ORM that forgets the error takes nil for NULL")
	require.Equal(t, pii.ErrPoisoned, err)
}

// allocated returns how many bytes do allocates. What other goroutines of the
// process allocate meanwhile is counted too, so the least of a few times counts.
func allocated(do func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// draw returns a source of random choices, which a test that fails names and which can
// be had again with ONLYFOR_SEED. Keys and nonces are random all the same.
func draw(t *testing.T) *mrand.Rand {
	t.Helper()
	seed := mrand.Uint64()
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
	return mrand.New(mrand.NewPCG(seed, 0))
}

// Limits of package vault.
const (
	maxPlaintext = 1024 // bytes
	maxSlots     = 16   // purposes of one value
)
