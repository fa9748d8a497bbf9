// Package auth gets its scope from who makes its service.
package auth

import (
	"context"
	"time"

	"example.com/register/people"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Service signs people in.
type Service struct {
	scope  *vault.Scope
	prompt purpose.Basis
	*Codes
}

// Codes embeds the right it needs.
type Codes struct{ *vault.Scope }

// New returns a service.
func New(scope *vault.Scope) *Service {
	return &Service{scope: scope, prompt: prompt, Codes: &Codes{scope}}
}

var prompt = purpose.Basis{Legal: purpose.LegitimateInterests, Notice: "2fa-prompt-v3", Retain: 24 * 3600e9}

// SignUp seals a phone number under the notice that the person saw.
//
//register:uses collect security notice=2fa-prompt-v3
func (s *Service) SignUp(ctx context.Context, number string) (pii.Phone, error) {
	return pii.SealPhone(ctx, number, s.scope.Under(s.prompt).For("user"))
}

//register:uses collect security notice=late-v2
func (s *Service) signUpAgain(ctx context.Context, number string) (pii.Phone, error) {
	return pii.SealPhone(ctx, number, s.scope.Under(s.prompt).Under(purpose.Basis{Notice: "late-v2"}))
}

//register:uses collect security notice=2fa-prompt-v3
//register:uses index security
func (s *Service) signUpIndexed(ctx context.Context, number string) (pii.Phone, pii.Index, error) {
	return pii.SealPhoneIndexed(ctx, number, s.scope.Under(s.prompt))
}

// takeOver seals a number that an older form collected.
//
//register:uses collect security notice=import-v1
func (s *Service) takeOver(ctx context.Context, number string, at time.Time) (pii.Phone, error) {
	return pii.SealPhone(ctx, number, s.scope.Under(purpose.Basis{Notice: "import-v1", Collected: at}))
}

//register:uses collect security notice=import-v2
func (s *Service) takeOverLater(ctx context.Context, number string, at time.Time) (pii.Phone, error) {
	basis := purpose.Basis{Notice: "import-v2"}
	basis.Collected = at
	return pii.SealPhone(ctx, number, s.scope.Under(basis))
}

//register:uses collect security notice=import-v3
func (s *Service) takeOverOfOneDay(ctx context.Context, number string) (pii.Phone, error) {
	basis := purpose.Basis{Notice: "import-v3", Collected: time.Date(2019, time.February, 29, 23, 0, 0, 0, time.UTC)}
	return pii.SealPhone(ctx, number, s.scope.Under(basis))
}

//register:uses collect security notice=import-v4
func (s *Service) takeOverOfOneYear(ctx context.Context, number string, year int) (pii.Phone, error) {
	return pii.SealPhone(ctx, number, s.scope.Under(purpose.Basis{Notice: "import-v4", Collected: time.Date(year, time.March, 1, 0, 0, 0, 0, time.UTC)}))
}

//register:uses collect security notice=import-v5
func (s *Service) takeOverSomewhere(ctx context.Context, number string) (pii.Phone, error) {
	return pii.SealPhone(ctx, number, s.scope.Under(purpose.Basis{Notice: "import-v5", Collected: time.Date(2019, 3, 1, 0, 0, 0, 0, time.Local)}))
}

//register:uses collect security notice=now-v1
func (s *Service) now(ctx context.Context, number string) (pii.Phone, error) {
	return pii.SealPhone(ctx, number, s.scope.Under(purpose.Basis{Notice: "now-v1", Collected: time.Time{}}))
}

// SendCode reveals a phone number.
//
//register:uses reveal security
func (s *Service) SendCode(ctx context.Context, phone pii.Phone) (string, error) {
	return phone.Reveal(ctx, s.scope)
}

//register:uses hint security
func (s *Service) hint(ctx context.Context, phone pii.Phone) (text string, err error) {
	func() {
		text, err = phone.Hint(ctx, s.scope)
	}()
	return
}

//register:uses index security
func (c *Codes) promoted(ctx context.Context, k vault.Kind) ([vault.IndexSize]byte, error) {
	return c.Index(ctx, k, "text")
}

//register:uses index security
func (s *Service) promotedTwice(ctx context.Context, k vault.Kind) ([vault.IndexSize]byte, error) {
	return s.Index(ctx, k, "text")
}

//register:uses collect security notice=
func (s *Service) kindOfItsOwn(ctx context.Context) (people.TaxID, error) {
	return people.SealTaxID(ctx, "1", s.scope)
}

//register:uses reveal security
func (s *Service) revealOfItsOwn(ctx context.Context, id people.TaxID) (string, error) {
	return id.Reveal(ctx, s.scope)
}

//register:uses reveal security
func (s *Service) throughAnInterface(ctx context.Context, r people.Revealable) (string, error) {
	return r.Reveal(ctx, s.scope)
}

//register:uses reveal ?
func methodValue(phone pii.Phone) any {
	return phone.Reveal
}

//register:uses reveal ?
func methodExpressionValue() any {
	return pii.Email.Reveal
}

//register:uses reveal security
func (s *Service) methodExpression(ctx context.Context, email pii.Email) (string, error) {
	return pii.Email.Reveal(email, ctx, s.scope)
}

//register:uses hint security
func (s *Service) handOn(ctx context.Context, phone pii.Phone) (string, error) {
	return show(ctx, phone, s.scope)
}

//register:uses hint security
func show(ctx context.Context, phone pii.Phone, scopes ...*vault.Scope) (string, error) {
	for _, scope := range scopes {
		return phone.Hint(ctx, scope)
	}
	return "", nil
}

// nobody calls it.
//
//register:uses reveal ?
func nobody(ctx context.Context, phone pii.Phone, scope *vault.Scope) (string, error) {
	return phone.Reveal(ctx, scope)
}
