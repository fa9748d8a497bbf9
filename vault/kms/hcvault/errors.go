package hcvault

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/api"

	"github.com/onlyfor/onlyfor/vault/kms/internal/remote"
)

// A failure is an exchange that did not succeed.
type failure struct {
	*exchange
	err   error // the client's
	known bool  // the token, after status 403
}

func (f *failure) Error() string { return f.err.Error() }

// explain is how [remote.AEAD] understands errors of the client. Their text is not
// repeated: it quotes what the server said, whoever that was.
func explain(err error) (remote.Verdict, string) {
	var f *failure
	if !errors.As(err, &f) {
		return remote.Unclear, errForeign.Error()
	}
	switch {
	case !f.sent:
		// Such as a token that was read from a file with its line end, or a
		// VAULT_CACERT that is gone.
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

// answered reports whether it was a Vault that refused. The page that a proxy
// serves with its 403 says nothing of the key.
func answered(err error) bool {
	var response *api.ResponseError
	return errors.As(err, &response) && !response.RawError && len(response.Errors) > 0
}

// verdict returns what a Vault's answer means.
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
