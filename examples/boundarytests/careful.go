//go:build !broken

package boundarytests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
)

// This file has what careless.go does wrong: read them side by side.

// Purposes are all of the shop's, for its deployment to make keys for.
var Purposes = []purpose.Purpose{Security, Billing, Advertising}

// accepts reports whether a form can be sealed.
func (s *Shop) accepts(f form) bool { return pii.ValidEmail(f.Email) && pii.ValidPhone(f.Phone) }

// signedUp logs a new person.
func (s *Shop) signedUp(_ form, p person) { s.log.Info("signed up", "id", p.id, "email", p.email) }

// numberToText returns where to send a code.
func (s *Shop) numberToText(ctx context.Context, p person) (string, error) {
	return p.phone.Reveal(ctx, s.security.For(p.id))
}

// numberToShow returns what the settings page shows of a number.
func (s *Shop) numberToShow(ctx context.Context, p person) (string, error) {
	return p.phone.Hint(ctx, s.security.For(p.id))
}

// statusOf tells what can be tried again from what can't.
func statusOf(error) int { return http.StatusServiceUnavailable }

// UploadAudience sends the ad platform the hashed addresses of the people who
// agreed to that.
func (s *Shop) UploadAudience(ctx context.Context) error {
	people, err := s.everybody(ctx)
	if err != nil {
		return err
	}
	var list []string
	for _, p := range people {
		address, err := p.email.Reveal(ctx, s.ads.For(p.id))
		if errors.Is(err, purpose.ErrMismatch) {
			continue // they did not
		}
		if err != nil {
			return err
		}
		//piivet:allow hash the platform asks for this hash, and these people agreed that it gets it
		hash := sha256.Sum256([]byte(strings.ToLower(address)))
		list = append(list, hex.EncodeToString(hash[:]))
	}
	return s.adPlatform(ctx, list)
}
