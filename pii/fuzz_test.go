package pii_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// Two addresses have one index if they are one mailbox, and at no other time:
// the local parts but for the case of ASCII letters, the domains in A-labels.
func FuzzEmailIndexes(f *testing.F) {
	for _, v := range readVectors(f, "testdata/email.txt") {
		f.Add(v.typed, strings.ToUpper(v.typed))
		f.Add(v.typed, "x"+v.typed)
	}
	f.Add("kate@example.com", "\u212aate@example.com")
	f.Add("a@b\u00fccher.example", "a@xn--bcher-kva.example")
	security, _ := newScopes(f)
	canonical := func(t *testing.T, typed string) (string, pii.Index, bool) {
		email, err := pii.SealEmail(ctx, typed, security)
		if err != nil {
			return "", pii.Index{}, false
		}
		revealed, err := email.Reveal(ctx, security)
		require.NoError(t, err)
		index, err := pii.IndexEmail(ctx, typed, security)
		require.NoError(t, err)
		return foldASCII(revealed), index, true
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		a, indexA, okA := canonical(t, one)
		b, indexB, okB := canonical(t, two)
		if okA && okB {
			require.Equal(t, a == b, indexA.Equal(indexB))
		}
	})
}

// Two numbers have one index if they have the same digits, and at no other time.
func FuzzPhoneIndexes(f *testing.F) {
	for _, v := range readVectors(f, "testdata/phone.txt") {
		f.Add(v.typed, v.typed+"0")
		f.Add(v.typed, strings.ReplaceAll(v.typed, " ", "-"))
	}
	security, _ := newScopes(f)
	digits := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, s)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		indexA, errA := pii.IndexPhone(ctx, one, security)
		indexB, errB := pii.IndexPhone(ctx, two, security)
		if errA == nil && errB == nil {
			require.Equal(t, digits(one) == digits(two), indexA.Equal(indexB))
		}
	})
}

// Whatever is read as JSON into a field is a value that was sealed, or is
// refused in the same words.
func FuzzJSON(f *testing.F) {
	security, _ := newScopes(f)
	fix := seal(f, security)
	sealed, err := json.Marshal(fix.email)
	require.NoError(f, err)
	for _, seed := range []string{string(sealed), `""`, `null`, `{}`, `[]`, `1`, `"` + testAddress + `"`, `"\u0070ii1"`, string(sealed[:20]), string(sealed) + " "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var email pii.Email
		if err := json.Unmarshal(data, &email); err != nil {
			require.True(t, email.IsZero())
			var text string // what json itself refuses, it may quote
			if json.Unmarshal(data, &text) == nil {
				require.EqualError(t, err, "pii: decoding email: "+vault.ErrCorrupt.Error())
			}
			return
		}
		if email.IsZero() {
			return
		}
		again, err := json.Marshal(email)
		require.NoError(t, err)
		var text string
		require.NoError(t, json.Unmarshal(data, &text))
		require.Equal(t, fmt.Sprintf("%q", text), string(again))
		if address, err := email.Reveal(ctx, security); err == nil {
			require.Equal(t, testAddress, address)
			require.True(t, email == fix.email, "another text opened")
		}
	})
}

// A column of bytes gives back what it was given, and nothing else is an index.
func FuzzIndexScan(f *testing.F) {
	f.Add([]byte("0123456789abcdef"))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0}, 17))
	f.Fuzz(func(t *testing.T, data []byte) {
		var x pii.Index
		given := bytes.Clone(data)
		if err := x.Scan(data); err != nil {
			require.NotEqual(t, vault.IndexSize, len(data))
			require.ErrorIs(t, err, vault.ErrCorrupt)
			require.True(t, x.IsZero())
			return
		}
		if data == nil {
			return
		}
		clear(data) // as drivers do with their buffers
		v, err := x.Value()
		require.NoError(t, err)
		require.Equal(t, given, v)
	})
}
