package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"

	"github.com/onlyfor/onlyfor/examples/adtargeting/purposes"
)

// The roads of keys: the team takes security's keys, or presents them as its own.

// takeScope asks for the scope of security twice: with the team's own KEK file alone,
// and with a KEK that returns the team's key for every purpose.
func (t *adTeam) takeScope(ctx context.Context, r *road) error {
	own := vault.LocalKEK(t.state.kek(purposes.Advertising))
	always := vault.KEKFunc(func(ctx context.Context, _ purpose.Purpose) (vault.AEAD, error) {
		return own.For(ctx, purposes.Advertising)
	})
	store := vault.Dir(t.state.keys())
	if err := t.openWith(ctx, r, store, own, purposes.Security, vault.ErrNoKeys); err != nil {
		return err
	}
	return t.openWith(ctx, r, store, always, purposes.Security, vault.ErrCorrupt)
}

// exchangeKeys exchanges records and KEK files in copies of the key store and of the
// team's KEK directory.
func (t *adTeam) exchangeKeys(ctx context.Context, r *road) error {
	dir, err := os.MkdirTemp(t.state.dir, "exchange-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kek := filepath.Join(dir, "kek")
	if err := t.renameKEK(kek); err != nil {
		return err
	}
	const (
		ours   = "advertising/keys"
		theirs = "security/keys"

		vaultID = "0-vault" // the record of the vault's id
	)
	for i, exchange := range []struct {
		from, to string // records
		kek      string
		ask      purpose.Purpose
		want     error
	}{
		// Security's record is under our name, so our KEK is asked to open it.
		{theirs, ours, t.state.kek(purposes.Advertising), purposes.Advertising, vault.ErrCorrupt},
		// Our record is under security's name, without a KEK of that name and with one.
		{ours, theirs, t.state.kek(purposes.Advertising), purposes.Security, vault.ErrNoKeys},
		{ours, theirs, kek, purposes.Security, vault.ErrCorrupt},
		// Security's record is in its place, and our KEK is under security's name.
		{theirs, theirs, kek, purposes.Security, vault.ErrCorrupt},
	} {
		store := vault.Dir(filepath.Join(dir, fmt.Sprint(i)))
		if err := t.copyRecord(ctx, store, exchange.from, exchange.to); err != nil {
			return err
		}
		if err := t.copyRecord(ctx, store, vaultID, vaultID); err != nil {
			return err
		}
		if err := t.openWith(ctx, r, store, vault.LocalKEK(exchange.kek), exchange.ask, exchange.want); err != nil {
			return err
		}
	}
	return nil
}

// openWith asks a vault over store and kek for a scope of p, and expects the error
// want.
func (t *adTeam) openWith(ctx context.Context, r *road, store vault.Store, kek vault.KEK, p purpose.Purpose, want error) error {
	v, err := vault.Open(ctx, store, kek, &vault.Options{Audit: t.audit})
	if err != nil {
		return err
	}
	defer v.Close()
	_, err = v.Scope(ctx, p)
	r.refused(err, want)
	return nil
}

// copyRecord copies a record of the key store to another store, under another
// name.
func (t *adTeam) copyRecord(ctx context.Context, to vault.Store, from, name string) error {
	records, err := vault.Dir(t.state.keys()).Get(ctx, from)
	if err != nil {
		return err
	}
	for _, record := range records {
		if _, err := to.Put(ctx, vault.Record{Name: name, Data: record.Data}); err != nil {
			return err
		}
	}
	return nil
}

// renameKEK makes a KEK directory whose security.kek is the team's own file.
func (t *adTeam) renameKEK(dir string) error {
	key, err := os.ReadFile(filepath.Join(t.state.kek(purposes.Advertising), "advertising.kek"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "security.kek"), key, 0o600)
}
