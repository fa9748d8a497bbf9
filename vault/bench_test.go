package vault_test

import (
	"fmt"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onlyfor/onlyfor/vault"
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
