package pii_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
)

// What other projects test with is refused here, or is revealed as the corpus
// says, which is a fixed point, and has the index of its canonical form.
func TestPhoneCorpus(t *testing.T) {
	security, _ := newScopes(t)
	for _, c := range readCorpus(t, "phone") {
		t.Run(strings.TrimSuffix(c.file, ".txt")+"/"+c.rule, func(t *testing.T) {
			require.Equal(t, c.valid, pii.ValidPhone(c.typed))
			phone, err := pii.SealPhone(ctx, c.typed, security)
			index, indexErr := pii.IndexPhone(ctx, c.typed, security)
			if !c.valid {
				require.EqualError(t, err, refusedPhoneSeal)
				require.EqualError(t, indexErr, refusedPhoneIndex)
				require.True(t, phone.IsZero())
				requirePoisoned(t, index)
				return
			}
			require.NoError(t, err)
			require.NoError(t, indexErr)
			require.Regexp(t, e164, c.revealed)
			for _, typed := range []string{c.typed, c.revealed} {
				phone, err := pii.SealPhone(ctx, typed, security)
				require.NoError(t, err)
				revealed, err := phone.Reveal(ctx, security)
				require.NoError(t, err)
				require.Equal(t, c.revealed, revealed)
				of, err := phone.Index(ctx, security)
				require.NoError(t, err)
				require.True(t, index.Equal(of))
			}
		})
	}
}

// Every accepted way to write a number has its index, and no two numbers have
// one: over all numbers of the corpus, each with separators and beside its
// neighbours, one digit more, less or other.
func TestPhoneCorpusNeverMergesTwo(t *testing.T) {
	security, _ := newScopes(t)
	byIndex := make(map[string]string)
	numbers := make(map[string]string) // index by number
	add := func(typed, number string) {
		index, err := pii.IndexPhone(ctx, typed, security)
		require.NoError(t, err, "%q", typed)
		key := string(indexBytes(t, index))
		if other, taken := byIndex[key]; taken {
			require.Equal(t, other, number, "two numbers have one index")
		}
		if known, taken := numbers[number]; taken {
			require.Equal(t, known, key, "one number has two indexes: %q", typed)
		}
		byIndex[key], numbers[number] = number, key
	}
	for _, c := range readCorpus(t, "phone") {
		if !c.valid {
			continue
		}
		number, last := c.revealed, len(c.revealed)-1
		for _, typed := range []string{c.typed, number, " " + number + "\r\n", number[:3] + "-" + number[3:], number[:last] + ". - " + number[last:], strings.Join(strings.Split(number[1:], ""), " ")} {
			if typed[0] != '+' && typed[0] != ' ' {
				typed = "+" + typed
			}
			add(typed, number)
		}
		for i := 1; i <= last; i++ {
			for d := '0'; d <= '9'; d++ {
				if other := number[:i] + string(d) + number[i+1:]; pii.ValidPhone(other) {
					add(other, other)
				}
			}
			for _, other := range []string{number[:i] + "0" + number[i:], number[:i] + number[i+1:]} {
				if pii.ValidPhone(other) {
					add(other, other)
				}
			}
		}
	}
	require.Greater(t, len(byIndex), 10000)
}
