package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// Checks of key records, key services and operations on keys.

// A meddledAEAD does something else than the AEAD that it is made of.
type meddledAEAD struct {
	AEAD
	encrypt, decrypt func(text, aad []byte) ([]byte, error)
}

func (m meddledAEAD) Encrypt(plaintext, aad []byte) ([]byte, error) {
	if m.encrypt == nil {
		return m.AEAD.Encrypt(plaintext, aad)
	}
	return m.encrypt(plaintext, aad)
}

func (m meddledAEAD) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	if m.decrypt == nil {
		return m.AEAD.Decrypt(ciphertext, aad)
	}
	return m.decrypt(ciphertext, aad)
}

func testAEAD(t *testing.T, p purpose.Purpose) AEAD {
	t.Helper()
	a, err := testKEK(t).For(t.Context(), p)
	require.NoError(t, err)
	return a
}

// Under one data key for all, of zeros say, whoever is given one purpose's record and
// its key would read every other's.
func TestEveryRecordHasADataKeyOfItsOwn(t *testing.T) {
	ctx := t.Context()
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	a, seen := testAEAD(t, security), map[string]bool{string(make([]byte, format.DEKSize)): true}
	v, err := OpenAdmin(ctx, Memory(), SharedKEK(meddledAEAD{AEAD: a, encrypt: func(dek, aad []byte) ([]byte, error) {
		require.Len(t, dek, format.DEKSize)
		require.False(t, seen[string(dek)], "a data key that was there before, or zeros")
		seen[string(dek)] = true
		return a.Encrypt(dek, aad)
	}}), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security, ads))
	require.NoError(t, v.Rotate(ctx, security, RoleSeal))
	require.Len(t, seen, 4)
}

// A data key of another size would make the record one of AES-128.
func TestDataKeysOfOtherSizesAreRefused(t *testing.T) {
	p := purpose.MustParse("security")
	kek := kekClient{ctx: t.Context(), aead: testAEAD(t, p)}
	r, err := newKeyRecord(p, testVaultID, XWing)
	require.NoError(t, err)
	payload, err := json.Marshal(r)
	require.NoError(t, err)
	for _, size := range []int{16, 24, format.DEKSize} {
		dek := make([]byte, size)
		rand.Read(dek)
		wrapped, err := kek.encrypt(dek, format.KEKAAD(p.String(), testVaultID))
		require.NoError(t, err)
		gcm, err := newGCM(dek)
		require.NoError(t, err)
		h := keyRecordHeader{vault: testVaultID, wrapped: wrapped}
		data := gcm.Seal(h.encode(), nil, payload, h.aad(p))
		_, err = unwrap(kek, p, testVaultID, data)
		if size == format.DEKSize {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, "key record does not open: "+ErrCorrupt.Error(), "%d bytes", size)
	}
}

// The length of a wrapped key has two bytes. Of what does not fit nothing is stored,
// or it would open for nobody.
func TestWrappedKeysOfNoUsableSize(t *testing.T) {
	p := purpose.MustParse("security")
	r, err := newKeyRecord(p, testVaultID, XWing)
	require.NoError(t, err)
	for size, usable := range map[int]bool{0: false, 1: true, maxWrapped: true, maxWrapped + 1: false} {
		wrapped := bytes.Repeat([]byte{7}, size)
		kek := kekClient{ctx: t.Context(), aead: meddledAEAD{encrypt: func([]byte, []byte) ([]byte, error) { return wrapped, nil }}}
		data, err := wrap(kek, p, r)
		if !usable {
			require.ErrorIs(t, err, ErrUnavailable, "%d bytes", size)
			require.Nil(t, data)
			continue
		}
		require.NoError(t, err)
		got, _, err := cutKeyRecord(data, testVaultID)
		require.NoError(t, err)
		require.Equal(t, keyRecordHeader{vault: testVaultID, wrapped: wrapped}, got)
	}
}

// The key service is not asked about what is no key record.
func TestKeyRecordsThatAreCutShort(t *testing.T) {
	p := purpose.MustParse("security")
	head := "ofk1" + string(testVaultID[:]) + "\x00"
	for name, data := range map[string]string{
		"nothing":                  "",
		"no vault":                 "ofk1",
		"vault is cut short":       "ofk1" + string(testVaultID[:15]),
		"no name of the KEK":       head[:20],
		"name is cut short":        head[:20] + "\x04ke",
		"name is not one":          head[:20] + "\x02k \x00\x04wrappayload",
		"no length":                head + "\x00",
		"no wrapped key":           head + "\x00\x00payload",
		"wrapped key is cut short": head + "\x00\x05wrap",
		"another beginning":        "ofk2" + head[4:] + "\x00\x04wrappayload",
		"another vault":            "ofk1" + strings.Repeat("x", 16) + "\x00\x00\x04wrappayload",
	} {
		_, _, err := cutKeyRecord([]byte(data), testVaultID)
		require.ErrorIs(t, err, ErrCorrupt, name)
		asked := false
		kek := kekClient{ctx: t.Context(), aead: meddledAEAD{decrypt: func([]byte, []byte) ([]byte, error) {
			asked = true
			return nil, errors.New("no")
		}}}
		_, err = unwrap(kek, p, testVaultID, []byte(data))
		require.ErrorIs(t, err, ErrCorrupt, name)
		require.False(t, asked, name)
	}
	h, payload, err := cutKeyRecord([]byte(head[:20]+"\x05key-1\x00\x04wrappayload"), testVaultID)
	require.NoError(t, err)
	require.Equal(t, "key-1 wrap payload", h.kek+" "+string(h.wrapped)+" "+string(payload))
}

// What stands behind a record would be lost with the next change.
func TestKeyRecordsWithMoreBehind(t *testing.T) {
	p := purpose.MustParse("security")
	r, err := newKeyRecord(p, testVaultID, XWing)
	require.NoError(t, err)
	plain, err := json.Marshal(r)
	require.NoError(t, err)
	for behind, ok := range map[string]bool{"": true, "\n ": true, "{}": false, " 1": false, "}": false, "x": false} {
		_, err := parseKeyRecord(p, testVaultID, append(bytes.Clone(plain), behind...))
		require.Equal(t, ok, err == nil, "%q", behind)
		if !ok {
			require.ErrorIs(t, err, ErrCorrupt, "%q", behind)
		}
	}
}

// A key service that can't give back what it was given, or gives nothing, ends a
// change before anything is stored.
func TestKeysThatCanNotBeReadBackAreNotStored(t *testing.T) {
	ctx := t.Context()
	p := purpose.MustParse("security")
	a := testAEAD(t, p)
	var now AEAD = a
	store := Memory()
	v, err := OpenAdmin(ctx, store, kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) { return now, nil }), nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, p))
	before, err := store.Get(ctx, keyRecordName(p))
	require.NoError(t, err)

	var wrapped []byte // the fresh one, for what follows reads the old one first
	encrypt := func(dek, aad []byte) (_ []byte, err error) {
		wrapped, err = a.Encrypt(dek, aad)
		return wrapped, err
	}
	for name, c := range map[string]struct {
		kek  AEAD
		want error
	}{
		"refuses to encrypt": {meddledAEAD{AEAD: a, encrypt: func([]byte, []byte) ([]byte, error) { return nil, errors.New("no") }}, ErrNoKeys},
		"returns nothing":    {meddledAEAD{AEAD: a, encrypt: func([]byte, []byte) ([]byte, error) { return nil, nil }}, ErrUnavailable},
		"does not read back": {meddledAEAD{AEAD: a, encrypt: encrypt, decrypt: func(ciphertext, aad []byte) ([]byte, error) {
			if bytes.Equal(ciphertext, wrapped) && bytes.Equal(aad, format.KEKAAD(p.String(), *v.vault.Load())) {
				return make([]byte, format.DEKSize), nil
			}
			return a.Decrypt(ciphertext, aad)
		}}, ErrCorrupt},
	} {
		now = c.kek
		require.ErrorIs(t, v.Rotate(ctx, p, RoleSeal), c.want, name)
		now = a
		after, err := store.Get(ctx, keyRecordName(p))
		require.NoError(t, err)
		require.Equal(t, before, after, name)
	}
}

// Nothing is done for nobody, and nothing once the caller is gone.
func TestOperationsOnKeysThatAreNotBegun(t *testing.T) {
	ctx := t.Context()
	p := purpose.MustParse("security")
	v, err := OpenAdmin(ctx, Memory(), testKEK(t), nil)
	require.NoError(t, err)
	defer v.Close()
	require.EqualError(t, v.Rotate(ctx, purpose.Purpose{}, RoleSeal), "vault: rotating keys: no purpose: invalid argument")
	keys, err := v.Keys(ctx, p)
	require.ErrorIs(t, err, ErrNoKeys)
	require.Nil(t, keys)

	require.NoError(t, v.Generate(ctx, p))
	before, err := v.Keys(ctx, p)
	require.NoError(t, err)
	done, cancel := context.WithCancel(ctx)
	cancel()
	for range 20 {
		require.ErrorIs(t, v.Rotate(done, p, RoleSeal), ErrUnavailable)
	}
	rotateNow(t, v, p, RoleSeal) // and what was begun all the same has ended
	after, err := v.Keys(ctx, p)
	require.NoError(t, err)
	require.Len(t, after, len(before)+1)
}

// An operation that a key service leaves hanging holds up neither another purpose nor
// another operation.
func TestOperationsOnKeysDoNotWaitForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
		a, hang, over := testAEAD(t, security), false, make(chan struct{})
		v, err := OpenAdmin(ctx, Memory(), kekFunc(func(context.Context, purpose.Purpose) (AEAD, error) {
			if hang {
				hang = false
				<-over
			}
			return a, nil
		}), &Options{Timeout: time.Hour})
		require.NoError(t, err)
		defer v.Close()
		require.NoError(t, v.Generate(ctx, security, ads))
		hang = true
		ended := make(chan error, 1)
		go func() { ended <- v.Rotate(ctx, security, RoleSeal) }()
		synctest.Wait()

		soon, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		require.NoError(t, v.Rotate(soon, ads, RoleSeal))
		_, err = v.Keys(soon, security)
		require.NoError(t, err)
		close(over)
		require.NoError(t, <-ended)
	})
}

func TestOperationsOnKeysAreRecorded(t *testing.T) {
	ctx := t.Context()
	p := purpose.MustParse("security")
	var events []audit.Event
	v, err := OpenAdmin(ctx, Memory(), testKEK(t), &Options{Audit: auditorFunc(func(_ context.Context, e audit.Event) error {
		events = append(events, e)
		return nil
	})})
	require.NoError(t, err)
	defer v.Close()
	require.ErrorIs(t, v.Rotate(ctx, p, RoleSeal), ErrNoKeys)
	require.NoError(t, v.Generate(ctx, p))
	require.NoError(t, v.Rotate(ctx, p, RoleIndex))
	var got []string
	for _, e := range events {
		got = append(got, strings.Join([]string{string(e.Action), e.Purpose.String(), string(e.Outcome)}, " "))
	}
	require.Equal(t, []string{"rotate security denied", "generate security allowed", "rotate security allowed"}, got)
}

// What authenticates need not be a keyset: a newer version's record, or one that
// somebody with the KEK wrote by hand.
func TestRecordsWithoutKeysetsAreNotChanged(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	kek, store := testKEK(t), Memory()
	v, err := OpenAdmin(ctx, store, kek, nil)
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Generate(ctx, security))
	w, err := newKEKClient(ctx, kek, security)
	require.NoError(t, err)
	records, err := store.Get(ctx, keyRecordName(security))
	require.NoError(t, err)
	r, err := unwrap(w, security, *v.vault.Load(), records[0].Data)
	require.NoError(t, err)
	r.Index.Keyset = []byte("none")
	data, err := wrap(w, security, r)
	require.NoError(t, err)
	records[0].Data = data
	_, err = store.Put(ctx, records[0])
	require.NoError(t, err)

	for _, role := range []Role{RoleSeal, RoleIndex, RoleCollect} {
		err := v.Rotate(ctx, security, role)
		require.ErrorIs(t, err, ErrCorrupt)
		require.ErrorContains(t, err, "malformed key record")
	}
	_, err = v.Scope(ctx, security)
	require.ErrorIs(t, err, ErrCorrupt)
	after, err := store.Get(ctx, keyRecordName(security))
	require.NoError(t, err)
	require.Equal(t, data, after[0].Data)
}

// The vectors can hold a few unknown fields; any further field of a key record changes
// the frozen format, whatever its name is.
func TestKeyRecordHasTheFieldsOfTheFormat(t *testing.T) {
	for typ, want := range map[reflect.Type][]string{
		reflect.TypeFor[keyRecord]():        {"purpose", "vault", "generation", "history", "seal", "index", "subject", "collect,omitempty", "destroyed,omitempty", "suspended,omitempty"},
		reflect.TypeFor[keysetRecord]():     {"keyset", "created", "retired,omitempty", "primary,omitempty"},
		reflect.TypeFor[suspensionRecord](): {"notice", "actions", "reason", "since", "until,omitempty"},
	} {
		var got []string
		for _, f := range reflect.VisibleFields(typ) {
			got = append(got, f.Tag.Get("json"))
		}
		require.Equal(t, want, got)
		names := map[reflect.Type]names{reflect.TypeFor[keyRecord](): recordNames, reflect.TypeFor[keysetRecord](): keysetNames, reflect.TypeFor[suspensionRecord](): suspensionNames}[typ]
		require.Len(t, names, len(got))
		for _, name := range got {
			require.Contains(t, names, strings.TrimSuffix(name, ",omitempty"))
		}
	}
}

// Package json takes the last of two fields, and a field in other letters. Both would
// be lost when the record is written again.
func TestFieldsOfKeyRecordsAreExact(t *testing.T) {
	exact := func(text string) bool {
		return exactNames(json.NewDecoder(strings.NewReader(text)), recordNames)
	}
	for text, want := range map[string]bool{
		`{"purpose":"p","generation":1,"seal":{"keyset":"","created":{"1":2}}}`:    true,
		`{"purpose":"p","purpose":"p"}`:                                            false,
		`{"purpose":"p","Seal":{}}`:                                                false,
		`{"purpose":"p","other":1}`:                                                false,
		`{"seal":{"keyset":"","keyset":""}}`:                                       false,
		`{"seal":{"Keyset":""}}`:                                                   false,
		`{"seal":{"keyset":"","other":1}}`:                                         false,
		`{"seal":{"created":{"1":2,"1":3}}}`:                                       false,
		`{"seal":{"created":{"1":2,"01":3}}}`:                                      false,
		`{"seal":{"created":{"4294967295":2},"retired":{"0":1},"primary":{}}}`:     true,
		`{"seal":{"created":{"4294967296":2}}}`:                                    false,
		`{"seal":{"created":{"+1":2}}}`:                                            false,
		`{"seal":{"created":{"seal":2}}}`:                                          false,
		`{"seal":{"destroyed":{}}}`:                                                false,
		`{"destroyed":{"1":2},"purpose":"p"}`:                                      true,
		`{"destroyed":{"1":2,"1":2}}`:                                              false,
		`{"destroyed":{"keyset":2}}`:                                               false,
		`{"retired":{"1":2}}`:                                                      false,
		`{"seal":{"keyset":""},"index":{"keyset":""},"subject":{"created":{}}}`:    true,
		`{"seal":{"keyset":""}`:                                                    false,
		`{"seal":{"keyset":""},"index":{"created":{"1":2}},"index":{"keyset":""}}`: false,
	} {
		require.Equal(t, want, exact(text), text)
	}
}

var testVaultID = format.VaultID{1, 2, 3, 15: 16}
