package vault_test

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// What implementations of AES-GCM and AES-CMAC have got wrong, tried on the ones
// that are wired here: tags that are compared in part, lengths at the borders of
// blocks, associated data and ciphertext that are told apart by nothing but their
// lengths, tags of special shape. The vectors are made in the test, by the
// arithmetic of attack_test.go and single calls of AES, which share no code with
// the library's.

// ghash is NIST SP 800-38D, algorithm 2, over data that are padded and with the
// block of lengths.
func ghash(hash, aad, ciphertext []byte) []byte {
	pad := func(b []byte) []byte { return append(slices.Clone(b), make([]byte, (16-len(b)%16)%16)...) }
	blocks := append(pad(aad), pad(ciphertext)...)
	blocks = binary.BigEndian.AppendUint64(blocks, uint64(8*len(aad)))
	blocks = binary.BigEndian.AppendUint64(blocks, uint64(8*len(ciphertext)))
	y := make([]byte, 16)
	for block := range slices.Chunk(blocks, 16) {
		y = reference.GFMul(reference.XOR(y, block), hash)
	}
	return y
}

// slowGCM is AES-GCM of one key and nonce. The counter is the last 32 bits of the
// block, and can't wrap around within any message of 64 GiB where the nonce has 96.
type slowGCM struct {
	key, nonce []byte
	hash, mask []byte
}

func newSlowGCM(key, nonce []byte) slowGCM {
	g := slowGCM{key: key, nonce: nonce}
	g.hash = g.block(make([]byte, 16))
	g.mask = g.block(g.counter(1))
	return g
}

func (g slowGCM) block(in []byte) []byte {
	block, err := aes.NewCipher(g.key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, 16)
	block.Encrypt(out, in)
	return out
}

func (g slowGCM) counter(n uint32) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(g.nonce), n)
}

// stream returns n bytes of the key stream.
func (g slowGCM) stream(n int) (s []byte) {
	for i := uint32(2); len(s) < n; i++ {
		s = append(s, g.block(g.counter(i))...)
	}
	return s[:n]
}

func (g slowGCM) seal(plaintext, aad []byte) knownGCM {
	return g.sealed(reference.XOR(plaintext, g.stream(len(plaintext))), aad)
}

// sealed returns the vector with that ciphertext.
func (g slowGCM) sealed(ciphertext, aad []byte) knownGCM {
	return knownGCM{
		g.key, g.nonce, aad, reference.XOR(ciphertext, g.stream(len(ciphertext))), ciphertext,
		reference.XOR(ghash(g.hash, aad, ciphertext), g.mask),
	}
}

func TestGCMOfEveryLength(t *testing.T) {
	lengths := []int{0, 1, 15, 16, 17, 31, 32, 33, 64, 127, 129, 257, 1056}
	for _, n := range lengths {
		for _, m := range lengths {
			g := newSlowGCM(reference.Random(32), reference.Random(12))
			good := g.seal(reference.Random(n), reference.Random(m))
			good.check(t, true)

			// What ours seals, under a nonce of its own, is the same function.
			sealed, err := vault.SealUnder(good.key, 0xaabbccdd, good.plaintext, good.aad)
			require.NoError(t, err)
			require.Equal(t, []byte{1, 0xaa, 0xbb, 0xcc, 0xdd}, sealed[:5])
			again := newSlowGCM(good.key, sealed[5:17]).seal(good.plaintext, good.aad)
			require.Equal(t, slices.Concat(again.ciphertext, again.tag), sealed[17:])

			change := func(change func(k *knownGCM)) {
				t.Helper()
				k := knownGCM{good.key, slices.Clone(good.nonce), slices.Clone(good.aad), nil, slices.Clone(good.ciphertext), slices.Clone(good.tag)}
				change(&k)
				k.check(t, false)
			}
			change(func(k *knownGCM) { k.aad = append(k.aad, 0) })
			change(func(k *knownGCM) { k.ciphertext = append(k.ciphertext, 0) })
			change(func(k *knownGCM) { k.nonce[11] ^= 1 })
			change(func(k *knownGCM) { k.tag = make([]byte, 16) })
			change(func(k *knownGCM) { k.tag = ghash(g.hash, k.aad, k.ciphertext) }) // not masked
			if n+m > 0 {                                                             // of nothing, that is the tag
				change(func(k *knownGCM) { k.tag = g.mask })
			}
			if n > 0 {
				change(func(k *knownGCM) { k.ciphertext[n-1] ^= 1 })
				change(func(k *knownGCM) { k.ciphertext = k.ciphertext[:n-1] })
				change(func(k *knownGCM) { k.aad, k.ciphertext = append(k.aad, k.ciphertext[0]), k.ciphertext[1:] })
				change(func(k *knownGCM) { k.aad, k.ciphertext = append(k.aad, k.ciphertext...), nil })
			}
			if m > 0 {
				change(func(k *knownGCM) { k.aad[m-1] ^= 0x80 })
				change(func(k *knownGCM) { k.aad = k.aad[:m-1] })
				change(func(k *knownGCM) { k.aad, k.ciphertext = k.aad[:m-1], slices.Insert(k.ciphertext, 0, k.aad[m-1]) })
				change(func(k *knownGCM) { k.aad = nil })
			}
			if n >= 32 {
				change(func(k *knownGCM) { copy(k.ciphertext, slices.Concat(k.ciphertext[16:32], k.ciphertext[:16])) })
			}
		}
	}
}

// A tag counts to its last bit, and no part of it for the whole.
func TestGCMTags(t *testing.T) {
	good := newSlowGCM(reference.Random(32), reference.Random(12)).seal(reference.Random(64), reference.Random(20))
	try := func(tag []byte) {
		t.Helper()
		k := good
		k.tag = tag
		k.check(t, bytes.Equal(tag, good.tag))
	}
	for i := range 128 {
		for j := range i + 1 { // every one bit and every two
			tag := slices.Clone(good.tag)
			tag[i/8] ^= 1 << (i % 8)
			if i != j {
				tag[j/8] ^= 1 << (j % 8)
			}
			try(tag)
		}
	}
	for i := range good.tag {
		for b := range 256 {
			tag := slices.Clone(good.tag)
			tag[i] = byte(b)
			try(tag)
		}
	}
	for n := range 16 {
		try(good.tag[:n])
		try(append(slices.Clone(good.tag[:n]), make([]byte, 16-n)...))
	}
	try(append(slices.Clone(good.tag), 0))
	try(append(slices.Clone(good.tag), good.tag...))
	reverse := slices.Clone(good.tag)
	slices.Reverse(reverse)
	try(reverse)
	try(reference.XOR(good.tag, bytes.Repeat([]byte{0xff}, 16)))
	try(reference.XOR(good.tag, bytes.Repeat([]byte{0x80}, 16))) // differences that sum or cancel to nothing
	try(reference.XOR(good.tag, bytes.Repeat([]byte{0, 0, 0, 0xff, 0, 0, 0, 0xff}, 2)))
}

// Tags and ciphertexts of special shape are as good as any: whoever stops at a
// zero, or takes a tag of zeros for none, is wrong on these.
func TestGCMOfSpecialShape(t *testing.T) {
	for name, tag := range map[string][]byte{
		"zeros": make([]byte, 16), "ones": bytes.Repeat([]byte{0xff}, 16), "high bits": bytes.Repeat([]byte{0x80}, 16),
		"low bits": bytes.Repeat([]byte{1}, 16), "words": bytes.Repeat([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 2),
		"halves": append(make([]byte, 8), bytes.Repeat([]byte{0xff}, 8)...), "one bit": append(make([]byte, 15), 1),
	} {
		for _, m := range []int{0, 1, 15, 16, 17, 33} {
			t.Run(fmt.Sprint(name, " ", m), func(t *testing.T) {
				g := newSlowGCM(reference.Random(32), reference.Random(12))
				// One block of ciphertext is free, and the tag is linear in it.
				aad := reference.Random(m)
				zero := ghash(g.hash, aad, make([]byte, 16))
				inverse := reference.GFInverse(reference.GFMul(g.hash, g.hash))
				k := g.sealed(reference.GFMul(reference.XOR(reference.XOR(tag, g.mask), zero), inverse), aad)
				require.Equal(t, tag, k.tag)
				k.check(t, true)
				k.tag = slices.Clone(tag)
				k.tag[m%16] ^= 1 << (m % 8)
				k.check(t, false)
			})
		}
	}
	g := newSlowGCM(reference.Random(32), reference.Random(12))
	for _, b := range []byte{0, 0xff} {
		g.sealed(bytes.Repeat([]byte{b}, 48), nil).check(t, true)
		g.seal(bytes.Repeat([]byte{b}, 48), bytes.Repeat([]byte{b}, 48)).check(t, true)
	}
}

// Sealed bytes of every length up to some that could be right are refused, not
// read beyond.
func TestGCMTooShort(t *testing.T) {
	key := reference.Random(32)
	sealed, err := vault.SealUnder(key, 7, reference.Random(40), nil)
	require.NoError(t, err)
	for n := range sealed {
		got, err := vault.OpenUnder(key, 7, nil, sealed[:n:n], nil)
		require.Equal(t, vault.ErrCorrupt, err, "%d bytes", n)
		require.Empty(t, got)
	}
	_, err = vault.OpenUnder(key, 7, nil, sealed, nil)
	require.NoError(t, err)
	for _, n := range []int{0, 1, 15, 16, 17, 24, 31, 33, 64} {
		_, err := vault.OpenUnder(make([]byte, n), 7, nil, sealed, nil)
		require.Error(t, err)
		require.NotErrorIs(t, err, vault.ErrCorrupt, "a key of %d bytes is refused for itself", n)
		_, err = vault.IndexUnder(make([]byte, n), []byte("x"))
		require.Error(t, err)
	}
}

// An index is AES-CMAC whatever the length, and of all of its input.
func TestCMACOfEveryLength(t *testing.T) {
	key := reference.Random(32)
	seen := map[[vault.IndexSize]byte]bool{}
	for n := range 300 {
		message := reference.Random(n)
		for _, m := range [][]byte{message, append(slices.Clone(message), 0), append(slices.Clone(message), 0x80), make([]byte, n)} {
			got, err := vault.IndexUnder(key, m)
			require.NoError(t, err)
			require.Equal(t, reference.CMAC(key, m), got[:])
			seen[got] = true
		}
		if n > 0 { // every byte counts
			message[n*7%n] ^= 1
			got, err := vault.IndexUnder(key, message)
			require.NoError(t, err)
			require.False(t, seen[got])
			seen[got] = true
		}
	}
}
