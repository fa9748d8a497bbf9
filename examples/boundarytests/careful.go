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

// This file does right the things that careless.go does wrong. Read them side by side.

// Purposes are the shop's purposes. Its deployment makes keys for all of them.
var Purposes = []purpose.Purpose{Security, Billing, Advertising}

// accepts reports whether a form can be sealed.
func (s *Shop) accepts(f form) bool { return pii.ValidEmail(f.Email) && pii.ValidPhone(f.Phone) }

// signedUp logs a new person.
func (s *Shop) signedUp(_ form, p person) { s.log.Info("signed up", "id", p.id, "email", p.email) }

// numberToText returns the number to send a code to.
func (s *Shop) numberToText(ctx context.Context, p person) (string, error) {
	return p.phone.Reveal(ctx, s.security.For(p.id))
}

// numberToShow returns the hint of a number for the settings page.
func (s *Shop) numberToShow(ctx context.Context, p person) (string, error) {
	return p.phone.Hint(ctx, s.security.For(p.id))
}

// statusOf returns "503 Service Unavailable" for an error of the vault, so that the
// client tries again.
func statusOf(error) int { return http.StatusServiceUnavailable }

// UploadAudience sends the ad platform the hashed addresses of the people who agreed
// to it.
func (s *Shop) UploadAudience(ctx context.Context) error {
	people, err := s.everybody(ctx)
	if err != nil {
		return err
	}
	var list []string
	for _, p := range people {
		address, err := p.email.Reveal(ctx, s.ads.For(p.id))
		if errors.Is(err, purpose.ErrMismatch) {
			continue // this person did not agree
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
