package phonenumber

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// No number is known that gets as far as these checks and fails; they are for a
// port that one day reads digits as something else.
func TestSameEnd(t *testing.T) {
	require.True(t, sameEnd("+442079460018", "02079460018"))
	require.True(t, sameEnd("+6837012", "7012"))
	require.False(t, sameEnd("+442034567890", "+442034567890456"))
	require.False(t, sameEnd("+442079460018", "020794600189"))
}

func TestCanonical(t *testing.T) {
	for _, number := range []string{"+1234567", "+123456789012345"} {
		require.True(t, canonical(number), number)
	}
	for _, number := range []string{"", "+", "+123456", "+1234567890123456", "+01234567", "12345678", "+12345678x", "+123 45678"} {
		require.False(t, canonical(number), number)
	}
}

// The marks of direction are those of Unicode, and so are the blanks of one line.
func TestIsEdge(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		want := unicode.Is(unicode.Zs, r) || unicode.Is(unicode.Bidi_Control, r) || strings.ContainsRune("\t\r\n\u200b\u200c\u200d\u2060\ufeff\u00ad", r) || r >= 0xfe00 && r <= 0xfe0f
		require.Equal(t, want, isEdge(r), "%U", r)
	}
}
