package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A refusal is recorded as well.
func ExampleSlog() {
	ctx := audit.WithCaller(context.Background(), "newsletter")
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.KEKs{}, &vault.Options{Audit: audit.Slog(logger)})
	if err != nil {
		panic(err)
	}
	_, _ = v.Scope(ctx, purpose.MustParse("advertising"))
	// Output: level=WARN msg=onlyfor action=open outcome=denied purpose=advertising reason=keys caller=newsletter error="key store has none: no usable keys"
}

// A process opens two purposes that should be apart, and then launders an address: it
// reveals it for security and seals it for the ads team.
func ExampleNewWatch() {
	security, advertising := purpose.MustParse("security"), purpose.MustParse("advertising")
	rules := audit.Rules{Apart: []purpose.Set{purpose.NewSet(security, advertising)}}
	watch, err := audit.NewWatch(audit.Slog(slog.New(slog.DiscardHandler)), rules, func(_ context.Context, f audit.Finding) error {
		fmt.Println(f.Rule, f.From, f.To, f.Caller) // or tell somebody: see also SlogReport
		return nil
	})
	if err != nil {
		panic(err)
	}
	ctx := audit.WithCaller(context.Background(), "campaign-7")
	v := exampleVault(ctx, &vault.Options{Audit: watch}, security, advertising)
	defer v.Close()
	prompts, err := v.Scope(ctx, security)
	if err != nil {
		panic(err)
	}
	campaigns, err := v.Scope(ctx, advertising)
	if err != nil {
		panic(err)
	}
	email, err := pii.SealEmail(ctx, "alice@example.com", prompts)
	if err != nil {
		panic(err)
	}
	address, err := email.Reveal(ctx, prompts)
	if err != nil {
		panic(err)
	}
	_, err = pii.SealEmail(ctx, address, campaigns)
	fmt.Println(err)
	// Output:
	// held security advertising campaign-7
	// moved security advertising campaign-7
	// <nil>
}

// exampleVault returns a vault that forgets its keys when the program ends.
func exampleVault(ctx context.Context, opts *vault.Options, purposes ...purpose.Purpose) *vault.Vault {
	keks := vault.KEKs{}
	for _, p := range purposes {
		text, err := vault.GenerateKEK(p)
		if err != nil {
			panic(err)
		}
		keks[p] = vault.TextKEK(func(purpose.Purpose) (string, error) { return text, nil })
	}
	admin, err := vault.OpenAdmin(ctx, vault.Memory(), keks, opts)
	if err != nil {
		panic(err)
	}
	if err := admin.Generate(ctx, purposes...); err != nil {
		panic(err)
	}
	return admin.Vault()
}
