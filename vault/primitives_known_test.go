package vault_test

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Known answers for the primitives, put through them as they are wired
// here: AES-256-GCM through the keyset that opens slots and records, AES-CMAC
// through the one that computes indexes and pseudonyms, X25519 and X-Wing through a
// value that a collector sealed. HKDF and the key schedule of HPKE are not reached but
// through these, with labels of their own: for them see TestIndependentHPKE and what
// the two implementations read of each other.

// A knownGCM is one vector of AES-GCM with a nonce of 96 bits and a tag of 128.
type knownGCM struct{ key, nonce, aad, plaintext, ciphertext, tag []byte }

// check requires that the vector opens if and only if it is valid.
func (k knownGCM) check(t testing.TB, valid bool) {
	t.Helper()
	const id = 0x01020304
	sealed := append(binary.BigEndian.AppendUint32([]byte{1}, id), slices.Concat(k.nonce, k.ciphertext, k.tag)...)
	before := []byte("in front")
	got, err := vault.OpenUnder(k.key, id, before, sealed, k.aad)
	if !valid {
		require.Equal(t, vault.ErrCorrupt, err)
		require.Equal(t, before, got, "nothing of the plaintext")
		return
	}
	require.NoError(t, err)
	require.Equal(t, string(before)+string(k.plaintext), string(got))

	// Under another id the key is not this one, whatever it could open.
	_, err = vault.OpenUnder(k.key, id+1, nil, sealed, k.aad)
	require.Equal(t, vault.ErrCorrupt, err)
}

// A knownX25519 is one exchange.
type knownX25519 struct{ private, public, shared []byte }

// check requires that a slot key which is wrapped with this shared secret, made as
// whoever has the private key of public would make it, opens for the holder of the
// other private key; and that it does not where the secret is zeros, or another.
func (k knownX25519) check(t testing.TB) {
	t.Helper()
	kept := reference.Key{ID: 0x0c0ffee0, Key: k.private}
	reveal := revealWrapped(t, kept, func(shared, info, key []byte) []byte {
		return reference.WrapKeyWith(reference.Suite, shared, k.public, kept.ID, reference.Public(kept.Key), info, key)
	})
	low := bytes.Equal(k.shared, make([]byte, 32))
	require.Equal(t, map[bool]string{true: "corrupt", false: "success"}[low], reveal(k.shared))
	other := slices.Clone(k.shared)
	other[len(other)-1] ^= 1
	require.Equal(t, "corrupt", reveal(other))

	// As the public key of a collector, it is taken if it leads to a secret and
	// is written in the one way that a key pair has it.
	_, err := vault.ParseCollector(reference.Collector{Purpose: "security", ID: 1, Public: k.public}.Text(), nil)
	require.Equal(t, !low && reducedPoint(k.public), err == nil)

	// The same holds of the X25519 half of a key of X-Wing.
	public := slices.Concat(vaulttest.CollectXWing["security"][0].Public()[:1184], k.public)
	_, err = vault.ParseCollector(reference.Collector{Purpose: "security", ID: 1, Public: public}.Text(), nil)
	require.Equal(t, !low && reducedPoint(k.public), err == nil)
}

// revealWrapped returns a function that says how a value opens for the holder of the
// key pair kept, whose slot key wrap wraps with a shared secret.
func revealWrapped(t testing.TB, kept reference.Key, wrap func(shared, info, key []byte) []byte) func(shared []byte) string {
	t.Helper()
	record := vaulttest.Records["security"]
	record.Collect = []reference.Key{kept}
	v := vaulttest.OpenKept(t, vaulttest.StoreOfRecords(t, map[string]reference.Record{"security": record}, nil), vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
	scope := vaulttest.ScopeNamed(t, v, "security")
	return func(shared []byte) string {
		t.Helper()
		value := reference.Value{Kind: "email", ID: reference.Random(16)}
		h := reference.Header{Collected: reference.Time}
		key := reference.Random(32)
		wrapped := wrap(shared, reference.CollectInfo("security"), key)
		value.Slots = []reference.Slot{reference.CollectorOf("security", kept).SealUnder(wrapped, key, "email", value.ID, h, vaulttest.Address)}
		sealed, err := vault.ParseSealed(value.Text())
		require.NoError(t, err)
		text, err := scope.Reveal(t.Context(), vaulttest.Email, sealed)
		if err == nil {
			require.Equal(t, vaulttest.Address, text)
		}
		return vaulttest.Class(err)
	}
}

// A key of X-Wing opens with the shared secrets that the drafts give, and with no other.
func TestKnownXWing(t *testing.T) {
	all, err := reference.XWingAnswers()
	require.NoError(t, err)
	for _, a := range all {
		kept := reference.Key{ID: 0x0c0ffee1, Key: a.Seed, XWing: true}
		reveal := revealWrapped(t, kept, func(shared, info, key []byte) []byte {
			return reference.XWingWrapKeyWith(reference.Suite, shared, a.Encapsulated, kept.ID, info, key)
		})
		require.Equal(t, "success", reveal(a.Shared))
		a.Shared[0] ^= 1
		require.Equal(t, "corrupt", reveal(a.Shared))
		_, err := vault.ParseCollector(reference.Collector{Purpose: "security", ID: 1, Public: a.Public}.Text(), nil)
		require.NoError(t, err)
	}
}

// reducedPoint reports whether the little-endian number is below 2^255 - 19.
func reducedPoint(u []byte) bool {
	u = slices.Clone(u)
	slices.Reverse(u)
	return bytes.Compare(u, reference.Hex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed")) < 0
}

// The answers that standards give.
func TestKnownAnswers(t *testing.T) {
	zero := make([]byte, 32)
	twice := reference.Hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
	nonce := reference.Hex("cafebabefacedbaddecaf888")
	plaintext := reference.Hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
		"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255")
	ciphertext := reference.Hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
		"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad")
	for name, k := range map[string]knownGCM{ // McGrew and Viega, The Galois/Counter Mode of Operation, appendix B
		"case 13": {zero, zero[:12], nil, nil, nil, reference.Hex("530f8afbc74536b9a963b4f1c4cb738b")},
		"case 14": {zero, zero[:12], nil, zero[:16], reference.Hex("cea7403d4d606b6e074ec5d3baf39d18"), reference.Hex("d0d1c8a799996bf0265b98b5d48ab919")},
		"case 15": {twice, nonce, nil, plaintext, ciphertext, reference.Hex("b094dac5d93471bdec1a502270e3cc6c")},
		"case 16": {twice, nonce, reference.Hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"), plaintext[:60], ciphertext[:60],
			reference.Hex("76fc6ece0f4e1768cddf8853bb2d551b")},
	} {
		t.Run("AES-GCM "+name, func(t *testing.T) {
			k.check(t, true)
			for bit := range 128 {
				k.tag[bit/8] ^= 1 << (bit % 8)
				k.check(t, false)
				k.tag[bit/8] ^= 1 << (bit % 8)
			}
		})
	}
	t.Run("AES-CMAC", func(t *testing.T) { // NIST SP 800-38B, appendix D.3
		key := reference.Hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
		message := reference.Hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
			"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
		for n, want := range map[int]string{
			0: "028962f61b7bf89efc6b551f4667d983", 16: "28a7023f452e8f82bd4bf28d8c37c35c",
			40: "aaf3d8f1de5640c232f5b169b9c911e6", 64: "e1992190549f6ed5696a2c056c315410",
		} {
			got, err := vault.IndexUnder(key, message[:n])
			require.NoError(t, err)
			require.Equal(t, reference.Hex(want), got[:], "%d bytes", n)
		}
	})
	for name, k := range map[string]knownX25519{ // RFC 7748, section 5.2
		"first": {reference.Hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
			reference.Hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
			reference.Hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")},
		"with the bit that is ignored": {reference.Hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
			reference.Hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"),
			reference.Hex("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957")},
	} {
		t.Run("X25519 "+name, func(t *testing.T) { k.check(t) })
	}
	for _, low := range reference.LowOrder {
		t.Run("X25519 "+low.Name, func(t *testing.T) {
			knownX25519{vaulttest.Collect["security"][0].Key, reference.Hex(low.Point), make([]byte, 32)}.check(t)
		})
	}
}

// wycheproof is one file of vectors, as far as it is read.
type wycheproof struct {
	Groups []struct {
		KeySize, TagSize int
		IVSize           int `json:"ivSize"`
		Tests            []struct {
			ID                         int `json:"tcId"`
			Result                     string
			Key, IV, AAD, Msg, CT, Tag hexBytes
			Public, Private, Shared    hexBytes
			EK                         hexBytes
		}
	} `json:"testGroups"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// The vectors of project Wycheproof, which collects what implementations have got
// wrong. They are a Go module of a hundred megabytes, so that the module in
// internal/wycheproof runs this test with them:
//
//	go -C vault/internal/wycheproof test -v .
//
// The variable ONLYFOR_WYCHEPROOF names the directory where they are. Vectors for
// nonces, tags and keys of other sizes do not apply: there is no way to ask for such.
// Keys of other sizes are refused.
func TestWycheproof(t *testing.T) {
	dir := os.Getenv("ONLYFOR_WYCHEPROOF")
	if dir == "" {
		t.Skip("ONLYFOR_WYCHEPROOF is not set: internal/wycheproof runs this")
	}
	read := func(t *testing.T, name string) (w wycheproof) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &w))
		return w
	}
	done := func(t *testing.T, counts map[string]int, least map[string]int) {
		t.Helper()
		t.Log(counts)
		for result, n := range least {
			require.GreaterOrEqual(t, counts[result], n, result)
		}
	}
	t.Run("AES-GCM", func(t *testing.T) {
		counts := map[string]int{}
		for _, g := range read(t, "aes_gcm_test.json").Groups {
			for _, v := range g.Tests {
				if g.IVSize != 96 || g.TagSize != 128 {
					counts["other sizes"]++
					continue
				}
				if g.KeySize != 256 {
					_, err := vault.OpenUnder(v.Key, 1, nil, nil, nil)
					require.Error(t, err, "test %d: a key of %d bits", v.ID, g.KeySize)
					require.NotErrorIs(t, err, vault.ErrCorrupt, "refused for the key")
					counts["other keys"]++
					continue
				}
				require.Contains(t, []string{"valid", "invalid"}, v.Result)
				knownGCM{v.Key, v.IV, v.AAD, v.Msg, v.CT, v.Tag}.check(t, v.Result == "valid")
				counts[v.Result]++
			}
		}
		done(t, counts, map[string]int{"valid": 39, "invalid": 27, "other keys": 131})
	})
	t.Run("AES-CMAC", func(t *testing.T) {
		counts := map[string]int{}
		for _, g := range read(t, "aes_cmac_test.json").Groups {
			for _, v := range g.Tests {
				got, err := vault.IndexUnder(v.Key, v.Msg)
				if g.KeySize != 256 {
					require.Error(t, err, "test %d: a key of %d bits", v.ID, g.KeySize)
					counts["other keys"]++
					continue
				}
				require.NoError(t, err)
				require.Contains(t, []string{"valid", "invalid"}, v.Result)
				require.Equal(t, v.Result == "valid", bytes.Equal(v.Tag, got[:]), "test %d", v.ID)
				counts[v.Result]++
			}
		}
		done(t, counts, map[string]int{"valid": 21, "invalid": 81, "other keys": 209})
	})
	t.Run("X25519", func(t *testing.T) {
		counts := map[string]int{}
		for _, g := range read(t, "x25519_test.json").Groups {
			for _, v := range g.Tests {
				knownX25519{v.Private, v.Public, v.Shared}.check(t)
				if bytes.Equal(v.Shared, make([]byte, 32)) {
					counts["zeros"]++
				}
				counts[v.Result]++
			}
		}
		done(t, counts, map[string]int{"valid": 264, "acceptable": 254, "zeros": 31})
	})
	t.Run("ML-KEM-768", func(t *testing.T) {
		// As the public key of a collector, beside an X25519 key. Decapsulation has no
		// vectors that apply: X-Wing derives its ML-KEM keys.
		counts := map[string]int{}
		x25519 := reference.Public(vaulttest.Collect["security"][0].Key)
		for _, g := range read(t, "mlkem_768_encaps_test.json").Groups {
			for _, v := range g.Tests {
				public := slices.Concat(v.EK, x25519)
				text := reference.CollectorText("ofc2", "security", slices.Concat([]byte{0, 0, 0, 1}, public,
					reference.CollectorCheck("ofc2", "security", slices.Concat([]byte{0, 0, 0, 1}, public))))
				_, err := vault.ParseCollector(text, nil)
				require.Contains(t, []string{"valid", "invalid"}, v.Result)
				require.Equal(t, v.Result == "valid", err == nil, "test %d", v.ID)
				counts[v.Result]++
			}
		}
		done(t, counts, map[string]int{"valid": 133, "invalid": 132})
	})
}

// What implementations of AES-GCM and AES-CMAC have got wrong, tried on the ones
// that are wired here: tags that are compared in part, lengths at the borders of
// blocks, associated data and ciphertext that are told apart by nothing but their
// lengths, tags of special shape. The vectors are made in the test, by the
// arithmetic of package reference and single calls of AES, which share no code with
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
	seen := map[[vault.IndexSize]byte]string{}
	for n := range 300 {
		message := reference.Random(n)
		altered := slices.Clone(message)
		if n > 0 { // every byte counts
			altered[7*n/11] ^= 1
		}
		for _, m := range [][]byte{message, append(slices.Clone(message), 0), append(slices.Clone(message), 0x80), make([]byte, n), altered} {
			got, err := vault.IndexUnder(key, m)
			require.NoError(t, err)
			require.Equal(t, reference.CMAC(key, m), got[:])
			// A short message may come twice by chance, and then has its index twice.
			if of, twice := seen[got]; twice {
				require.Equal(t, of, string(m), "two messages have one index")
			}
			seen[got] = string(m)
		}
	}
}
