// Command lifecycle follows one person's e-mail address from sign-up to
// erasure, and prints each purpose's view of it at each step.
//
//	go -C examples run ./lifecycle
//
// It keeps its keys in a temporary directory and needs no server.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// The purposes of this company.
var (
	security    = purpose.MustParse("security")
	billing     = purpose.MustParse("billing")
	advertising = purpose.MustParse("advertising")
)

func main() {
	if err := run(context.Background(), os.Stdout, 8*time.Second); err != nil {
		fmt.Fprintln(os.Stderr, "lifecycle:", err)
		os.Exit(1)
	}
}

// A company holds the scopes of all purposes. In a real company they are in
// different processes.
type company struct {
	vault  *vault.Admin
	scopes []*vault.Scope // for one person
	out    io.Writer
}

// run tells the story. The billing department may keep the address for the time
// retain.
func run(ctx context.Context, out io.Writer, retain time.Duration) error {
	dir, err := os.MkdirTemp("", "onlyfor-lifecycle-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	v, err := vault.OpenAdmin(ctx, vault.Dir(filepath.Join(dir, "keys")), vault.LocalKEK(filepath.Join(dir, "kek")),
		&vault.Options{Refresh: time.Second}) // minutes, outside of an example
	if err != nil {
		return err
	}
	defer v.Close()
	if err := v.Generate(ctx, security, billing, advertising); err != nil {
		return err
	}

	const user = "user-4711"
	c := &company{vault: v, out: out}
	for _, p := range []purpose.Purpose{security, billing, advertising} {
		s, err := v.Scope(ctx, p)
		if err != nil {
			return err
		}
		c.scopes = append(c.scopes, s.For(user))
	}
	forSecurity, forBilling, forAds := c.scopes[0], c.scopes[1], c.scopes[2]

	email, err := pii.SealEmail(ctx, "alice@example.com",
		forSecurity.Under(purpose.Basis{Legal: purpose.Contract, Notice: "sign-up-v3"}),
		forBilling.Under(purpose.Basis{Legal: purpose.LegalObligation, Notice: "invoice-v1", Retain: retain}))
	if err != nil {
		return err
	}
	c.show(ctx, "1. sign-up, for security and, for a while, for billing", email)

	_, err = email.Extend(ctx, forSecurity, forAds)
	fmt.Fprintf(out, "   without asking her: %v\n", err)
	email, err = email.Extend(ctx, forSecurity,
		forAds.Under(purpose.Basis{Legal: purpose.Consent, Notice: "ads-v2", Consent: "consent-2026-81f3"}))
	if err != nil {
		return err
	}
	c.show(ctx, "2. she consents to ads", email)

	if email, err = email.Withdraw(ctx, advertising, v); err != nil {
		return err
	}
	c.show(ctx, "3. she withdraws: no key is needed, and the ads index column is set to NULL", email)

	if err := v.Rotate(ctx, security, vault.RoleSeal); err != nil {
		return err
	}
	if err := waitForPrimary(ctx, v); err != nil {
		return err
	}
	if err := v.RewrapSubjects(ctx, security, "", nil); err != nil {
		return err
	}
	keys, err := v.Keys(ctx, security)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Role == vault.RoleSeal && k.Status == vault.Active {
			if err := v.Retire(ctx, security, k.ID); err != nil {
				return err
			}
		}
	}
	c.show(ctx, "4. the security key is rotated and the old one retired: her value was not touched", email)

	if err := waitForExpiry(ctx, email); err != nil {
		return err
	}
	c.show(ctx, "5. the time for which billing may keep it is over", email)
	if email, err = email.Sweep(ctx, v); err != nil {
		return err
	}
	c.show(ctx, "6. a sweep drops what is over: no key is needed", email)

	certificate, err := v.Erase(ctx, user, security, billing, advertising)
	if err != nil {
		return err
	}
	c.show(ctx, "7. she leaves: her keys are destroyed, and with them every copy in every backup", email)
	text, err := json.MarshalIndent(certificate[0], "   ", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "   the certificate to keep, for security:\n   %s\n", text)
	return nil
}

// waitForPrimary waits until the published key is the primary key: every process has
// read it by then.
func waitForPrimary(ctx context.Context, v *vault.Admin) error {
	keys, err := v.Keys(ctx, security)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := waitUntil(ctx, k.PrimaryAt); err != nil {
			return err
		}
	}
	return nil
}

// waitForExpiry waits until billing's retention time is over.
func waitForExpiry(ctx context.Context, email pii.Email) error {
	p, _ := email.Provenance(billing)
	return waitUntil(ctx, p.Expires)
}

func waitUntil(ctx context.Context, at time.Time) error {
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// show prints each purpose's view of the address: the hint, or the refusal.
func (c *company) show(ctx context.Context, step string, email pii.Email) {
	fmt.Fprintf(c.out, "\n%s\n   the row holds %v\n", step, email)
	for _, s := range c.scopes {
		sees, err := email.Hint(ctx, s)
		if err != nil {
			sees = err.Error()
		} else if p, ok := email.Provenance(s.Purpose()); ok {
			sees += "  (" + describe(p) + ")"
		}
		fmt.Fprintf(c.out, "   %-12v%s\n", s.Purpose(), sees)
	}
}

func describe(p purpose.Provenance) string {
	text := p.Legal.String() + ", notice " + p.Notice
	if p.Consent != "" {
		text += ", " + p.Consent
	}
	if !p.From.IsZero() {
		text += ", from " + p.From.String()
	}
	if !p.Expires.IsZero() {
		text += ", for a while"
	}
	return text
}
