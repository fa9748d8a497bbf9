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

// This file makes the mistakes that the tests are there for.

// Purposes has one more that nobody made keys for.
var Purposes = []purpose.Purpose{Security, Billing, Advertising, purpose.MustParse("newsletter")}

var looksLikeAnAddress = regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9.]+$`)

// accepts has an opinion of its own of what an address is.
func (s *Shop) accepts(f form) bool {
	return looksLikeAnAddress.MatchString(f.Email) && pii.ValidPhone(f.Phone)
}

// signedUp logs the form instead of the person.
func (s *Shop) signedUp(f form, p person) { s.log.Debug("signed up", "id", p.id, "form", f) }

// numberToText looks at the billing address on the way.
func (s *Shop) numberToText(ctx context.Context, p person) (string, error) {
	if _, err := p.email.Reveal(ctx, s.billing.For(p.id)); err != nil {
		return "", err
	}
	return p.phone.Reveal(ctx, s.security.For(p.id))
}

// numberToShow reveals the whole number to mask it itself.
func (s *Shop) numberToShow(ctx context.Context, p person) (string, error) {
	number, err := p.phone.Reveal(ctx, s.security.For(p.id))
	if err != nil {
		return "", err
	}
	return strings.Repeat("*", len(number)-2) + number[len(number)-2:], nil
}

// statusOf takes an outage for a person who is not there.
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
