// Package boundarytests is a small shop whose tests state its purpose boundaries,
// one sentence each: see boundaries_test.go. With the build tag "broken" the shop makes
// every mistake that those tests find. README.md shows the results:
//
//	go -C examples test ./boundarytests
//	go -C examples test -tags broken ./boundarytests
package boundarytests

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

const schema = `CREATE TABLE IF NOT EXISTS people (
	id          TEXT PRIMARY KEY,
	email       TEXT NOT NULL CHECK (email LIKE 'pii1.email.%'),
	email_index BLOB NOT NULL UNIQUE,
	phone       TEXT NOT NULL CHECK (phone LIKE 'pii1.phone.%')
)`

// A Shop lets people sign up, sign in with a code sent to their phone, and buy.
type Shop struct {
	security, billing, ads *vault.Scope

	db         *sql.DB
	log        *slog.Logger
	text       func(number, message string)                   // sends an SMS
	mail       func(address, subject string)                  // sends an invoice
	adPlatform func(ctx context.Context, list []string) error // uploads an audience
}

// Open opens the shop's scopes and its database.
func (s *Shop) Open(ctx context.Context, v *vault.Vault, file string) (err error) {
	if s.security, err = v.Scope(ctx, Security); err != nil {
		return err
	}
	if s.billing, err = v.Scope(ctx, Billing); err != nil {
		return err
	}
	if s.ads, err = v.Scope(ctx, Advertising); err != nil {
		return err
	}
	if s.db, err = sql.Open("sqlite", "file:"+file); err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, schema)
	return err
}

// Handler serves the shop's pages.
func (s *Shop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /signup", s.signUp)
	mux.HandleFunc("POST /signin", s.signIn)
	mux.HandleFunc("GET /settings/{id}", s.settings)
	return mux
}

// A person is a row of the table people.
type person struct {
	id    string
	email pii.Email
	phone pii.Phone
}

type form struct {
	Email, Phone string
	Ads          bool // the box that people tick if they want ads
}

// signUp collects the address for sign-in and invoices, and for ads if the person
// agrees. It collects the number for sign-in alone, with or without consent to ads.
func (s *Shop) signUp(w http.ResponseWriter, r *http.Request) {
	var f form
	if json.NewDecoder(r.Body).Decode(&f) != nil || !s.accepts(f) {
		http.Error(w, "not a valid e-mail address or phone number", http.StatusBadRequest)
		return
	}
	ctx, p := r.Context(), person{id: rand.Text()}
	security := s.security.For(p.id).Under(forSignIn)
	uses := []vault.Sealer{security, s.billing.For(p.id).Under(forInvoices)}
	if f.Ads {
		uses = append(uses, s.ads.For(p.id).Under(forAds))
	}
	var err error
	if p.email, err = pii.SealEmail(ctx, f.Email, uses...); err != nil {
		s.fail(w, err)
		return
	}
	if p.phone, err = pii.SealPhone(ctx, f.Phone, security); err != nil {
		s.fail(w, err)
		return
	}
	index, err := pii.IndexEmail(ctx, f.Email, s.security)
	if err == nil {
		_, err = s.db.ExecContext(ctx, "INSERT INTO people (id, email, email_index, phone) VALUES (?, ?, ?, ?)",
			p.id, p.email, index, p.phone)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	s.signedUp(f, p)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(p.id) // a client that went away does not matter
}

// signIn sends a code to the phone of the person with this address.
func (s *Shop) signIn(w http.ResponseWriter, r *http.Request) {
	var f form
	if json.NewDecoder(r.Body).Decode(&f) != nil {
		http.Error(w, "malformed request", http.StatusBadRequest)
		return
	}
	wanted, err := pii.OrNobody(pii.IndexesEmail(r.Context(), f.Email, s.security))
	if err != nil {
		s.fail(w, err)
		return
	}
	args := pii.Args(wanted)
	p, err := s.find(r.Context(), "email_index IN (?"+strings.Repeat(", ?", len(args)-1)+")", args...)
	if err != nil {
		http.Error(w, "no such person", http.StatusUnauthorized)
		return
	}
	number, err := s.numberToText(r.Context(), p)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.text(number, "Your code is "+rand.Text()[:6])
}

// settings shows a hint of the number that gets the codes, for the person to
// recognise.
func (s *Shop) settings(w http.ResponseWriter, r *http.Request) {
	p, err := s.find(r.Context(), "id = ?", r.PathValue("id"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	shown, err := s.numberToShow(r.Context(), p)
	if err != nil {
		s.fail(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(shown)
}

// Invoice sends an invoice to a person.
func (s *Shop) Invoice(ctx context.Context, id string) error {
	p, err := s.find(ctx, "id = ?", id)
	if err != nil {
		return err
	}
	address, err := p.email.Reveal(ctx, s.billing.For(p.id))
	if err != nil {
		return err
	}
	s.mail(address, "Your invoice")
	return nil
}

func (s *Shop) find(ctx context.Context, condition string, args ...any) (p person, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT id, email, phone FROM people WHERE "+condition, args...).
		Scan(&p.id, &p.email, &p.phone)
	return p, err
}

func (s *Shop) everybody(ctx context.Context) (all []person, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, email, phone FROM people ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p person
		if err := rows.Scan(&p.id, &p.email, &p.phone); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// fail answers for an error that is not the person's fault.
func (s *Shop) fail(w http.ResponseWriter, err error) {
	s.log.Warn("request failed", "error", err)
	http.Error(w, "try again later", statusOf(err))
}
