// Package more has what the other packages leave out.
package more

import (
	"context"

	"example.com/notices"
	"example.com/purposes"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// fixed collects on a basis of a package that was not looked at.
//
//register:uses open billing
//register:uses collect billing notice=fixed-v1
func fixed(ctx context.Context, v *vault.Vault, number string) (pii.Phone, error) {
	s, err := v.Scope(ctx, purposes.Billing)
	if err != nil {
		return pii.Phone{}, err
	}
	return pii.SealPhone(ctx, number, s.Under(notices.Fixed))
}

// changed does so on one that has more than one value.
//
//register:uses open billing
//register:uses collect billing notice=(set-at-run-time)
func changed(ctx context.Context, v *vault.Vault, number string) (pii.Phone, error) {
	s, err := v.Scope(ctx, purposes.Billing)
	if err != nil {
		return pii.Phone{}, err
	}
	return pii.SealPhone(ctx, number, s.Under(notices.Changed))
}

// both hands over two scopes in one call.
//
//register:uses open security advertising
//register:uses hint security advertising
func both(ctx context.Context, v *vault.Vault, phone pii.Phone) (string, error) {
	a, err := v.Scope(ctx, purposes.Security)
	if err != nil {
		return "", err
	}
	b, err := v.Scope(ctx, purposes.Advertising)
	if err != nil {
		return "", err
	}
	return last(ctx, phone, a, b)
}

//register:uses hint security advertising
func last(ctx context.Context, phone pii.Phone, scopes ...*vault.Scope) (string, error) {
	return phone.Hint(ctx, scopes[len(scopes)-1])
}

// later does it in a function of its own.
//
//register:uses open billing
//register:uses reveal billing
func later(v *vault.Vault, phone pii.Phone) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		s, err := v.Scope(ctx, purposes.Billing)
		if err != nil {
			return "", err
		}
		return phone.Reveal(ctx, s)
	}
}

// pair returns two scopes, which forward hands on.
func pair(ctx context.Context, v *vault.Vault) (*vault.Scope, *vault.Scope) {
	return forward(ctx, v)
}

//register:uses open security billing
func forward(ctx context.Context, v *vault.Vault) (*vault.Scope, *vault.Scope) {
	s, err := v.Scope(ctx, purposes.Security)
	if err != nil {
		return nil, nil
	}
	b, err := v.Scope(ctx, purposes.Billing)
	if err != nil {
		return nil, nil
	}
	return s, b
}

//register:uses reveal billing
//register:uses hint security
func paired(ctx context.Context, v *vault.Vault, phone pii.Phone) (string, error) {
	s, b := pair(ctx, v)
	if hint, err := phone.Hint(ctx, s); err == nil {
		return hint, nil
	}
	return phone.Reveal(ctx, b)
}

// switched hands its scope to a function that gets it out of an any.
//
//register:uses open billing
func switched(ctx context.Context, v *vault.Vault, phone pii.Phone) (string, error) {
	s, err := v.Scope(ctx, purposes.Billing)
	if err != nil {
		return "", err
	}
	return choose(ctx, phone, s)
}

//register:uses hint ?
func choose[T any](ctx context.Context, phone pii.Phone, scope T) (string, error) {
	switch s := any(scope).(type) {
	case *vault.Scope:
		return phone.Hint(ctx, s)
	}
	return "", nil
}

// byHand keeps scopes in a map whose keys say something else.
//
//register:uses open security
//register:uses reveal security
func byHand(ctx context.Context, v *vault.Vault, phone pii.Phone) (string, error) {
	scopes := map[purpose.Purpose]*vault.Scope{}
	var err error
	if scopes[purposes.Billing], err = v.Scope(ctx, purposes.Security); err != nil {
		return "", err
	}
	return phone.Reveal(ctx, scopes[purposes.Billing])
}
