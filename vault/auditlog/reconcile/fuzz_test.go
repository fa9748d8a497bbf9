package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/auditlog/reconcile"
)

// checkSource reads a source to its end. Any input gives calls, damages and at most one
// other error, which is a sentinel, and no text with characters that do not print.
func checkSource(t *testing.T, s reconcile.Source) {
	for c, err := range s {
		if err != nil {
			require.True(t, errors.Is(err, reconcile.ErrDamaged) || errors.Is(err, reconcile.ErrFormat), err)
			continue
		}
		for _, text := range []string{c.ID, c.Action, c.Purpose, c.Vault, c.Principal, c.Address, c.Refused} {
			require.LessOrEqual(t, len(text), 800)
			require.False(t, strings.ContainsFunc(text, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }), "%q", text)
		}
	}
}

func FuzzHCVault(f *testing.F) {
	good := hcvault(callsAt(1))
	for _, seed := range []string{
		"", "\n", "{}", good, good[:100], strings.Replace(good, "transit/", "a/b/c/transit/", 1), strings.Replace(good, "hmac", "\x00", 3),
		`{"time":"2000-01-01T00:05:00Z","type":"response","request":{"path":"/decrypt/","data":null}}` + "\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkSource(t, reconcile.HCVault("\x1b", strings.NewReader(text)))
	})
}

func FuzzCloudTrail(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"Records":[]}`, `{"Records":[{}]}`, `{"a":[[]],"Records":[{"eventTime":"2000-01-01T00:05:00Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt"}]}`,
		`{"Records":[{"eventTime":"2000-01-01T00:05:00Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt","requestParameters":{"encryptionContext":{"associatedData":"6f"}},"resources":[{"ARN":"\u202e"}]}]}`,
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, zipped bool) {
		name := "a.json"
		if zipped {
			name += ".gz"
		}
		checkSource(t, reconcile.CloudTrail(fstest.MapFS{name: {Data: text}}))
		checkSource(t, reconcile.CloudTrail(fstest.MapFS{name: {Data: compressed(t, text)}}))
	})
}
