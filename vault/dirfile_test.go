package vault

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecordFile(t *testing.T) {
	good := encodeFile(0x0123456789abcdef, []byte("data"))
	require.Equal(t, "onlyfor-record-1 0123456789abcdef 00000004\ndata", string(good))
	require.Len(t, encodeFile(math.MaxInt64, make([]byte, MaxRecord)), fileHeaderSize+MaxRecord)
	require.Len(t, encodeFile(1, []byte("x")), fileHeaderSize+1)

	for cut := range good {
		_, _, ok := decodeFile(good[:cut])
		require.False(t, ok, "cut to %d bytes", cut)
	}
	for i := range fileHeaderSize {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			revision, _, ok := decodeFile(bad)
			// Another digit of the revision is another revision; all the rest is fixed.
			isDigit := i > len(fileMagic) && i <= len(fileMagic)+16
			require.True(t, !ok || isDigit && revision != 0x0123456789abcdef, "byte %d, bit %d", i, bit)
		}
	}
	for _, bad := range []string{
		"onlyfor-record-1 0123456789ABCDEF 00000004\ndata",
		"onlyfor-record-1 0000000000000000 00000004\ndata",
		"onlyfor-record-1 ffffffffffffffff 00000004\ndata",
		"onlyfor-record-1 +123456789abcdef 00000004\ndata",
		"onlyfor-record-1 0123456789abcdef 00000004\r\ndata",
		"onlyfor-record-1 0123456789abcdef 00000005\ndata",
		"onlyfor-record-1 0123456789abcdef 00000000\n",
		"onlyfor-record-2 0123456789abcdef 00000004\ndata",
		" onlyfor-record-1 0123456789abcdef 00000004\ndata",
	} {
		_, _, ok := decodeFile([]byte(bad))
		require.False(t, ok, bad)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(encodeFile(1, []byte("data")))
	f.Add(encodeFile(math.MaxInt64, []byte{0}))
	f.Add([]byte("onlyfor-record-1 0123456789abcdef 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		revision, data, ok := decodeFile(b)
		if !ok {
			return
		}
		require.Positive(t, revision)
		require.NotEmpty(t, data)
		require.Equal(t, b, encodeFile(revision, data))
	})
}
