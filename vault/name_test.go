package vault

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var nameGrammar = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)*$`)

func FuzzValidName(f *testing.F) {
	for _, seed := range []string{"security/keys", "", "a", "a/", "/a", "a//b", "-a", "a-", "a/-", "a\n", "A", "a.b", "..", "0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		require.Equal(t, len(name) <= 200 && nameGrammar.MatchString(name), validName(name))
	})
}
