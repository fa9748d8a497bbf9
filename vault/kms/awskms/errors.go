package awskms

import (
	"errors"
	"fmt"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/onlyfor/onlyfor/vault/kms/internal/remote"
)

// refusals are the codes by which AWS says no for good. A code that is not here
// counts as no answer, for a proxy in between has codes of its own.
var refusals = map[string]remote.Verdict{
	"AccessDeniedException": remote.Denied,
	"AccessDenied":          remote.Refused, // of STS, where credentials come from

	// It does not know who asks.
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

	// The key is not there, or not for this.
	"NotFoundException":             remote.Refused,
	"InvalidArnException":           remote.Refused,
	"DisabledException":             remote.Refused,
	"KMSInvalidStateException":      remote.Refused,
	"InvalidKeyUsageException":      remote.Refused,
	"UnsupportedOperationException": remote.Refused,

	// What is to be unwrapped is another key's or another purpose's.
	"InvalidCiphertextException": remote.Refused,
	"IncorrectKeyException":      remote.Refused,
	"ValidationException":        remote.Refused,
}

// troubles are the codes that are repeated though they refuse nothing.
var troubles = map[string]bool{
	"ThrottlingException":        true,
	"LimitExceededException":     true,
	"KMSInternalException":       true,
	"InternalFailure":            true,
	"ServiceUnavailable":         true,
	"DependencyTimeoutException": true,
	"KeyUnavailableException":    true,
}

// explain is how [remote.AEAD] understands errors of the SDK. Their text is not
// repeated: it quotes what the server said, whoever that was.
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
