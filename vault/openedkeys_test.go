package vault

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

// Opening a scope again, and the key of a subject that is cached, wait for no lock: here
// every lock that once stood in the way is held.
func TestScopesAndSubjectsTakeNoLock(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	kind := MustKind("note", "vault.Note")
	s, err := v.Scope(ctx, p)
	require.NoError(t, err)
	value, err := Seal(ctx, kind, "text", s.For("alice"))
	require.NoError(t, err)
	cache := s.opened.subjects.Load()

	v.mu.Lock()
	v.stats.mu.Lock()
	cache.shard("alice").mu.Lock()
	done := make(chan error, 1)
	go func() {
		again, err := v.Scope(ctx, p)
		if err == nil {
			_, err = again.For("alice").Reveal(ctx, kind, value)
		}
		if err == nil {
			_, err = Seal(ctx, kind, "text", again.For("alice"))
		}
		done <- err
	}()
	select {
	case err = <-done:
	case <-time.After(time.Minute): // for a lock that nobody gives back
		err = errLate
	}
	cache.shard("alice").mu.Unlock()
	v.stats.mu.Unlock()
	v.mu.Unlock()
	require.NoError(t, err)
}

// openedOf returns the opened keys of a vault that has these.
func openedOf(all ...*purposeKeys) *openedKeys {
	o := &openedKeys{}
	for _, pk := range all {
		o.add(pk)
	}
	return o
}

// Two thousand scopes, of a thousand purposes and twice, are found in one place each.
func TestOpenedKeysOfManyPurposes(t *testing.T) {
	var o openedKeys
	byName := map[string]*purposeKeys{}
	for i := range 1000 {
		p := purpose.MustParse("p" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)))
		pk := &purposeKeys{id: keysID{p, allKeys}}
		byName[p.String()] = pk
		o.add(pk)
	}
	require.Len(t, o.all(), 1000)
	for name, pk := range byName {
		require.Same(t, pk, o.find(keysID{purpose.MustParse(name), allKeys}))
		require.Nil(t, o.find(keysID{purpose.MustParse(name), readKeys}))
	}
	o.clear()
	require.Empty(t, o.all())
}
