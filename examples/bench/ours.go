package main

import (
	"context"
	"io"
	"log/slog"
	"strconv"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

const (
	address = "alice.wonder@example.com" // 24 bytes
	number  = "+14155552671"
)

var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")

	emailKind = vault.MustKind("email", "pii.Email")
)

// people is the number of subjects that take turns.
const people = 1000

// ours has the scopes, collectors and values that the contenders need.
type ours struct {
	security, advertising *vault.Scope
	audited               *vault.Scope // audits with slog, which discards the events
	batch                 *vault.Collector

	sealed vault.Sealed
	email  pii.Email
	phone  pii.Phone

	ids    []string
	theirs []pii.Email // one for each of ids
}

func newOurs(ctx context.Context, kek tink.AEAD) (*ours, error) {
	store := vault.Memory()
	v, err := vault.OpenAdmin(ctx, store, vault.SharedKEK(kek), nil)
	if err != nil {
		return nil, err
	}
	if err := v.Generate(ctx, security, advertising); err != nil {
		return nil, err
	}
	audited, err := vault.Open(ctx, store, vault.SharedKEK(kek), &vault.Options{
		Audit: audit.Slog(slog.New(slog.NewJSONHandler(io.Discard, nil))),
	})
	if err != nil {
		return nil, err
	}
	o := &ours{}
	if o.security, err = v.Scope(ctx, security); err != nil {
		return nil, err
	}
	if o.advertising, err = v.Scope(ctx, advertising); err != nil {
		return nil, err
	}
	if o.audited, err = audited.Scope(ctx, security); err != nil {
		return nil, err
	}
	collector, err := v.Collector(ctx, security)
	if err != nil {
		return nil, err
	}
	if o.batch, err = collector.Batch(); err != nil {
		return nil, err
	}
	if o.sealed, err = vault.Seal(ctx, emailKind, address, o.security); err != nil {
		return nil, err
	}
	if o.email, err = pii.SealEmail(ctx, address, o.security); err != nil {
		return nil, err
	}
	if o.phone, err = pii.SealPhone(ctx, number, o.security); err != nil {
		return nil, err
	}
	for i := range people {
		id := "user-" + strconv.Itoa(i)
		email, err := pii.SealEmail(ctx, address, o.security.For(id))
		if err != nil {
			return nil, err
		}
		o.ids, o.theirs = append(o.ids, id), append(o.theirs, email)
	}
	return o, nil
}
