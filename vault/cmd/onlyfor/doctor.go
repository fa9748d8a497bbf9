package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// doctorCmd checks everything that the configuration names, and changes nothing.
type doctorCmd struct {
	Role   string `placeholder:"NAME" help:"Check as this role. Default: run_as of the configuration."`
	Sample int    `default:"100" placeholder:"N" help:"Open so many values at the beginning of each table, 0 for none."`
}

// A check is the result of one check. Its level is ok, warning, failed, or unknown if the
// environment kept it from an answer.
type check struct {
	Level string `json:"level"`
	Name  string `json:"check"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
}

const (
	levelOK      = "ok"
	levelWarning = "warning"
	levelFailed  = "failed"
	levelUnknown = "unknown"
)

// A doctor collects checks.
type doctor struct {
	*site
	ctx    context.Context
	role   config.Role
	checks []check
}

func (d *doctor) add(level, name, format string, args ...any) {
	d.checks = append(d.checks, check{Level: level, Name: name, Text: fmt.Sprintf(format, args...)})
}

// fail adds an error as a failed or unknown check, by its exit code.
func (d *doctor) fail(name string, err error) {
	p := explain(d.ctx, err)
	level := levelFailed
	if p.code == hindered {
		level = levelUnknown
	}
	d.checks = append(d.checks, check{level, name, p.text, p.hint})
}

func (c *doctorCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{reason: "doctor", doctor: true})
	if err != nil {
		return err
	}
	defer at.Close()
	name := at.RunAs
	if c.Role != "" {
		name = c.Role
	}
	role, ok := at.RoleOf(name)
	if !ok {
		return misuse("the configuration has no [[role]] of that name")
	}
	d := &doctor{site: at, ctx: ctx, role: role}
	if at.Audit == "" && at.AuditLog == nil {
		d.add(levelWarning, "audit", "the configuration names no audit log: uses of keys by this command are not recorded")
	}
	d.files()
	for _, p := range at.Purposes {
		if role.Usable().Contains(p) {
			d.purposeOpens(p)
		} else {
			d.purposeIsShut(p)
		}
	}
	d.lease()
	d.grants()
	d.clocks()
	if c.Sample > 0 {
		d.samples(c.Sample)
	}
	d.backup()
	d.approval()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := s.print(d.checks, d.write); err != nil {
		return err
	}
	return d.exit()
}

// exit returns the end of the command for the worst of the checks.
func (d *doctor) exit() error {
	code := well
	for _, c := range d.checks {
		switch {
		case c.Level == levelFailed:
			return exit{found}
		case c.Level == levelUnknown:
			code = hindered
		}
	}
	if code == well {
		return nil
	}
	return exit{code}
}

func (d *doctor) write(w io.Writer, width int) {
	counts := map[string]int{}
	for _, c := range d.checks {
		counts[c.Level]++
		term.Fields(w, width, term.Field{Name: fmt.Sprintf("%-7s", c.Level), Text: c.Name + ": " + c.Text})
		if c.Hint != "" {
			term.Fields(w, width, term.Field{Name: "       ", Text: c.Hint})
		}
	}
	var parts []string
	for _, level := range []string{levelFailed, levelUnknown, levelWarning, levelOK} {
		if counts[level] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[level], level))
		}
	}
	term.Text(w, width, strings.Join(parts, ", "))
}

// files checks the modes of files that are the command's own. The key store and the KEK
// check theirs when they are opened.
func (d *doctor) files() {
	paths := []string{d.Audit, d.Pins, d.Certificates}
	if d.AuditLog != nil {
		paths = append(paths, d.AuditLog.Dir, d.AuditLog.Key)
	}
	if d.KEK.Local != "" {
		paths = append(paths, d.KEK.Local)
	}
	if d.Config.Store.Dir != "" {
		paths = append(paths, d.Config.Store.Dir)
	}
	open := 0
	for _, root := range paths {
		if root == "" {
			continue
		}
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o077 != 0 {
				open++
				d.add(levelFailed, "files", "%s is open to others: chmod go= %s", path, path)
			}
			return d.ctx.Err()
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) && d.ctx.Err() == nil {
			d.add(levelUnknown, "files", "%s can't be read", root)
		}
	}
	if open == 0 {
		d.add(levelOK, "files", "nothing is open to others")
	}
	if dir := d.Config.Store.Dir; dir != "" {
		if names, _ := filepath.Glob(filepath.Join(dir, "*.kek")); len(names) > 0 || d.KEK.Local != "" && (d.KEK.Local == dir || strings.HasPrefix(d.KEK.Local, dir+string(os.PathSeparator))) {
			d.add(levelFailed, "files", "the KEK is in the directory of the key store: a backup of it opens everything")
		}
	}
}

// purposeOpens checks a purpose that the role may use.
func (d *doctor) purposeOpens(p purpose.Purpose) {
	name := p.String()
	keys, err := d.admin.Keys(d.ctx, p)
	if err != nil {
		d.fail(name, err)
		return
	}
	if _, err := d.vault.Scope(d.ctx, p); err != nil {
		d.fail(name, err)
		return
	}
	if slices.Contains(d.role.Manages, p) {
		// The test encrypts, which a role that only opens is not granted.
		if err := d.vault.CheckKEK(d.ctx, p); err != nil {
			d.fail(name, err)
			return
		}
		d.add(levelOK, name, "opens, and its KEK binds the purpose")
	} else {
		d.add(levelOK, name, "opens")
	}
	d.keys(p, keys)
	d.pin(p)
	d.suspensions(p)
}

// keys checks the seals and the age of keys.
func (d *doctor) keys(p purpose.Purpose, keys []vault.Key) {
	now := time.Now()
	for _, k := range keys {
		if k.Role != vault.RoleSeal || k.Status == vault.Retired {
			continue
		}
		share := float64(k.Seals) / sealLimit
		text := fmt.Sprintf("key %s has %s of the seals that one key may make", keyName(k.ID), percent(share))
		hint := fmt.Sprintf("onlyfor keys rotate %v --run", p)
		switch {
		case k.Status == vault.Primary && share >= 0.9:
			d.checks = append(d.checks, check{levelFailed, p.String(), text, hint})
		case k.Status == vault.Primary && share >= 0.5:
			d.checks = append(d.checks, check{levelWarning, p.String(), text, hint})
		}
		if age := now.Sub(k.Created); k.Status == vault.Primary && d.RotateAfter > 0 && age > time.Duration(d.RotateAfter) {
			d.checks = append(d.checks, check{levelWarning, p.String(), fmt.Sprintf("key %s is %s old", keyName(k.ID), ago(k.Created, now)), hint})
		}
		if k.Status == vault.Active && k.PrimaryAt.IsZero() {
			d.checks = append(d.checks, check{levelWarning, p.String(), fmt.Sprintf("a rotation is under way: key %s is not retired yet", keyName(k.ID)), hint})
		}
	}
}

// pin checks that there is a pin. A store that is older than its pin does not open.
func (d *doctor) pin(p purpose.Purpose) {
	pins, err := d.readPins()
	switch {
	case err != nil:
		d.fail(p.String(), err)
	case !slices.ContainsFunc(pins, func(pin vault.Pin) bool { return pin.Purpose() == p }):
		d.add(levelWarning, p.String(), "has no pin, so a key store that was put back to an older state is not noticed: onlyfor keys pin")
	default:
		d.add(levelOK, p.String(), "the key store holds its pin")
	}
}

// purposeIsShut checks a purpose that the role must not use.
func (d *doctor) purposeIsShut(p purpose.Purpose) {
	err := d.vault.CheckDenied(d.ctx, p)
	switch {
	case err == nil:
		d.add(levelOK, p.String(), "is shut for role %s: proven", d.role.Name)
	case errors.Is(err, vault.ErrGranted):
		d.fail(p.String(), err)
	default:
		problem := explain(d.ctx, err)
		d.checks = append(d.checks, check{levelUnknown, p.String(), "that it is shut for role " + d.role.Name + " is not proven: " + problem.text, ""})
	}
}

// lease tells how long keys work on without the key service.
func (d *doctor) lease() {
	var lapses time.Time
	for _, opened := range d.vault.Status() {
		if lapses.IsZero() || opened.Lapses.Before(lapses) {
			lapses = opened.Lapses
		}
		if err := errors.Join(opened.RefreshErr, opened.RenewErr); err != nil {
			d.fail("lease", err)
		}
	}
	if !lapses.IsZero() {
		d.add(levelOK, "lease", "keys that are open work for %s without the key service", ago(time.Now(), lapses))
	}
}

// grants checks the rights of the database user on the table of a key store.
func (d *doctor) grants() {
	store := d.Config.Store
	if store.Database == "" {
		return
	}
	db, err := d.database(store.Database)
	if err != nil {
		d.fail("grants", err)
		return
	}
	kind, _ := d.Config.Database(store.Database)
	if kind.Kind != "postgres" {
		d.add(levelOK, "grants", "%s has no rights on rows: onlyfor policy --sql makes views for writing", dialects[kind.Kind].name)
		return
	}
	table := store.Table
	if table == "" {
		table = "onlyfor_keys"
	}
	var mayDelete, byRow, unbound bool
	err = db.QueryRowContext(d.ctx, `SELECT has_table_privilege($1, 'DELETE'), relrowsecurity,
		pg_get_userbyid(relowner) = current_user AND NOT relforcerowsecurity OR (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user)
		FROM pg_class WHERE oid = $1::regclass`, table).Scan(&mayDelete, &byRow, &unbound)
	switch {
	case err != nil:
		d.add(levelUnknown, "grants", "the rights on %s can't be read", table)
	case mayDelete && len(d.role.Manages) == 0:
		d.add(levelFailed, "grants", "role %s may delete keys from %s: no service needs that right", d.role.Name, table)
	case !byRow && len(d.Roles) > 1:
		d.add(levelWarning, "grants", "%s has no row-level security, so each service may replace the keys of every purpose: see the README of sqlstore", table)
	case byRow && unbound && len(d.role.Manages) == 0:
		d.add(levelFailed, "grants", "role %s connects as a user whom the row-level security of %s does not bind", d.role.Name, table)
	default:
		d.add(levelOK, "grants", "rights on %s are no more than role %s needs", table, orAdmin(d.role.Name))
	}
}

func orAdmin(name string) string {
	if name == "" {
		return "of an administrator"
	}
	return name
}

// clockQueries return the seconds since 1970.
var clockQueries = map[string]string{
	"postgres": "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint",
	"mysql":    "SELECT UNIX_TIMESTAMP()",
}

// clocks compares the clock of this machine with the clocks of the databases.
func (d *doctor) clocks() {
	const skew = 5 * time.Minute
	for _, c := range d.Databases {
		query := clockQueries[c.Kind]
		if query == "" {
			continue // SQLite has no clock of its own
		}
		db, err := d.database(c.Name)
		if err != nil {
			d.fail("clock", err)
			continue
		}
		var seconds int64
		before := time.Now()
		if db.QueryRowContext(d.ctx, query).Scan(&seconds) != nil {
			d.add(levelUnknown, "clock", "database %s does not answer", c.Name)
			continue
		}
		there := time.Unix(seconds, 0)
		if before.Sub(there) > skew || time.Until(there) > skew {
			d.add(levelFailed, "clock", "the clocks of this machine and of database %s differ by more than 5 minutes", c.Name)
		} else {
			d.add(levelOK, "clock", "agrees with database %s", c.Name)
		}
	}
}

// errSampled ends a step after its first batch.
var errSampled = errors.New("sampled")

// harmless are findings of Verify that are work to do, and no damage.
var harmless = map[migrate.Problem]bool{
	migrate.Unsealed: true, migrate.Invalid: true, migrate.Unreadable: true, migrate.Quarantined: true, migrate.InvalidBasis: true, migrate.NoSubject: true,
	migrate.Expired: true, migrate.Erased: true, migrate.Suspended: true, migrate.Duplicate: true,
}

// samples verifies the first rows of each table. It passes over a table with a purpose that
// the role does not open.
func (d *doctor) samples(n int) {
	for _, t := range d.Tables {
		name := "table " + t.Name
		usable := true
		for p := range t.Purposes().All() {
			usable = usable && d.role.Usable().Contains(p)
		}
		if !usable {
			d.add(levelOK, name, "not sampled: role %s does not open all of its purposes", d.role.Name)
			continue
		}
		m, err := d.migration(d.ctx, t)
		if err != nil {
			d.fail(name, err)
			continue
		}
		r, err := m.Verify(d.ctx, &migrate.Options{Batch: n, Pause: func(context.Context) error { return errSampled }})
		if err != nil && !errors.Is(err, errSampled) {
			d.fail(name, err)
			continue
		}
		level := levelOK
		var problems []string
		for _, problem := range slices.Sorted(maps.Keys(r.Problems)) {
			if !harmless[problem] {
				level = levelFailed
			} else if level == levelOK {
				level = levelWarning
			}
			problems = append(problems, fmt.Sprintf("%d %s", r.Problems[problem], problem))
		}
		text := fmt.Sprintf("the first %d rows open, and fit their indexes", r.Rows)
		if len(problems) > 0 {
			text = fmt.Sprintf("of the first %d rows: %s", r.Rows, strings.Join(problems, ", "))
		}
		d.add(level, name, "%s", text)
	}
}

// backup checks that the KEK in escrow opens the backup of the key store, and not more.
func (d *doctor) backup() {
	if d.Backup == nil {
		d.add(levelWarning, "backup", "the configuration names none: a lost key store is the loss of every value")
		return
	}
	store, err := d.openStore(d.Backup.Store, "")
	if err != nil {
		d.fail("backup", err)
		return
	}
	kek, err := d.openKEK(d.ctx, d.Backup.KEK)
	if err != nil {
		d.fail("backup", err)
		return
	}
	v, err := vault.Open(d.ctx, store, kek, &vault.Options{Audit: d.auditor})
	if err != nil {
		d.fail("backup", err)
		return
	}
	defer v.Close()
	for _, p := range d.Purposes {
		_, err := v.Scope(d.ctx, p)
		name := "backup of " + p.String()
		expected := slices.Contains(d.Backup.Purposes, p)
		switch {
		case expected && err == nil:
			d.add(levelOK, name, "opens with the KEK in escrow")
		case expected:
			problem := explain(d.ctx, err)
			d.checks = append(d.checks, check{levelFailed, name, "does not open with the KEK in escrow: " + problem.text, "Take a new backup, or put the right KEK into escrow."})
		case err == nil:
			d.add(levelFailed, name, "opens with the KEK in escrow, and must not")
		case errors.Is(err, vault.ErrUnavailable):
			d.fail(name, err)
		default:
			d.add(levelOK, name, "does not open with the KEK in escrow")
		}
	}
}

// approval checks the keys of the people of whom one has to approve operations that can't be undone.
func (d *doctor) approval() {
	if d.Config.Approval == nil {
		return
	}
	if err := d.Config.CheckApproval(); err != nil {
		d.checks = append(d.checks, check{
			levelFailed, "approval", fmt.Sprintf("%v: every other command refuses this configuration", err), "onlyfor approve key makes the key of a person.",
		})
		return
	}
	var people []string
	for _, v := range d.Config.Approval.Verifiers() {
		people = append(people, printable(v.Name()))
	}
	d.add(levelOK, "approval", "keys destroy and resume need the approval of %s", strings.Join(people, " or "))
}
