package awskms

import (
	"errors"
	"fmt"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/onlyfor/onlyfor/vault/kms/internal/remote"
)

// refusals are the codes of refusals by AWS that another attempt does not change. Any
// other code counts as no answer, because a proxy has codes of its own.
var refusals = map[string]remote.Verdict{
	"AccessDeniedException": remote.Denied,
	"AccessDenied":          remote.Refused, // of STS, where credentials come from

	// AWS does not know the caller.
	"UnrecognizedClientException": remote.Refused,
	"InvalidClientTokenId":        remote.Refused,
	"MissingAuthenticationToken":  remote.Refused,
	"InvalidSignatureException":   remote.Refused,
	"SignatureDoesNotMatch":       remote.Refused,
	"IncompleteSignature":         remote.Refused,
	"ExpiredTokenException":       remote.Refused,
	"ExpiredToken":                remote.Refused,
	"OptInRequired":               remote.Refused,
	"NotAuthorized":               remote.Refused,

	// There is no such key, or it does not encrypt.
	"NotFoundException":             remote.Refused,
	"InvalidArnException":           remote.Refused,
	"DisabledException":             remote.Refused,
	"KMSInvalidStateException":      remote.Refused,
	"InvalidKeyUsageException":      remote.Refused,
	"UnsupportedOperationException": remote.Refused,

	// The ciphertext is of another key or another purpose.
	"InvalidCiphertextException": remote.Refused,
	"IncorrectKeyException":      remote.Refused,
	"ValidationException":        remote.Refused,
}

// troubles are codes that errors name although they are no refusals.
var troubles = map[string]bool{
	"ThrottlingException":        true,
	"LimitExceededException":     true,
	"KMSInternalException":       true,
	"InternalFailure":            true,
	"ServiceUnavailable":         true,
	"DependencyTimeoutException": true,
	"KeyUnavailableException":    true,
}

// explain is the [remote.AEAD.Explain] for errors of the SDK. It does not repeat their
// text, which quotes the server, or another one in its place.
func explain(err error) (remote.Verdict, string) {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		code := api.ErrorCode()
		switch {
		case refusals[code] != remote.Unclear:
			return refusals[code], code
		case troubles[code]:
			return remote.Unclear, code
		}
	}
	if response := (*smithyhttp.ResponseError)(nil); errors.As(err, &response) && response.HTTPStatusCode() >= 300 {
		return remote.Unclear, fmt.Sprintf("HTTP status %d that is not of AWS KMS", response.HTTPStatusCode())
	}
	if errors.Is(err, errForeign) || errors.As(err, new(*smithy.DeserializationError)) {
		return remote.Unclear, "answer that is not of AWS KMS"
	}
	return remote.Unclear, "no answer"
}
