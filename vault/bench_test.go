package vault_test

import (
	"fmt"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onlyfor/onlyfor/vault"
)

const benchText = "alice.wonder@example.com" // 24 bytes

// BenchmarkSeal and BenchmarkReveal put one person's scope, with a thousand
// people in use, and further slots beside the plain scope and raw Tink.
func BenchmarkSeal(b *testing.B) {
	v := generated(b, nil, security, billing)
	s := scope(b, v, security)
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
	b.Run("two slots", func(b *testing.B) { benchSeal(b, s, scope(b, v, billing)) })
	b.Run("subjects", func(b *testing.B) {
		ids := benchSubjects(b, s)
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			if _, err := vault.Seal(b.Context(), note, benchText, s.For(ids[i%len(ids)])); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchSeal(b *testing.B, sealers ...vault.Sealer) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := vault.Seal(b.Context(), note, benchText, sealers...); err != nil {
			b.Fatal(err)
		}
	}
}

func benchSubjects(b *testing.B, s *vault.Scope) []string {
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprint("user-", i)
		if _, err := vault.Seal(b.Context(), note, benchText, s.For(ids[i])); err != nil {
			b.Fatal(err)
		}
	}
	return ids
}

func BenchmarkReveal(b *testing.B) {
	v := generated(b, nil, security, billing)
	s := scope(b, v, security)
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
		value := seal(b, s)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Reveal(b.Context(), note, value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("refused", func(b *testing.B) {
		value, other := seal(b, s), scope(b, v, billing)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := other.Reveal(b.Context(), note, value); err == nil {
				b.Fatal("not refused")
			}
		}
	})
	b.Run("subjects", func(b *testing.B) {
		ids := benchSubjects(b, s)
		values := make([]vault.Sealed, len(ids))
		for i, id := range ids {
			values[i] = seal(b, s.For(id))
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			if _, err := s.For(ids[i%len(ids)]).Reveal(b.Context(), note, values[i%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkIndex(b *testing.B) {
	s := scope(b, generated(b, nil, security), security)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Index(b.Context(), note, benchText); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkErase erases people of whom there are few or many values: an erasure
// does not know them, and so costs the same.
func BenchmarkErase(b *testing.B) {
	for _, values := range []int{0, 1, 1000} {
		b.Run(fmt.Sprint(values, " values each"), func(b *testing.B) {
			v := generated(b, nil, security)
			s := scope(b, v, security)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				id := fmt.Sprint("user-", i)
				b.StopTimer()
				for range values {
					if _, err := vault.Seal(b.Context(), note, benchText, s.For(id)); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				if _, err := v.Erase(b.Context(), id, security); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
