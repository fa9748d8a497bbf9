package vault

import (
	"context"
	"log/slog"
)

// SlogAuditor returns an [Auditor] that writes each event as one record of l,
// at level Info if the action was allowed and Warn otherwise; nil stands for
// [slog.Default]. An error of the logger's handler is an error of the auditor,
// so what can't be logged does not happen. A handler that is not enabled for
// the level drops the event, as it was told to.
func SlogAuditor(l *slog.Logger) Auditor { return slogAuditor{l} }

type slogAuditor struct {
	logger *slog.Logger
}

func (a slogAuditor) Audit(ctx context.Context, e Event) error {
	l := a.logger
	if l == nil {
		l = slog.Default()
	}
	level := slog.LevelInfo
	if e.Outcome != Allowed {
		level = slog.LevelWarn
	}
	if !l.Enabled(ctx, level) {
		return nil
	}
	// The handler is called without the Logger, which would drop its error.
	r := slog.NewRecord(e.Time, level, "onlyfor", 0)
	r.AddAttrs(
		slog.String("action", string(e.Action)),
		slog.String("outcome", string(e.Outcome)),
		slog.String("purpose", e.Purpose.String()),
	)
	if !e.To.IsZero() {
		r.AddAttrs(slog.String("to", e.To.String()))
	}
	if e.Subject != "" {
		r.AddAttrs(slog.String("subject", e.Subject))
	}
	if e.Collected.Len() > 0 {
		r.AddAttrs(slog.String("collected", e.Collected.String()))
	}
	if e.Kind != "" {
		r.AddAttrs(slog.String("kind", e.Kind))
	}
	if e.Caller != "" {
		r.AddAttrs(slog.String("caller", e.Caller))
	}
	if e.Err != nil {
		r.AddAttrs(slog.String("error", e.Err.Error()))
	}
	return l.Handler().Handle(ctx, r)
}
