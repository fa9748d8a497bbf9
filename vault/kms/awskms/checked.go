package awskms

import (
	"context"
	"errors"
	"strings"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	tinkawskms "github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"

	"github.com/onlyfor/onlyfor/vault/kms"
)

// checked passes on answers that name the right key, as the answers of AWS do. Other
// JSON with status 200, such as a proxy's, is a success with empty fields to the SDK.
type checked struct {
	tinkawskms.KMSAPI
	key kms.Key
}

var errForeign = errors.New("answer names another key or none")

func (c checked) Encrypt(ctx context.Context, in *awskms.EncryptInput, opts ...func(*awskms.Options)) (*awskms.EncryptOutput, error) {
	out, err := c.KMSAPI.Encrypt(ctx, in, opts...)
	if err == nil && !c.made(out.KeyId) {
		return nil, errForeign
	}
	return out, err
}

func (c checked) Decrypt(ctx context.Context, in *awskms.DecryptInput, opts ...func(*awskms.Options)) (*awskms.DecryptOutput, error) {
	out, err := c.KMSAPI.Decrypt(ctx, in, opts...)
	if err == nil && !c.made(out.KeyId) {
		return nil, errForeign
	}
	return out, err
}

// made reports whether arn can be the key. For an alias that is any key in the
// alias's account and region.
func (c checked) made(arn *string) bool {
	if arn == nil {
		return false
	}
	if place, _, ok := strings.Cut(c.key.Name(), ":alias/"); ok {
		return strings.HasPrefix(*arn, place+":key/")
	}
	return *arn == c.key.Name()
}
