package main

import (
	"context"
	"encoding"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
)

// The roads of a single value: the team asks for it as it is, and after it has edited
// the header to claim that the value was collected for advertising.

// openSecurity asks for the values as they are. Their headers alone are reason to
// refuse.
func (t *adTeam) openSecurity(ctx context.Context, r *road) error {
	return t.eachSecurityUser(ctx, func(u user) {
		_, err := u.email.Reveal(ctx, t.scope)
		r.refused(err, purpose.ErrMismatch)
		_, err = u.phone.Reveal(ctx, t.scope)
		r.refused(err, purpose.ErrMismatch)
		_, err = u.phone.Hint(ctx, t.scope)
		r.refused(err, purpose.ErrMismatch)
		_, err = u.email.Index(ctx, t.scope)
		r.refused(err, purpose.ErrMismatch)
	})
}

// relabel writes "advertising" over "security".
func (t *adTeam) relabel(ctx context.Context, r *road) error {
	return t.forge(ctx, r, func(header []string) {
		header[purposesField] = purposes.Advertising.String()
	})
}

// addPurpose writes "advertising" beside "security", and a copy of security's
// slot beside the original.
func (t *adTeam) addPurpose(ctx context.Context, r *road) error {
	names := []string{purposes.Advertising.String(), purposes.Security.String()}
	slices.Sort(names)
	return t.forge(ctx, r, func(fields []string) {
		fields[purposesField] = strings.Join(names, "~")
		if body, err := base64.RawURLEncoding.DecodeString(fields[bodyField]); err == nil {
			fields[bodyField] = base64.RawURLEncoding.EncodeToString(append(body, body[valueIDSize:]...))
		}
	})
}

// The fields of a sealed text, "pii1.email.security.AAAA", and the size of the id that
// its body begins with. All slots of the value share the id.
const (
	purposesField = 2
	bodyField     = 3
	valueIDSize   = 16
)

// forge edits the values of people who did not consent, and tries to reveal the
// results.
func (t *adTeam) forge(ctx context.Context, r *road, edit func(fields []string)) error {
	return t.eachSecurityUser(ctx, func(u user) {
		email, phone := u.email, u.phone
		if errors.Join(rewrite(&email, edit), rewrite(&phone, edit)) != nil {
			r.Odd++ // the parser has no reason to refuse
			return
		}
		_, err := email.Reveal(ctx, t.scope)
		r.refused(err, vault.ErrCorrupt)
		_, err = phone.Reveal(ctx, t.scope)
		r.refused(err, vault.ErrCorrupt)
	})
}

// A sealedText is a pointer to an Email or a Phone.
type sealedText interface {
	encoding.TextMarshaler
	encoding.TextUnmarshaler
}

func rewrite(v sealedText, edit func(fields []string)) error {
	text, err := v.MarshalText()
	if err != nil {
		return err
	}
	fields := strings.Split(string(text), ".")
	edit(fields)
	return v.UnmarshalText([]byte(strings.Join(fields, ".")))
}

// eachSecurityUser calls visit for people who did not consent. It visits at most
// t.tries of them, spread over the whole table.
func (t *adTeam) eachSecurityUser(ctx context.Context, visit func(user)) error {
	const from = ` FROM users WHERE email_advertising IS NULL`
	people, err := t.count(ctx, `SELECT count(*)`+from)
	if err != nil {
		return err
	}
	step := max(1, people/int64(t.tries))
	query := fmt.Sprintf(`SELECT id, email, phone`+from+` AND id %% %d = 0 LIMIT %d`, step, t.tries)
	var failed error
	for u := range t.users(ctx, query, &failed) {
		visit(u)
	}
	return failed
}
