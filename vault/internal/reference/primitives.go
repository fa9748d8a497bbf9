package reference

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"slices"
)

// GCM is AES-GCM. It panics if key has not the size of an AES key.
func GCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

// CMAC is AES-CMAC, RFC 4493, with a key of any AES size.
func CMAC(key, message []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	double := func(b []byte) []byte {
		out := make([]byte, 16)
		for i := range out {
			out[i] = b[i] << 1
			if i < 15 {
				out[i] |= b[i+1] >> 7
			}
		}
		out[15] ^= 0x87 * (b[0] >> 7)
		return out
	}
	zero := make([]byte, 16)
	block.Encrypt(zero, zero)
	subkey := double(zero)
	whole := len(message) > 0 && len(message)%16 == 0
	message = slices.Clone(message)
	if !whole {
		subkey = double(subkey)
		message = append(message, 0x80)
		for len(message)%16 != 0 {
			message = append(message, 0)
		}
	}
	last := message[len(message)-16:]
	for i := range last {
		last[i] ^= subkey[i]
	}
	mac := make([]byte, 16)
	for chunk := range slices.Chunk(message, 16) {
		for i := range mac {
			mac[i] ^= chunk[i]
		}
		block.Encrypt(mac, mac)
	}
	return mac
}

// XOR returns a XOR b, for a and b of equal length.
func XOR(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range out {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// GFMul multiplies in GCM's field, NIST SP 800-38D, algorithm 1.
func GFMul(x, y []byte) []byte {
	z, v := make([]byte, 16), slices.Clone(y)
	for i := range 128 {
		if x[i/8]>>(7-i%8)&1 == 1 {
			z = XOR(z, v)
		}
		carry := v[15] & 1
		for j := 15; j > 0; j-- {
			v[j] = v[j]>>1 | v[j-1]<<7
		}
		v[0] = v[0]>>1 ^ 0xe1*carry
	}
	return z
}

// GFInverse is x to the power of 2^128 - 2.
func GFInverse(x []byte) []byte {
	z := make([]byte, 16)
	z[0] = 0x80 // one
	for range 127 {
		x = GFMul(x, x)
		z = GFMul(z, x)
	}
	return z
}

// Random returns n random bytes.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// Hex decodes hexadecimal digits. It panics if s has other characters.
func Hex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
