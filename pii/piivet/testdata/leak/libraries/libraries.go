// Package libraries leaks through what services use besides the standard
// library.
package libraries

import (
	"context"
	"io"
	"os"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/pkg/errors"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/zap"
)

type service struct {
	zap   *zap.Logger
	zero  *zerolog.Logger
	count *prometheus.CounterVec
}

func (s *service) leaks(ctx context.Context, e pii.Email, scope *vault.Scope, c echo.Context) error {
	a, err := e.Reveal(ctx, scope)
	if errors.Is(err, nil) {
		return errors.Wrap(err, "revealing")
	}
	field := zap.String("to", a)
	s.zap.Info("sent", field)                     // want `goes into a log`
	s.zap.Sugar().Infow("sent", "to", a)          // want `goes into a log`
	s.zero.Info().Str("to", a).Msg("sent")        // want `goes into a log`
	s.count.WithLabelValues(a).Inc()              // want `goes into a metric label or a trace`
	s.count.With(prometheus.Labels{"a": a}).Inc() // want `goes into a metric label or a trace`
	s.zap.Info("sent", zap.String("id", uuid.NewSHA1(uuid.UUID{}, nil).String()))
	switch a {
	case "x":
		return errors.Wrap(err, a) // want `goes into an error`
	case "y":
		return echo.NewHTTPError(404, "no "+a) // want `goes into an error`
	}
	report(os.Stdout, a)
	report(io.Discard, a)
	return c.JSON(200, map[string]any{"a": a}) // want `goes into a response`
}

// report is called with standard output.
func report(w io.Writer, what string) {
	io.WriteString(w, what) // want `goes to standard output or standard error`
}

// discard is not.
func discard(ctx context.Context, e pii.Email, scope *vault.Scope) {
	a, _ := e.Reveal(ctx, scope)
	quiet(io.Discard, a)
}

func quiet(w io.Writer, what string) { io.WriteString(w, what) }
