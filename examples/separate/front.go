package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A front is the web front end. It holds two public keys: no scope, no key store and no
// KEK. An intruder gets the addresses that people type during the intrusion.
type front struct {
	grant    grant
	db       *sql.DB
	accounts *vault.Collector // for security
	ads      *vault.Collector // for people who consent
	typed    []form
}

// A form has the fields that a person typed.
type form struct{ id, email, consent string }

// forms are the sign-ups of this example.
var forms = []form{
	{"user-1", "alice@example.com", "consent-81f3"},
	{"user-2", "bob@example.com", ""},
	{"user-3", "carol@example.com", "consent-5c20"},
	{"user-4", "dave@example.com", ""},
	{"user-5", "erin@example.com", ""},
}

// lateForm comes after the services have taken in the other forms.
var lateForm = form{"user-6", "frank@example.com", ""}

func startFront(ctx context.Context, g grant) (steps, error) {
	db, err := openDatabase(g.Database)
	if err != nil {
		return nil, err
	}
	// Only the proof needs a vault. Nothing keeps it afterwards.
	if _, err := g.open(ctx, db, nil, security, advertising); err != nil {
		return nil, err
	}
	if len(g.Collectors) != 2 {
		return nil, errors.New("no collectors")
	}
	f := &front{grant: g, db: db}
	for i, c := range []**vault.Collector{&f.accounts, &f.ads} {
		if *c, err = vault.ParseCollector(g.Collectors[i], nil); err != nil {
			return nil, err
		}
	}
	return steps{"work": f.work, "overstep": f.overstep}, nil
}

func (f *front) work(ctx context.Context) (answer, error) {
	consented := 0
	for _, form := range forms {
		if err := f.submit(ctx, form); err != nil {
			return answer{}, err
		}
		if form.consent != "" {
			consented++
		}
	}
	return answer{Did: fmt.Sprintf("sealed %d sign-ups, %d of them with consent to ads", len(forms), consented)}, nil
}

// submit seals the address once for each purpose. Two services take in one copy each,
// and neither has to wait for the other.
func (f *front) submit(ctx context.Context, form form) error {
	email, err := pii.SealEmail(ctx, form.email, f.accounts.Under(signUp))
	if err != nil {
		return err
	}
	if _, err := f.db.ExecContext(ctx, `INSERT INTO sign_ups (id, email) VALUES (?, ?)`, form.id, email); err != nil {
		return fmt.Errorf("storing a sign-up: %w", err)
	}
	f.typed = append(f.typed, form)
	if form.consent == "" {
		return nil
	}
	if email, err = pii.SealEmail(ctx, form.email, f.ads.Under(adsConsent(form.consent))); err != nil {
		return err
	}
	if _, err := f.db.ExecContext(ctx, `INSERT INTO consents (id, email) VALUES (?, ?)`, form.id, email); err != nil {
		return fmt.Errorf("storing a consent: %w", err)
	}
	return nil
}

// overstep makes the attempts of an intruder.
func (f *front) overstep(ctx context.Context) (answer, error) {
	if err := f.submit(ctx, lateForm); err != nil { // stays in the inbox for the attempts
		return answer{}, err
	}
	a := attempts{who: frontEnd}

	if _, can := any(f.accounts).(vault.Revealer); can {
		a.add("reveal what it sealed", succeeded, "a collector reveals")
	} else {
		a.add("reveal what it sealed", refused, "a collector has no such method")
	}
	if _, can := any(f.accounts).(vault.Indexer); can {
		a.add("index an address", succeeded, "a collector indexes")
	} else {
		a.add("index an address", refused, "a collector has no such method")
	}

	unchecked := f.grant
	unchecked.Unchecked = true
	v, err := unchecked.open(ctx, f.db, nil)
	if err != nil {
		return answer{}, err
	}
	a.open(ctx, v, security)
	a.open(ctx, v, advertising)
	if err := a.openWithOwnKEK(ctx, f.grant, f.db, security); err != nil {
		return answer{}, err
	}
	if err := f.readAll(&a); err != nil {
		return answer{}, err
	}
	a.readKEK(f.grant, security)
	return answer{Attempts: a.list}, nil
}

// readAll looks for the typed addresses, and for their hashes, in the whole database.
func (f *front) readAll(a *attempts) error {
	content, err := os.ReadFile(f.grant.Database)
	if err != nil {
		return fmt.Errorf("reading the database: %w", err)
	}
	found, searched := 0, 0
	for _, form := range f.typed {
		if !contains(content, form.id) {
			continue // without the row, its absence would prove nothing
		}
		searched++
		hash := sha256.Sum256([]byte(form.email))
		if contains(content, form.email) || contains(content, hex.EncodeToString(hash[:])) || contains(content, string(hash[:])) {
			found++
		}
	}
	a.none("read the whole database", found, searched, "people's addresses")
	return nil
}
