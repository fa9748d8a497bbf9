package pii_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// The constant messages of text that is refused.
const (
	refusedPhoneSeal  = "pii: sealing phone: not a valid phone"
	refusedPhoneIndex = "pii: indexing phone: not a valid phone"
)

func TestPhoneVectors(t *testing.T) {
	security, _ := newScopes(t)
	for _, v := range readVectors(t, "testdata/phone.txt") {
		t.Run(v.rule, func(t *testing.T) {
			phone, err := pii.SealPhone(ctx, v.typed, security)
			index, indexErr := pii.IndexPhone(ctx, v.typed, security)
			require.Equal(t, v.valid, pii.ValidPhone(v.typed))
			if !v.valid {
				require.ErrorIs(t, err, pii.ErrMalformed)
				require.EqualError(t, err, refusedPhoneSeal)
				require.True(t, phone.IsZero())
				require.ErrorIs(t, indexErr, pii.ErrMalformed)
				require.EqualError(t, indexErr, refusedPhoneIndex)
				requirePoisoned(t, index)
				return
			}
			require.NoError(t, err)
			require.NoError(t, indexErr)
			revealed, err := phone.Reveal(ctx, security)
			require.NoError(t, err)
			require.Equal(t, v.revealed, revealed)
			want, err := security.Index(ctx, vault.MustKind("phone", "x.Y"), v.indexed)
			require.NoError(t, err)
			require.Equal(t, want[:], indexBytes(t, index))
			fromSealed, err := phone.Index(ctx, security)
			require.NoError(t, err)
			require.True(t, index.Equal(fromSealed))
		})
	}
}

func TestPhoneHint(t *testing.T) {
	security, _ := newScopes(t)
	for typed, want := range map[string]string{
		"+14155552671":     "+1 ••• ••• ••71",
		"+79161234567":     "+7 ••• ••• ••67",
		"+442079460958":    "+44 ••• ••• ••58",
		"+493012345678":    "+49 ••• ••• ••78",
		"+353201234567":    "+353 ••• ••• ••67",
		"+2901234":         "+290 ••• ••• ••34",
		"+80012345678":     "+800 ••• ••• ••78",
		"+123456789012345": "+1 ••• ••• ••45",
	} {
		phone, err := pii.SealPhone(ctx, typed, security)
		require.NoError(t, err)
		hint, err := phone.Hint(ctx, security)
		require.NoError(t, err)
		require.Equal(t, want, hint)
	}
}

// The country codes of two digits that ITU-T has assigned.
func TestPhoneHintKeepsTheCountryCode(t *testing.T) {
	security, _ := newScopes(t)
	const two = " 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 "
	for code := 100; code < 1000; code++ {
		want := fmt.Sprintf("+%d", code)
		switch first := want[1:2]; {
		case first == "1" || first == "7":
			want = want[:2]
		case strings.Contains(two, " "+want[1:3]+" "):
			want = want[:3]
		}
		phone, err := pii.SealPhone(ctx, fmt.Sprintf("+%d0000012", code), security)
		require.NoError(t, err)
		hint, err := phone.Hint(ctx, security)
		require.NoError(t, err)
		require.Equal(t, want+" ••• ••• ••12", hint)
	}
}

// Whoever has the keys can seal any text as a phone, past [pii.SealPhone].
func TestPhoneHintOfWhatIsNoNumber(t *testing.T) {
	security, _ := newScopes(t)
	for _, plaintext := range []string{"+", "1", "+1234", "+1415\n5552671", "no number at all", "••••••••", "\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		value, err := vault.Seal(ctx, vault.MustKind("phone", "x.Y"), plaintext, security)
		require.NoError(t, err)
		text, err := value.MarshalText()
		require.NoError(t, err)
		var phone pii.Phone
		require.NoError(t, phone.UnmarshalText(text))
		hint, err := phone.Hint(ctx, security)
		require.NoError(t, err)
		require.Equal(t, "•••", hint)
	}
}

func TestPhoneLengthIsCheckedFirst(t *testing.T) {
	security, _ := newScopes(t)
	for _, typed := range []string{strings.Repeat("1", 64<<20), "+1" + strings.Repeat(" ", 64<<20) + "4155552671", strings.Repeat(" ", 64<<20) + "+14155552671"} {
		require.Less(t, allocated(func() {
			_, err := pii.SealPhone(ctx, typed, security)
			require.EqualError(t, err, refusedPhoneSeal)
			_, err = pii.IndexPhone(ctx, typed, security)
			require.EqualError(t, err, refusedPhoneIndex)
		}), uint64(64<<10), "bytes were allocated for 64 MB of nonsense")
	}
}

// e164 is all that is ever revealed.
var e164 = regexp.MustCompile(`\A\+[1-9][0-9]{6,14}\z`)

func FuzzPhone(f *testing.F) {
	for _, v := range readVectors(f, "testdata/phone.txt") {
		f.Add(v.typed)
	}
	for _, c := range readCorpus(f, "phone") {
		f.Add(c.typed)
	}
	security, _ := newScopes(f)
	f.Fuzz(func(t *testing.T, typed string) {
		phone, err := pii.SealPhone(ctx, typed, security)
		index, indexErr := pii.IndexPhone(ctx, typed, security)
		if err != nil {
			require.EqualError(t, err, refusedPhoneSeal)
			require.EqualError(t, indexErr, refusedPhoneIndex)
			require.True(t, phone.IsZero())
			requirePoisoned(t, index)
			return
		}
		require.NoError(t, indexErr)
		revealed, err := phone.Reveal(ctx, security)
		require.NoError(t, err)
		require.Regexp(t, e164, revealed)
		// What was typed is the number but for separators, so no other digits
		// have this canonical form.
		drop := strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "")
		require.Equal(t, revealed, drop.Replace(strings.Trim(typed, " \t\r\n")))
		require.NotContains(t, typed, "(0")

		again, err := pii.SealPhone(ctx, revealed, security)
		require.NoError(t, err, "the canonical form is a number")
		twice, err := again.Reveal(ctx, security)
		require.NoError(t, err)
		require.Equal(t, revealed, twice)

		sameIndex, err := pii.IndexPhone(ctx, revealed, security)
		require.NoError(t, err)
		require.True(t, index.Equal(sameIndex))
		fromSealed, err := phone.Index(ctx, security)
		require.NoError(t, err)
		require.True(t, index.Equal(fromSealed))
		_, err = phone.Hint(ctx, security)
		require.NoError(t, err)
	})
}
