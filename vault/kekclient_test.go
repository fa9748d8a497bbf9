package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Options that are wrong are wrong for good, so whoever is told so does not retry.
func TestOpenNamesTheFaultThatStays(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, open := range map[string]func() (*Admin, error){
		"options": func() (*Admin, error) { return OpenAdmin(ctx, Memory(), testKEK(t), &Options{Timeout: -1}) },
		"store":   func() (*Admin, error) { return OpenAdmin(ctx, nil, testKEK(t), nil) },
		"KEK":     func() (*Admin, error) { return OpenAdmin(ctx, Memory(), nil, nil) },
	} {
		v, err := open()
		require.ErrorIs(t, err, ErrInvalid, name)
		require.NotErrorIs(t, err, ErrUnavailable, name)
		require.Nil(t, v, name)
	}
}

// What a client's error says is never repeated, unless it is one of ours, or a context's.
func TestForeignErrors(t *testing.T) {
	for _, sentinel := range []error{ErrConflict, ErrNoKeys, ErrCorrupt, ErrInvalid, ErrUnavailable} {
		err := fmt.Errorf("said: %w", sentinel)
		require.Same(t, err, kekError(err))
		require.Same(t, err, storeError(err))
	}
	for _, sentinel := range []error{context.DeadlineExceeded, context.Canceled} {
		err := kekError(fmt.Errorf("alice@example.com: %w", sentinel))
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, sentinel)
		require.EqualError(t, err, "KEK: unavailable: "+sentinel.Error())
	}
	secret := errors.New("alice@example.com")
	require.EqualError(t, kekError(secret), "KEK: no usable keys")
	require.ErrorIs(t, kekError(secret), ErrNoKeys)
	require.EqualError(t, storeError(secret), "key store: unavailable")
	require.ErrorIs(t, storeError(secret), ErrUnavailable)
	require.NoError(t, kekError(nil))
	require.NoError(t, storeError(nil))
}

// meddler is an AEAD that tries to reach its caller's arguments, and has Tink's
// methods with a context.
type meddler struct {
	AEAD
	calls int
	ctx   context.Context // of the last call
}

func (m *meddler) EncryptWithContext(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	m.calls, m.ctx = m.calls+1, ctx
	defer clear(plaintext)
	defer clear(aad)
	return m.AEAD.Encrypt(plaintext, aad)
}

func (m *meddler) DecryptWithContext(ctx context.Context, ciphertext, aad []byte) ([]byte, error) {
	m.calls, m.ctx = m.calls+1, ctx
	defer clear(ciphertext)
	defer clear(aad)
	return m.AEAD.Decrypt(ciphertext, aad)
}

// plainMeddler is one without the methods that take a context.
type plainMeddler struct{ m *meddler }

func (p plainMeddler) Encrypt(plaintext, aad []byte) ([]byte, error) {
	return p.m.EncryptWithContext(context.Background(), plaintext, aad)
}

func (p plainMeddler) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	return p.m.DecryptWithContext(context.Background(), ciphertext, aad)
}

// A key service is not asked for somebody who has left, learns of the context, and
// gets copies: one that appended to its arguments corrupted thousands of values.
func TestKEKClientCalls(t *testing.T) {
	p := purpose.MustParse("security")
	for _, plain := range []bool{false, true} {
		inner, err := testKEK(t).For(t.Context(), p)
		require.NoError(t, err)
		m := &meddler{AEAD: inner}
		var a AEAD = m
		if plain {
			a = plainMeddler{m}
		}
		ctx, cancel := context.WithCancel(t.Context())
		w, err := newKEKClient(ctx, SharedKEK(a), p)
		require.NoError(t, err)
		text, aad := []byte("plaintext"), []byte("data")
		wrapped, err := w.encrypt(text, aad)
		require.NoError(t, err)
		before := bytes.Clone(wrapped)
		got, err := w.decrypt(wrapped, aad)
		require.NoError(t, err)
		require.Equal(t, "plaintext", string(got))
		require.Equal(t, "plaintext", string(text))
		require.Equal(t, "data", string(aad))
		require.Equal(t, before, wrapped)
		_, err = w.decrypt(wrapped, []byte("other"))
		require.ErrorIs(t, err, ErrNoKeys)
		require.Equal(t, 3, m.calls)
		require.Equal(t, plain, m.ctx != ctx)

		m.AEAD = refusing{}
		_, err = w.encrypt(text, aad)
		require.ErrorIs(t, err, ErrNoKeys)
		m.calls--

		cancel()
		_, err = w.encrypt(text, aad)
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = w.decrypt(wrapped, aad)
		require.ErrorIs(t, err, ErrUnavailable)
		require.Equal(t, 3, m.calls)
	}
}

// refusing is an AEAD that does nothing for anybody.
type refusing struct{ AEAD }

func (refusing) Encrypt([]byte, []byte) ([]byte, error) { return nil, errors.New("denied") }

// keeper is an AEAD that binds nothing, and keeps what it handed out.
type keeper struct{ handed *[]byte }

func (keeper) Encrypt(plaintext, _ []byte) ([]byte, error) { return plaintext, nil }

func (k keeper) Decrypt(ciphertext, _ []byte) ([]byte, error) {
	*k.handed = bytes.Clone(ciphertext)
	return *k.handed, nil
}

// The data key that a test of the KEK lays open is not left in memory.
func TestSelfTestClearsWhatOpened(t *testing.T) {
	var handed []byte
	p := purpose.MustParse("security")
	w, err := newKEKClient(t.Context(), SharedKEK(keeper{&handed}), p)
	require.NoError(t, err)
	require.ErrorIs(t, w.selfTest(p, bytes.Repeat([]byte{7}, format.DEKSize)), errUnbound)
	require.Equal(t, make([]byte, format.DEKSize), handed)
}

// What erased a subject is believed for the grave time, and what the store said no
// longer than a lifetime from the question.
func TestSubjectCacheBelieves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lifetime, timeout = time.Minute, time.Second
		c := newSubjectCache(0, lifetime, timeout)
		key := &subjectKey{}
		state := func(subject string) string {
			got, known := c.get(subject)
			switch {
			case !known:
				return "unknown"
			case got == nil:
				return "erased"
			}
			require.Same(t, key, got)
			return "key"
		}
		require.Equal(t, "unknown", state("alice"))
		require.False(t, c.recentlyErased("alice"))
		c.put("alice", key, time.Now().Add(-lifetime+time.Second))
		require.Equal(t, "key", state("alice"))
		time.Sleep(time.Second)
		require.Equal(t, "unknown", state("alice"), "since the question")
		c.put("alice", key, time.Now())
		c.put("bob", nil, time.Now())
		require.Equal(t, "erased", state("bob"))
		require.False(t, c.recentlyErased("bob"), "not by this process")

		c.erase("alice")
		require.True(t, c.recentlyErased("alice"))
		c.put("alice", key, time.Now()) // an answer from before, that comes late
		time.Sleep(lifetime + format.MaxSlots*timeout - 1)
		require.Equal(t, "erased", state("alice"))
		require.True(t, c.recentlyErased("alice"))
		require.Equal(t, "unknown", state("bob"))
		c.put("alice", nil, time.Now())
		time.Sleep(time.Nanosecond)
		require.False(t, c.recentlyErased("alice"))
		require.Equal(t, "erased", state("alice"), "what the store says")
		time.Sleep(lifetime)
		require.Equal(t, "unknown", state("alice"))
		c.erase("carol")
		require.Equal(t, "erased", state("carol"), "who was unknown")
	})
}

// A cache that is full makes room by one, and only for who is new.
func TestSubjectCacheMakesRoom(t *testing.T) {
	c := newSubjectCache(64*3, time.Minute, time.Second)
	require.Equal(t, 3, c.perShard)
	shard := c.shard("s")
	var inShard []string
	for i := 0; len(inShard) < 4; i++ {
		if name := fmt.Sprint("s", i); c.shard(name) == shard {
			inShard = append(inShard, name)
		}
	}
	for _, name := range inShard[:3] {
		c.put(name, nil, time.Now())
	}
	require.Len(t, shard.entries, 3)
	for range 50 {
		c.put(inShard[0], nil, time.Now())
		require.Len(t, shard.entries, 3, "nobody goes for one who is there")
	}
	c.put(inShard[3], nil, time.Now())
	require.Len(t, shard.entries, 3)
	require.Contains(t, shard.entries, inShard[3])
	require.Equal(t, 1, newSubjectCache(1, time.Minute, time.Second).perShard)
}

// Erasures are forgotten once nothing from before them can be on its way any more.
func TestSubjectCacheSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSubjectCache(0, time.Minute, time.Second)
		shard := c.shard("s")
		erase := func(first, n int) {
			for i := first; n > 0; i++ {
				if name := fmt.Sprint("s", i); c.shard(name) == shard {
					c.erase(name)
					n--
				}
			}
		}
		erase(0, 64)
		require.Len(t, shard.erased, 64)
		time.Sleep(c.erasedLifetime - 1)
		erase(1_000_000, 1)
		require.Len(t, shard.erased, 65, "none is over")
		require.Equal(t, 2*64, shard.sweepAt)
		time.Sleep(time.Nanosecond)
		erase(2_000_000, 2*64-65)
		require.Len(t, shard.erased, 2*64)
		erase(3_000_000, 1)
		require.Len(t, shard.erased, 2*64-64+1, "64 are over")
		for name := range shard.erased {
			require.True(t, c.recentlyErased(name))
		}
	})
}
