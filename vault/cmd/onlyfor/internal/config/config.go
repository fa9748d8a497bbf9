// Package config reads the file that tells the command where keys, tables and roles are.
//
// The file is TOML and holds no secret: a secret is in an environment variable, in a file
// that the platform mounts, or with a key service, and the file names the place. A field
// that the package does not know is refused, so that a misspelt one is never left out in
// silence. No error repeats the content of a field, which may be a secret in a wrong place.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/purpose"
)

// DefaultFile is the name of the file that Load reads by default.
const DefaultFile = "onlyfor.toml"

// Err reports a file that is missing, malformed or contradicts itself.
var Err = errors.New("configuration")

// A Config is the content of the file. Paths in it are absolute, or relative to the
// working directory.
type Config struct {
	// Purposes are all purposes of the company that the command works on.
	Purposes []purpose.Purpose `toml:"purposes"`
	// RunAs is the name of the role that the command runs in, "" for a role that manages
	// all purposes.
	RunAs string `toml:"run_as"`
	// Audit is the file that every use of a key is recorded in, one JSON object a line.
	Audit string `toml:"audit"`
	// AuditLog is a log that can't be edited unnoticed, beside Audit or in place of it.
	AuditLog *AuditLog `toml:"audit_log"`
	// Pins is the file with a pin of each purpose. It is kept apart from the key store.
	Pins string `toml:"pins"`
	// Certificates is the directory with the certificates of erasures.
	Certificates string `toml:"certificates"`
	// Refresh is the setting of all services of the key store. The default is 5 minutes.
	Refresh Duration `toml:"refresh"`
	// DestroyAfter is how long a key has to be retired before it is destroyed. The
	// default is 30 days.
	DestroyAfter Duration `toml:"destroy_after"`
	// RotateAfter is the age from which on doctor warns of a seal key, 0 for none.
	RotateAfter Duration `toml:"rotate_after"`

	Store       Store      `toml:"store"`
	KEK         KEK        `toml:"kek"`
	PreviousKEK *KEK       `toml:"previous_kek"`
	Backup      *Backup    `toml:"backup"`
	Databases   []Database `toml:"database"`
	Roles       []Role     `toml:"role"`
	Tables      []Table    `toml:"table"`
	// Approval asks for the approval of a second person.
	Approval *Approval `toml:"approval"`
	// Record has the statements of the record of processing activities.
	Record *Record `toml:"record"`

	file string
}

// An AuditLog says where the command keeps a log of package auditlog. One process at a time
// writes it.
type AuditLog struct {
	Dir   string `toml:"dir"`
	Key   string `toml:"key"`   // file with the signing key, which onlyfor audit key makes
	Heads string `toml:"heads"` // file that heads are added to, where nobody can change it
	// Witnesses cosign the heads of the log.
	Witnesses []Witness `toml:"witnesses"`
}

// A Witness is a witness of an audit log: over HTTP, or in a directory of somebody else.
type Witness struct {
	URL string `toml:"url"` // with Key
	Key string `toml:"key"` // file with the public key of the witness
	Dir string `toml:"dir"` // directory that heads are added to
}

// An Approval has the people of whom one has to approve operations that can't be undone.
type Approval struct {
	Keys []string `toml:"keys"` // public keys, which onlyfor approve key prints
}

// Verifiers returns the keys, which Parse has checked.
func (a *Approval) Verifiers() (all []note.Verifier) {
	for _, text := range a.Keys {
		if v, err := note.NewVerifier(text); err == nil {
			all = append(all, v)
		}
	}
	return all
}

// A Store says where the wrapped keys are.
type Store struct {
	Dir      string `toml:"dir"`      // a directory of this machine, or
	Database string `toml:"database"` // the name of a database
	Table    string `toml:"table"`    // the table in the database, if not the default one
}

// A KEK says where key-encryption keys are: exactly one of Local, Secret, SecretVariable,
// Environment, Service and Keys. Of has the places for single purposes, which come first.
type KEK struct {
	Local          string            `toml:"local"`           // directory that Generate writes keys to
	Secret         string            `toml:"secret"`          // directory that the platform mounts
	SecretVariable string            `toml:"secret_variable"` // variable with the name of that directory
	Environment    string            `toml:"environment"`     // prefix of variables that hold texts
	Service        string            `toml:"service"`         // URI with {purpose}
	Keys           map[string]string `toml:"keys"`            // URIs by purpose
	Of             map[string]KEK    `toml:"of"`
}

// A Backup is a copy of the key store, and the KEK in escrow that opens it for Purposes
// and for no others.
type Backup struct {
	Store    Store             `toml:"store"`
	KEK      KEK               `toml:"kek"`
	Purposes []purpose.Purpose `toml:"purposes"`
}

// A Database is a connection. Its data source name, which may hold a password, is in the
// environment.
type Database struct {
	Name     string `toml:"name"`
	Kind     string `toml:"kind"` // postgres, mysql or sqlite
	File     string `toml:"file"` // of sqlite
	Variable string `toml:"variable"`
}

// A Role is a service, or a job, with the purposes that it may use. Every other purpose
// has to be shut for it.
type Role struct {
	Name    string            `toml:"name"`
	Opens   []purpose.Purpose `toml:"opens"`
	Manages []purpose.Purpose `toml:"manages"`
	Erases  []purpose.Purpose `toml:"erases"` // of Opens: the purposes under which it erases persons
	Member  string            `toml:"member"` // the holder of the role in Google Cloud
	// Account is the account of the role in the database of the key store: see
	// sqlstore.Role. The default is Name.
	Account string `toml:"account"`
	// View is the view that the role writes through, on MySQL and MariaDB.
	View string `toml:"view"`
}

// A Table is a migrate.Table as text.
type Table struct {
	Database string   `toml:"database"`
	Name     string   `toml:"name"`
	Key      string   `toml:"key"`
	Subject  string   `toml:"subject"`
	Columns  []Column `toml:"column"`
}

// A Column is a migrate.Column as text.
type Column struct {
	Kind    string            `toml:"kind"` // email or phone
	Plain   string            `toml:"plain"`
	Sealed  string            `toml:"sealed"`
	Indexes map[string]string `toml:"index"` // columns by purpose
	// Read names the function that reads the plaintext: "" for the content as it is,
	// "plus" for numbers without their "+", "phonenumber" for numbers as people typed
	// them, "json" for a field of a document.
	Read         string `toml:"read"`
	Region       string `toml:"region"`        // of phonenumber
	RegionColumn string `toml:"region_column"` // of phonenumber
	Field        string `toml:"field"`         // of json
	// Collected has the rules for the purposes of a row. The first rule that fits
	// decides; a row without one is quarantined.
	Collected []Rule `toml:"collected"`
	// Leave has the rules for values that stay in plaintext.
	Leave []Leave `toml:"leave"`
}

// A Rule states the purposes that a value was collected for, and the basis.
type Rule struct {
	When       map[string]string `toml:"when"` // columns and their content, all of them
	For        []purpose.Purpose `toml:"for"`
	Legal      purpose.Legal     `toml:"legal"`
	Notice     string            `toml:"notice"`
	Consent    string            `toml:"consent"`
	RetainDays int               `toml:"retain_days"`
	Collected  string            `toml:"collected_column"` // column with the time of collection
}

// A Leave says why a value with a problem stays as it is.
type Leave struct {
	When    map[string]string `toml:"when"`
	Problem string            `toml:"problem"`
	Reason  string            `toml:"reason"`
}

// A Record is the statements of people in the record of processing activities (Article 30
// GDPR), which neither values nor source can tell.
type Record struct {
	Controller string               `toml:"controller"`
	Contact    string               `toml:"contact"`
	Officer    string               `toml:"officer"` // the data protection officer
	Purposes   map[string]Statement `toml:"purposes"`
}

// A Statement is what the record says of one purpose.
type Statement struct {
	Description string   `toml:"description"`
	Categories  []string `toml:"categories"` // of people
	Recipients  []string `toml:"recipients"`
	Transfers   []string `toml:"transfers"` // to third countries, or "none"
	Measures    []string `toml:"measures"`
}

// A Duration is a time.Duration that is also written in days, as "90d".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(parsed)
	return nil
}

// ParseDuration parses text such as "90d", "36h" or "5m". A duration is not negative.
func ParseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		text = days + "h"
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > 100*365*time.Hour {
			return 0, errDuration
		}
		return 24 * d, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, errDuration
	}
	return d, nil
}

var errDuration = errors.New(`not a time such as "90d", "36h" or "5m"`)

// Load reads the file at path.
func Load(path string) (*Config, error) { return load(path, Parse) }

// LoadUnapproved is Load without the check of the keys of [approval], for a command that
// uses none of them: [Config.CheckApproval] is the check.
func LoadUnapproved(path string) (*Config, error) { return load(path, parse) }

func load(path string, parse func(text string) (*Config, error)) (*Config, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no file %s: onlyfor init writes one, --config names another", Err, path)
	case err != nil:
		return nil, fmt.Errorf("%w: %s can't be read", Err, path)
	}
	c, err := parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", Err, path, err)
	}
	c.file = path
	c.resolve(filepath.Dir(path))
	return c, nil
}

// File returns the path that the configuration was read from.
func (c *Config) File() string { return c.file }

// Parse reads the text of a configuration. Paths in the result are as they are written.
func Parse(text string) (*Config, error) {
	c, err := parse(text)
	if err != nil {
		return nil, err
	}
	if err := c.CheckApproval(); err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	return c, nil
}

func parse(text string) (*Config, error) {
	c := new(Config)
	meta, err := toml.Decode(text, c)
	if err != nil {
		return nil, describe(err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("there is no field %s", name(unknown[0]))
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// describe returns an error with the place of a toml error, and nothing of the file's
// content but the name of a field.
func describe(err error) error {
	var syntax toml.ParseError
	if !errors.As(err, &syntax) {
		// An error of decoding is "toml: " and a sentence about types, or the error of an
		// UnmarshalText of ours.
		for _, known := range []error{purpose.ErrSyntax, purpose.ErrBasis, errDuration} {
			if errors.Is(err, known) {
				return known
			}
		}
		return errors.New("a field has a value of another type than it needs")
	}
	place := fmt.Sprintf("line %d", syntax.Position.Line)
	if fieldName.MatchString(syntax.LastKey) {
		place += " (" + syntax.LastKey + ")"
	}
	for _, known := range []error{purpose.ErrSyntax, purpose.ErrBasis, errDuration} {
		if errors.Is(err, known) || strings.HasSuffix(syntax.Message, known.Error()) {
			return fmt.Errorf("%s: %w", place, known)
		}
	}
	return fmt.Errorf("%s: not as TOML wants it", place)
}

// name returns the name of a field, which is safe to print if it looks like one.
func name(key toml.Key) string {
	if text := key.String(); fieldName.MatchString(text) {
		return text
	}
	return "of that name in " + key[:len(key)-1].String()
}

// resolve makes paths relative to dir, the directory of the file.
func (c *Config) resolve(dir string) {
	at := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	for _, path := range []*string{&c.Audit, &c.Pins, &c.Certificates, &c.Store.Dir} {
		at(path)
	}
	for i := range c.Databases {
		at(&c.Databases[i].File)
	}
	if c.AuditLog != nil {
		at(&c.AuditLog.Dir)
		at(&c.AuditLog.Key)
		at(&c.AuditLog.Heads)
		for i := range c.AuditLog.Witnesses {
			at(&c.AuditLog.Witnesses[i].Key)
			at(&c.AuditLog.Witnesses[i].Dir)
		}
	}
	c.KEK.resolve(at)
	if c.PreviousKEK != nil {
		c.PreviousKEK.resolve(at)
	}
	if c.Backup != nil {
		at(&c.Backup.Store.Dir)
		c.Backup.KEK.resolve(at)
	}
}

func (k *KEK) resolve(at func(*string)) {
	at(&k.Local)
	at(&k.Secret)
	for p, of := range k.Of {
		of.resolve(at)
		k.Of[p] = of
	}
}

// Database returns the database of the given name.
func (c *Config) Database(name string) (Database, bool) {
	i := slices.IndexFunc(c.Databases, func(d Database) bool { return d.Name == name })
	if i < 0 {
		return Database{}, false
	}
	return c.Databases[i], true
}

// RoleOf returns the role of the given name. The name "" is a role that manages all
// purposes.
func (c *Config) RoleOf(name string) (Role, bool) {
	if name == "" {
		return Role{Manages: c.Purposes}, true
	}
	i := slices.IndexFunc(c.Roles, func(r Role) bool { return r.Name == name })
	if i < 0 {
		return Role{}, false
	}
	return c.Roles[i], true
}

// Usable returns the purposes that a role opens or manages.
func (r Role) Usable() purpose.Set { return purpose.NewSet(slices.Concat(r.Opens, r.Manages)...) }

// ByPurpose returns a map whose keys are names of purposes, which Parse has checked.
func ByPurpose[T any](names map[string]T) map[purpose.Purpose]T {
	m := make(map[purpose.Purpose]T, len(names))
	for name, v := range names {
		m[purpose.MustParse(name)] = v
	}
	return m
}

// Purposes returns the purposes that a table has values or indexes of, in the order of
// their names.
func (t Table) Purposes() purpose.Set {
	var all []purpose.Purpose
	for _, column := range t.Columns {
		for name := range column.Indexes {
			all = append(all, purpose.MustParse(name))
		}
		for _, rule := range column.Collected {
			all = append(all, rule.For...)
		}
	}
	return purpose.NewSet(all...)
}
