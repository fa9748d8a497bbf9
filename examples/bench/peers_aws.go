package main

import (
	"context"

	mpl "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygenerated"
	mpltypes "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygeneratedtypes"
	esdk "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygenerated"
	esdktypes "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygeneratedtypes"
)

// An awsSDK is the AWS Encryption SDK with a raw AES keyring, which calls no service.
// Its default suite signs every message with ECDSA; another one does not.
type awsSDK struct {
	client  *esdk.Client
	keyring mpltypes.IKeyring
	suite   mpltypes.ESDKAlgorithmSuiteId
}

func newAWSSDK(ctx context.Context, key []byte, suite mpltypes.ESDKAlgorithmSuiteId) (*awsSDK, error) {
	client, err := esdk.NewClient(esdktypes.AwsEncryptionSdkConfig{})
	if err != nil {
		return nil, err
	}
	providers, err := mpl.NewClient(mpltypes.MaterialProvidersConfig{})
	if err != nil {
		return nil, err
	}
	keyring, err := providers.CreateRawAesKeyring(ctx, mpltypes.CreateRawAesKeyringInput{
		KeyName: "security", KeyNamespace: "onlyfor", WrappingKey: key,
		WrappingAlg: mpltypes.AesWrappingAlgAlgAes256GcmIv12Tag16,
	})
	return &awsSDK{client, keyring, suite}, err
}

func (s *awsSDK) encrypt(ctx context.Context, plaintext []byte) ([]byte, error) {
	out, err := s.client.Encrypt(ctx, esdktypes.EncryptInput{
		Plaintext: plaintext, Keyring: s.keyring, AlgorithmSuiteId: &s.suite, EncryptionContext: map[string]string{"purpose": "security"},
	})
	if err != nil {
		return nil, err
	}
	return out.Ciphertext, nil
}

func (s *awsSDK) decrypt(ctx context.Context, ciphertext []byte) error {
	_, err := s.client.Decrypt(ctx, esdktypes.DecryptInput{Ciphertext: ciphertext, Keyring: s.keyring})
	return err
}
