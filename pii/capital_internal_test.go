package pii

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A capital is found at every place of a text, and no other byte is taken for one.
func TestLowerASCIIOfEveryByteAtEveryPlace(t *testing.T) {
	for size := range 20 {
		for at := range size {
			for c := range 256 {
				for _, filling := range []string{"a", "\x00", "\xff", "["} {
					s := strings.Repeat(filling, at) + string([]byte{byte(c)}) + strings.Repeat(filling, size-at-1)
					want := []byte(s)
					if c >= 'A' && c <= 'Z' {
						want[at] = byte(c) + 'a' - 'A'
					}
					if got := lowerASCII(s); got != string(want) {
						require.Equal(t, string(want), got)
					}
				}
			}
		}
	}
}
