package format_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// sample returns the text form of a value with a slot of each type. No key takes
// part, so it opens for nobody.
func sample() string {
	v := &format.Value{Kind: "email", ID: make([]byte, format.IDSize)}
	full := purpose.Provenance{
		Collected: time.Unix(1_700_000_000, 0).UTC(), Legal: purpose.Consent, Notice: "n-1", Consent: "c-1",
		Expires: time.Unix(1_800_000_000, 0).UTC(), From: purpose.MustParse("billing"),
	}
	for typ, name := range map[byte]string{format.OfPurpose: "ads", format.OfSubject: "security", format.OfCollector: "support", format.OfCollectorXWing: "terms"} {
		p := full
		switch typ {
		case format.OfPurpose:
			p = purpose.Provenance{Collected: full.Collected}
		case format.OfCollector, format.OfCollectorXWing:
			p.From = purpose.Purpose{}
		}
		sealed := format.Overhead(typ) + format.PadStep
		slot := format.AppendHeader(nil, typ, &p)
		slot = append(slot, byte(sealed>>8), byte(sealed), 1)
		v.Put(format.Named{Name: name, Slot: append(slot, make([]byte, sealed-1)...)})
	}
	return v.Text()
}

func TestSampleIsWellFormed(t *testing.T) {
	text := sample()
	require.True(t, format.WellFormed(text))
	v, ok := format.Split(text)
	require.True(t, ok)
	require.Len(t, v.Slots, 4)
	for name, want := range map[string]bool{"ads": false, "security": false, "support": true, "terms": true, "billing": false} {
		require.Equal(t, want, v.ByCollector(purpose.MustParse(name)), name)
	}
	slot, _, ok := format.CutSlot(v.Slots[1].Slot)
	require.True(t, ok)
	require.Equal(t, "billing", slot.From())
	require.True(t, slot.Expires())
	require.Equal(t, "c-1", slot.Provenance().Consent)
}

// FuzzText: a text that is well formed is the only spelling of its parts, in both
// forms, and nothing that the functions of this package are given makes them panic.
func FuzzText(f *testing.F) {
	f.Add(sample())
	f.Add(strings.Replace(sample(), "ads~", "ads~ads~", 1))
	f.Add("pii1.email.ads.")
	f.Add("pii1...")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > format.MaxText || !format.WellFormed(text) {
			return
		}
		v, ok := format.Split(text)
		require.True(t, ok)
		require.Equal(t, text, v.Text())
		_, names, _ := format.Cut(text)
		require.Equal(t, len(v.Slots), format.Purposes(names).Len())
		for i, named := range v.Slots {
			n, found := format.SlotNumber(names, named.Name)
			require.True(t, found)
			require.Equal(t, i, n)
			slot, rest, ok := format.CutSlot(named.Slot)
			require.True(t, ok)
			require.Empty(t, rest)
			p := slot.Provenance()
			require.Equal(t, slot.Header, format.AppendHeader(nil, slot.Type(), &p), "a header has one encoding")
			require.LessOrEqual(t, len(slot.Header), format.MaxHeader)
			require.LessOrEqual(t, len(slot.Sealed), format.MaxSealed)
		}
		data, err := format.AppendBinary(nil, text)
		require.NoError(t, err)
		again, ok := format.ParseBinary(data)
		require.True(t, ok)
		require.Equal(t, text, again)
	})
}

// FuzzBinary: data that parses is the one binary form of its text.
func FuzzBinary(f *testing.F) {
	data, err := format.AppendBinary(nil, sample())
	require.NoError(f, err)
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Add([]byte{format.BinaryMagic, 1, 'a', 1, 3, 'a', '~', 'b'})
	f.Fuzz(func(t *testing.T, data []byte) {
		text, ok := format.ParseBinary(data)
		if !ok {
			require.Empty(t, text)
			return
		}
		require.True(t, format.WellFormed(text))
		again, err := format.AppendBinary(nil, text)
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

// FuzzPadding: a plaintext comes back from its padding, and no other padding of it
// is accepted.
func FuzzPadding(f *testing.F) {
	f.Add("a@example.com", []byte{0x80})
	f.Add(strings.Repeat("x", 31), []byte{0x80, 0})
	f.Fuzz(func(t *testing.T, plaintext string, padded []byte) {
		if len(plaintext) > format.MaxPlaintext {
			return
		}
		b := format.AppendPadded(nil, plaintext)
		require.Zero(t, len(b)%format.PadStep)
		got, ok := format.Unpad(b)
		require.Equal(t, plaintext != "", ok)
		require.Equal(t, plaintext, string(got))
		if got, ok := format.Unpad(padded); ok {
			require.LessOrEqual(t, len(padded)-len(got), format.PadStep)
		}
	})
}
