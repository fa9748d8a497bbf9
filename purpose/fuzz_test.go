package purpose_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

// A set has one text, and a text one set: two different lists of purposes never
// read as one another.
func FuzzSetText(f *testing.F) {
	for _, seed := range []string{"", "security", "billing+security", "security+billing", "a+a", "a+", "+a", "a++b", "A", "a+b\n", "a b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names := strings.Split(text, "+")
		want := text == "" || slices.IsSorted(names) && len(slices.Compact(slices.Clone(names))) == len(names) &&
			!slices.ContainsFunc(names, func(n string) bool { return !grammar.MatchString(n) })
		if len(text) > 64<<10 {
			want = false
		}
		s := purpose.NewSet(purpose.MustParse("before"))
		err := s.UnmarshalText([]byte(text))
		require.Equal(t, want, err == nil)
		if err != nil {
			require.Equal(t, purpose.ErrSyntax, err)
			require.Equal(t, "before", s.String())
			return
		}
		require.Equal(t, text, s.String())
		require.Equal(t, s, purpose.NewSet(slices.Collect(s.All())...))
		if text != "" {
			require.Equal(t, len(names), s.Len())
			for _, n := range names {
				require.True(t, s.Contains(purpose.MustParse(n)))
			}
		}
	})
}

// What is valid stays what it is on the way through JSON, and what isn't is
// refused without its words.
func FuzzBasisJSON(f *testing.F) {
	f.Add(uint8(0), "", "", int64(0))
	f.Add(uint8(1), "2fa-prompt-v3", "consent-2026-81f3", int64(2*365*24*time.Hour))
	f.Add(uint8(200), "alice@example.com", "+14155552671", int64(-1))
	f.Add(uint8(2), "v1", "", int64(purpose.MaxRetain)+1)
	f.Fuzz(func(t *testing.T, legal uint8, notice, consent string, retain int64) {
		b := purpose.Basis{Legal: purpose.Legal(legal), Notice: notice, Consent: consent, Retain: time.Duration(retain)}
		if err := b.Validate(); err != nil {
			require.ErrorIs(t, err, purpose.ErrBasis)
			for _, s := range []string{notice, consent} {
				if len(s) > 16 {
					require.NotContains(t, err.Error(), s)
				}
			}
			return
		}
		data, err := json.Marshal(b)
		require.NoError(t, err)
		var again purpose.Basis
		require.NoError(t, json.Unmarshal(data, &again))
		require.Equal(t, b, again)
	})
}
