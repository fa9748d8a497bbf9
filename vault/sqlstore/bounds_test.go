package sqlstore

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault/internal/seed"
)

// The range of bounds holds, of all valid names, those that List has to yield.
func TestBounds(t *testing.T) {
	check := func(prefix, after string, names ...string) {
		t.Helper()
		from, to := bounds(prefix, after)
		for _, bound := range []string{from, to} {
			require.LessOrEqual(t, len(bound), maxName+1)
			for i := range len(bound) {
				require.True(t, bound[i] >= '-' && bound[i] <= '{', "bound %q of prefix %q, after %q", bound, prefix, after)
			}
		}
		for _, name := range names {
			want := strings.HasPrefix(name, prefix) && name > after
			got := name >= from && name < to
			require.Equal(t, want, got, "name %q, prefix %q, after %q: from %q to %q", name, prefix, after, from, to)
		}
	}
	const valid = "-/0159abyz"
	numbers := seed.Rand(t)
	random := func(alphabet string, most int) string {
		b := make([]byte, numbers.IntN(most+1))
		for i := range b {
			b[i] = alphabet[numbers.IntN(len(alphabet))]
		}
		return string(b)
	}
	var names []string
	for len(names) < 3000 {
		if name := random(valid, 5); validName(name) {
			names = append(names, name)
		}
	}
	for range 300 {
		check(random(valid, 3), random(valid+"\x00 '%,.:@A_`{~\x7f\x80\xff", 4), names...)
		check(random(valid+"\x00._\xff", 2), random(valid, 4), names...)
	}
	long := []string{strings.Repeat("a", 199), strings.Repeat("a", 200), strings.Repeat("a", 199) + "b", strings.Repeat("z", 200), "a", "b"}
	for _, after := range append(long, strings.Repeat("a", 201), strings.Repeat("a", 200)+"\xff", strings.Repeat("a", 1<<20), strings.Repeat("z", 1<<20)) {
		for _, prefix := range append(long, "", strings.Repeat("a", 201), strings.Repeat("z", 1<<20)) {
			check(prefix, after, long...)
		}
	}
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "0", "a-", "a--b", "security/keys", "a/0/z-", strings.Repeat("a", 200), strings.Repeat("a/", 99) + "aa"} {
		require.True(t, validName(name), name)
	}
	for _, name := range []string{"", "-", "/", "a/", "/a", "a//a", "a/-", "A", "a_", "a.", "a b", "{", "é", "\x00", strings.Repeat("a", 201)} {
		require.False(t, validName(name), name)
	}
}
