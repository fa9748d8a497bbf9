package gcpkms

import (
	"strings"

	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/onlyfor/onlyfor/vault/kms/internal/remote"
)

// refusals are the codes by which Cloud KMS says no for good. All others are no
// answer.
var refusals = map[codes.Code]remote.Verdict{
	codes.PermissionDenied:   remote.Denied,
	codes.Unauthenticated:    remote.Refused,
	codes.NotFound:           remote.Refused,
	codes.FailedPrecondition: remote.Refused, // disabled, destroyed
	codes.InvalidArgument:    remote.Refused, // of another key or another purpose
}

// ours are how the gRPC library begins its own words in a status, where a server
// that does not speak gRPC answered with a page, or none could be asked because
// the credentials are not to be had. It gives both the codes of refusals.
var ours = []string{
	"unexpected HTTP status code received from server",
	"transport: ",
	"malformed header",
}

// explain is how [remote.AEAD] understands errors of Google's client. Their text
// is not repeated: it quotes what the server said, whoever that was.
func explain(err error) (remote.Verdict, string) {
	s, ok := status.FromError(err)
	if !ok {
		return remote.Unclear, "no answer of Cloud KMS that is whole"
	}
	for _, text := range ours {
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

// isIAM reports whether a denial is about a grant, as opposed to an API that is
// switched off or a bill that is not paid.
func isIAM(err error) bool {
	api, ok := apierror.ParseError(err, false)
	return !ok || api.Reason() == "" || api.Reason() == "IAM_PERMISSION_DENIED"
}
