package vault_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// A copied row is a value like any other: purpose slots do not say whose they
// are. It stays what it was, and opens for no purpose more.
func TestCopiedRowsGainNothing(t *testing.T) {
	a := newVictim(t)
	security, advertising := a.scopes["security"], a.scopes["advertising"]
	for _, v := range a.values[:2] { // collected for security alone
		row, err := vault.ParseSealed(v.Text())
		require.NoError(t, err)
		_, err = security.Reveal(t.Context(), vecEmail, row)
		require.NoError(t, err)
		_, err = advertising.Reveal(t.Context(), vecEmail, row)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		_, err = advertising.Hint(t.Context(), vecEmail, row, strings.ToUpper)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		_, err = advertising.IndexSealed(t.Context(), vecEmail, row, strings.ToUpper)
		require.ErrorIs(t, err, purpose.ErrMismatch)
	}
}

// Somebody with the keys of advertising can add a slot of advertising to any
// value, and say there what they like. It tells security nothing, and shows
// nothing of what security's slot holds.
func TestInsiderOfOnePurpose(t *testing.T) {
	a := newVictim(t)
	key := vecKeys["advertising"].Seal[0]
	v := a.values[0].Clone()
	v.Slots = slices.Insert(v.Slots, 0,
		reference.SlotOf(v.Kind, "advertising", v.ID, vecFull, key, reference.Random(12), "mallory@example.com"))
	a.slots[slotPlace(v, v.Slots[0], "")] = "mallory@example.com"
	require.Equal(t, 2, a.text(t, v.Text()))
	sealed, err := vault.ParseSealed(v.Text())
	require.NoError(t, err)
	got, err := a.scopes["security"].Reveal(t.Context(), vecEmail, sealed)
	require.NoError(t, err)
	require.Equal(t, "alice@example.com", got)

	// The same under the name of security is refused, whatever key id it bears.
	for _, id := range []uint32{key.ID, vecKeys["security"].Seal[0].ID} {
		forged := a.values[0].Clone()
		forged.Slots[0] = reference.SlotOf(forged.Kind, "security", forged.ID, vecPlain, reference.Key{ID: id, Key: key.Key}, reference.Random(12), "mallory@example.com")
		require.Zero(t, a.text(t, forged.Text()))
	}
}

// AES-GCM does not commit to its key: who holds two keys can make one
// ciphertext that is authentic under both. Made to measure, it still opens in
// each slot only where the key id in front of it is one of that purpose's; and
// where two purposes' keys have one id, it tells them two different things, as
// two slots sealed one by one would have done.
func TestOneCiphertextUnderTwoKeys(t *testing.T) {
	security, advertising := vecKeys["security"].Seal[0], vecKeys["advertising"].Seal[0]
	value := reference.Value{Kind: "email", ID: reference.Random(16)}
	header := vecPlain.Bytes()
	sealed := sealTwice(
		security, reference.AAD("email", "security", value.ID, header, ""),
		advertising, reference.AAD("email", "advertising", value.ID, header, ""))
	slots := []reference.Slot{{Purpose: "advertising", Header: header, Sealed: sealed}, {Purpose: "security", Header: header, Sealed: sealed}}

	try := func(v *vault.Vault, name string, slots ...reference.Slot) (string, string) {
		value.Slots = slots
		parsed, err := vault.ParseSealed(value.Text())
		require.NoError(t, err)
		plaintext, err := refScope(t, v, name).Reveal(t.Context(), vecEmail, parsed)
		return plaintext, vecClass(err)
	}
	v := refVault(t, vecKeys)
	_, class := try(v, "security", slots...)
	require.Equal(t, "success", class)
	_, class = try(v, "advertising", slots...)
	require.Equal(t, "corrupt", class)
	_, class = try(v, "advertising", slots[1])
	require.Equal(t, "mismatch", class)

	advertising.ID = security.ID // as it is for one pair of keys in 2^32
	keys := func(k reference.Key, name string) reference.Keys {
		return reference.Keys{Seal: []reference.Key{k}, Index: vecKeys[name].Index, Subject: vecKeys[name].Subject}
	}
	v = refVault(t, map[string]reference.Keys{
		"security": keys(security, "security"), "advertising": keys(advertising, "advertising"),
	})
	one, class := try(v, "security", slots...)
	require.Equal(t, "success", class)
	two, class := try(v, "advertising", slots...)
	require.Equal(t, "success", class)
	require.NotEqual(t, one, two)
	_, class = try(v, "advertising", slots[1])
	require.Equal(t, "mismatch", class)
	_, class = try(v, "security", slots[0])
	require.Equal(t, "mismatch", class)
	slots[1].Purpose = "advertising"
	_, class = try(v, "advertising", slots[1])
	require.Equal(t, "success", class, "it is advertising's slot after all")
}

// sealTwice returns a sealed part, under the first key's id, that is authentic
// and well padded under both keys. The tag is linear in each block of
// ciphertext, so one free block makes the tags equal.
func sealTwice(one reference.Key, aad1 []byte, two reference.Key, aad2 []byte) []byte {
	type side struct{ stream, hash, mask []byte }
	prepare := func(k reference.Key, nonce []byte) side {
		block, err := aes.NewCipher(k.Key)
		if err != nil {
			panic(err)
		}
		s := side{make([]byte, 32), make([]byte, 16), make([]byte, 16)}
		block.Encrypt(s.hash, s.hash)
		block.Encrypt(s.mask, append(nonce[:12:12], 0, 0, 0, 1))
		block.Encrypt(s.stream, append(nonce[:12:12], 0, 0, 0, 2))
		block.Encrypt(s.stream[16:], append(nonce[:12:12], 0, 0, 0, 3))
		return s
	}
	// A nonce under which one last byte is the end of the padding for both.
	var nonce []byte
	var a, b side
	for {
		nonce = reference.Random(12)
		a, b = prepare(one, nonce), prepare(two, nonce)
		if a.stream[31] == b.stream[31] {
			break
		}
	}
	c := make([]byte, 32)
	c[31] = a.stream[31] ^ 0x80
	tag := func(s side, aad []byte) []byte {
		blocks := append(slices.Clone(aad), make([]byte, (16-len(aad)%16)%16)...)
		blocks = append(blocks, c...)
		blocks = binary.BigEndian.AppendUint64(blocks, uint64(8*len(aad)))
		blocks = binary.BigEndian.AppendUint64(blocks, uint64(8*len(c)))
		y := make([]byte, 16)
		for block := range slices.Chunk(blocks, 16) {
			y = reference.GFMul(reference.XOR(y, block), s.hash)
		}
		return reference.XOR(y, s.mask)
	}
	cube := func(h []byte) []byte { return reference.GFMul(reference.GFMul(h, h), h) } // the first block is multiplied three times
	copy(c, reference.GFMul(reference.XOR(tag(a, aad1), tag(b, aad2)), reference.GFInverse(reference.XOR(cube(a.hash), cube(b.hash)))))

	sealed := binary.BigEndian.AppendUint32([]byte{1}, one.ID)
	return append(append(append(sealed, nonce...), c...), tag(a, aad1)...)
}

// A refused length costs nothing, however long the text.
func TestLengthIsCheckedFirst(t *testing.T) {
	for _, head := range []string{"", newVictim(t).values[0].Text()} {
		data := append([]byte(head), bytes.Repeat([]byte("A"), 64<<20)...)
		text := string(data)
		short := data[:vault.MaxText+1]
		var into vault.Sealed
		refuse := func() {
			_, err1 := vault.ParseSealed(text)
			err2 := into.UnmarshalText(data)
			err3 := into.UnmarshalText(short)
			data[0] = 1
			err4 := into.UnmarshalBinary(data)
			err5 := into.UnmarshalBinary(short)
			data[0] = text[0]
			for _, err := range []error{err1, err2, err3, err4, err5} {
				if err != vault.ErrCorrupt {
					panic("not refused")
				}
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		refuse() // the first time, when no buffer is as large yet
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
		require.Zero(t, testing.AllocsPerRun(10, refuse))
	}
}

// The longest value there can be is well below the limit, so no value that can
// be sealed is too long to be read.
func TestLongestFits(t *testing.T) {
	require.Less(t, len(vecLongest().Text()), vault.MaxText)
	require.Equal(t, vault.MaxSlots, len(vecLongest().Slots))
}

// Key records.

// exchanged returns a store whose records of security and advertising stand in
// each other's place.
func exchanged(t *testing.T, store vault.Store) vault.Store {
	t.Helper()
	ctx := t.Context()
	other := vault.Memory()
	for from, to := range map[string]string{"security/keys": "advertising/keys", "advertising/keys": "security/keys"} {
		records, err := store.Get(ctx, from)
		require.NoError(t, err)
		require.Len(t, records, 1)
		_, err = other.Put(ctx, vault.Record{Name: to, Data: records[0].Data})
		require.NoError(t, err)
	}
	return other
}

var vecPurposes = []purpose.Purpose{purpose.MustParse("security"), purpose.MustParse("advertising")}

func vecOpen(t testing.TB, store vault.Store, kek vault.KEK) *vault.Vault {
	t.Helper()
	v, err := vault.Open(context.Background(), store, kek, nil)
	require.NoError(t, err)
	return v
}

func TestExchangedKeyRecords(t *testing.T) {
	shared := vault.SharedKEK(refKEK{key: vecKEK})
	separate := vault.KEKFunc(func(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
		return refKEK{key: vecKey("kek "+p.String(), 7)}, nil
	})
	for name, kek := range map[string]vault.KEK{"shared KEK": shared, "a KEK for each": separate} {
		t.Run(name, func(t *testing.T) {
			store := vault.Memory()
			require.NoError(t, vecOpen(t, store, kek).Generate(t.Context(), vecPurposes...))
			v := vecOpen(t, exchanged(t, store), kek)
			for _, p := range vecPurposes {
				s, err := v.Scope(t.Context(), p)
				require.Nil(t, s)
				require.Equal(t, "corrupt", vecClass(err))
				// Nor does Generate take it for a purpose without keys.
				require.NoError(t, v.Generate(t.Context(), p))
				_, err = v.Scope(t.Context(), p)
				require.Equal(t, "corrupt", vecClass(err))
			}
		})
	}
}

// blindKEK is a key service that binds associated data only while honest, or
// only in what it is asked about by a self-test.
type blindKEK struct {
	refKEK
	honest, actor bool
}

func (k *blindKEK) For(context.Context, purpose.Purpose) (vault.AEAD, error) { return k, nil }

func (k *blindKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	b := append(binary.BigEndian.AppendUint16(nil, uint16(len(aad))), aad...)
	return k.refKEK.Encrypt(append(b, plaintext...), nil)
}

func (k *blindKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	b, err := k.refKEK.Decrypt(ciphertext, nil)
	if err != nil {
		return nil, err
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if !bytes.Equal(b[2:n], aad) && (k.honest || k.actor && bytes.HasSuffix(aad, []byte("!"))) {
		return nil, vault.ErrCorrupt
	}
	return b[n:], nil
}

func TestKEKThatIgnoresAssociatedData(t *testing.T) {
	ctx := t.Context()
	kek := &blindKEK{refKEK: refKEK{key: vecKEK}}
	store := vault.Memory()

	// Generate notices, and leaves nothing behind.
	err := vecOpen(t, store, kek).Generate(ctx, vecPurposes...)
	require.Equal(t, "no keys", vecClass(err))
	for _, p := range vecPurposes {
		records, err := store.Get(ctx, p.String()+"/keys")
		require.NoError(t, err)
		require.Empty(t, records)
	}

	// So does CheckKEK, of keys that were made when the service was another one.
	kek.honest = true
	require.NoError(t, vecOpen(t, store, kek).Generate(ctx, vecPurposes...))
	require.NoError(t, vecOpen(t, store, kek).CheckKEK(ctx, vecPurposes...))
	kek.honest = false
	for _, p := range vecPurposes {
		require.Equal(t, "no keys", vecClass(vecOpen(t, store, kek).CheckKEK(ctx, p)))
		_, err = vecOpen(t, exchanged(t, store), kek).Scope(ctx, p)
		require.Equal(t, "corrupt", vecClass(err), "the record itself refuses another purpose")
	}

	// Where the self-test is deceived, or was passed before, the record itself
	// refuses another purpose.
	kek.actor = true
	for _, p := range vecPurposes {
		require.NoError(t, vecOpen(t, store, kek).CheckKEK(ctx, p), "deceived")
		_, err = vecOpen(t, exchanged(t, store), kek).Scope(ctx, p)
		require.Equal(t, "corrupt", vecClass(err))
	}
}

func TestSwappedKEK(t *testing.T) {
	ctx := t.Context()
	store := vault.Memory()
	swap := false
	kek := vault.KEKFunc(func(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
		if swap == (p == vecPurposes[0]) {
			return refKEK{key: vecKey("one", 1)}, nil
		}
		return refKEK{key: vecKey("two", 1)}, nil // of the same id
	})
	require.NoError(t, vecOpen(t, store, kek).Generate(ctx, vecPurposes...))
	for _, exchange := range []bool{false, true} {
		swap = !exchange
		from := store
		if exchange {
			from = exchanged(t, store)
		}
		for _, p := range vecPurposes {
			_, err := vecOpen(t, from, kek).Scope(ctx, p)
			require.Equal(t, "corrupt", vecClass(err))
		}
	}
	// Both at once: the KEK opens its own record, in the other purpose's place.
	swap = true
	for _, p := range vecPurposes {
		_, err := vecOpen(t, exchanged(t, store), kek).Scope(ctx, p)
		require.Equal(t, "corrupt", vecClass(err))
	}
}

func TestEveryBitFlipOfAKeyRecord(t *testing.T) {
	kek := refKEK{key: vecKEK}
	store := vault.Memory()
	require.NoError(t, vecOpen(t, store, vault.SharedKEK(kek)).Generate(t.Context(), vecPurposes[0]))
	records, err := store.Get(t.Context(), "security/keys")
	require.NoError(t, err)
	data := records[0].Data
	_, err = openRecord(t, kek, "security", data)
	require.NoError(t, err)
	for bit := range 8 * len(data) {
		data[bit/8] ^= 1 << (bit % 8)
		_, err := openRecord(t, kek, "security", data)
		require.Equal(t, "corrupt", vecClass(err), "bit %d", bit)
		data[bit/8] ^= 1 << (bit % 8)
	}
	for n := 1; n < len(data); n++ {
		_, err := openRecord(t, kek, "security", data[:n])
		require.Equal(t, "corrupt", vecClass(err), "%d bytes", n)
	}
}
