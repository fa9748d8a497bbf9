package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	_ "modernc.org/sqlite"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/transit"
	"github.com/onlyfor/onlyfor/vault/kms"
	"github.com/onlyfor/onlyfor/vault/kms/hcvault"
)

var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")
)

//go:embed onlyfor.toml
var configuration string

//go:embed register.json
var register string

// A company has a table of members, a key store, a key service, and services with an audit
// log each.
type company struct {
	dir     string
	address string // of the key service
	keys    kms.Keys
	service *transit.Server
	server  *http.Server
	db      *sql.DB
	signers map[string]note.Signer // of the logs
}

func token(role string) string { return "token-of-" + role }

// newCompany starts the key service, and builds the command.
func newCompany(ctx context.Context, dir string) (*company, error) {
	c := &company{dir: dir, signers: map[string]note.Signer{}}
	for _, name := range []string{"bin", "logs", "keys", "kept"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "bin", "onlyfor"), "github.com/onlyfor/onlyfor/vault/cmd/onlyfor")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the command: %w\n%s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if c.service, err = transit.New("onlyfor-security", "onlyfor-advertising"); err != nil {
		return nil, err
	}
	c.server = &http.Server{Handler: c.service, ReadHeaderTimeout: time.Minute}
	go c.server.Serve(listener)
	host := listener.Addr().String()
	c.address, c.keys = "http://"+host, kms.Template("hcvault://"+host+"/transit/keys/onlyfor-{purpose}")
	for name, text := range map[string]string{"onlyfor.toml": strings.ReplaceAll(configuration, "KEY-SERVICE", host), "register.json": register} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	c.db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "app.db")+"?_pragma=busy_timeout(10000)")
	return c, err
}

func (c *company) close() {
	c.db.Close()
	c.server.Close()
}

// years plays everything before the order.
func (c *company) years(ctx context.Context) error {
	for _, step := range []func(context.Context) error{c.deploy, c.members, c.signIn, c.launder, c.match, c.requests} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// deploy grants each role its purposes, and makes the keys.
func (c *company) deploy(ctx context.Context) error {
	for role, uses := range map[string]kms.Role{
		"ops": {Name: "ops", Manages: purpose.NewSet(security, advertising)}, "sign-in": {Name: "sign-in", Opens: purpose.NewSet(security)},
		"ads": {Name: "ads", Opens: purpose.NewSet(advertising)}, "support": {Name: "support", Opens: purpose.NewSet(security, advertising)},
	} {
		policy, err := kms.HCVaultPolicy(c.keys, uses)
		if err != nil {
			return err
		}
		c.service.Grant(token(role), policy)
	}
	if err := c.operate(ctx, "ops", "onlyfor audit key example.com/audit/ops"); err != nil {
		return err
	}
	return c.operate(ctx, "ops", "onlyfor keys generate")
}

// members inserts 120 members, who gave their numbers from 2013 to 2022, and seals the
// numbers.
func (c *company) members(ctx context.Context) error {
	if _, err := c.db.ExecContext(ctx, `CREATE TABLE users (id TEXT PRIMARY KEY, source TEXT, given_on TEXT,
		phone TEXT, phone_sealed TEXT, phone_index BLOB, ads_index BLOB)`); err != nil {
		return err
	}
	for i := range 120 {
		given := time.Date(2013, 5, 1, 10, 0, 0, 0, time.UTC).AddDate(0, 0, 30*i)
		source := []string{"2fa", "2fa", "recovery", "offers"}[i%4]
		if _, err := c.db.ExecContext(ctx, "INSERT INTO users (id, source, given_on, phone) VALUES (?, ?, ?, ?)",
			member(i), source, given.Format(time.DateTime), number(i)); err != nil {
			return err
		}
	}
	for _, command := range []string{"onlyfor migrate backfill --workers 1", "onlyfor migrate verify --workers 1", "onlyfor migrate cut-over --workers 1 --yes"} {
		if err := c.operate(ctx, "ops", command); err != nil {
			return err
		}
	}
	return nil
}

func member(i int) string { return fmt.Sprintf("m%03d", i) }
func number(i int) string { return fmt.Sprintf("+1415555%04d", i) }

// signIn sends codes to 40 members. It proves that it can't open advertising.
func (c *company) signIn(ctx context.Context) error {
	return c.start(ctx, "sign-in", security, advertising, func(ctx context.Context, v *vault.Vault) error {
		reader, err := v.Reader(ctx, security)
		if err != nil {
			return err
		}
		for i := range 40 {
			if _, err := c.reveal(ctx, reader, member(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// match finds the members in the list of an advertiser. It proves that it can't open
// security.
func (c *company) match(ctx context.Context) error {
	return c.start(ctx, "ads", advertising, security, func(ctx context.Context, v *vault.Vault) error {
		lookup, err := v.Lookup(ctx, advertising)
		if err != nil {
			return err
		}
		found := 0
		for i := range 40 {
			index, err := pii.IndexPhone(ctx, number(i), lookup)
			if err != nil {
				return err
			}
			var n int
			if err := c.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM users WHERE ads_index = ?", index).Scan(&n); err != nil {
				return err
			}
			found += n
		}
		if found != 13 { // ten who consented, and the three whom eve has added
			return fmt.Errorf("the advertiser finds %d members", found)
		}
		return nil
	})
}

// launder is the work of eve of the support desk, who has both purposes. She makes three
// numbers that were given for security known to advertising.
func (c *company) launder(ctx context.Context) error {
	return c.start(ctx, "support", security, purpose.Purpose{}, func(ctx context.Context, v *vault.Vault) error {
		account, err := v.Reader(ctx, security)
		if err != nil {
			return err
		}
		ads, err := v.Lookup(ctx, advertising)
		if err != nil {
			return err
		}
		for _, i := range []int{4, 5, 8} {
			text, err := c.reveal(ctx, account, member(i))
			if err != nil {
				return err
			}
			index, err := pii.IndexPhone(ctx, text, ads) //piivet:allow repurpose an employee launders, which the order asks for
			if err != nil {
				return err
			}
			if _, err := c.db.ExecContext(ctx, "UPDATE users SET ads_index = ? WHERE id = ?", index, member(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// requests are those of members, which the command carries out.
func (c *company) requests(ctx context.Context) error {
	for _, command := range []string{
		"onlyfor withdraw users m031 --purpose advertising --reason 'request 11'",
		"onlyfor withdraw users m035 --purpose advertising --reason 'request 12'",
		"onlyfor erase m039 --reason 'request 13'",
	} {
		if err := c.operate(ctx, "ops", command); err != nil {
			return err
		}
	}
	return nil
}

// reveal opens the number of a member.
func (c *company) reveal(ctx context.Context, reader *vault.Reader, id string) (string, error) {
	var phone pii.Phone
	if err := c.db.QueryRowContext(ctx, "SELECT phone_sealed FROM users WHERE id = ?", id).Scan(&phone); err != nil {
		return "", err
	}
	return phone.Reveal(ctx, reader.For(id))
}

// start runs a service with an audit log, whose heads the assessor keeps. A service that is
// to be shut out of a purpose proves it first.
func (c *company) start(ctx context.Context, name string, granted, shut purpose.Purpose, do func(context.Context, *vault.Vault) error) (err error) {
	signer, err := c.signer(name)
	if err != nil {
		return err
	}
	log, err := auditlog.Open(ctx, filepath.Join(c.dir, "logs", name), signer, &auditlog.Options{
		Service: name, Granted: purpose.NewSet(granted),
		Keep: func(_ context.Context, h auditlog.Head) error { return c.keep(name, h) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	os.Setenv("VAULT_ADDR", c.address)
	os.Setenv("VAULT_TOKEN", token(name))
	kek, err := hcvault.New(ctx, c.keys, nil)
	if err != nil {
		return err
	}
	v, err := vault.Open(ctx, vault.Dir(filepath.Join(c.dir, "key-store")), kek, &vault.Options{Audit: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	ctx = audit.WithCaller(ctx, map[string]string{"support": "eve"}[name])
	if !shut.IsZero() {
		if err := v.CheckDenied(ctx, shut); err != nil {
			return err
		}
	}
	return do(ctx, v)
}

// signer returns the key that signs the log of a service.
func (c *company) signer(name string) (note.Signer, error) {
	if s := c.signers[name]; s != nil {
		return s, nil
	}
	private, public, err := note.GenerateKey(rand.Reader, "example.com/audit/"+name)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(c.dir, "keys", name+".pub"), []byte(public+"\n"), 0o600); err != nil {
		return nil, err
	}
	c.signers[name], err = note.NewSigner(private)
	return c.signers[name], err
}

// keep adds a head to the file of the assessor, who has one for each log.
func (c *company) keep(name string, h auditlog.Head) error {
	text, err := h.MarshalText()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(c.dir, "kept", name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Close())
}
