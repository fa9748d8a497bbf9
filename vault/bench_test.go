package vault_test

import (
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	tinkhpke "github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

const benchText = "alice.wonder@example.com" // 24 bytes

// BenchmarkSeal and BenchmarkReveal put one person's scope, with a thousand
// people in use, and further slots beside the plain scope and raw Tink.
func BenchmarkSeal(b *testing.B) {
	v := vaulttest.Generated(b, nil, vaulttest.Security, vaulttest.Billing)
	s := vaulttest.Scope(b, v, vaulttest.Security)
	b.Run("tink", func(b *testing.B) {
		a, err := subtle.NewAESGCM(make([]byte, 32))
		if err != nil {
			b.Fatal(err)
		}
		text, aad := []byte(benchText), make([]byte, 40)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Encrypt(text, aad); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain", func(b *testing.B) { benchSeal(b, s) })
	b.Run("two slots", func(b *testing.B) { benchSeal(b, s, vaulttest.Scope(b, v, vaulttest.Billing)) })
	b.Run("subjects", func(b *testing.B) {
		ids := benchSubjects(b, s)
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			if _, err := vault.Seal(b.Context(), vaulttest.Note, benchText, s.For(ids[i%len(ids)])); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchSeal(b *testing.B, sealers ...vault.Sealer) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := vault.Seal(b.Context(), vaulttest.Note, benchText, sealers...); err != nil {
			b.Fatal(err)
		}
	}
}

func benchSubjects(b *testing.B, s *vault.Scope) []string {
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprint("user-", i)
		if _, err := vault.Seal(b.Context(), vaulttest.Note, benchText, s.For(ids[i])); err != nil {
			b.Fatal(err)
		}
	}
	return ids
}

func BenchmarkReveal(b *testing.B) {
	v := vaulttest.Generated(b, nil, vaulttest.Security, vaulttest.Billing)
	s := vaulttest.Scope(b, v, vaulttest.Security)
	b.Run("tink", func(b *testing.B) {
		a, err := subtle.NewAESGCM(make([]byte, 32))
		if err != nil {
			b.Fatal(err)
		}
		aad := make([]byte, 40)
		sealed, err := a.Encrypt([]byte(benchText), aad)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Decrypt(sealed, aad); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		value := vaulttest.Seal(b, s)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Reveal(b.Context(), vaulttest.Note, value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("slog", func(b *testing.B) {
		logger := slog.New(slog.NewJSONHandler(io.Discard, nil))
		audited := vaulttest.Scope(b, vaulttest.Generated(b, &vault.Options{Audit: audit.Slog(logger)}, vaulttest.Security), vaulttest.Security)
		value := vaulttest.Seal(b, audited)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := audited.Reveal(b.Context(), vaulttest.Note, value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("refused", func(b *testing.B) {
		value, other := vaulttest.Seal(b, s), vaulttest.Scope(b, v, vaulttest.Billing)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := other.Reveal(b.Context(), vaulttest.Note, value); err == nil {
				b.Fatal("not refused")
			}
		}
	})
	b.Run("subjects", func(b *testing.B) {
		ids := benchSubjects(b, s)
		values := make([]vault.Sealed, len(ids))
		for i, id := range ids {
			values[i] = vaulttest.Seal(b, s.For(id))
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			if _, err := s.For(ids[i%len(ids)]).Reveal(b.Context(), vaulttest.Note, values[i%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkIndex(b *testing.B) {
	s := vaulttest.Scope(b, vaulttest.Generated(b, nil, vaulttest.Security), vaulttest.Security)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Index(b.Context(), vaulttest.Note, benchText); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCollect and BenchmarkRevealCollected put collectors beside the HPKE of Tink
// and of the standard library, which encrypt a key of 32 bytes.
func BenchmarkCollect(b *testing.B) {
	for _, kem := range benchKEMs {
		info, key := []byte("col1\x08security"), make([]byte, 32)
		b.Run(string(kem.name)+"/tink", func(b *testing.B) {
			public, err := kem.tinkKeyset(b).Public()
			if err != nil {
				b.Fatal(err)
			}
			enc, err := hybrid.NewHybridEncrypt(public)
			if err != nil {
				b.Fatal(err)
			}
			benchErr(b, func(int) error { _, err := enc.Encrypt(key, info); return err })
		})
		b.Run(string(kem.name)+"/crypto-hpke", func(b *testing.B) {
			private, err := kem.hpke.GenerateKey()
			if err != nil {
				b.Fatal(err)
			}
			public := private.PublicKey()
			benchErr(b, func(int) error {
				_, err := hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), info, key)
				return err
			})
		})
		v := vaulttest.Generated(b, &vault.Options{Collectors: kem.name}, vaulttest.Security)
		c := vaulttest.Collector(b, v, vaulttest.Security)
		b.Run(string(kem.name)+"/seal", func(b *testing.B) { benchSeal(b, c) })
		b.Run(string(kem.name)+"/batch", func(b *testing.B) { benchSeal(b, benchBatch(b, c)) })
	}
}

func BenchmarkRevealCollected(b *testing.B) {
	for _, kem := range benchKEMs {
		info, key := []byte("col1\x08security"), make([]byte, 32)
		b.Run(string(kem.name)+"/tink", func(b *testing.B) {
			h := kem.tinkKeyset(b)
			public, err := h.Public()
			if err != nil {
				b.Fatal(err)
			}
			enc, err := hybrid.NewHybridEncrypt(public)
			if err != nil {
				b.Fatal(err)
			}
			dec, err := hybrid.NewHybridDecrypt(h)
			if err != nil {
				b.Fatal(err)
			}
			sealed, err := enc.Encrypt(key, info)
			if err != nil {
				b.Fatal(err)
			}
			benchErr(b, func(int) error { _, err := dec.Decrypt(sealed, info); return err })
		})
		b.Run(string(kem.name)+"/crypto-hpke", func(b *testing.B) {
			private, err := kem.hpke.GenerateKey()
			if err != nil {
				b.Fatal(err)
			}
			sealed, err := hpke.Seal(private.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), info, key)
			if err != nil {
				b.Fatal(err)
			}
			benchErr(b, func(int) error {
				_, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
				return err
			})
		})
		v := vaulttest.Generated(b, &vault.Options{Collectors: kem.name}, vaulttest.Security)
		s, c := vaulttest.Scope(b, v, vaulttest.Security), vaulttest.Collector(b, v, vaulttest.Security)
		reveal := func(b *testing.B, values []vault.Sealed) {
			benchErr(b, func(i int) error {
				_, err := s.Reveal(b.Context(), vaulttest.Note, values[i%len(values)])
				return err
			})
		}
		b.Run(string(kem.name)+"/reveal", func(b *testing.B) {
			values := make([]vault.Sealed, 64) // more than the slot keys that are kept
			for i := range values {
				values[i] = vaulttest.Seal(b, c)
			}
			reveal(b, values)
		})
		b.Run(string(kem.name)+"/batch", func(b *testing.B) {
			batch := benchBatch(b, c)
			reveal(b, []vault.Sealed{vaulttest.Seal(b, batch), vaulttest.Seal(b, batch)})
		})
	}
}

// A benchKEM is a mechanism of collectors, as Tink and the standard library name it.
type benchKEM struct {
	name vault.CollectorKEM
	tink tinkhpke.KEMID
	hpke hpke.KEM
}

var benchKEMs = []benchKEM{
	{vault.XWing, tinkhpke.X_WING, hpke.MLKEM768X25519()},
	{vault.X25519, tinkhpke.DHKEM_X25519_HKDF_SHA256, hpke.DHKEM(ecdh.X25519())},
}

func (k benchKEM) tinkKeyset(b *testing.B) *keyset.Handle {
	params, err := tinkhpke.NewParameters(tinkhpke.ParametersOpts{
		KEMID: k.tink, KDFID: tinkhpke.HKDFSHA256, AEADID: tinkhpke.AES256GCM, Variant: tinkhpke.VariantTink,
	})
	if err != nil {
		b.Fatal(err)
	}
	m := keyset.NewManager()
	id, err := m.AddNewKeyFromParameters(params)
	if err != nil || m.SetPrimary(id) != nil {
		b.Fatal(err)
	}
	h, err := m.Handle()
	if err != nil {
		b.Fatal(err)
	}
	return h
}

func benchBatch(b *testing.B, c *vault.Collector) *vault.Collector {
	batch, err := c.Batch()
	if err != nil {
		b.Fatal(err)
	}
	return batch
}

func benchErr(b *testing.B, f func(i int) error) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := f(i); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkErase erases people of whom there are few or many values: an erasure
// does not know them, and so costs the same.
func BenchmarkErase(b *testing.B) {
	for _, values := range []int{0, 1, 1000} {
		b.Run(fmt.Sprint(values, " values each"), func(b *testing.B) {
			v := vaulttest.Generated(b, nil, vaulttest.Security)
			s := vaulttest.Scope(b, v, vaulttest.Security)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				id := fmt.Sprint("user-", i)
				b.StopTimer()
				for range values {
					if _, err := vault.Seal(b.Context(), vaulttest.Note, benchText, s.For(id)); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				if _, err := v.Erase(b.Context(), id, vaulttest.Security); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
