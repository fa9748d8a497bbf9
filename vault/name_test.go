package vault

import (
	"context"
	"regexp"
	"strings"
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

// Memory checks what it is given as Dir does, before it looks for anything.
func TestArgumentsOfStores(t *testing.T) {
	ctx := t.Context()
	store := Memory()
	_, err := store.Put(ctx, Record{Name: "security/keys", Data: []byte{1}})
	require.NoError(t, err)
	for _, name := range []string{"", "a/", "../a", strings.Repeat("a", maxName+1)} {
		_, err := store.Get(ctx, "security/keys", name)
		require.Equal(t, errName, err, name)
		_, err = store.Put(ctx, Record{Name: name, Data: []byte{1}})
		require.Equal(t, errName, err, name)
	}
	_, err = store.Put(ctx, Record{Name: "a", Data: []byte{1}, Revision: -1})
	require.Equal(t, errRevision, err)
	done, cancel := context.WithCancel(ctx)
	cancel()
	for name, err := range store.List(done, "", "") {
		require.Empty(t, name)
		require.ErrorIs(t, err, ErrUnavailable)
	}
}
