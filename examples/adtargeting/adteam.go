package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
)

// An adTeam has an advertiser's list and its own scope, and may read everything that
// the company stores. It first uses the data that it may use, and then tries to get
// at the rest.
type adTeam struct {
	scope *vault.Scope // to use advertising
	state *state       // the team reads the database, the key store and its own KEK
	audit *recorder
	list  source
	tries int
	log   io.Writer

	conn   *sql.Conn // to the database, read-only, with temporary tables of the team
	hashes tokens    // unkeyed hashes of the list
}

// work takes every road.
func (t *adTeam) work(ctx context.Context, w *walker) error {
	db, err := sql.Open("sqlite", dsn(t.state.database(), "ro"))
	if err != nil {
		return fmt.Errorf("users' database: %w", err)
	}
	defer db.Close()
	if t.conn, err = db.Conn(ctx); err != nil {
		return fmt.Errorf("users' database: %w", err)
	}
	defer t.conn.Close()
	for _, step := range []struct {
		name string
		rule rule
		take func(context.Context, *road) error
	}{
		{"index the list with its own keys", allow, t.indexList},
		{"match people who consented", unasked, t.matchConsented},
		{"reveal those matched", allow, t.revealMatched},
		{"join on security's indexes", unasked, t.joinSecurity},
		{"search dump: its own columns", unasked, t.searchOwnColumns},
		{"search dump: all the rest", unasked, t.searchIndexes},
		{"search dump: SHA-256 of the list", unasked, t.searchHashes},
		{"open security's values", refuse, t.openSecurity},
		{"relabel security's values", refuse, t.relabel},
		{"add its purpose to values", refuse, t.addPurpose},
		{"exchange keys and KEK files", refuse, t.exchangeKeys},
		{"take security's scope", refuse, t.takeScope},
	} {
		if err := w.walk(ctx, step.name, step.rule, step.take); err != nil {
			return err
		}
	}
	return nil
}

// indexList computes the indexes of the list under the team's own purpose, and
// keeps them in a table of its own.
func (t *adTeam) indexList(ctx context.Context, r *road) error {
	tx, err := t.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `CREATE TEMP TABLE list (email BLOB, phone BLOB)`); err != nil {
		return err
	}
	stmt, err := tx.PrepareContext(ctx, `INSERT INTO temp.list (email, phone) VALUES (?, ?)`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	skipped := problems{out: t.log, name: t.list.name}
	entries := 0
	for e, err := range batch.Map(ctx, t.list.lines(), t.indexEntry) {
		r.add(e.answers)
		if entries++; entries > maxList {
			return errLongList
		}
		var bad lineError
		if errors.As(err, &bad) {
			skipped.add(bad)
			continue
		}
		if err != nil {
			return err
		}
		if _, err := stmt.ExecContext(ctx, e.email, e.phone); err != nil {
			return err
		}
		t.hash(e.person)
	}
	return tx.Commit()
}

// An entry of the list has an address, a number or both. The index of a missing one
// is zero, and so NULL.
type entry struct {
	person       person
	email, phone pii.Index
	answers
}

// indexEntry computes the indexes of an entry. It is called from many
// goroutines at once.
func (t *adTeam) indexEntry(ctx context.Context, l line) (e entry, err error) {
	if l.err != nil {
		return e, l.err
	}
	e.person = l.person
	if l.email == "" && l.phone == "" {
		return e, lineError{l.line, "neither an e-mail address nor a phone number"}
	}
	if l.email != "" {
		e.email, err = pii.IndexEmail(ctx, l.email, t.scope)
		if errors.Is(err, pii.ErrMalformed) {
			return e, lineError{l.line, "not an e-mail address"}
		}
		if e.decided(1, err) != nil {
			return e, err
		}
	}
	if l.phone != "" {
		e.phone, err = pii.IndexPhone(ctx, l.phone, t.scope)
		if errors.Is(err, pii.ErrMalformed) {
			return e, lineError{l.line, "not an international phone number"}
		}
		if e.decided(1, err) != nil {
			return e, err
		}
	}
	return e, nil
}

// hash keeps the unkeyed hashes of an entry, as ad platforms take them: one of the
// address in lower case, and two of the number, with and without "+".
func (t *adTeam) hash(p person) {
	phone := normalPhone(p.phone)
	for _, normal := range []string{normalEmail(p.email), phone, trimPlus(phone)} {
		if normal != "" {
			sum := sha256.Sum256([]byte(normal))
			t.hashes.add(sum[:])
		}
	}
}

func trimPlus(phone string) string {
	if phone == "" {
		return ""
	}
	return phone[1:]
}

// matchConsented is the legal road: the indexes of the list against those of
// the people who consented.
func (t *adTeam) matchConsented(ctx context.Context, r *road) (err error) {
	r.WantConsented = true
	if r.Asked, err = t.count(ctx, `SELECT count(email) + count(phone) FROM temp.list`); err != nil {
		return err
	}
	r.Matched, err = t.count(ctx, `SELECT count(*) FROM (`+matchOwn+`)`)
	return err
}

const matchOwn = `
	SELECT u.id FROM temp.list l JOIN users u ON u.email_advertising = l.email
	UNION
	SELECT u.id FROM temp.list l JOIN users u ON u.phone_advertising = l.phone`

// joinSecurity is the road of the story: the join of matchConsented, on the columns
// that find people at sign-in.
func (t *adTeam) joinSecurity(ctx context.Context, r *road) (err error) {
	if r.Asked, err = t.count(ctx, `SELECT count(email) + count(phone) FROM temp.list`); err != nil {
		return err
	}
	r.Matched, err = t.count(ctx, `SELECT count(*) FROM (
		SELECT u.id FROM temp.list l JOIN users u ON u.email_security = l.email
		UNION
		SELECT u.id FROM temp.list l JOIN users u ON u.phone_security = l.phone)`)
	return err
}

func (t *adTeam) count(ctx context.Context, query string) (n int64, err error) {
	err = t.conn.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

// revealMatched opens the values of the matched people. They are on the list, and
// each value holds the record of the consent.
func (t *adTeam) revealMatched(ctx context.Context, r *road) error {
	r.WantConsented = true
	list, err := newPlainList(t.list)
	if err != nil {
		return err
	}
	open := func(ctx context.Context, u user) (o opened, _ error) {
		email, err := u.email.Reveal(ctx, t.scope)
		if o.decided(1, err) != nil {
			return o, nil // counted as an answer
		}
		phone, err := u.phone.Reveal(ctx, t.scope)
		if o.decided(1, err) != nil {
			return o, nil
		}
		basis, _ := u.email.Provenance(purposes.Advertising)
		o.expected = basis.Consent != "" && list.has(email, phone)
		return o, nil
	}
	var failed error
	matched := t.users(ctx, `SELECT id, email, phone FROM users WHERE id IN (`+matchOwn+`)`, &failed)
	for o, err := range batch.Map(ctx, matched, open) {
		if err != nil {
			return err
		}
		r.add(o.answers)
		if o.expected {
			r.Matched++
		}
	}
	return failed
}

// An opened user has one answer for each value. The user is expected if both values
// open, the person is on the list and the address has the record of a consent.
type opened struct {
	expected bool
	answers
}

// users returns the selected users. If they end early, failed says why.
func (t *adTeam) users(ctx context.Context, query string, failed *error) iter.Seq[user] {
	return func(yield func(user) bool) {
		rows, err := t.conn.QueryContext(ctx, query)
		if err != nil {
			*failed = err
			return
		}
		defer rows.Close()
		for rows.Next() {
			var u user
			if *failed = rows.Scan(&u.id, &u.email, &u.phone); *failed != nil {
				return
			}
			if !yield(u) {
				return
			}
			if *failed = ctx.Err(); *failed != nil {
				return
			}
		}
		*failed = rows.Err()
	}
}
