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
			want, err := security.Index(ctx, vault.MustKind("phone", "pii.Phone"), v.indexed)
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

// A digit that is dialled within a country alone would give one person two numbers
// behind the country code. The tests of package phonenumber compare these rules with
// the plans of all countries.
func TestPhoneRefusesAKeptPrefix(t *testing.T) {
	for _, number := range []string{
		"+44 07400 123456", "+44 020 7946 0018", "+49 0151 23456789", "+33 06 12 34 56 78", "+1 0 415 555 2671", "+7 0 912 345 67 89",
		"+36 06 20 123 4567", "+81 090 1234 5678", "+82 010 2000 0000", "+91 0 98765 43210", "+62 0812 345 678", "+66 0 81 234 5678", "+250 0 788 123 456", "+250 07 8812 3456",
		"+359 087 812 3456", "+598 094 231 234", "+372 0512 3456", "+999 0123456", "+800 0", "+1 1 415 555 2671", "+692 1 235 1234",
		"+7 8 912 345 67 89", "+7 (8)912 345 67 89", "+993 8 66 123456", "+370 8 612 34567", "+375 8 29 491 1911", "+375 8 15 245 0911", "+375 80 29 491 1911", "+375 8 33 491 1911", "+375 8 44 491 1911", "+375 8 16 245 0911", "+375 8 17 245 0911",
		"+54 11 15 2345 6789", "+241 0 11 123456", "+378 886377", "+378 980000", "+261 2212345", "+672 2 1234",
	} {
		require.False(t, pii.ValidPhone(number), number)
		_, err := pii.SealPhone(ctx, number)
		require.EqualError(t, err, refusedPhoneSeal, number)
	}
	for _, number := range []string{
		"+44 7400 123456", "+39 06 6982", "+39 02 1234 5678", "+47 02000", "+225 07 07 12 34 56", "+226 01 23 45 67", "+227 08 00 12 34", "+229 01 97 12 34 56", "+241 01 44 12 34", "+242 06 123 4567",
		"+247 012345", "+267 0800 123 456", "+268 0800 1234", "+378 0549 886377", "+501 0800 123 4567", "+507 00800 123456", "+676 0800 123", "+679 0800 123 4567", "+687 050 123", "+800 0123 4567", "+853 0800 123", "+881 012 345 678", "+888 012 345 678 90", "+974 00800 1234567", "+992 012 345 678",
		"+62 001 803 123456", "+66 001 800 1234567", "+81 00777 012", "+82 00308 123456", "+91 000800 1234567", "+250 06 123 456", "+359 00800 1234567", "+598 000 4123 4567",
		"+1 415 555 2671", "+7 812 345 67 89", "+7 8108 123 456 7890", "+370 8001 2345", "+375 810 123 4567", "+375 8011 234567", "+993 66 123456", "+54 9 11 2345 6789", "+261 20 22 12345", "+672 3 22222", "+378 66 661212",
		"+229 97 12 34 56", "+52 1 55 1234 5678", // of before a renumbering, for look-up
	} {
		require.True(t, pii.ValidPhone(number), number)
	}
}

// A value that was sealed before a table had its country is read, indexed and sealed
// anew as before: no plan decides about stored values.
func TestPhoneTablesJudgeNoSealedValue(t *testing.T) {
	security, _ := newScopes(t)
	for _, number := range []string{"+4407400123456", "+789123456789", "+114155552671"} {
		value, err := vault.Seal(ctx, vault.MustKind("phone", "pii.Phone"), number, security)
		require.NoError(t, err)
		text, err := value.MarshalText()
		require.NoError(t, err)
		var phone pii.Phone
		require.NoError(t, phone.UnmarshalText(text))
		revealed, err := phone.Reveal(ctx, security)
		require.NoError(t, err)
		require.Equal(t, number, revealed)
		_, err = phone.Hint(ctx, security)
		require.NoError(t, err)
		index, err := phone.Index(ctx, security)
		require.NoError(t, err)
		want, err := security.Index(ctx, vault.MustKind("phone", "pii.Phone"), number)
		require.NoError(t, err)
		require.Equal(t, want[:], indexBytes(t, index))
		phone, err = phone.Reseal(ctx, security)
		require.NoError(t, err)
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
		number := fmt.Sprintf("+%d55500012", code)
		if number[len(want)] == '0' && !pii.ValidPhone(number) {
			continue // no national number begins so
		}
		phone, err := pii.SealPhone(ctx, number, security)
		require.NoError(t, err, number)
		hint, err := phone.Hint(ctx, security)
		require.NoError(t, err)
		require.Equal(t, want+" ••• ••• ••12", hint)
	}
}

// Whoever has the keys can seal any text as a phone, past [pii.SealPhone].
func TestPhoneHintOfWhatIsNoNumber(t *testing.T) {
	security, _ := newScopes(t)
	for _, plaintext := range []string{"+", "1", "+1234", "+1415\n5552671", "no number at all", "••••••••", "\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		value, err := vault.Seal(ctx, vault.MustKind("phone", "pii.Phone"), plaintext, security)
		require.NoError(t, err)
		text, err := value.MarshalText()
		require.NoError(t, err)
		var phone pii.Phone
		require.NoError(t, phone.UnmarshalText(text))
		hint, err := phone.Hint(ctx, security)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		require.Empty(t, hint)
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
		require.Equal(t, revealed, drop.Replace(trimmed(typed)))
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
