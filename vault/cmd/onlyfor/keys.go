package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
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

// rotation has the flags of both rotations.
type rotation struct {
	Purpose   string `arg:"" help:"The name of the purpose."`
	OlderThan string `placeholder:"TIME" help:"Do nothing if there is a younger key, as in 90d. With --run: 1d."`
	Run       bool   `help:"Go through the whole rotation with all tables, and retire the old keys."`
	Reason    string `placeholder:"TEXT" help:"Why, for the audit log."`
}

type rotateCmd struct {
	rotation
	Role string `enum:"seal,collect" default:"seal" help:"seal, or collect for the key of collectors."`
}

func (c *rotateCmd) Run(ctx context.Context, s *session) error {
	return c.rotation.run(ctx, s, vault.Role(c.Role))
}

type rotateIndexCmd struct{ rotation }

func (c *rotateIndexCmd) Run(ctx context.Context, s *session) error {
	return c.rotation.run(ctx, s, vault.RoleIndex)
}

func (c *rotation) run(ctx context.Context, s *session, role vault.Role) error {
	var age time.Duration
	if c.OlderThan != "" {
		var err error
		if age, err = config.ParseDuration(c.OlderThan); err != nil || age == 0 {
			return misuse("--older-than is no time such as 90d")
		}
	}
	if c.Run {
		return c.runPlan(ctx, s, role, age)
	}
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		rotated := true
		var err error
		if age > 0 {
			rotated, err = at.admin.RotateIfOlder(ctx, p, role, age)
		} else {
			err = at.admin.Rotate(ctx, p, role)
		}
		switch {
		case err != nil:
			return "", err
		case !rotated:
			return fmt.Sprintf("The %s key of %v is not older than that: nothing was rotated.", role, p), nil
		}
		key, err := at.newest(ctx, p, role)
		if err != nil {
			return "", err
		}
		done := fmt.Sprintf("Published key %s of %v.", keyName(key.ID), p)
		if !key.PrimaryAt.IsZero() {
			done += fmt.Sprintf(" It becomes primary at %s, when all processes know it.", key.PrimaryAt.Format(time.RFC3339))
		}
		return done, nil
	})
}

// newest returns the key of a role that was published last or, if none waits to become
// primary, the primary key.
func (at *site) newest(ctx context.Context, p purpose.Purpose, role vault.Role) (vault.Key, error) {
	keys, err := at.admin.Keys(ctx, p)
	if err != nil {
		return vault.Key{}, err
	}
	var newest vault.Key
	for _, k := range keys {
		if k.Role == role && (k.Status == vault.Primary && newest.PrimaryAt.IsZero() || k.PrimaryAt.After(newest.PrimaryAt)) {
			newest = k
		}
	}
	return newest, nil
}

// oneKey has the arguments of a command about one key.
type oneKey struct {
	Purpose string `arg:"" help:"The name of the purpose."`
	Key     string `arg:"" help:"The id of the key: 8 hexadecimal digits."`
}

// find returns the key.
func (c *oneKey) find(ctx context.Context, at *site, p purpose.Purpose) (vault.Key, error) {
	id, err := strconv.ParseUint(c.Key, 16, 32)
	if err != nil || len(c.Key) != 8 {
		return vault.Key{}, misuse("the id of a key is 8 hexadecimal digits: onlyfor keys lists them")
	}
	keys, err := at.admin.Keys(ctx, p)
	if err != nil {
		return vault.Key{}, err
	}
	i := slices.IndexFunc(keys, func(k vault.Key) bool { return k.ID == uint32(id) })
	if i < 0 {
		return vault.Key{}, misuse("%v has no key of that id: onlyfor keys lists them", p)
	}
	return keys[i], nil
}

type promoteCmd struct {
	oneKey
	Reason string `placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *promoteCmd) Run(ctx context.Context, s *session) error {
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		k, err := c.find(ctx, at, p)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("Key %s of %v is primary.", keyName(k.ID), p), at.admin.Promote(ctx, p, k.ID)
	})
}

type retireCmd struct {
	oneKey
	Anyway bool   `help:"Also while values need the key: they do not open until it is reinstated."`
	Reason string `placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *retireCmd) Run(ctx context.Context, s *session) error {
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		k, err := c.find(ctx, at, p)
		if err != nil {
			return "", err
		}
		if k.Status == vault.Active && k.PrimaryAt.IsZero() && !c.Anyway {
			if err := at.needless(ctx, p, k); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("Retired key %s of %v. onlyfor keys reinstate brings it back.", keyName(k.ID), p), at.admin.Retire(ctx, p, k.ID)
	})
}

// needless returns a refusal if a value of a table, or the key of a person, needs key k.
// It moves the keys of persons to the primary key as far as that is possible.
func (at *site) needless(ctx context.Context, p purpose.Purpose, k vault.Key) error {
	if k.Role == vault.RoleIndex {
		return nil // an index is computed from its value at any time
	}
	byKey, unreadable, err := at.uses(ctx, p)
	if err != nil {
		return err
	}
	if uses := byKey[k.ID]; len(uses) > 0 {
		return refuse("key %s of %v is needed by %d values: %s", keyName(k.ID), p, total(uses), places(uses)).
			hinting("onlyfor migrate reseal moves them to the primary key.")
	}
	if unreadable > 0 {
		return refuse("%d sealed values of the tables can't be read, and may need the key", unreadable).
			hinting("onlyfor migrate verify lists them.")
	}
	if k.Role != vault.RoleSeal {
		return nil
	}
	var progress vault.Progress
	err = at.admin.RewrapSubjects(ctx, p, "", func(now vault.Progress) error { progress = now; return nil })
	if progress.Corrupt > 0 || errors.Is(err, vault.ErrRetired) {
		return refuse("the keys of %d persons or more under %v do not open, and may be wrapped by key %s", max(progress.Corrupt, 1), p, keyName(k.ID)).
			hinting("Reinstate the key, and try again: the keys of persons are moved then.")
	}
	return err
}

type reinstateCmd struct {
	oneKey
	Reason string `placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *reinstateCmd) Run(ctx context.Context, s *session) error {
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		k, err := c.find(ctx, at, p)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("Key %s of %v is in use again.", keyName(k.ID), p), at.admin.Reinstate(ctx, p, k.ID)
	})
}

type destroyCmd struct {
	oneKey
	Reason string `required:"" placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *destroyCmd) Run(ctx context.Context, s *session) error {
	if strings.TrimSpace(c.Reason) == "" {
		return misuse("--reason is empty: it is for whoever reads the audit log")
	}
	return s.change(ctx, c.Purpose, c.Reason, func(ctx context.Context, at *site, p purpose.Purpose) (string, error) {
		k, err := c.find(ctx, at, p)
		if err != nil {
			return "", err
		}
		if k.Status == vault.Retired {
			if err := at.needless(ctx, p, k); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("Destroyed key %s of %v. Backups of data with values under it do not open any more.", keyName(k.ID), p), at.admin.Destroy(ctx, p, k.ID)
	})
}

type rewrapCmd struct {
	Purposes []string `arg:"" optional:"" help:"Names of purposes. Default: all."`
	Reason   string   `placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *rewrapCmd) Help() string {
	return "Put the new KEK into [kek] and the old one into [previous_kek], and give services both (vault.EitherKEK). After this command, take [previous_kek] and the old grant away. Without [previous_kek], keys are wrapped with the newest version of a key of the key service."
}

func (c *rewrapCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{reason: c.Reason})
	if err != nil {
		return err
	}
	defer at.Close()
	purposes, err := at.purposes(c.Purposes)
	if err != nil {
		return err
	}
	by := map[string]string{}
	for _, p := range purposes {
		if maker, ok := at.kek.(vault.KeyGenerator); ok && at.PreviousKEK != nil {
			// vault.KEKs makes keys too, and refuses where its KEK of p makes none.
			if err := maker.Generate(ctx, p); err != nil && !errors.Is(err, vault.ErrNoKeys) {
				return err
			}
		}
		if err := at.admin.Rewrap(ctx, at.kek, p); err != nil {
			return err
		}
		if by[p.String()], err = at.admin.WrappedBy(ctx, p); err != nil {
			return err
		}
	}
	if err := at.writePins(ctx, purposes...); err != nil {
		return err
	}
	return s.print(map[string]any{"wrapped_by": by}, func(w io.Writer, width int) {
		for _, p := range purposes {
			term.Text(w, width, fmt.Sprintf("The keys of %v are wrapped by %s.", p, orNameless(by[p.String()])))
		}
	})
}

func orNameless(name string) string {
	if name == "" {
		return "the KEK of the configuration, which has no name"
	}
	return name
}

type collectorCmd struct {
	Purpose string `arg:"" help:"The name of the purpose."`
}

func (c *collectorCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{})
	if err != nil {
		return err
	}
	defer at.Close()
	p, err := at.purpose(c.Purpose)
	if err != nil {
		return err
	}
	collector, err := at.vault.Collector(ctx, p)
	if err != nil {
		return err
	}
	text, err := collector.MarshalText()
	if err != nil {
		return err
	}
	return s.print(map[string]string{"collector": string(text)}, func(w io.Writer, _ int) { fmt.Fprintln(w, string(text)) })
}

type pinCmd struct{}

func (c *pinCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{})
	if err != nil {
		return err
	}
	defer at.Close()
	if at.Pins == "" {
		return misuse("the configuration has no file of pins")
	}
	if err := at.writePins(ctx, at.Purposes...); err != nil {
		return err
	}
	return s.print(map[string]string{"pins": at.Pins}, func(w io.Writer, width int) {
		term.Text(w, width, fmt.Sprintf("Wrote the pins of %s to %s. Keep a copy where nobody puts back the key store.", list(at.Purposes), at.Pins))
	})
}

type makeKEKCmd struct {
	Purpose string `arg:"" help:"The name of the purpose."`
	File    string `arg:"" help:"The file to write, with mode 0600. A file that exists is refused."`
}

func (c *makeKEKCmd) Run(_ context.Context, s *session) error {
	p, err := purpose.Parse(c.Purpose)
	if err != nil {
		return misuse("the name of a purpose is a-z, then a-z, 0-9 and -")
	}
	text, err := vault.GenerateKEK(p)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return misuse("the file %s exists, or can't be made", c.File)
	}
	_, err = f.WriteString(text + "\n")
	if errors.Join(err, f.Sync(), f.Close()) != nil {
		return misuse("the file %s can't be written", c.File)
	}
	return s.print(map[string]string{"purpose": c.Purpose, "file": c.File}, func(w io.Writer, width int) {
		term.Text(w, width, fmt.Sprintf("Wrote the KEK of %v to %s. Put it into the platform's secrets and into a safe, and delete the file.", p, c.File))
	})
}
