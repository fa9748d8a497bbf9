package main

import (
	"context"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
)

// A signUp seals people's addresses and numbers as soon as they are typed. It is the
// only place with both scopes, because people give their consent here.
type signUp struct {
	security    *vault.Scope
	advertising *vault.Scope
}

func newSignUp(security, advertising *vault.Scope) *signUp {
	return &signUp{security.Under(purposes.TwoFactorPrompt), advertising}
}

// seal returns the row of a person: sealed for security under the notice that they
// saw, and for advertising too if they consented. An invalid address or number is
// [pii.ErrMalformed], and the row then has the values that were sealed before it.
// The vault's answers are counted in asked.
func (s *signUp) seal(ctx context.Context, p person, asked *answers) (user, error) {
	var u user
	var err error
	scopes := []vault.Sealer{s.security}
	if p.consent != "" {
		scopes = append(scopes, s.advertising.Under(purposes.AdsConsent(p.consent)))
	}
	if u.email, err = pii.SealEmail(ctx, p.email, scopes...); asked.decided(len(scopes), err) != nil {
		return u, err
	}
	if u.phone, err = pii.SealPhone(ctx, p.phone, scopes...); asked.decided(len(scopes), err) != nil {
		return u, err
	}
	if u.emailSecurity, u.phoneSecurity, err = indexes(ctx, p, s.security, asked); err != nil {
		return u, err
	}
	if p.consent != "" {
		u.emailAdvertising, u.phoneAdvertising, err = indexes(ctx, p, s.advertising, asked)
	}
	return u, err
}

// indexes returns the blind indexes of a person under one purpose.
func indexes(ctx context.Context, p person, scope *vault.Scope, asked *answers) (email, phone pii.Index, err error) {
	if email, err = pii.IndexEmail(ctx, p.email, scope); asked.decided(1, err) != nil {
		return email, phone, err
	}
	phone, err = pii.IndexPhone(ctx, p.phone, scope)
	return email, phone, asked.decided(1, err)
}
