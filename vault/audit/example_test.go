package audit_test

import (
	"context"
	"log/slog"
	"os"

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
	// Output: level=WARN msg=onlyfor action=open outcome=denied purpose=advertising caller=newsletter error="key store has none: no usable keys"
}
