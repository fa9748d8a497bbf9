package vault

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"

	"github.com/onlyfor/onlyfor/purpose"
)

// What was wrapped for one purpose says nothing of another, whatever the KEK binds.
func TestCheckKEKReadsTheRecord(t *testing.T) {
	ctx := t.Context()
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	var asked []purpose.Purpose
	key, err := aead.New(keysetOf(t, 0, aead.AES256GCMKeyTemplate()))
	require.NoError(t, err)
	kek := kekFunc(func(_ context.Context, p purpose.Purpose) (AEAD, error) {
		asked = append(asked, p)
		return key, nil
	})
	store := Memory()
	v, err := OpenAdmin(ctx, store, kek, nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security, ads))
	asked = nil
	require.NoError(t, v.CheckKEK(ctx, security, ads))
	require.Equal(t, []purpose.Purpose{security, ads}, asked)
	asked = nil
	require.ErrorIs(t, v.CheckDenied(ctx, ads), ErrGranted)
	require.Equal(t, []purpose.Purpose{ads}, asked)

	records, err := store.Get(ctx, keyRecordName(security))
	require.NoError(t, err)
	r := records[0]
	r.Data[len(r.Data)-1] ^= 1 // in what the KEK does not see
	_, err = store.Put(ctx, r)
	require.NoError(t, err)
	require.ErrorIs(t, v.CheckKEK(ctx, security), ErrCorrupt)

	r.Data[0] ^= 1
	records, err = store.Get(ctx, keyRecordName(security))
	require.NoError(t, err)
	r.Revision = records[0].Revision
	_, err = store.Put(ctx, r)
	require.NoError(t, err)
	require.ErrorIs(t, v.CheckKEK(ctx, security), ErrCorrupt)
	require.ErrorIs(t, v.CheckDenied(ctx, security), ErrCorrupt)
}

type kekFunc func(context.Context, purpose.Purpose) (AEAD, error)

func (f kekFunc) For(ctx context.Context, p purpose.Purpose) (AEAD, error) { return f(ctx, p) }

// After a re-wrap the purpose's keys are under another KEK, for checks as well.
func TestChecksAskTheKEKOfToday(t *testing.T) {
	ctx := t.Context()
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	store := Memory()
	v, err := OpenAdmin(ctx, store, testKEK(t), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security, ads))
	require.NoError(t, v.Rewrap(ctx, testKEK(t), security))
	require.NoError(t, v.CheckKEK(ctx, security, ads))
	require.ErrorIs(t, v.CheckDenied(ctx, security), ErrGranted)
	rotateNow(t, v, security, RoleSeal)
}

func testKEK(t *testing.T) KEK {
	t.Helper()
	key, err := aead.New(keysetOf(t, 0, aead.AES256GCMKeyTemplate()))
	require.NoError(t, err)
	return kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return key, nil })
}

// A check tells a KEK that is wrong from one that refuses and a store that is down.
func TestChecksTellWhatIsWrong(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	inner, err := testKEK(t).For(ctx, security)
	require.NoError(t, err)
	key := &forgetful{AEAD: inner}
	var refusal error
	kek := kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return key, refusal })
	store := &failingStore{Store: Memory()}
	v, err := OpenAdmin(ctx, store, kek, nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security))
	require.NoError(t, v.CheckKEK(ctx, security))

	key.forgets = true
	require.ErrorIs(t, v.CheckKEK(ctx, security), errUnbound, "of the purpose's own data it binds but the beginning")
	refusal = ErrNoKeys
	err = v.CheckKEK(ctx, security)
	require.EqualError(t, err, "vault: checking keys of security: no usable keys")

	store.fail(func(string, string) error { return errors.New("down") })
	require.ErrorIs(t, v.CheckKEK(ctx, security), ErrUnavailable)
	err = v.CheckDenied(ctx, security)
	require.EqualError(t, err, "vault: checking keys of security: key store: unavailable")

	_, err = v.Collector(ctx, security)
	require.EqualError(t, err, "vault: opening keys of security: key store: unavailable")
}
