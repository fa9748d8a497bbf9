package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

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
	require.ErrorIs(t, w.selfTest(p, keyRecordHeader{wrapped: bytes.Repeat([]byte{7}, format.DEKSize)}), errUnbound)
	require.Equal(t, make([]byte, format.DEKSize), handed)
}
