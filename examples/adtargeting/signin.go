package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A signIn finds people by the address that they type, and sends them a code. The
// phone number was collected for this.
type signIn struct {
	security *vault.Scope
	users    *userStore
	sms      gateway
}

// A gateway sends text messages.
type gateway interface {
	send(ctx context.Context, number, text string) error
}

// find returns the user who signed up with the address, also if it is spelled
// differently this time, or [errNoUser].
func (s *signIn) find(ctx context.Context, address string, asked *answers) (user, error) {
	indexes, err := pii.IndexesEmail(ctx, address, s.security)
	if asked.decided(1, err) != nil {
		return user{}, err
	}
	return s.users.byEmail(ctx, indexes)
}

// sendCode sends a code to the user's phone.
func (s *signIn) sendCode(ctx context.Context, u user, asked *answers) error {
	number, err := u.phone.Reveal(ctx, s.security)
	if asked.decided(1, err) != nil {
		return err
	}
	code, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return err
	}
	return s.sms.send(ctx, number, fmt.Sprintf("Your code is %06d.", code))
}

// hint returns the part of the number that the page may show before the person has
// proved anything.
func (s *signIn) hint(ctx context.Context, u user, asked *answers) (string, error) {
	hint, err := u.phone.Hint(ctx, s.security)
	return hint, asked.decided(1, err)
}
