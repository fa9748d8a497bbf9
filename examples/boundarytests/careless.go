//go:build broken

package boundarytests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
)

// This file makes the mistakes that the tests find.

// Purposes has one purpose too many, without keys.
var Purposes = []purpose.Purpose{Security, Billing, Advertising, purpose.MustParse("newsletter")}

var looksLikeAnAddress = regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9.]+$`)

// accepts has its own definition of an address.
func (s *Shop) accepts(f form) bool {
	return looksLikeAnAddress.MatchString(f.Email) && pii.ValidPhone(f.Phone)
}

// signedUp logs the form instead of the person.
func (s *Shop) signedUp(f form, p person) { s.log.Debug("signed up", "id", p.id, "form", f) }

// numberToText also reveals the billing address.
func (s *Shop) numberToText(ctx context.Context, p person) (string, error) {
	if _, err := p.email.Reveal(ctx, s.billing.For(p.id)); err != nil {
		return "", err
	}
	return p.phone.Reveal(ctx, s.security.For(p.id))
}

// numberToShow reveals the whole number and masks it itself.
func (s *Shop) numberToShow(ctx context.Context, p person) (string, error) {
	number, err := p.phone.Reveal(ctx, s.security.For(p.id))
	if err != nil {
		return "", err
	}
	return strings.Repeat("*", len(number)-2) + number[len(number)-2:], nil
}

// statusOf answers an outage as if the person did not exist.
func statusOf(error) int { return http.StatusUnauthorized }

// UploadAudience sends everybody's address and number: the case of README.md.
func (s *Shop) UploadAudience(ctx context.Context) error {
	people, err := s.everybody(ctx)
	if err != nil {
		return err
	}
	var list []string
	for _, p := range people {
		address, err := p.email.Reveal(ctx, s.security.For(p.id))
		if err != nil {
			return err
		}
		number, err := p.phone.Reveal(ctx, s.security.For(p.id))
		if err != nil {
			return err
		}
		for _, text := range []string{strings.ToLower(address), number} {
			hash := sha256.Sum256([]byte(text))
			list = append(list, hex.EncodeToString(hash[:]))
		}
	}
	return s.adPlatform(ctx, list)
}
