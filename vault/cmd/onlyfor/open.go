package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/awskms"
	"github.com/onlyfor/onlyfor/vault/kms/gcpkms"
	"github.com/onlyfor/onlyfor/vault/kms/hcvault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// A site is everything that the configuration names, opened.
type site struct {
	*config.Config
	session *session
	admin   *vault.Admin
	vault   *vault.Vault
	store   vault.Store
	kek     vault.KEK // the current one alone, for re-wrapping
	// auditor records every use of a key. It is nil if the configuration has none.
	auditor audit.Auditor

	// approvedBy is the name of the person who approved the operation, if anybody did.
	approvedBy atomic.Pointer[string]

	databases map[string]*sql.DB
	closers   []func() error
}

// options are the settings that a command opens a site with.
type options struct {
	reason string // for the audit log
	unpin  bool   // accept a key store that is older than its pins
	doctor bool   // accept keys of [approval] that every other command refuses
}

// open reads the configuration and opens the vault over its key store. It calls neither
// the store nor the key service yet. It returns the context whose caller the audit log
// names.
func (s *session) open(ctx context.Context, o options) (context.Context, *site, error) {
	load := config.Load
	if o.doctor {
		load = config.LoadUnapproved
	}
	c, err := load(s.cli.Config)
	if err != nil {
		return ctx, nil, err
	}
	at := &site{Config: c, session: s, databases: map[string]*sql.DB{}}
	if err := at.openVault(ctx, o); err != nil {
		at.Close()
		return ctx, nil, err
	}
	return audit.WithCaller(ctx, s.caller()), at, nil
}

func (at *site) openVault(ctx context.Context, o options) (err error) {
	role, _ := at.RoleOf(at.RunAs)
	if at.store, err = at.openStore(at.Config.Store, role.View); err != nil {
		return err
	}
	if at.kek, err = at.openKEK(ctx, at.KEK); err != nil {
		return err
	}
	kek := at.kek
	if at.PreviousKEK != nil {
		previous, err := at.openKEK(ctx, *at.PreviousKEK)
		if err != nil {
			return err
		}
		kek = vault.EitherKEK(kek, previous)
	}
	settings := &vault.Options{Refresh: time.Duration(at.Refresh), DestroyAfter: time.Duration(at.DestroyAfter)}
	if at.auditor, err = at.openAudit(ctx, o.reason); err != nil {
		return err
	}
	if settings.Audit = at.auditor; at.auditor != nil {
		settings.Audit = &noted{at.auditor, at}
	}
	if !o.unpin {
		pins, err := at.readPins()
		if err != nil {
			return err
		}
		settings.Pin = vault.FixedPins(pins...)
	}
	if at.admin, err = vault.OpenAdmin(ctx, at.store, kek, settings); err != nil {
		return err
	}
	at.vault = at.admin.Vault()
	at.closers = append(at.closers, at.vault.Close)
	return nil
}

// Close closes everything, in the reverse order of opening. The vault counts its seals.
func (at *site) Close() {
	for i := len(at.closers) - 1; i >= 0; i-- {
		at.closers[i]()
	}
	at.closers = nil
}

// openAudit returns the auditor of the configuration, or nil. Every event has the reason as
// its justification: the reason of an event is why the vault allowed or refused it.
func (at *site) openAudit(ctx context.Context, reason string) (audit.Auditor, error) {
	file, err := at.openAuditFile(reason)
	if err != nil {
		return nil, err
	}
	log, err := at.openAuditLog(ctx, reason)
	if err != nil || file == nil {
		return log, err
	}
	if log == nil {
		return file, nil
	}
	return auditlog.Tee(file, log, nil), nil
}

// openAuditFile returns the auditor that writes a file with one JSON object a line.
func (at *site) openAuditFile(reason string) (audit.Auditor, error) {
	if at.Audit == "" {
		return nil, nil
	}
	f, err := os.OpenFile(at.Audit, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, misuse("the audit log %s can't be written, and nothing is done without a record", at.Audit)
	}
	at.closers = append(at.closers, f.Close)
	// A line that a full disk has cut off must not swallow the next one.
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		last := []byte{0}
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			f.Write([]byte{'\n'})
		}
	}
	logger := slog.New(slog.NewJSONHandler(f, nil))
	if reason != "" {
		logger = logger.With("justification", reason)
	}
	return audit.Slog(logger), nil
}

// openStore opens a key store. In a database, it writes through the view, if there is one.
func (at *site) openStore(c config.Store, view string) (vault.Store, error) {
	if c.Dir != "" {
		return vault.Dir(c.Dir), nil
	}
	d, _ := at.Config.Database(c.Database)
	db, err := at.database(c.Database)
	if err != nil {
		return nil, err
	}
	return sqlstore.New(db, dialects[d.Kind].store, &sqlstore.Options{Table: c.Table, View: view})
}

// dialects are the databases by their kind in the configuration.
var dialects = map[string]struct {
	name, driver string
	store        sqlstore.Dialect
	migrate      migrate.Dialect
}{
	"postgres": {"PostgreSQL", "pgx", sqlstore.Postgres, migrate.Postgres},
	"mysql":    {"MySQL", "mysql", sqlstore.MySQL, migrate.MySQL},
	"sqlite":   {"SQLite", "sqlite", sqlstore.SQLite, migrate.SQLite},
}

// database opens the database of the given name once. The name is in the configuration.
func (at *site) database(name string) (*sql.DB, error) {
	if db := at.databases[name]; db != nil {
		return db, nil
	}
	d, _ := at.Config.Database(name)
	source := "file:" + d.File + "?_pragma=busy_timeout(10000)&_pragma=secure_delete(ON)"
	if d.Variable != "" {
		if source = os.Getenv(d.Variable); source == "" {
			return nil, misuse("the environment variable %s is not set: it holds the data source name of database %s", d.Variable, name)
		}
	} else if _, err := os.Stat(d.File); errors.Is(err, fs.ErrNotExist) {
		return nil, misuse("database %s: there is no file %s", name, d.File)
	}
	db, err := sql.Open(dialects[d.Kind].driver, source)
	if err != nil { // the error may quote the source, and with it a password
		return nil, misuse("%s does not hold a data source name of %s", d.Variable, dialects[d.Kind].name)
	}
	at.databases[name] = db
	at.closers = append(at.closers, db.Close)
	return db, nil
}

func (at *site) openKEK(ctx context.Context, c config.KEK) (vault.KEK, error) {
	all, err := at.openPlace(ctx, c)
	if err != nil || len(c.Of) == 0 {
		return all, err
	}
	keks := vault.KEKs{}
	for _, p := range at.Purposes {
		place := all
		if of, ok := c.Of[p.String()]; ok {
			if place, err = at.openPlace(ctx, of); err != nil {
				return nil, err
			}
		}
		if place != nil {
			keks[p] = place
		}
	}
	return keks, nil
}

// openPlace returns the KEK of one place, nil if c names none.
func (at *site) openPlace(ctx context.Context, c config.KEK) (vault.KEK, error) {
	var keys kms.Keys
	switch {
	case c.Local != "":
		return vault.LocalKEK(c.Local), nil
	case c.Secret != "":
		return vault.SecretKEK(c.Secret), nil
	case c.SecretVariable != "":
		dir := os.Getenv(c.SecretVariable)
		if dir == "" {
			return nil, misuse("the environment variable %s is not set: it holds the directory of the key-encryption keys", c.SecretVariable)
		}
		return vault.SecretKEK(dir), nil
	case c.Environment != "":
		return vault.EnvKEK(c.Environment), nil
	case c.Service != "":
		keys = kms.Template(c.Service)
	case len(c.Keys) > 0:
		keys = kms.URIs(config.ByPurpose(c.Keys))
	default:
		return nil, nil
	}
	service, err := serviceOf(keys, at.Purposes)
	if err != nil {
		return nil, err
	}
	switch service {
	case kms.AWS:
		return awskms.New(ctx, keys, nil)
	case kms.GCP:
		kek, err := gcpkms.New(ctx, keys, nil)
		if err == nil {
			at.closers = append(at.closers, kek.Close)
		}
		return kek, err
	default:
		return hcvault.New(ctx, keys, nil)
	}
}

// serviceOf returns the key service of keys.
func serviceOf(keys kms.Keys, purposes []purpose.Purpose) (kms.Service, error) {
	for _, p := range purposes {
		if key, err := keys.Key(p); err == nil {
			return key.Service(), nil
		}
	}
	return "", misuse("no purpose has a key of the key service")
}

// readPins reads the file of pins: the text of a pin a line.
func (at *site) readPins() ([]vault.Pin, error) {
	if at.Pins == "" {
		return nil, nil
	}
	data, err := os.ReadFile(at.Pins)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, misuse("the pins in %s can't be read", at.Pins)
	}
	var pins []vault.Pin
	for line := range strings.Lines(string(data)) {
		var pin vault.Pin
		if err := pin.UnmarshalText([]byte(strings.TrimSpace(line))); err != nil {
			return nil, misuse("%s: line %d is no pin", at.Pins, len(pins)+1)
		}
		pins = append(pins, pin)
	}
	return pins, nil
}

// writePins takes the pins of the given purposes anew, after their keys or the erasures
// under them have changed. Pins of other purposes stay.
func (at *site) writePins(ctx context.Context, purposes ...purpose.Purpose) error {
	if at.Pins == "" {
		return nil
	}
	pins, err := at.readPins()
	if err != nil {
		return err
	}
	kept := map[purpose.Purpose]vault.Pin{}
	for _, pin := range pins {
		kept[pin.Purpose()] = pin
	}
	for _, p := range purposes {
		if kept[p], err = at.admin.Pin(ctx, p); err != nil {
			return fmt.Errorf("taking the pin: %w", err)
		}
	}
	var text strings.Builder
	for _, p := range at.Purposes {
		if pin, ok := kept[p]; ok {
			text.WriteString(pin.String() + "\n")
		}
	}
	if err := replaceFile(at.Pins, text.String()); err != nil {
		return misuse("the pins in %s can't be written", at.Pins)
	}
	return nil
}

// replaceFile replaces a file in one step.
func replaceFile(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".onlyfor-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// purposes returns the purposes of the given names, or all of the configuration.
func (at *site) purposes(names []string) ([]purpose.Purpose, error) {
	if len(names) == 0 {
		return at.Purposes, nil
	}
	var purposes []purpose.Purpose
	for _, name := range names {
		p, err := at.purpose(name)
		if err != nil {
			return nil, err
		}
		purposes = append(purposes, p)
	}
	return purposes, nil
}

// purpose returns the purpose of the given name, which is in the configuration.
func (at *site) purpose(name string) (purpose.Purpose, error) {
	for _, p := range at.Purposes {
		if p.String() == name {
			return p, nil
		}
	}
	return purpose.Purpose{}, misuse("that is no purpose of %s: it has %s", at.File(), list(at.Purposes))
}

// list joins names for a sentence.
func list[T fmt.Stringer](items []T) string {
	names := make([]string, len(items))
	for i, item := range items {
		names[i] = item.String()
	}
	return strings.Join(names, ", ")
}
