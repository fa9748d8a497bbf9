package audit

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
)

// Slog returns an [Auditor] that writes each event to l as one record. The level is Info
// if the action was allowed, and Warn otherwise. A nil l means [slog.Default]. An error
// of the logger's handler is an error of the auditor, so an action that can't be logged
// fails. A handler that is not enabled for the level drops the event, and the action
// goes on.
func Slog(l *slog.Logger) Auditor { return slogAuditor{l} }

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
	// The handler is called directly: the Logger drops its errors.
	r := slog.NewRecord(e.Time, level, "onlyfor", 0)
	// The attributes of the record are in one array. A record has room for five of its own.
	var buf [maxAttrs]slog.Attr
	r.AddAttrs(appendAttrs(buf[:0], &e)...)
	return l.Handler().Handle(ctx, r)
}

// maxAttrs is the number of attributes of an event with every field.
const maxAttrs = 28

// appendAttrs appends the attributes of the fields that are set.
func appendAttrs(attrs []slog.Attr, e *Event) []slog.Attr {
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	attrs = append(attrs,
		slog.String("action", string(e.Action)),
		slog.String("outcome", string(e.Outcome)),
		slog.String("purpose", e.Purpose.String()),
	)
	text("to", e.To.String())
	text("from", e.From.String())
	text("role", e.Role)
	if e.KeyID != 0 {
		attrs = append(attrs, slog.String("key", hexID(e.KeyID)))
	}
	if e.Generation != 0 {
		attrs = append(attrs, slog.Uint64("generation", e.Generation))
	}
	text("digest", e.Digest)
	text("subject", e.Subject)
	text("collected", e.Collected.String())
	text("kind", e.Kind)
	text("value", e.Value)
	text("new-value", e.NewValue)
	p := &e.Provenance
	if p.Legal != 0 {
		text("legal", p.Legal.String())
	}
	text("notice", p.Notice)
	text("consent", p.Consent)
	if !p.Collected.IsZero() {
		attrs = append(attrs, slog.Time("collected-at", p.Collected))
	}
	if p.Stated {
		attrs = append(attrs, slog.Bool("stated", true))
	}
	if !p.Expires.IsZero() {
		attrs = append(attrs, slog.Time("expires", p.Expires))
	}
	text("first-purpose", p.From.String())
	text("reason", e.Reason)
	text("note", e.Note)
	if e.Count > 1 {
		attrs = append(attrs, slog.Int("count", e.Count))
	}
	if e.Unwraps > 0 {
		attrs = append(attrs, slog.Int("unwraps", e.Unwraps))
	}
	text("root", e.Root)
	text("recipient", e.Recipient)
	text("operation", e.Operation)
	text("caller", e.Caller)
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	return attrs
}

// hexID returns the id of a key as certificates and OPERATIONS.md write it.
func hexID(id uint32) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, id))
}
