package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A company has a key store, key-encryption keys, and three kinds of processes with a log
// each.
type company struct {
	keys, kek, logs string
	ops, signIn     *process
	support         *process
}

// A process is a program that is started again and again. Its log goes on.
type process struct {
	name     string
	dir      string
	signer   note.Signer
	verifier note.Verifier
	// kept are the heads that the log has sent to the assessor, who keeps them.
	kept []auditlog.Head
}

func newCompany(dir string) (*company, error) {
	c := &company{keys: filepath.Join(dir, "keys"), kek: filepath.Join(dir, "kek"), logs: filepath.Join(dir, "logs")}
	if err := os.MkdirAll(c.logs, 0o700); err != nil {
		return nil, err
	}
	for name, p := range map[string]**process{"ops": &c.ops, "sign-in": &c.signIn, "support": &c.support} {
		private, public, err := note.GenerateKey(rand.Reader, "example.com/audit/"+name)
		if err != nil {
			return nil, err
		}
		*p = &process{name: name, dir: filepath.Join(c.logs, name)}
		if (*p).signer, err = note.NewSigner(private); err != nil {
			return nil, err
		}
		if (*p).verifier, err = note.NewVerifier(public); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *company) processes() []*process { return []*process{c.ops, c.signIn, c.support} }

// start runs a process from its start to its stop. A watch may look at its events.
func (c *company) start(ctx context.Context, p *process, granted purpose.Set, watch func(audit.Auditor) (audit.Auditor, error), do func(ctx context.Context, v *vault.Admin) error) error {
	log, err := auditlog.Open(ctx, p.dir, p.signer, &auditlog.Options{
		Service: p.name, Granted: granted,
		Keep: func(_ context.Context, h auditlog.Head) error { p.kept = append(p.kept, h); return nil },
	})
	if err != nil {
		return err
	}
	var auditor audit.Auditor = log
	if watch != nil {
		if auditor, err = watch(log); err != nil {
			return err
		}
	}
	v, err := vault.OpenAdmin(ctx, vault.Dir(c.keys), vault.LocalKEK(c.kek), &vault.Options{Audit: auditor})
	if err != nil {
		return err
	}
	if err := do(ctx, v); err != nil {
		return err
	}
	if err := v.Close(); err != nil {
		return err
	}
	return log.Close()
}

// year plays the events of the year before the assessor comes.
func (c *company) year(ctx context.Context, w io.Writer) error {
	fmt.Fprintln(w, "== The year")
	var rows []pii.Email
	err := c.start(ctx, c.ops, purpose.NewSet(security, advertising), nil, func(ctx context.Context, v *vault.Admin) error {
		return v.Generate(audit.WithCaller(ctx, "olivia"), security, advertising)
	})
	if err != nil {
		return err
	}
	err = c.start(ctx, c.signIn, purpose.NewSet(security), nil, func(ctx context.Context, v *vault.Admin) error {
		ctx = audit.WithCaller(ctx, "sign-up")
		scope, err := v.Vault().Scope(ctx, security)
		if err != nil {
			return err
		}
		for _, address := range []string{"ada@example.com", "ben@example.com", "cyd@example.com"} {
			email, err := pii.SealEmail(ctx, address, scope.Under(purpose.Basis{Notice: "account-security-v2"}))
			if err != nil {
				return err
			}
			rows = append(rows, email)
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "three people give an address to secure their accounts")

	// The watch in the support desk's program sees it at once. Nobody reads its warnings.
	warnings := 0
	watch := func(next audit.Auditor) (audit.Auditor, error) {
		return audit.NewWatch(next, audit.Rules{Apart: []purpose.Set{purpose.NewSet(security, advertising)}},
			func(context.Context, audit.Finding) error { warnings++; return nil })
	}
	err = c.start(ctx, c.support, purpose.NewSet(security), watch, func(ctx context.Context, v *vault.Admin) error {
		ctx = audit.WithCaller(ctx, "eve")
		account, err := v.Vault().Scope(ctx, security)
		if err != nil {
			return err
		}
		ads, err := v.Vault().Scope(ctx, advertising)
		if err != nil {
			return err
		}
		for _, email := range rows {
			address, err := email.Reveal(ctx, account)
			if err != nil {
				return err
			}
			// Advertising's own value and index, of an address that was given for security.
			if _, _, err := pii.SealEmailIndexed(ctx, address, ads); err != nil { //piivet:allow repurpose an employee launders, which the assessor finds
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "eve of the support desk makes three addresses known to advertising; her program warned %d times\n", warnings)

	backup := c.keys + "-backup"
	if err := copyDir(backup, c.keys); err != nil {
		return err
	}
	err = c.start(ctx, c.ops, purpose.NewSet(security, advertising), nil, func(ctx context.Context, v *vault.Admin) error {
		return v.Rotate(audit.WithCaller(ctx, "olivia"), security, vault.RoleSeal)
	})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(c.keys); err != nil {
		return err
	}
	if err := os.Rename(backup, c.keys); err != nil {
		return err
	}
	fmt.Fprintln(w, "olivia rotates a key; somebody puts the key store of the day before back")
	return c.start(ctx, c.ops, purpose.NewSet(security, advertising), nil, func(ctx context.Context, v *vault.Admin) error {
		_, err := v.Keys(audit.WithCaller(ctx, "olivia"), security)
		return err
	})
}

// copyDir copies a directory for this user alone.
func copyDir(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(name string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Chmod(name, 0o700)
		}
		return os.Chmod(name, 0o600)
	})
}
