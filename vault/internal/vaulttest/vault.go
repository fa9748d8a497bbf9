package vaulttest

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// NewAEAD returns Tink's AES-256-GCM under a fresh key.
func NewAEAD(t testing.TB) vault.AEAD {
	t.Helper()
	key := binary.BigEndian.AppendUint64(make([]byte, 24), keyCount.Add(1))
	a, err := subtle.NewAESGCM(key)
	require.NoError(t, err)
	return a
}

var keyCount atomic.Uint64

// Open opens a vault, and closes it when the test ends. Its retired keys can be destroyed
// at once, unless opts say otherwise.
func Open(t testing.TB, store vault.Store, kek vault.KEK, opts *vault.Options) *vault.Admin {
	t.Helper()
	v, err := vault.OpenAdmin(t.Context(), store, kek, DestroyingAtOnce(opts))
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	return v
}

// DestroyingAtOnce returns opts with a [vault.Options.DestroyAfter] of no time, unless
// they have another.
func DestroyingAtOnce(opts *vault.Options) *vault.Options {
	var o vault.Options
	if opts != nil {
		o = *opts
	}
	if o.DestroyAfter == 0 {
		o.DestroyAfter = time.Nanosecond
	}
	return &o
}

// OpenKept is Open with default options for a vault that outlives the test.
func OpenKept(t testing.TB, store vault.Store, kek vault.KEK) *vault.Admin {
	t.Helper()
	v, err := vault.OpenAdmin(context.Background(), store, kek, DestroyingAtOnce(nil))
	require.NoError(t, err)
	return v
}

// Generated returns a vault with a store in memory and keys for the given purposes.
func Generated(t testing.TB, opts *vault.Options, purposes ...purpose.Purpose) *vault.Admin {
	t.Helper()
	v := Open(t, vault.Memory(), vault.SharedKEK(NewAEAD(t)), opts)
	require.NoError(t, v.Generate(t.Context(), purposes...))
	return v
}

// Scope returns a scope of the vault, which must have the keys.
func Scope(t testing.TB, v *vault.Admin, p purpose.Purpose) *vault.Scope {
	t.Helper()
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	return s
}

// Lookup returns a lookup of the vault.
func Lookup(t testing.TB, v *vault.Admin, p purpose.Purpose) *vault.Lookup {
	t.Helper()
	l, err := v.Lookup(t.Context(), p)
	require.NoError(t, err)
	return l
}

// Reader returns a reader of the vault.
func Reader(t testing.TB, v *vault.Admin, p purpose.Purpose) *vault.Reader {
	t.Helper()
	r, err := v.Reader(t.Context(), p)
	require.NoError(t, err)
	return r
}

// Collector returns a collector of the vault.
func Collector(t testing.TB, v *vault.Admin, p purpose.Purpose) *vault.Collector {
	t.Helper()
	c, err := v.Collector(t.Context(), p)
	require.NoError(t, err)
	return c
}

// Rotate rotates the keys of a role, and makes the new key primary at once.
func Rotate(t testing.TB, v *vault.Admin, p purpose.Purpose, role vault.Role) {
	t.Helper()
	require.NoError(t, RotateNow(t.Context(), v, p, role))
}

// RotateNow is [Rotate] for a caller without a test.
func RotateNow(ctx context.Context, v *vault.Admin, p purpose.Purpose, role vault.Role) error {
	if err := v.Rotate(ctx, p, role); err != nil {
		return err
	}
	k, err := Published(ctx, v, p, role)
	if err != nil || k.ID == 0 {
		return err
	}
	return v.Promote(ctx, p, k.ID)
}

// Published returns the key of a role that is to become primary last, zero if there is
// none.
func Published(ctx context.Context, v *vault.Admin, p purpose.Purpose, role vault.Role) (last vault.Key, err error) {
	keys, err := v.Keys(ctx, p)
	for _, k := range keys {
		if k.Role == role && k.PrimaryAt.After(last.PrimaryAt) {
			last = k
		}
	}
	return last, err
}

// Seal returns a value of kind [Note] that holds "text".
func Seal(t testing.TB, sealers ...vault.Sealer) vault.Sealed {
	t.Helper()
	v, err := vault.Seal(t.Context(), Note, "text", sealers...)
	require.NoError(t, err)
	return v
}

// Opens requires that a value of [Seal] opens for a scope.
func Opens(t testing.TB, s *vault.Scope, v vault.Sealed) {
	t.Helper()
	text, err := s.Reveal(t.Context(), Note, v)
	require.NoError(t, err)
	require.Equal(t, "text", text)
}

// Refuses requires that a value of [Seal] does not open for a scope, and that the error
// is want.
func Refuses(t testing.TB, s *vault.Scope, v vault.Sealed, want error) {
	t.Helper()
	_, err := s.Reveal(t.Context(), Note, v)
	require.ErrorIs(t, err, want)
}

// RequireSince fails unless at, in whole seconds, is between before and now.
func RequireSince(t testing.TB, before, at time.Time) {
	t.Helper()
	require.False(t, at.Before(before.Truncate(time.Second)), "%v is before %v", at, before)
	require.False(t, at.After(time.Now()), "%v is to come", at)
}

// MustText returns the text form of v.
func MustText(t testing.TB, v vault.Sealed) []byte {
	t.Helper()
	text, err := v.MarshalText()
	require.NoError(t, err)
	return text
}

// VaultOfKeys returns a vault with key records that package reference wrote.
func VaultOfKeys(t testing.TB, keys map[string]reference.Keys) *vault.Admin {
	t.Helper()
	return OpenKept(t, StoreOfKeys(t, keys, nil), vault.SharedKEK(KEK{Key: KEKKey}))
}

// ScopeNamed is [Scope] for the name of a purpose and a vault that outlives the test.
func ScopeNamed(t testing.TB, v *vault.Admin, name string) *vault.Scope {
	t.Helper()
	s, err := v.Scope(context.Background(), purpose.MustParse(name))
	require.NoError(t, err)
	return s
}

// OpenRecord returns the scope of a purpose whose key record is data. The vault's id is
// that in the record.
func OpenRecord(t testing.TB, kek vault.AEAD, name string, data []byte) (*vault.Scope, error) {
	t.Helper()
	id := VaultID
	if len(data) >= 20 && string(data[:4]) == "ofk1" {
		id = data[4:20]
	}
	return OpenRecordIn(t, kek, name, id, data)
}

// OpenRecordIn is [OpenRecord] for a vault with the given id.
func OpenRecordIn(t testing.TB, kek vault.AEAD, name string, id, data []byte) (*vault.Scope, error) {
	t.Helper()
	ctx := context.Background()
	store := vault.Memory()
	_, err := store.Put(ctx, vault.Record{Name: "0-vault", Data: reference.VaultRecord(id)})
	require.NoError(t, err)
	_, err = store.Put(ctx, vault.Record{Name: name + "/keys", Data: data})
	require.NoError(t, err)
	v, err := vault.OpenAdmin(ctx, store, vault.SharedKEK(kek), nil)
	require.NoError(t, err)
	return v.Scope(ctx, purpose.MustParse(name))
}

// Accepting returns f as a canonical form that refuses no plaintext.
func Accepting(f func(string) string) func(plaintext string) (string, bool) {
	return func(plaintext string) (string, bool) { return f(plaintext), true }
}
