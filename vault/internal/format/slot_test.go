package format_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A header that was cut off anywhere is none: whoever read on would be out of bounds.
func TestHeadersCutOff(t *testing.T) {
	header := format.AppendHeader(nil, format.OfPurpose, &purpose.Provenance{
		Collected: time.Unix(1, 0), Legal: purpose.Consent, Notice: "n-1", Consent: "c-1",
		Expires: time.Unix(1<<31, 0), From: purpose.MustParse("billing"),
	})
	for from := range len(header) {
		n, ok := format.SlotHeaderLen(header[:from:from])
		require.False(t, ok, from)
		require.Zero(t, n)
	}
	n, ok := format.SlotHeaderLen(append(header, 0xff))
	require.True(t, ok)
	require.Equal(t, len(header), n)
	for _, p := range []purpose.Provenance{{Collected: time.Unix(1, 0), Expires: time.Unix(1<<31, 0)}, {Notice: "n-1"}, {Legal: purpose.Consent}} {
		header := format.AppendHeader(nil, format.OfPurpose, &p)
		for from := range len(header) {
			_, ok := format.SlotHeaderLen(header[:from:from])
			require.False(t, ok, from)
		}
	}
}
