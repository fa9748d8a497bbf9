package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// keysCmd has the commands that list and change keys.
type keysCmd struct {
	List        keysListCmd    `cmd:"" default:"withargs" help:"List keys: age, status, seals and the KEK."`
	Generate    generateCmd    `cmd:"" help:"Make keys for purposes that never had any."`
	Rotate      rotateCmd      `cmd:"" help:"Publish a new key that seals, or that opens values of collectors."`
	RotateIndex rotateIndexCmd `cmd:"" help:"Publish a new key that computes indexes."`
	Promote     promoteCmd     `cmd:"" help:"Make a published key primary at once, as after a leak."`
	Retire      retireCmd      `cmd:"" help:"Put a key out of use that no value needs."`
	Reinstate   reinstateCmd   `cmd:"" help:"Put a retired key into use again."`
	Destroy     destroyCmd     `cmd:"" help:"Destroy a retired key for good."`
	Rewrap      rewrapCmd      `cmd:"" help:"Wrap keys with the KEK of the configuration, after a change of the KEK."`
	Collector   collectorCmd   `cmd:"" help:"Print the text of a collector, for a front end."`
	Pin         pinCmd         `cmd:"" help:"Write the pins: the states that the key store has reached."`
	MakeKEK     makeKEKCmd     `cmd:"" name:"make-kek" help:"Make a KEK as text, for a secret of the platform."`
}

type keysListCmd struct {
	Purposes []string `arg:"" optional:"" help:"Names of purposes. Default: all."`
	Rows     bool     `help:"Count the rows of all tables that name each key."`
}

// A keyReport describes one key.
type keyReport struct {
	Purpose   purpose.Purpose    `json:"purpose"`
	Role      vault.Role         `json:"role"`
	ID        string             `json:"id"`
	Status    string             `json:"status"`
	Created   time.Time          `json:"created"`
	PrimaryAt time.Time          `json:"primary_at,omitzero"`
	Retired   time.Time          `json:"retired,omitzero"`
	Seals     uint64             `json:"seals"`
	Share     float64            `json:"share_of_limit"`
	KEM       vault.CollectorKEM `json:"kem,omitempty"`
	WrappedBy string             `json:"wrapped_by,omitempty"`
	Rows      *int64             `json:"rows,omitempty"`
}

// sealLimit is the number of values that one key may seal.
const sealLimit = 1 << 32

func (c *keysListCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{})
	if err != nil {
		return err
	}
	defer at.Close()
	purposes, err := at.purposes(c.Purposes)
	if err != nil {
		return err
	}
	report := struct {
		Keys   []keyReport       `json:"keys"`
		Errors map[string]string `json:"errors,omitempty"`
	}{Keys: []keyReport{}, Errors: map[string]string{}}
	var failed error
	for _, p := range purposes {
		keys, err := at.reportKeys(ctx, p, c.Rows)
		if err != nil { // one purpose that can't be opened hides no other
			why := explain(ctx, err)
			report.Errors[p.String()] = strings.TrimSpace(why.text + ". " + why.hint)
			failed = cmpFirst(failed, err)
			continue
		}
		report.Keys = append(report.Keys, keys...)
	}
	now := time.Now()
	err = s.print(report, func(w io.Writer, width int) {
		for i, p := range purposes {
			if i > 0 {
				fmt.Fprintln(w)
			}
			if text, ok := report.Errors[p.String()]; ok {
				term.Text(w, width, fmt.Sprintf("%v: %s", p, text))
				continue
			}
			writeKeys(w, width, p, report.Keys, c.Rows, now)
		}
	})
	if err != nil {
		return err
	}
	if failed != nil {
		return exit{explain(ctx, failed).code}
	}
	return nil
}

// writeKeys writes the keys of one purpose as a table.
func writeKeys(w io.Writer, width int, p purpose.Purpose, keys []keyReport, rows bool, now time.Time) {
	t := term.Table{Head: []string{"role", "key", "status", "age", "seals", "of 2^32"}}
	if rows {
		t.Head = append(t.Head, "rows")
	}
	by := ""
	for _, k := range keys {
		if k.Purpose != p {
			continue
		}
		by = k.WrappedBy
		row := []string{string(k.Role), k.ID, k.Status, ago(k.Created, now), "", ""}
		if k.Role == vault.RoleSeal {
			row[4], row[5] = strconv.FormatUint(k.Seals, 10), percent(k.Share)
		}
		if rows {
			n := ""
			if k.Rows != nil {
				n = strconv.FormatInt(*k.Rows, 10)
			}
			row = append(row, n)
		}
		t.Rows = append(t.Rows, row)
	}
	term.Text(w, width, fmt.Sprintf("%v, wrapped by %s", p, orNameless(by)))
	t.Write(w, width)
}

// percent returns a share for people.
func percent(share float64) string {
	switch {
	case share == 0:
		return "0%"
	case share < 0.0001:
		return "<0.01%"
	}
	return fmt.Sprintf("%.2f%%", 100*share)
}

// cmpFirst returns the first of two errors that is not nil.
func cmpFirst(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// reportKeys describes the keys of one purpose.
func (at *site) reportKeys(ctx context.Context, p purpose.Purpose, rows bool) ([]keyReport, error) {
	keys, err := at.admin.Keys(ctx, p)
	if err != nil {
		return nil, err
	}
	by, err := at.admin.WrappedBy(ctx, p)
	if err != nil {
		return nil, err
	}
	var uses map[uint32][]use
	if rows {
		if uses, _, err = at.uses(ctx, p); err != nil {
			return nil, err
		}
	}
	var reports []keyReport
	for _, k := range keys {
		r := keyReport{Purpose: p, Role: k.Role, ID: keyName(k.ID), Status: string(k.Status), Created: k.Created, PrimaryAt: k.PrimaryAt,
			Retired: k.Retired, Seals: k.Seals, Share: float64(k.Seals) / sealLimit, KEM: k.KEM, WrappedBy: by}
		if !k.PrimaryAt.IsZero() {
			r.Status = "published"
		}
		if rows && (k.Role == vault.RoleSeal || k.Role == vault.RoleCollect) {
			n := total(uses[k.ID])
			r.Rows = &n
		}
		reports = append(reports, r)
	}
	return reports, nil
}

type generateCmd struct {
	Purposes    []string `arg:"" optional:"" help:"Names of purposes. Default: all."`
	CreateTable bool     `help:"Make the table of the key store first, if it is in a database."`
}

func (c *generateCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{})
	if err != nil {
		return err
	}
	defer at.Close()
	purposes, err := at.purposes(c.Purposes)
	if err != nil {
		return err
	}
	if c.CreateTable {
		store, ok := at.store.(*sqlstore.Store)
		if !ok {
			return misuse("--create-table is for a key store in a database")
		}
		if err := store.CreateTable(ctx); err != nil {
			return err
		}
	}
	before := map[purpose.Purpose]bool{}
	if set, err := at.vault.Purposes(ctx); err == nil {
		for p := range set.All() {
			before[p] = true
		}
	}
	if err := at.admin.Generate(ctx, purposes...); err != nil {
		return err
	}
	if err := at.writePins(ctx, purposes...); err != nil {
		return err
	}
	made := map[string]string{}
	for _, p := range purposes {
		made[p.String()] = "made"
		if before[p] {
			made[p.String()] = "exists"
		}
	}
	return s.print(made, func(w io.Writer, width int) {
		for _, p := range purposes {
			if before[p] {
				fmt.Fprintf(w, "%v has keys already\n", p)
			} else {
				fmt.Fprintf(w, "made keys of %v\n", p)
			}
		}
		term.Text(w, width, "Back up the key store and the KEK now, apart from each other.")
	})
}

// change runs a change of the keys of one purpose, and takes its pin anew.
func (s *session) change(ctx context.Context, name, reason string, do func(context.Context, *site, purpose.Purpose) (string, error)) error {
	ctx, at, err := s.open(ctx, options{reason: reason})
	if err != nil {
		return err
	}
	defer at.Close()
	p, err := at.purpose(name)
	if err != nil {
		return err
	}
	done, err := do(ctx, at, p)
	if err != nil {
		return err
	}
	if err := at.writePins(ctx, p); err != nil {
		return err
	}
	return s.print(map[string]any{"purpose": p, "done": done}, func(w io.Writer, width int) { term.Text(w, width, done) })
}
