package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// An advertiser is the ads service. It reaches only people who consented.
type advertiser struct {
	grant grant
	db    *sql.DB
	vault *vault.Vault
	scope *vault.Scope
}

// customers is the list of a company that buys ads. One of these customers has
// consented, two have accounts without consent, and one is unknown.
var customers = []string{"bob@example.com", "Carol@example.com", "erin@example.com", "zoe@example.com"}

// forgedNotice marks the address that this service forges.
const forgedNotice = "forged"

func startAds(ctx context.Context, g grant) (steps, error) {
	db, err := openDatabase(g.Database)
	if err != nil {
		return nil, err
	}
	s := &advertiser{grant: g, db: db}
	if s.vault, err = g.open(ctx, db, []purpose.Purpose{advertising}, security); err != nil {
		return nil, err
	}
	if s.scope, err = s.vault.Scope(ctx, advertising); err != nil {
		return nil, err
	}
	return steps{"work": s.work, "overstep": s.overstep}, nil
}

func (s *advertiser) work(ctx context.Context) (answer, error) {
	taken, err := takeIn(ctx, s.db, "consents", "audience", s.scope)
	if err != nil {
		return answer{}, err
	}
	found, err := s.match(ctx, "audience", s.scope)
	if err != nil {
		return answer{}, err
	}
	return answer{Did: fmt.Sprintf("took in %d people who consented, found %d of the %d on an advertiser's list", taken, found, len(customers))}, nil
}

// match returns the number of customers in a table.
func (s *advertiser) match(ctx context.Context, table string, scope *vault.Scope) (found int, err error) {
	for _, address := range customers {
		wanted, err := pii.IndexesEmail(ctx, address, scope)
		if err != nil {
			return found, err
		}
		_, is, err := find(ctx, s.db, table, wanted)
		if err != nil {
			return found, err
		}
		if is {
			found++
		}
	}
	return found, nil
}

// overstep makes the attempts of an ad team that wants to reach everybody.
func (s *advertiser) overstep(ctx context.Context) (answer, error) {
	a := attempts{who: adsService}
	a.open(ctx, s.vault, security)
	scopes := []*vault.Scope{s.scope}
	if stolen, err := s.vault.Scope(ctx, security); err == nil { // the attempts below use it too
		scopes = append(scopes, stolen)
	}
	for _, try := range []func(context.Context, *attempts, []*vault.Scope) error{
		s.withOwnKEK, s.copyKeys, s.reveal, s.relabel, s.join, s.matchAccounts, s.forge,
	} {
		if err := try(ctx, &a, scopes); err != nil {
			return answer{}, err
		}
	}
	a.readKEK(s.grant, security)
	return answer{Attempts: a.list}, nil
}

func (s *advertiser) withOwnKEK(ctx context.Context, a *attempts, _ []*vault.Scope) error {
	return a.openWithOwnKEK(ctx, s.grant, s.db, security)
}

// copyKeys puts security's wrapped keys in place of its own. It does so in a copy of
// the key store, because the service still needs its keys.
func (s *advertiser) copyKeys(ctx context.Context, a *attempts, _ []*vault.Scope) error {
	store, err := sqlstore.New(s.db, sqlstore.SQLite, nil)
	if err != nil {
		return err
	}
	copied := vault.Memory()
	for from, to := range map[string]string{security.String() + "/keys": advertising.String() + "/keys", "0-vault": "0-vault"} {
		records, err := store.Get(ctx, from)
		if err != nil || len(records) != 1 {
			return fmt.Errorf("no keys to copy: %w", err)
		}
		if _, err := copied.Put(ctx, vault.Record{Name: to, Data: records[0].Data}); err != nil {
			return err
		}
	}
	kek, err := s.grant.kek(ctx)
	if err != nil {
		return err
	}
	v, err := vault.Open(ctx, copied, kek, nil)
	if err != nil {
		return err
	}
	_, err = v.Scope(ctx, advertising)
	class := vault.ErrCorrupt
	if s.grant.KMS != "" {
		class = vault.ErrNoKeys // a key service refuses without a reason
	}
	a.failed("copy the keys of security over its own", class, err)
	return nil
}

// reveal asks for the addresses of accounts, which it has not altered.
func (s *advertiser) reveal(ctx context.Context, a *attempts, scopes []*vault.Scope) error {
	accounts, err := people(ctx, s.db, "accounts")
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range accounts {
		for _, scope := range scopes {
			_, err := p.email.Reveal(ctx, scope.For(p.id))
			errs = append(errs, err)
		}
	}
	a.failed("reveal the addresses of accounts", purpose.ErrMismatch, errs...)
	return nil
}

// relabel writes its own purpose into the values of accounts, and into a sign-up that
// is still in the inbox.
func (s *advertiser) relabel(ctx context.Context, a *attempts, _ []*vault.Scope) error {
	for _, try := range []struct {
		what, table string
		forge       func(pii.Email, purpose.Purpose) (pii.Email, error)
	}{
		{"relabel accounts as advertising", "accounts", relabel},
		{"add advertising to accounts", "accounts", addPurpose},
		{"relabel a sign-up as a consent", "sign_ups", relabel},
	} {
		victims, err := people(ctx, s.db, try.table)
		if err != nil {
			return err
		}
		var errs []error
		for _, p := range victims {
			forged, err := try.forge(p.email, advertising)
			if err != nil {
				return err
			}
			scope := s.scope
			if try.table == "accounts" {
				scope = scope.For(p.id)
			}
			_, err = forged.Reveal(ctx, scope)
			errs = append(errs, err)
		}
		a.failed(try.what, vault.ErrCorrupt, errs...)
	}
	return nil
}

func (s *advertiser) join(ctx context.Context, a *attempts, _ []*vault.Scope) error {
	return a.join(ctx, s.db, "audience", "accounts")
}

// matchAccounts looks the list up among all accounts.
func (s *advertiser) matchAccounts(ctx context.Context, a *attempts, scopes []*vault.Scope) error {
	found := 0
	for _, scope := range scopes {
		n, err := s.match(ctx, "accounts", scope)
		if err != nil {
			return err
		}
		found += n
	}
	a.none("look an advertiser's list up in accounts", found, len(customers), "customers")
	return nil
}

// forge writes an address of its choice into an account, so that security's messages go
// there. The security service reports the result.
func (s *advertiser) forge(ctx context.Context, _ *attempts, _ []*vault.Scope) error {
	public, err := vault.ParseCollector(s.grant.Collectors[0], nil) // the text is no secret
	if err != nil {
		return err
	}
	email, err := pii.SealEmail(ctx, "mallory@example.com", public.Under(purpose.Basis{Notice: forgedNotice}))
	if err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, `UPDATE accounts SET email = ? WHERE id = ?`, email, forms[0].id); err != nil {
		return fmt.Errorf("forging an account: %w", err)
	}
	return nil
}
