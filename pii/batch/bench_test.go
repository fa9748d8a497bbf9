package batch_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"slices"
	"testing"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/vault"
)

// exampleKEK is one AES-256-GCM key for all purposes, which protects nothing.
func exampleKEK() vault.KEK {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return vault.SharedKEK(aead{gcm})
}

type aead struct{ gcm cipher.AEAD }

func (a aead) Encrypt(plaintext, aad []byte) ([]byte, error) {
	return a.gcm.Seal(nil, nil, plaintext, aad), nil
}
func (a aead) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	return a.gcm.Open(nil, nil, ciphertext, aad)
}

// Compare the time for each value of the loop with that of the batch.
func BenchmarkMap(b *testing.B) {
	ctx := context.Background()
	v, security := example(ctx)
	defer v.Close()
	addresses := slices.Repeat([]string{"alice.wonder@example.com"}, 10_000)
	seal := func(ctx context.Context, address string) (pii.Email, error) {
		return pii.SealEmail(ctx, address, security)
	}
	sealed, _ := collect(batch.Map(ctx, slices.Values(addresses), seal))
	reveal := func(ctx context.Context, email pii.Email) (string, error) { return email.Reveal(ctx, security) }
	index := func(ctx context.Context, address string) (pii.Index, error) {
		return pii.IndexEmail(ctx, address, security)
	}
	reseal := func(ctx context.Context, email pii.Email) (pii.Email, error) { return email.Reseal(ctx, security) }
	b.Run("seal", func(b *testing.B) { benchMap(b, addresses, seal) })
	b.Run("reveal", func(b *testing.B) { benchMap(b, sealed, reveal) })
	b.Run("index", func(b *testing.B) { benchMap(b, addresses, index) })
	b.Run("reseal", func(b *testing.B) { benchMap(b, sealed, reseal) })
}

func benchMap[In, Out any](b *testing.B, in []In, f func(context.Context, In) (Out, error)) {
	each := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(in)), "ns/value")
	}
	b.Run("loop", func(b *testing.B) {
		for b.Loop() {
			for _, item := range in {
				if _, err := f(b.Context(), item); err != nil {
					b.Fatal(err)
				}
			}
		}
		each(b)
	})
	b.Run("batch", func(b *testing.B) {
		for b.Loop() {
			for _, err := range batch.Map(b.Context(), slices.Values(in), f) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		each(b)
	})
}
