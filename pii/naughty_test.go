package pii_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// naughty returns the texts of testdata/corpus/naughty.txt and, if ONLYFOR_NAUGHTY names
// a file, the lines of it: a public list, whose texts are not kept here.
func naughty(t testing.TB) (texts []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpusDir, "naughty.txt"))
	require.NoError(t, err)
	names := make(map[string]bool)
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		name, _, found := strings.Cut(line, `"`)
		require.True(t, found, line)
		require.False(t, names[name], line)
		names[name] = true
		text, rest := parseText(t, line[len(name):])
		require.Empty(t, rest, line)
		texts = append(texts, text)
	}
	require.Greater(t, len(texts), 200)
	if file := os.Getenv("ONLYFOR_NAUGHTY"); file != "" {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		texts = append(texts, strings.Split(string(data), "\n")...)
	}
	return texts
}

// places returns the text where an address, a number and a sealed value have text.
func places(s string) []string {
	return []string{
		s, s + "@example.com", "alice" + s + "@example.com", "alice@" + s, "alice@" + s + ".example", "alice@example." + s, "alice@ex" + s + "ample.com",
		s + "alice@example.com", "alice@example.com" + s, s + "alice@example.com" + s,
		"+" + s, "+1415" + s + "5552671", s + "+14155552671", "+14155552671" + s, "+1 (" + s + ") 415 555 2671",
		"pii1." + s, "pii1.email.security." + s, "pii1." + s + ".security.AAAA",
	}
}

// A naughtyKind has the entries of one kind.
type naughtyKind struct {
	name, label string
	valid       func(string) bool
	seal        func(context.Context, string, ...vault.Sealer) (sealedText, error)
	index       func(context.Context, string, vault.Indexer) (pii.Index, error)
	indexes     func(context.Context, string, vault.Indexer) ([]pii.Index, error)
	decode      map[string]func(string) (zero bool, err error)
	check       func(t testing.TB, typed, revealed string)
}

type sealedText interface {
	Reveal(context.Context, vault.Revealer) (string, error)
	Hint(context.Context, vault.Revealer) (string, error)
	IsZero() bool
}

func decoders[T any, P interface {
	*T
	Scan(any) error
	UnmarshalText([]byte) error
	UnmarshalBinary([]byte) error
	UnmarshalBSONValue(byte, []byte) error
	IsZero() bool
}]() map[string]func(string) (bool, error) {
	with := func(decode func(P, string) error) func(string) (bool, error) {
		return func(s string) (bool, error) {
			var v T
			err := decode(&v, s)
			return P(&v).IsZero(), err
		}
	}
	return map[string]func(string) (bool, error){
		"scanning":        with(func(v P, s string) error { return v.Scan(s) }),
		"scanning bytes":  with(func(v P, s string) error { return v.Scan([]byte(s)) }),
		"decoding":        with(func(v P, s string) error { return v.UnmarshalText([]byte(s)) }),
		"decoding binary": with(func(v P, s string) error { return v.UnmarshalBinary([]byte(s)) }),
		"decoding BSON":   with(func(v P, s string) error { return v.UnmarshalBSONValue(0x02, bsonString(s)) }),
		"decoding raw":    with(func(v P, s string) error { return v.UnmarshalBSONValue(0x02, []byte(s)) }),
		"decoding JSON": with(func(v P, s string) error {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err)
			}
			return json.Unmarshal(quoted, v)
		}),
	}
}

func naughtyKinds() []naughtyKind {
	return []naughtyKind{
		{
			"email", "pii", pii.ValidEmail,
			func(ctx context.Context, s string, scopes ...vault.Sealer) (sealedText, error) {
				return pii.SealEmail(ctx, s, scopes...)
			},
			pii.IndexEmail, pii.IndexesEmail, decoders[pii.Email](),
			func(t testing.TB, typed, revealed string) {
				requireBareMailbox(t, revealed)
				requireSpellingOf(t, typed, revealed)
			},
		},
		{
			"phone", "pii", pii.ValidPhone,
			func(ctx context.Context, s string, scopes ...vault.Sealer) (sealedText, error) {
				return pii.SealPhone(ctx, s, scopes...)
			},
			pii.IndexPhone, pii.IndexesPhone, decoders[pii.Phone](),
			func(t testing.TB, _, revealed string) { require.Regexp(t, e164, revealed) },
		},
		{
			"tax-id", "people", pii.Valid[taxID],
			func(ctx context.Context, s string, scopes ...vault.Sealer) (sealedText, error) {
				return pii.Seal[taxID](ctx, s, scopes...)
			},
			pii.IndexOf[taxID], pii.IndexesOf[taxID], decoders[pii.Sealed[taxID]](),
			func(t testing.TB, _, revealed string) { require.Len(t, revealed, 11) },
		},
		{
			"email-as-written", "people", pii.Valid[writtenEmail],
			func(ctx context.Context, s string, scopes ...vault.Sealer) (sealedText, error) {
				return pii.Seal[writtenEmail](ctx, s, scopes...)
			},
			pii.IndexOf[writtenEmail], pii.IndexesOf[writtenEmail], decoders[pii.Sealed[writtenEmail]](),
			func(t testing.TB, typed, revealed string) {
				require.Equal(t, strings.Trim(typed, " \t\r\n"), revealed)
				require.True(t, utf8.ValidString(revealed))
				require.NotContains(t, revealed, "\n")
			},
		},
	}
}

// Every entry of the package takes every text at every place of a value. All entries of a
// kind agree. A refusal is one constant message, so that it quotes nothing.
func TestNaughtyStrings(t *testing.T) {
	security, _ := newScopes(t)
	texts := naughty(t)
	for _, kind := range naughtyKinds() {
		t.Run(kind.name, func(t *testing.T) {
			accepted, refused := 0, 0
			for _, text := range texts {
				for _, typed := range places(text) {
					// The text is for the reader of a failure alone.
					where := fmt.Sprintf("%.100q", typed)
					sealed, err := kind.seal(ctx, typed, security)
					index, indexErr := kind.index(ctx, typed, security)
					indexes, indexesErr := kind.indexes(ctx, typed, security)
					require.Len(t, indexes, 1, where)
					if kind.valid(typed) {
						accepted++
						require.NoError(t, err, where)
						require.NoError(t, indexErr, where)
						require.NoError(t, indexesErr, where)
						require.True(t, index.Equal(indexes[0]), where)
						revealed, err := sealed.Reveal(ctx, security)
						require.NoError(t, err, where)
						kind.check(t, typed, revealed)
						_, err = sealed.Hint(ctx, security)
						require.NoError(t, err, where)
					} else {
						refused++
						require.EqualError(t, err, kind.label+": sealing "+kind.name+": not a valid "+kind.name, where)
						require.EqualError(t, indexErr, kind.label+": indexing "+kind.name+": not a valid "+kind.name, where)
						require.EqualError(t, indexesErr, indexErr.Error(), where)
						require.True(t, sealed.IsZero(), where)
						requirePoisoned(t, index)
						requirePoisoned(t, indexes[0])
					}
					for how, decode := range kind.decode {
						zero, err := decode(typed)
						require.True(t, zero, "%s of %s", how, where)
						if err == nil {
							require.Empty(t, typed, "%s of %s", how, where)
							continue
						}
						action, _, _ := strings.Cut(how, " ")
						require.EqualError(t, err, kind.label+": "+action+" "+kind.name+": "+vault.ErrCorrupt.Error(), "%s of %s", how, where)
					}
				}
			}
			t.Logf("%d accepted, %d refused", accepted, refused)
			require.Positive(t, refused)
		})
	}
	t.Run("index", func(t *testing.T) {
		for _, text := range texts {
			for _, typed := range places(text) {
				var x pii.Index
				require.EqualError(t, x.Scan(typed), "pii: scanning index: "+vault.ErrCorrupt.Error())
				require.True(t, x.IsZero())
				if err := x.Scan([]byte(typed)); err != nil {
					require.EqualError(t, err, "pii: scanning index: "+vault.ErrCorrupt.Error())
					require.True(t, x.IsZero())
				}
				require.ErrorIs(t, x.UnmarshalText([]byte(typed)), pii.ErrNoText)
				require.ErrorIs(t, x.UnmarshalBinary([]byte(typed)), pii.ErrNoText)
				x = pii.Index{}
				if err := x.UnmarshalBSONValue(0x05, []byte(typed)); err != nil {
					require.EqualError(t, err, "pii: decoding index: "+vault.ErrCorrupt.Error())
				}
			}
		}
	})
}
