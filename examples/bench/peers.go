package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"

	"github.com/ProtonMail/gopenpgp/v3/crypto"
	mpltypes "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygeneratedtypes"
	"github.com/go-jose/go-jose/v4"
	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
	wrapaead "github.com/hashicorp/go-kms-wrapping/v2/aead"
	"github.com/minio/sio"
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

	encryptSIO := func() ([]byte, error) {
		var b bytes.Buffer
		_, err := sio.Encrypt(&b, bytes.NewReader(text), sio.Config{Key: key, MinVersion: sio.Version20})
		return b.Bytes(), err
	}
	stream, err := encryptSIO()
	if err != nil {
		return nil, fmt.Errorf("sio: %w", err)
	}

	session, err := crypto.PGP().GenerateSessionKey()
	if err != nil {
		return nil, fmt.Errorf("gopenpgp: %w", err)
	}
	encryptPGP, err := crypto.PGP().Encryption().SessionKey(session).New()
	if err != nil {
		return nil, fmt.Errorf("gopenpgp: %w", err)
	}
	decryptPGP, err := crypto.PGP().Decryption().SessionKey(session).New()
	if err != nil {
		return nil, fmt.Errorf("gopenpgp: %w", err)
	}
	pgp, err := encryptPGP.Encrypt(text)
	if err != nil {
		return nil, fmt.Errorf("gopenpgp: %w", err)
	}

	unsigned, err := newAWSSDK(ctx, key, mpltypes.ESDKAlgorithmSuiteIdAlgAes256GcmHkdfSha512CommitKey)
	if err != nil {
		return nil, fmt.Errorf("AWS Encryption SDK: %w", err)
	}
	unsignedMessage, err := unsigned.encrypt(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("AWS Encryption SDK: %w", err)
	}
	signed, err := newAWSSDK(ctx, key, mpltypes.ESDKAlgorithmSuiteIdAlgAes256GcmHkdfSha512CommitKeyEcdsaP384)
	if err != nil {
		return nil, fmt.Errorf("AWS Encryption SDK: %w", err)
	}
	signedMessage, err := signed.encrypt(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("AWS Encryption SDK: %w", err)
	}

	byTink, err := r.aead.Encrypt(text, aad)
	if err != nil {
		return nil, err
	}
	return []race{
		{name: "others seal", contenders: []contender{
			each("Tink AES-256-GCM Encrypt", func() error { _, err := r.aead.Encrypt(text, aad); return err }),
			each("go-kms-wrapping aead", func() error { _, err := wrapper.Encrypt(ctx, text, wrapping.WithAad(aad)); return err }),
			each("gocloud.dev localsecrets", func() error { _, err := keeper.Encrypt(ctx, text); return err }),
			each("Tink KMSEnvelopeAEAD, local KEK", func() error { _, err := envelope.Encrypt(text, aad); return err }),
			each("go-jose JWE, dir A256GCM", func() error { _, err := encryptJWE(); return err }),
			each("minio/sio, DARE 2.0", func() error { _, err := encryptSIO(); return err }),
			each("gopenpgp, session key", func() error { _, err := encryptPGP.Encrypt(text); return err }),
			each("AWS Encryption SDK, raw AES keyring, unsigned", func() error { _, err := unsigned.encrypt(ctx, text); return err }),
			each("…, each message signed with ECDSA", func() error { _, err := signed.encrypt(ctx, text); return err }),
		}},
		{name: "others reveal", contenders: []contender{
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
			each("minio/sio, DARE 2.0", func() error { _, err := sio.DecryptBuffer(nil, stream, sio.Config{Key: key}); return err }),
			each("gopenpgp, session key", func() error { _, err := decryptPGP.Decrypt(pgp.Bytes(), crypto.Bytes); return err }),
			each("AWS Encryption SDK, raw AES keyring, unsigned", func() error { return unsigned.decrypt(ctx, unsignedMessage) }),
			each("…, each message signed with ECDSA", func() error { return signed.decrypt(ctx, signedMessage) }),
		}},
	}, nil
}
