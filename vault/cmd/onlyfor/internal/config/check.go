package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// reads are the names of the functions that read plaintext, with the kind that each is for
// ("" for every kind).
var reads = map[string]string{"": "", "plus": "phone", "phonenumber": "phone", "json": ""}

// A pattern is a rule for names: at most max letters, digits and characters of also. The
// first character is no digit, unless also has it. Regular expressions for such names cost
// more to compile than all else that a short command does.
type pattern struct {
	also string
	max  int
}

var (
	variable   = pattern{"_", 128}
	identifier = pattern{"_", 63}
	fieldName  = pattern{"_.-0123456789", 80} // a digit may be the first
)

// MatchString reports whether name follows the rule.
func (p pattern) MatchString(name string) bool {
	if name == "" || len(name) > p.max {
		return false
	}
	for i, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		digit := '0' <= r && r <= '9' && i > 0
		if !letter && !digit && !strings.ContainsRune(p.also, r) {
			return false
		}
	}
	return true
}

// check returns an error for a configuration that contradicts itself.
func (c *Config) check() error {
	if len(c.Purposes) == 0 {
		return errors.New("purposes is missing")
	}
	if purpose.NewSet(c.Purposes...).Len() != len(c.Purposes) {
		return errors.New("purposes has a purpose twice, or one without a name")
	}
	if err := c.checkDatabases(); err != nil {
		return err
	}
	if err := c.checkStore("store", c.Store); err != nil {
		return err
	}
	if err := c.checkKEK("kek", c.KEK); err != nil {
		return err
	}
	if c.PreviousKEK != nil {
		if err := c.checkKEK("previous_kek", *c.PreviousKEK); err != nil {
			return err
		}
	}
	if c.AuditLog != nil {
		if err := c.AuditLog.check(); err != nil {
			return err
		}
	}
	if c.Backup != nil {
		if err := errors.Join(c.checkStore("backup.store", c.Backup.Store), c.checkKEK("backup.kek", c.Backup.KEK), c.known("backup.purposes", c.Backup.Purposes...)); err != nil {
			return first(err)
		}
	}
	if c.Pins != "" && c.Store.Dir != "" && within(c.Pins, c.Store.Dir) {
		return errors.New("pins is a file of the key store: who puts back the store puts back the pins with it")
	}
	if err := c.checkRoles(); err != nil {
		return err
	}
	for i, t := range c.Tables {
		if err := c.checkTable(t); err != nil {
			return fmt.Errorf("table %d: %w", i+1, err)
		}
	}
	return nil
}

// maxWitnesses is the number of witnesses that a log can have.
const maxWitnesses = 12

func (l *AuditLog) check() error {
	switch {
	case l.Dir == "" || l.Key == "":
		return errors.New("audit_log has no dir or no key: the directory of the log, and the file with its signing key")
	case within(l.Key, l.Dir) || within(l.Heads, l.Dir):
		return errors.New("audit_log: key and heads lie apart from dir, which is for those who audit")
	case len(l.Witnesses) > maxWitnesses:
		return fmt.Errorf("audit_log has more than %d witnesses", maxWitnesses)
	}
	for i, w := range l.Witnesses {
		u, err := url.Parse(w.URL)
		switch at := fmt.Sprintf("audit_log: witness %d: ", i+1); {
		case (w.URL == "") == (w.Dir == ""), (w.URL == "") != (w.Key == ""):
			return errors.New(at + "it has a url and a key, or a dir")
		case err != nil, w.URL != "" && (u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != ""):
			return errors.New(at + "url is not the URL of a witness")
		case u.User != nil:
			return errors.New(at + "url has a password, which does not belong into this file")
		case within(w.Dir, l.Dir) || w.Dir == l.Dir && w.Dir != "":
			return errors.New(at + "its directory lies apart from dir, which the process can change")
		}
	}
	return nil
}

// CheckApproval refuses keys of [approval] that are malformed or that stand there twice. Two
// people have two names: the audit log has no more than the name. Without [approval] there is
// nothing to refuse.
func (c *Config) CheckApproval() error {
	if c.Approval == nil {
		return nil
	}
	if len(c.Approval.Keys) == 0 {
		return errors.New("there are no keys")
	}
	names := map[string]bool{}
	for i, text := range c.Approval.Keys {
		v, err := note.NewVerifier(text)
		switch {
		case strings.HasPrefix(text, "PRIVATE+KEY+"):
			return fmt.Errorf("key %d is a signing key, which belongs to one person alone: it needs the public one", i+1)
		case err != nil:
			return fmt.Errorf("key %d is no public key of onlyfor approve key", i+1)
		case names[v.Name()]:
			return fmt.Errorf("key %d has the name of another one", i+1)
		}
		names[v.Name()] = true
	}
	return nil
}

// first returns the first error of a joined one.
func first(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()[0]
	}
	return err
}

// within reports whether path is below dir.
func within(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

func (c *Config) checkDatabases() error {
	names := map[string]bool{}
	for i, d := range c.Databases {
		at := fmt.Sprintf("database %d: ", i+1)
		switch {
		case !fieldName.MatchString(d.Name) || names[d.Name]:
			return errors.New(at + "name is missing, or is not of its own")
		case !slices.Contains([]string{"postgres", "mysql", "sqlite"}, d.Kind):
			return errors.New(at + "kind is none of postgres, mysql and sqlite")
		case d.Kind == "sqlite" && (d.File == "") == (d.Variable == ""):
			return errors.New(at + "sqlite has a file, or a variable with its data source name")
		case d.Kind != "sqlite" && d.File != "":
			return errors.New(at + "file is for sqlite")
		case d.Kind != "sqlite" && d.Variable == "":
			return errors.New(at + "variable is missing: the environment variable with the data source name")
		case d.Variable != "" && !variable.MatchString(d.Variable):
			return errors.New(at + "variable is not the name of an environment variable: a data source name may hold a password, and does not belong into this file")
		}
		names[d.Name] = true
	}
	return nil
}

func (c *Config) checkStore(at string, s Store) error {
	switch {
	case (s.Dir == "") == (s.Database == ""):
		return errors.New(at + " has a dir or a database")
	case s.Database != "":
		if _, ok := c.Database(s.Database); !ok {
			return errors.New(at + ": there is no database of that name")
		}
	case s.Table != "":
		return errors.New(at + ": table is for a database")
	}
	return nil
}

func (c *Config) checkKEK(at string, k KEK) error {
	places := 0
	for _, set := range []bool{k.Local != "", k.Secret != "", k.SecretVariable != "", k.Environment != "", k.Service != "", len(k.Keys) > 0} {
		if set {
			places++
		}
	}
	switch {
	case places > 1, places == 0 && len(k.Of) == 0:
		return errors.New(at + " has exactly one of local, secret, secret_variable, environment, service and keys")
	case k.SecretVariable != "" && !variable.MatchString(k.SecretVariable):
		return errors.New(at + ".secret_variable is not the name of an environment variable")
	case k.Environment != "" && !variable.MatchString(k.Environment):
		return errors.New(at + ".environment is not the beginning of the names of environment variables: the key itself does not belong into this file")
	case k.Service != "":
		if _, err := kms.Template(k.Service).Key(c.Purposes[0]); err != nil {
			return errors.New(at + ".service is not the URI of a key with {purpose} in it")
		}
	}
	for p, uri := range k.Keys {
		if err := c.knownName(at+".keys", p); err != nil {
			return err
		}
		if _, err := kms.ParseKey(uri); err != nil {
			return fmt.Errorf("%s.keys.%v is not the URI of a key", at, p)
		}
	}
	for p, of := range k.Of {
		if err := c.knownName(at+".of", p); err != nil {
			return err
		}
		if len(of.Of) > 0 {
			return fmt.Errorf("%s.of.%v has purposes of its own", at, p)
		}
		if err := c.checkKEK(fmt.Sprintf("%s.of.%v", at, p), of); err != nil {
			return err
		}
	}
	return nil
}

// known returns an error if one of the purposes is not listed.
func (c *Config) known(at string, purposes ...purpose.Purpose) error {
	for _, p := range purposes {
		if !slices.Contains(c.Purposes, p) {
			return fmt.Errorf("%s has a purpose that is not in purposes", at)
		}
	}
	return nil
}

// knownName returns an error if name is none of a listed purpose.
func (c *Config) knownName(at, name string) error {
	p, err := purpose.Parse(name)
	if err != nil {
		return fmt.Errorf("%s has a name that is no purpose", at)
	}
	return c.known(at, p)
}

func (c *Config) checkRoles() error {
	names := map[string]bool{}
	for i, r := range c.Roles {
		at := fmt.Sprintf("role %d", i+1)
		if !fieldName.MatchString(r.Name) || names[r.Name] {
			return errors.New(at + ": name is missing, or is not of its own")
		}
		names[r.Name] = true
		if err := c.known(at, slices.Concat(r.Opens, r.Manages)...); err != nil {
			return err
		}
		if slices.ContainsFunc(r.Erases, func(p purpose.Purpose) bool { return !r.Usable().Contains(p) }) {
			return errors.New(at + ": erases has a purpose that the role does not open")
		}
	}
	if _, ok := c.RoleOf(c.RunAs); !ok {
		return errors.New("run_as is not the name of a [[role]]")
	}
	return nil
}

func (c *Config) checkTable(t Table) error {
	if _, ok := c.Database(t.Database); !ok {
		return errors.New("database is not the name of a [[database]]")
	}
	for part := range strings.SplitSeq(t.Name, ".") {
		if !identifier.MatchString(part) {
			return errors.New("name is missing, or is not the name of a table")
		}
	}
	for _, column := range []string{t.Key, t.Subject} {
		if column != "" && !identifier.MatchString(column) {
			return errors.New("key or subject is not the name of a column")
		}
	}
	switch {
	case t.Key == "":
		return errors.New("key is missing")
	case len(t.Columns) == 0:
		return errors.New("it has no [[table.column]]")
	}
	for i, column := range t.Columns {
		if err := c.checkColumn(column); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	if t.Purposes().IsZero() {
		return errors.New("it names no purpose: neither in index nor in collected")
	}
	return nil
}

func (c *Config) checkColumn(col Column) error {
	names := []string{col.Sealed}
	if col.Plain != "" {
		names = append(names, col.Plain)
	}
	for p, index := range col.Indexes {
		if err := c.knownName("index", p); err != nil {
			return err
		}
		names = append(names, index)
	}
	for _, column := range names {
		if !identifier.MatchString(column) {
			return errors.New("plain, sealed or index is not the name of a column")
		}
	}
	kind, ok := reads[col.Read]
	switch {
	case col.Kind != "email" && col.Kind != "phone":
		return errors.New("kind is neither email nor phone: other kinds are types of Go, and package migrate moves them")
	case !ok:
		return errors.New("read is none of plus, phonenumber and json")
	case kind != "" && kind != col.Kind:
		return errors.New("read is for another kind")
	case (col.Region != "" || col.RegionColumn != "") && col.Read != "phonenumber":
		return errors.New(`region is for read = "phonenumber"`)
	case (col.Field != "") != (col.Read == "json"):
		return errors.New(`field goes with read = "json"`)
	}
	for i, rule := range col.Collected {
		if err := c.known("for", rule.For...); err != nil {
			return err
		}
		basis := purpose.Basis{Legal: rule.Legal, Notice: rule.Notice, Consent: rule.Consent, Retain: time.Duration(rule.RetainDays) * 24 * time.Hour}
		if err := basis.Validate(); err != nil {
			return fmt.Errorf("rule %d of collected: %w", i+1, err)
		}
	}
	for i, leave := range col.Leave {
		if !purpose.ValidReference(leave.Reason) {
			return fmt.Errorf("rule %d of leave: reason is not one word such as test-account", i+1)
		}
		if leave.Problem != "" && !slices.Contains(leavable, migrate.Problem(leave.Problem)) {
			return fmt.Errorf("rule %d of leave: problem is not one that a value can be left with", i+1)
		}
	}
	return nil
}

// leavable are the problems that migrate asks Leave about.
var leavable = []migrate.Problem{
	migrate.Invalid, migrate.Unreadable, migrate.Quarantined, migrate.InvalidBasis, migrate.NoSubject, migrate.Expired, migrate.Erased,
	migrate.Duplicate, migrate.Unsealed,
}
