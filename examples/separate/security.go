package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A guard is the security service, the only process that finds the people who have
// accounts and reads their addresses. Each of its components has only the rights that
// it needs.
type guard struct {
	grant  grant
	db     *sql.DB
	vault  *vault.Vault
	intake *vault.Scope  // seals and indexes
	signIn *vault.Lookup // finds, and reveals nothing
	mailer *vault.Reader // reveals, and finds nobody
}

func startSecurity(ctx context.Context, g grant) (steps, error) {
	db, err := openDatabase(g.Database)
	if err != nil {
		return nil, err
	}
	s := &guard{grant: g, db: db}
	if s.vault, err = g.open(ctx, db, []purpose.Purpose{security}, advertising); err != nil {
		return nil, err
	}
	if s.intake, err = s.vault.Scope(ctx, security); err != nil {
		return nil, err
	}
	if s.signIn, err = s.vault.Lookup(ctx, security); err != nil {
		return nil, err
	}
	if s.mailer, err = s.vault.Reader(ctx, security); err != nil {
		return nil, err
	}
	return steps{"work": s.work, "overstep": s.overstep}, nil
}

func (s *guard) work(ctx context.Context) (answer, error) {
	taken, err := takeIn(ctx, s.db, "sign_ups", "accounts", s.intake)
	if err != nil {
		return answer{}, err
	}
	written := 0
	for _, form := range forms { // everybody signs in
		wanted, err := pii.IndexesEmail(ctx, form.email, s.signIn)
		if err != nil {
			return answer{}, err
		}
		account, found, err := find(ctx, s.db, "accounts", wanted)
		if err != nil || !found {
			return answer{}, errors.Join(errors.New("nobody can sign in"), err)
		}
		// A real service sends an e-mail here.
		if _, err := account.email.Reveal(ctx, s.mailer.For(account.id)); err != nil {
			return answer{}, err
		}
		written++
	}
	return answer{Did: fmt.Sprintf("took in %d sign-ups, found %d people who sign in and revealed where to write", taken, written)}, nil
}

// overstep makes the attempts of a curious engineer of the security team.
func (s *guard) overstep(ctx context.Context) (answer, error) {
	a := attempts{who: securityService}
	a.open(ctx, s.vault, advertising)
	if err := a.openWithOwnKEK(ctx, s.grant, s.db, advertising); err != nil {
		return answer{}, err
	}
	audience, err := people(ctx, s.db, "audience")
	if err != nil {
		return answer{}, err
	}
	var errs []error
	for _, p := range audience {
		_, err := p.email.Reveal(ctx, s.mailer.For(p.id))
		errs = append(errs, err)
	}
	a.failed("reveal the audience's addresses", purpose.ErrMismatch, errs...)
	if err := a.join(ctx, s.db, "accounts", "audience"); err != nil {
		return answer{}, err
	}
	a.readKEK(s.grant, advertising)

	// The address that the ads service put into an account is found here.
	ads := attempts{who: adsService}
	if err := s.openForged(ctx, &ads); err != nil {
		return answer{}, err
	}
	return answer{Attempts: append(a.list, ads.list...)}, nil
}

// openForged reveals an address that the ads service sealed with the public key and
// wrote into an account.
func (s *guard) openForged(ctx context.Context, a *attempts) error {
	accounts, err := people(ctx, s.db, "accounts")
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range accounts {
		if why, _ := p.email.Provenance(security); why.Notice == forgedNotice {
			_, err := p.email.Reveal(ctx, s.mailer.For(p.id))
			errs = append(errs, err)
		}
	}
	a.failed("forge the address of an account", vault.ErrSubject, errs...)
	return nil
}
