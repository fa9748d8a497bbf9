package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"github.com/go-jose/go-jose/v4"
	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
	wrapaead "github.com/hashicorp/go-kms-wrapping/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"gocloud.dev/secrets/localsecrets"
)

// peerRaces returns races between other libraries, which seal a small value under a
// local key. None of them separates purposes.
func peerRaces(ctx context.Context, r *raw) ([]race, error) {
	text, aad := []byte(address), make([]byte, boundSize)
	key := make([]byte, 32)
	rand.Read(key)

	wrapper := wrapaead.NewWrapper()
	if _, err := wrapper.SetConfig(ctx, wrapaead.WithKey(key)); err != nil {
		return nil, fmt.Errorf("go-kms-wrapping: %w", err)
	}
	wrapped, err := wrapper.Encrypt(ctx, text, wrapping.WithAad(aad))
	if err != nil {
		return nil, fmt.Errorf("go-kms-wrapping: %w", err)
	}

	keeper := localsecrets.NewKeeper([32]byte(key))
	kept, err := keeper.Encrypt(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("gocloud localsecrets: %w", err)
	}

	jwe, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: key}, nil)
	if err != nil {
		return nil, fmt.Errorf("go-jose: %w", err)
	}
	encryptJWE := func() (string, error) {
		o, err := jwe.EncryptWithAuthData(text, nil)
		if err != nil {
			return "", err
		}
		return o.CompactSerialize()
	}
	token, err := encryptJWE()
	if err != nil {
		return nil, fmt.Errorf("go-jose: %w", err)
	}

	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("age: %w", err)
	}
	encryptAge := func() (string, error) {
		var b strings.Builder
		w, err := age.Encrypt(&b, identity.Recipient())
		if err != nil {
			return "", err
		}
		if _, err := w.Write(text); err != nil {
			return "", err
		}
		if err := w.Close(); err != nil {
			return "", err
		}
		return b.String(), nil
	}
	file, err := encryptAge()
	if err != nil {
		return nil, fmt.Errorf("age: %w", err)
	}

	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	kek, err := aead.New(h)
	if err != nil {
		return nil, err
	}
	envelope := aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), kek)
	enveloped, err := envelope.Encrypt(text, aad)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}

	sdk, err := newAWSSDK(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("AWS Encryption SDK: %w", err)
	}
	message, err := sdk.encrypt(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("AWS Encryption SDK: %w", err)
	}

	byTink, err := r.aead.Encrypt(text, aad)
	if err != nil {
		return nil, err
	}
	return []race{
		{name: "others seal", slow: true, contenders: []contender{
			each("Tink AES-256-GCM Encrypt", func() error { _, err := r.aead.Encrypt(text, aad); return err }),
			each("go-kms-wrapping aead", func() error { _, err := wrapper.Encrypt(ctx, text, wrapping.WithAad(aad)); return err }),
			each("gocloud.dev localsecrets", func() error { _, err := keeper.Encrypt(ctx, text); return err }),
			each("Tink KMSEnvelopeAEAD, local KEK", func() error { _, err := envelope.Encrypt(text, aad); return err }),
			each("go-jose JWE, dir A256GCM", func() error { _, err := encryptJWE(); return err }),
			each("age, X25519", func() error { _, err := encryptAge(); return err }),
			each("AWS Encryption SDK, raw AES keyring", func() error { _, err := sdk.encrypt(ctx, text); return err }),
		}},
		{name: "others reveal", slow: true, contenders: []contender{
			each("Tink AES-256-GCM Decrypt", func() error { _, err := r.aead.Decrypt(byTink, aad); return err }),
			each("go-kms-wrapping aead", func() error { _, err := wrapper.Decrypt(ctx, wrapped, wrapping.WithAad(aad)); return err }),
			each("gocloud.dev localsecrets", func() error { _, err := keeper.Decrypt(ctx, kept); return err }),
			each("Tink KMSEnvelopeAEAD, local KEK", func() error { _, err := envelope.Decrypt(enveloped, aad); return err }),
			each("go-jose JWE, dir A256GCM", func() error {
				o, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
				if err == nil {
					_, err = o.Decrypt(key)
				}
				return err
			}),
			each("age, X25519", func() error {
				r, err := age.Decrypt(strings.NewReader(file), identity)
				if err == nil {
					_, err = io.ReadAll(r)
				}
				return err
			}),
			each("AWS Encryption SDK, raw AES keyring", func() error { return sdk.decrypt(ctx, message) }),
		}},
	}, nil
}
