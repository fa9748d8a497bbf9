// Command logs hands one user to four loggers, whole and in part.
//
//	go -C examples/encodings run ./logs
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/rs/zerolog"
	"github.com/sirupsen/logrus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/vault"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "logs:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	return person.WithScope(ctx, person.Security, func(security *vault.Scope) error {
		row, err := person.New(ctx, security)
		if err != nil {
			return err
		}
		slog.New(slog.NewTextHandler(out, nil)).Info("slog", "email", row.Email, "contact", row.Contact)
		slog.New(slog.NewJSONHandler(out, nil)).Info("slog", "email", row.Email, "contact", row.Contact)

		z := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(out), zap.InfoLevel))
		z.Info("zap", zap.String("email", row.Email.GoString()), zap.Any("contact", row.Contact))

		l := zerolog.New(out)
		l.Info().Str("email", row.Email.GoString()).Interface("contact", row.Contact).Msg("zerolog")

		r := logrus.New()
		r.Out, r.Formatter = out, &logrus.TextFormatter{DisableColors: true}
		r.WithField("email", row.Email).WithField("contact", row.Contact).Info("logrus")
		return nil
	})
}
