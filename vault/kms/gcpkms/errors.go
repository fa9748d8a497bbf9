package gcpkms

import (
	"strings"

	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/onlyfor/onlyfor/vault/kms/internal/remote"
)

// refusals are the codes of refusals by Cloud KMS that another attempt does not
// change. All other codes are no answer.
var refusals = map[codes.Code]remote.Verdict{
	codes.PermissionDenied:   remote.Denied,
	codes.Unauthenticated:    remote.Refused,
	codes.NotFound:           remote.Refused,
	codes.FailedPrecondition: remote.Refused, // disabled, destroyed
	codes.InvalidArgument:    remote.Refused, // of another key or another purpose
}

// ofLibrary are the beginnings of messages that the gRPC library itself writes into a
// status: a server that does not speak gRPC answered with a page, or there are no
// credentials. The library gives both the codes of refusals.
var ofLibrary = []string{
	"unexpected HTTP status code received from server",
	"transport: ",
	"malformed header",
}

// explain is the [remote.AEAD.Explain] for errors of Google's client. It does not
// repeat their text, which quotes the server, or another one in its place.
func explain(err error) (remote.Verdict, string) {
	s, ok := status.FromError(err)
	if !ok {
		return remote.Unclear, "no answer of Cloud KMS that is whole"
	}
	for _, text := range ofLibrary {
		if strings.HasPrefix(s.Message(), text) {
			return remote.Unclear, "no answer of Cloud KMS (" + s.Code().String() + ")"
		}
	}
	verdict := refusals[s.Code()]
	if verdict == remote.Denied && !isIAM(err) {
		verdict = remote.Refused
	}
	return verdict, s.Code().String()
}

// isIAM reports whether a denial is about a grant. Others are about an API that is
// switched off or a bill that is not paid.
func isIAM(err error) bool {
	api, ok := apierror.ParseError(err, false)
	return !ok || api.Reason() == "" || api.Reason() == "IAM_PERMISSION_DENIED"
}
