package attacktest

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
	"github.com/onlyfor/onlyfor/vault/internal/format"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A copied row is a value like any other: purpose slots do not say whose they
// are. It stays what it was, and opens for no purpose more.
func TestCopiedRowsGainNothing(t *testing.T) {
	a := vaulttest.NewVictim(t)
	security, advertising := a.Scopes["security"], a.Scopes["advertising"]
	for _, v := range a.Values[:2] { // collected for security alone
		row, err := vault.ParseSealed(v.Text())
		require.NoError(t, err)
		_, err = security.Reveal(t.Context(), vaulttest.Email, row)
		require.NoError(t, err)
		_, err = advertising.Reveal(t.Context(), vaulttest.Email, row)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		_, err = advertising.Hint(t.Context(), vaulttest.Email, row, strings.ToUpper)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		_, err = advertising.IndexSealed(t.Context(), vaulttest.Email, row, vaulttest.Accepting(strings.ToUpper))
		require.ErrorIs(t, err, purpose.ErrMismatch)
	}
}

// Somebody with the keys of advertising can add a slot of advertising to any
// value, and say there what they like. It tells security nothing, and shows
// nothing of what security's slot holds.
func TestInsiderOfOnePurpose(t *testing.T) {
	a := vaulttest.NewVictim(t)
	key := vaulttest.Keys["advertising"].Seal[0]
	v := a.Values[0].Clone()
	v.Slots = slices.Insert(v.Slots, 0,
		reference.SlotOf(v.Kind, "advertising", v.ID, vaulttest.FullHeader, key, reference.Random(12), "mallory@example.com"))
	a.Slots[vaulttest.SlotPlace(v, v.Slots[0], "")] = "mallory@example.com"
	require.Equal(t, 2, a.Text(t, v.Text()))
	sealed, err := vault.ParseSealed(v.Text())
	require.NoError(t, err)
	got, err := a.Scopes["security"].Reveal(t.Context(), vaulttest.Email, sealed)
	require.NoError(t, err)
	require.Equal(t, "alice@example.com", got)

	// The same under the name of security is refused, whatever key id it bears.
	for _, id := range []uint32{key.ID, vaulttest.Keys["security"].Seal[0].ID} {
		forged := a.Values[0].Clone()
		forged.Slots[0] = reference.SlotOf(forged.Kind, "security", forged.ID, vaulttest.PlainHeader, reference.Key{ID: id, Key: key.Key}, reference.Random(12), "mallory@example.com")
		require.Zero(t, a.Text(t, forged.Text()))
	}
}

// AES-GCM does not commit to its key: who holds two keys can make one
// ciphertext that is authentic under both. Made to measure, it still opens in
// each slot only where the key id in front of it is one of that purpose's; and
// where two purposes' keys have one id, it tells them two different things, as
// two slots sealed one by one would have done.
func TestOneCiphertextUnderTwoKeys(t *testing.T) {
	security, advertising := vaulttest.Keys["security"].Seal[0], vaulttest.Keys["advertising"].Seal[0]
	value := reference.Value{Kind: "email", ID: reference.Random(16)}
	header := vaulttest.PlainHeader.Bytes()
	sealed := sealTwice(
		security, reference.AAD("email", "security", value.ID, header, ""),
		advertising, reference.AAD("email", "advertising", value.ID, header, ""))
	slots := []reference.Slot{{Purpose: "advertising", Header: header, Sealed: sealed}, {Purpose: "security", Header: header, Sealed: sealed}}

	try := func(v *vault.Admin, name string, slots ...reference.Slot) (string, string) {
		value.Slots = slots
		parsed, err := vault.ParseSealed(value.Text())
		require.NoError(t, err)
		plaintext, err := vaulttest.ScopeNamed(t, v, name).Reveal(t.Context(), vaulttest.Email, parsed)
		return plaintext, vaulttest.Class(err)
	}
	v := vaulttest.VaultOfKeys(t, vaulttest.Keys)
	_, class := try(v, "security", slots...)
	require.Equal(t, "success", class)
	_, class = try(v, "advertising", slots...)
	require.Equal(t, "corrupt", class)
	_, class = try(v, "advertising", slots[1])
	require.Equal(t, "mismatch", class)

	advertising.ID = security.ID // as it is for one pair of keys in 2^32
	keys := func(k reference.Key, name string) reference.Keys {
		return reference.Keys{Seal: []reference.Key{k}, Index: vaulttest.Keys[name].Index, Subject: vaulttest.Keys[name].Subject}
	}
	v = vaulttest.VaultOfKeys(t, map[string]reference.Keys{
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
	for _, head := range []string{"", vaulttest.NewVictim(t).Values[0].Text()} {
		data := append([]byte(head), bytes.Repeat([]byte("A"), 64<<20)...)
		text := string(data)
		short := data[:format.MaxText+1]
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
		require.Zero(t, testing.AllocsPerRun(1000, refuse))
	}
}

// Key records.

func TestExchangedKeyRecords(t *testing.T) {
	shared := vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey})
	separate := vault.KEKFunc(func(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
		return vaulttest.KEK{Key: vaulttest.Key("kek "+p.String(), 7)}, nil
	})
	for name, kek := range map[string]vault.KEK{"shared KEK": shared, "a KEK for each": separate} {
		t.Run(name, func(t *testing.T) {
			store := vault.Memory()
			require.NoError(t, vaulttest.OpenKept(t, store, kek).Generate(t.Context(), vaulttest.Purposes...))
			v := vaulttest.OpenKept(t, vaulttest.Exchanged(t, store), kek)
			for _, p := range vaulttest.Purposes {
				s, err := v.Scope(t.Context(), p)
				require.Nil(t, s)
				require.Equal(t, "corrupt", vaulttest.Class(err))
				// Nor does Generate take it for a purpose without keys.
				require.NoError(t, v.Generate(t.Context(), p))
				_, err = v.Scope(t.Context(), p)
				require.Equal(t, "corrupt", vaulttest.Class(err))
			}
		})
	}
}

// blindKEK is a key service that binds associated data only while honest, or
// only in what it is asked about by a self-test.
type blindKEK struct {
	vaulttest.KEK
	honest, actor bool
}

func (k *blindKEK) For(context.Context, purpose.Purpose) (vault.AEAD, error) { return k, nil }

func (k *blindKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	b := append(binary.BigEndian.AppendUint16(nil, uint16(len(aad))), aad...)
	return k.KEK.Encrypt(append(b, plaintext...), nil)
}

func (k *blindKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	b, err := k.KEK.Decrypt(ciphertext, nil)
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
	kek := &blindKEK{KEK: vaulttest.KEK{Key: vaulttest.KEKKey}}
	store := vault.Memory()

	// Generate notices, and leaves nothing behind.
	err := vaulttest.OpenKept(t, store, kek).Generate(ctx, vaulttest.Purposes...)
	require.Equal(t, "no keys", vaulttest.Class(err))
	for _, p := range vaulttest.Purposes {
		records, err := store.Get(ctx, p.String()+"/keys")
		require.NoError(t, err)
		require.Empty(t, records)
	}

	// So does CheckKEK, of keys that were made when the service was another one.
	kek.honest = true
	require.NoError(t, vaulttest.OpenKept(t, store, kek).Generate(ctx, vaulttest.Purposes...))
	require.NoError(t, vaulttest.OpenKept(t, store, kek).CheckKEK(ctx, vaulttest.Purposes...))
	kek.honest = false
	for _, p := range vaulttest.Purposes {
		require.Equal(t, "no keys", vaulttest.Class(vaulttest.OpenKept(t, store, kek).CheckKEK(ctx, p)))
		_, err = vaulttest.OpenKept(t, vaulttest.Exchanged(t, store), kek).Scope(ctx, p)
		require.Equal(t, "corrupt", vaulttest.Class(err), "the record itself refuses another purpose")
	}

	// Where the self-test is deceived, or was passed before, the record itself
	// refuses another purpose.
	kek.actor = true
	for _, p := range vaulttest.Purposes {
		require.NoError(t, vaulttest.OpenKept(t, store, kek).CheckKEK(ctx, p), "deceived")
		_, err = vaulttest.OpenKept(t, vaulttest.Exchanged(t, store), kek).Scope(ctx, p)
		require.Equal(t, "corrupt", vaulttest.Class(err))
	}
}

func TestSwappedKEK(t *testing.T) {
	ctx := t.Context()
	store := vault.Memory()
	swap := false
	kek := vault.KEKFunc(func(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
		if swap == (p == vaulttest.Purposes[0]) {
			return vaulttest.KEK{Key: vaulttest.Key("one", 1)}, nil
		}
		return vaulttest.KEK{Key: vaulttest.Key("two", 1)}, nil // of the same id
	})
	require.NoError(t, vaulttest.OpenKept(t, store, kek).Generate(ctx, vaulttest.Purposes...))
	for _, exchange := range []bool{false, true} {
		swap = !exchange
		from := store
		if exchange {
			from = vaulttest.Exchanged(t, store)
		}
		for _, p := range vaulttest.Purposes {
			_, err := vaulttest.OpenKept(t, from, kek).Scope(ctx, p)
			require.Equal(t, "corrupt", vaulttest.Class(err))
		}
	}
	// Both at once: the KEK opens its own record, in the other purpose's place.
	swap = true
	for _, p := range vaulttest.Purposes {
		_, err := vaulttest.OpenKept(t, vaulttest.Exchanged(t, store), kek).Scope(ctx, p)
		require.Equal(t, "corrupt", vaulttest.Class(err))
	}
}

func TestEveryBitFlipOfAKeyRecord(t *testing.T) {
	kek := vaulttest.KEK{Key: vaulttest.KEKKey}
	store := vault.Memory()
	require.NoError(t, vaulttest.OpenKept(t, store, vault.SharedKEK(kek)).Generate(t.Context(), vaulttest.Purposes[0]))
	records, err := store.Get(t.Context(), "security/keys")
	require.NoError(t, err)
	data := records[0].Data
	_, err = vaulttest.OpenRecord(t, kek, "security", data)
	require.NoError(t, err)
	for bit := range 8 * len(data) {
		data[bit/8] ^= 1 << (bit % 8)
		_, err := vaulttest.OpenRecord(t, kek, "security", data)
		require.Equal(t, "corrupt", vaulttest.Class(err), "bit %d", bit)
		data[bit/8] ^= 1 << (bit % 8)
	}
	for n := 1; n < len(data); n++ {
		_, err := vaulttest.OpenRecord(t, kek, "security", data[:n])
		require.Equal(t, "corrupt", vaulttest.Class(err), "%d bytes", n)
	}
}
