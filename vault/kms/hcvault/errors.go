package hcvault

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/api"

	"github.com/onlyfor/onlyfor/vault/kms/internal/remote"
)

// A failure is an exchange that failed.
type failure struct {
	*exchange
	err   error // the client's
	known bool  // after status 403, whether the server knows the token
}

func (f *failure) Error() string { return f.err.Error() }

// explain is the [remote.AEAD.Explain] for errors of the client. It does not repeat
// their text, which quotes the server, or another one in its place.
func explain(err error) (remote.Verdict, string) {
	var f *failure
	if !errors.As(err, &f) {
		return remote.Unclear, errForeign.Error()
	}
	switch {
	case !f.sent:
		// The token was read from a file with its line end, or the file of
		// VAULT_CACERT does not exist.
		return remote.Refused, "client's token or environment make no request"
	case f.status == 0:
		return remote.Unclear, "no answer"
	case f.status == http.StatusOK:
		return remote.Unclear, errForeign.Error()
	}
	if !answered(f.err) {
		return remote.Unclear, fmt.Sprintf("HTTP status %d that is not of a transit engine", f.status)
	}
	return f.verdict(), fmt.Sprintf("HTTP status %d", f.status)
}

// answered reports whether a Vault refused. A proxy's page with status 403 is no
// answer about the key.
func answered(err error) bool {
	var response *api.ResponseError
	return errors.As(err, &response) && !response.RawError && len(response.Errors) > 0
}

// verdict returns the meaning of a Vault's answer.
func (f *failure) verdict() remote.Verdict {
	switch f.status {
	case http.StatusForbidden:
		if f.known {
			return remote.Denied
		}
		return remote.Refused
	case http.StatusBadRequest, // another key or purpose, or no such key
		http.StatusUnauthorized,
		http.StatusNotFound,         // no engine there
		http.StatusMethodNotAllowed: // another engine
		return remote.Refused
	}
	return remote.Unclear // down, sealed, throttling
}
