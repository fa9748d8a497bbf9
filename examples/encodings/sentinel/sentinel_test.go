package sentinel_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/examples/encodings/sentinel"
)

const (
	address = "Kq7vZ.Hxw93Jd@mx4.wyr8bqp.example"
	number  = "+73918462504"
)

// A check that can't fail proves nothing: each spelling is planted once, and
// has to be found.
func TestFindsEverySpelling(t *testing.T) {
	c := sentinel.New(address, number)
	for _, secret := range []string{address, number} {
		sum, short := sha256.Sum256([]byte(secret)), md5.Sum([]byte(secret))
		folded := sha256.Sum256([]byte(strings.ToLower(secret)))
		digits := sha256.Sum256([]byte(strings.TrimPrefix(secret, "+")))
		std, urls := base64.StdEncoding, base64.URLEncoding
		for name, output := range map[string]string{
			"in clear":             secret,
			"in a sentence":        "no mailbox " + secret + " here",
			"in part":              secret[1:12],
			"in lower case":        strings.ToLower(secret),
			"in upper case":        strings.ToUpper(secret),
			"%q":                   fmt.Sprintf("%q", secret),
			"%x":                   fmt.Sprintf("%x", secret),
			"%X":                   fmt.Sprintf("%X", secret),
			"% x":                  fmt.Sprintf("% x", secret),
			"%v of bytes":          fmt.Sprint([]byte(secret)),
			"%#v of bytes":         fmt.Sprintf("%#v", []byte(secret)),
			"JSON list of bytes":   strings.ReplaceAll(fmt.Sprint([]byte(secret)), " ", ","),
			"YAML list of bytes":   strings.ReplaceAll(fmt.Sprint([]byte(secret)), " ", "\n    - "),
			"hexadecimal":          hex.EncodeToString([]byte(secret)),
			"hexdump":              hex.Dump([]byte(secret)),
			"base64":               std.EncodeToString([]byte(secret)),
			"base64 after 1 byte":  std.EncodeToString([]byte("x" + secret)),
			"base64 after 2 bytes": std.EncodeToString([]byte("xy" + secret)),
			"base64url":            urls.EncodeToString([]byte(secret)),
			"URL-escaped":          "https://ads.example/?em=" + url.QueryEscape(secret),
			"URL path":             url.PathEscape(secret),
			"SHA-256":              string(sum[:]),
			"SHA-256 hex":          hex.EncodeToString(sum[:]),
			"SHA-256 base64":       std.EncodeToString(sum[:]),
			"SHA-256 base64url":    urls.EncodeToString(sum[:]),
			"SHA-256 of lower":     hex.EncodeToString(folded[:]),
			"SHA-256 of digits":    fmt.Sprintf("%X", digits),
			"MD5 hex":              hex.EncodeToString(short[:]),
			"MD5 base64":           std.EncodeToString(short[:]),
			"JSON":                 string(first(json.Marshal(map[string]string{"a": secret}))),
			"JSON of bytes":        string(first(json.Marshal([]byte(secret)))),
			"XML":                  string(first(xml.Marshal(secret))),
			"gob":                  gobbed(t, secret),
		} {
			require.NotEmpty(t, c.Find(output), name)
		}
	}
}

// A check that always fails proves as little.
func TestFindsNothingElse(t *testing.T) {
	c := sentinel.New(address, number)
	for _, output := range []string{
		"",
		"pii.Email(security)",
		"pii: decoding email: vault: sealed value is corrupt",
		"someone@else.com +12025550123",
		strings.Repeat("pii1.email.security.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", 100),
	} {
		require.Empty(t, c.Find(output), output)
	}
}

func TestRefusesWhatChanceWouldFind(t *testing.T) {
	require.Panics(t, func() { sentinel.New("ten digits") })
}

func first[T any](v T, _ error) T { return v }

func gobbed(t *testing.T, v any) string {
	t.Helper()
	var wire bytes.Buffer
	require.NoError(t, gob.NewEncoder(&wire).Encode(v))
	return wire.String()
}
