package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// An attempt is one row of the table: a service, its action and the result.
type attempt struct {
	Who, What string
	Result    result
	Why       string
}

type result string

const (
	refused   result = "refused"
	succeeded result = "SUCCEEDED" // a boundary gave way
	unclear   result = "UNCLEAR"   // failed for a reason that proves nothing
	untried   result = "not tried"
)

// attempts are the attempts of one process.
type attempts struct {
	who  string
	list []attempt
}

func (a *attempts) add(what string, r result, why string) {
	a.list = append(a.list, attempt{a.who, what, r, why})
}

// failed adds an attempt whose errors must all be of the given class. One call that
// succeeded makes the whole attempt a success.
func (a *attempts) failed(what string, class error, errs ...error) {
	r, why := refused, class.Error()
	if len(errs) == 0 {
		r, why = unclear, "there was nothing to try it on"
	}
	for _, err := range errs {
		var mismatch *purpose.MismatchError
		switch {
		case err == nil:
			a.add(what, succeeded, "it worked")
			return
		case !errors.Is(err, class):
			r, why = unclear, err.Error()
		case r == refused && errors.As(err, &mismatch):
			why = mismatch.Error()
		}
	}
	a.add(what, r, why)
}

// none adds an attempt that must find nobody.
func (a *attempts) none(what string, found, of int, unit string) {
	r := refused
	switch {
	case found > 0:
		r = succeeded
	case of == 0:
		r = unclear
	}
	a.add(what, r, fmt.Sprintf("found %d of %d %s", found, of, unit))
}

// The attempts that several services make.

// open tries every way to get the keys of a purpose from a vault.
func (a *attempts) open(ctx context.Context, v *vault.Vault, p purpose.Purpose) {
	_, scope := v.Scope(ctx, p)
	_, lookup := v.Lookup(ctx, p)
	_, reader := v.Reader(ctx, p)
	_, collector := v.Collector(ctx, p)
	a.failed(fmt.Sprintf("open a scope, lookup, reader of %s", p), vault.ErrNoKeys, scope, lookup, reader, collector)
}

// openWithOwnKEK tries to open the stored keys of a purpose with a KEK that the process
// makes itself.
func (a *attempts) openWithOwnKEK(ctx context.Context, g grant, db *sql.DB, p purpose.Purpose) error {
	forged := vault.LocalKEK(filepath.Join(g.Dir, "forged"))
	own, err := vault.OpenAdmin(ctx, vault.Memory(), forged, nil)
	if err != nil {
		return err
	}
	if err := own.Generate(ctx, p); err != nil {
		return err
	}
	store, err := sqlstore.New(db, sqlstore.SQLite, nil)
	if err != nil {
		return err
	}
	v, err := vault.Open(ctx, store, forged, nil)
	if err != nil {
		return err
	}
	_, err = v.Scope(ctx, p)
	a.failed(fmt.Sprintf("open %s with a KEK of its own making", p), vault.ErrCorrupt, err)
	return nil
}

// readKEK tries to read the KEK file of another service.
func (a *attempts) readKEK(g grant, p purpose.Purpose) {
	what := fmt.Sprintf("read the KEK file of %s", p)
	switch {
	case g.KMS != "":
		a.add(what, untried, "there is none: the key service keeps it")
	case g.User == 0:
		a.add(what, untried, "it could: all processes run as one user")
	default:
		_, err := os.ReadFile(g.Coveted)
		a.failed(what, fs.ErrPermission, err)
	}
}

// join compares the indexes of two tables.
func (a *attempts) join(ctx context.Context, db *sql.DB, own, other string) error {
	var found, of int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM `+other+` JOIN `+own+` USING (email_index)`).Scan(&found)
	if err == nil {
		// The people in both tables: the join would find them if the indexes were equal.
		err = db.QueryRowContext(ctx, `SELECT count(*) FROM `+other+` JOIN `+own+` USING (id)`).Scan(&of)
	}
	if err != nil {
		return fmt.Errorf("joining %s and %s: %w", own, other, err)
	}
	a.none(fmt.Sprintf("join its index column with that of %s", other), found, of, "people")
	return nil
}

// The fields of a sealed text, "pii1.email.security.AAAA".
const (
	purposesField = 2
	bodyField     = 3
	valueIDSize   = 16 // size of the value id that a body begins with
)

// relabel writes another purpose into a sealed value.
func relabel(email pii.Email, p purpose.Purpose) (forged pii.Email, err error) {
	return edit(email, func(fields []string) { fields[purposesField] = p.String() })
}

// addPurpose writes a purpose beside the value's own, and a copy of the slot beside the
// original. The new purpose sorts before the old one.
func addPurpose(email pii.Email, p purpose.Purpose) (forged pii.Email, err error) {
	return edit(email, func(fields []string) {
		fields[purposesField] = p.String() + "~" + fields[purposesField]
		if body, err := base64.RawURLEncoding.DecodeString(fields[bodyField]); err == nil {
			fields[bodyField] = base64.RawURLEncoding.EncodeToString(append(body, body[valueIDSize:]...))
		}
	})
}

func edit(email pii.Email, change func(fields []string)) (edited pii.Email, err error) {
	text, err := email.MarshalText()
	if err != nil {
		return edited, err
	}
	fields := strings.Split(string(text), ".")
	change(fields)
	return edited, edited.UnmarshalText([]byte(strings.Join(fields, ".")))
}

// contains reports whether text is in content, in any case of letters.
func contains(content []byte, text string) bool {
	return bytes.Contains(fold(content), fold([]byte(text)))
}

// fold returns b in lower case. Unlike bytes.ToLower, it leaves bytes that are no text
// as they are.
func fold(b []byte) []byte {
	folded := bytes.Clone(b)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c - 'A' + 'a'
		}
	}
	return folded
}
