package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Checks of single keys, of KEKs and kinds, and of what goes through a whole store.

func TestKeysAreListedByAge(t *testing.T) {
	r, err := newKeyRecord(purpose.MustParse("security"), testVaultID, XWing)
	require.NoError(t, err)
	var ids []uint32
	for range 3 {
		_, err := r.add(&r.Seal, RoleSeal, XWing, 0)
		require.NoError(t, err)
	}
	all, err := r.describe()
	require.NoError(t, err)
	for i, k := range all[:4] { // as they stand in the keyset, and the other way round by age
		r.Seal.Created[k.ID] = int64(100 - i)
		ids = append([]uint32{k.ID}, ids...)
	}
	all, err = r.describe()
	require.NoError(t, err)
	for i, k := range all[:4] {
		require.Equal(t, ids[i], k.ID)
		require.Equal(t, time.Unix(int64(97+i), 0).UTC(), k.Created)
	}
}

// Without the key of pseudonyms nobody's records would be found again, so none of
// these is ever put out of use.
func TestKeysOfPseudonymsAreNotRetired(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	var old uint32
	require.NoError(t, v.changeKeys(ctx, audit.Event{Action: audit.Rotate, Purpose: p}, func(r *keyRecord, _ *pendingEvent) error {
		all, err := r.describe()
		require.NoError(t, err)
		require.Equal(t, RoleSubject, all[2].Role)
		old = all[2].ID
		_, err = r.add(&r.Subject, RoleSubject, XWing, 0)
		return err
	}))
	require.EqualError(t, v.Retire(ctx, p, old), "vault: retiring keys of security: the key of pseudonyms is never changed: invalid argument")
}

func TestKEKsThatAskNobody(t *testing.T) {
	ctx := t.Context()
	p := purpose.MustParse("security")
	for name, kek := range map[string]KEK{
		"no KEK for this purpose": KEKs{},
		"nil KEKFunc":             KEKFunc(nil),
		"nil KEK":                 EitherKEK(nil, testKEK(t)),
	} {
		a, err := kek.For(ctx, p)
		require.Nil(t, a)
		require.EqualError(t, err, name+": no usable keys")
	}
	_, err := EitherKEK(testKEK(t), nil).For(ctx, p)
	require.EqualError(t, err, "nil KEK: no usable keys")
}

type generatingKEK struct {
	KEK
	err error
}

func (k generatingKEK) Generate(context.Context, purpose.Purpose) error { return k.err }

// A KEK that could not make its key says so, through the KEKs that it is part of.
func TestKEKsThatCanNotGenerate(t *testing.T) {
	ctx := t.Context()
	p := purpose.MustParse("security")
	broken := generatingKEK{testKEK(t), ErrUnavailable}
	for _, kek := range []KEK{broken, KEKs{p: broken}, EitherKEK(broken, testKEK(t))} {
		store := Memory()
		v, err := OpenAdmin(ctx, store, kek, nil)
		require.NoError(t, err)
		defer v.Close()
		require.ErrorIs(t, v.Generate(ctx, p), ErrUnavailable)
		records, err := store.Get(ctx, keyRecordName(p))
		require.NoError(t, err)
		require.Empty(t, records)
	}
}

// Of two KEKs the one that has worked is asked alone from then on, the other one may
// be down; and only the current one wraps.
func TestEitherKEK(t *testing.T) {
	ctx := t.Context()
	p := purpose.MustParse("security")
	lacking := kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return nil, errNotConfigured })
	var asked []string
	counted := func(name string) KEK {
		a := testAEAD(t, p)
		return SharedKEK(meddledAEAD{a,
			func(text, aad []byte) ([]byte, error) { asked = append(asked, name); return a.Encrypt(text, aad) },
			func(text, aad []byte) ([]byte, error) { asked = append(asked, name); return a.Decrypt(text, aad) },
		})
	}
	current, previous := counted("current"), counted("previous")
	for name, wraps := range map[string]KEK{"current": current, "previous": previous} {
		old, err := wraps.For(ctx, p)
		require.NoError(t, err)
		wrapped, err := old.Encrypt([]byte("key"), nil)
		require.NoError(t, err)
		a, err := EitherKEK(current, previous).For(ctx, p)
		require.NoError(t, err)
		plain, err := a.Decrypt(wrapped, nil)
		require.NoError(t, err)
		require.Equal(t, "key", string(plain))
		asked = nil
		_, err = a.Decrypt(wrapped, []byte("other"))
		require.ErrorIs(t, err, ErrNoKeys)
		require.NotEmpty(t, err.Error())
		require.Equal(t, []string{name}, asked)
	}

	a, err := EitherKEK(current, previous).For(ctx, p)
	require.NoError(t, err)
	asked = nil
	wrapped, err := a.Encrypt([]byte("key"), nil)
	require.NoError(t, err)
	_, err = a.Decrypt(wrapped, []byte("other"))
	require.ErrorIs(t, err, ErrNoKeys)
	require.Equal(t, []string{"current", "current"}, asked)

	a, err = EitherKEK(lacking, previous).For(ctx, p)
	require.NoError(t, err)
	wrapped, err = a.Encrypt([]byte("key"), nil)
	require.ErrorIs(t, err, ErrNoKeys)
	require.Nil(t, wrapped)
	_, err = EitherKEK(lacking, lacking).For(ctx, p)
	require.EqualError(t, err, "no KEK for this purpose: no usable keys")
}

func TestNamesAndLabelsOfKinds(t *testing.T) {
	for name, valid := range map[string]bool{
		"a": true, "z": true, "a0": true, "a9": true, "az": true, "a-": true, strings.Repeat("k", format.MaxKind): true,
		"": false, "0": false, "-": false, "`": false, "{": false, "A": false, "a`": false, "a{": false,
		"a/": false, "a:": false, "aA": false, "a_": false, "a.": false, strings.Repeat("k", format.MaxKind+1): false,
	} {
		require.Equal(t, valid, format.ValidKind(name), "%q", name)
		if !valid {
			require.Panics(t, func() { MustKind(name, "vault.Note") }, "%q", name)
		}
	}
	for label, valid := range map[string]bool{
		"a": true, "z": true, "A": true, "Z": true, "0": true, "9": true, "_": true, ".": true, strings.Repeat("L", maxLabel): true,
		"": false, "`": false, "{": false, "@": false, "[": false, "/": false, ":": false, "-": false, " ": false, "\n": false,
		strings.Repeat("L", maxLabel+1): false,
	} {
		require.Equal(t, valid, validLabel(label), "%q", label)
		if !valid {
			require.Panics(t, func() { MustKind("note", label) }, "%q", label)
		}
	}
	both := purpose.NewSet(purpose.MustParse("security"), purpose.MustParse("billing"))
	require.Equal(t, "vault.Note(billing+security)", MustKind("note", "vault.Note").Label(both))
}

// A clock that was never set can't tell when a retention ends, and neither can a clock
// that is set after the last time of the format.
func TestProvenanceOfAnUnsetClock(t *testing.T) {
	const last = 253402300799 // 9999-12-31T23:59:59Z
	for _, exact := range []bool{false, true} {
		for _, at := range []int64{-1, 0} {
			p, err := newProvenance(time.Unix(at, 0), &purpose.Basis{}, exact)
			require.NoError(t, err)
			require.Zero(t, p.Collected.Unix())
			require.True(t, p.Expires.IsZero())
			_, err = newProvenance(time.Unix(at, 0), &purpose.Basis{Retain: time.Hour}, exact)
			require.ErrorIs(t, err, ErrUnavailable)
			require.EqualError(t, err, "clock is not set: unavailable")
		}
		// Of a clock that was set back after Under had accepted the basis.
		stated := purpose.Basis{Collected: time.Unix(1e9, 0)}
		_, err := newProvenance(time.Unix(1e9-int64(maxSkew/time.Second)-1, 0), &stated, exact)
		require.ErrorIs(t, err, ErrUnavailable)
		require.EqualError(t, err, "clock stands before the collection: unavailable")
		_, err = newProvenance(time.Unix(1e9-int64(maxSkew/time.Second), 0), &stated, exact)
		require.NoError(t, err)
		_, err = newProvenance(time.Unix(0, 0), &purpose.Basis{Collected: time.Unix(1, 0)}, exact)
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = newProvenance(time.Unix(last, 0), &purpose.Basis{}, exact)
		require.NoError(t, err)
		_, err = newProvenance(time.Unix(last+1, 0), &purpose.Basis{}, exact)
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = newProvenance(time.Unix(last-1, 0), &purpose.Basis{Retain: time.Second}, exact)
		require.NoError(t, err)
		_, err = newProvenance(time.Unix(last, 0), &purpose.Basis{Retain: time.Second}, exact)
		require.ErrorIs(t, err, ErrUnavailable)
	}
}

// A list that breaks off is not all that there is, and one that goes back has no end.
func TestListsThatCanNotBeBelieved(t *testing.T) {
	ctx := t.Context()
	store := &hookedStore{Store: Memory()}
	v, p := testVault(t, store, nil)
	for name, revision := range map[string]int{"0x/keys": 1, "advertising/other": 1, "b/keys": 1} {
		_, err := store.Put(ctx, Record{Name: name, Data: make([]byte, revision)})
		require.NoError(t, err)
	}
	found, err := v.Purposes(ctx)
	require.NoError(t, err)
	require.Equal(t, "b+security", found.String())

	at := subjectPrefix(p)
	for name, c := range map[string]struct {
		list func(yield func(string, error) bool)
		want error
	}{
		"fails": {func(yield func(string, error) bool) { yield("", errors.New("down")) }, ErrUnavailable},
		"one again": {func(yield func(string, error) bool) {
			for yield(at+"0", nil) { // for ever
			}
		}, errOrder},
		"goes back":  {func(yield func(string, error) bool) { _ = yield(at+"1", nil) && yield(at+"0", nil) }, errOrder},
		"no subject": {func(yield func(string, error) bool) { yield(at+"0", nil) }, errSubjectRecord},
	} {
		store.list = c.list
		require.ErrorIs(t, v.RewrapSubjects(ctx, p, "", nil), c.want, name)
		if name == "no subject" {
			continue
		}
		found, err := v.Purposes(ctx)
		require.ErrorIs(t, err, c.want, name)
		require.Zero(t, found.Len())
	}
	for _, last := range []string{"security0", "security/keys"} {
		n := 0
		store.list = func(yield func(string, error) bool) {
			if n++; n > 1 {
				yield(last, nil)
				return
			}
			for i := range namesPerFolder { // so another List follows
				if !yield(fmt.Sprintf("security/subjects/%02d", i), nil) {
					return
				}
			}
		}
		_, err = v.Purposes(ctx)
		require.ErrorIs(t, err, ErrCorrupt, last)
	}
	store.list = nil
	store.setGet(func(context.Context, ...string) ([]Record, error) { return nil, ErrCorrupt })
	_, err = v.Purposes(ctx)
	require.ErrorIs(t, err, ErrCorrupt)
}

// A platform that can't read the keys of collectors leaves them as
// they are and does all else. Others have to be read.
func TestKeysOfCollectorsThatCanNotBeRead(t *testing.T) {
	ctx := t.Context()
	v, p := testVault(t, Memory(), nil)
	unread := []byte("of another platform")
	require.NoError(t, v.changeKeys(ctx, audit.Event{Action: audit.Rotate, Purpose: p}, func(r *keyRecord, _ *pendingEvent) error {
		r.Collect.Keyset = unread
		return nil
	}))
	rotateNow(t, v, p, RoleSeal)
	require.ErrorIs(t, v.Rotate(ctx, p, RoleCollect), ErrUnavailable)
	all, err := v.Keys(ctx, p)
	require.NoError(t, err)
	for _, k := range all {
		require.NotEqual(t, RoleCollect, k.Role)
	}
	r, _, err := v.readKeyRecord(ctx, p)
	require.NoError(t, err)
	require.Equal(t, unread, r.Collect.Keyset)
	k, err := r.open()
	require.NoError(t, err)
	require.Nil(t, k.collect())

	r.Index.Keyset = unread
	_, err = r.describe()
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = r.open()
	require.Equal(t, errKeyset, err)
	_, err = r.add(&r.Seal, RoleSeal, XWing, 0)
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = r.find(all[0].ID, Active)
	require.ErrorIs(t, err, ErrCorrupt)
}
