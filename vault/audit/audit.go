// Package audit describes the record of every use of keys: a vault hands an [Event]
// to the [Auditor] in its options before it returns a result.
//
//	v, err := vault.Open(ctx, store, kek, &vault.Options{Audit: audit.Slog(logger)})
//
// An event says who did what for which purpose, and how it ended. It never holds a
// value, an index or a key. [Slog] writes events to a logger; an auditor of your own
// has one method.
package audit

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// An Action is a use of a scope or an operation on keys.
type Action string

// The actions that are audited.
const (
	Seal   Action = "seal"
	Reveal Action = "reveal"
	Hint   Action = "hint"
	Index  Action = "index"
	Extend Action = "extend" // a value to another purpose
	Reseal Action = "reseal"
	Erase  Action = "erase" // a subject

	Open      Action = "open"  // the keys of a purpose, and so its scope
	Check     Action = "check" // who can open the keys, and how they are bound
	List      Action = "list"
	Generate  Action = "generate"
	Rotate    Action = "rotate"
	Retire    Action = "retire"
	Reinstate Action = "reinstate"
	Destroy   Action = "destroy"
	Rewrap    Action = "rewrap"
)

var gerunds = map[Action]string{
	Seal: "sealing", Reveal: "revealing", Hint: "hinting", Index: "indexing",
	Extend: "extending", Reseal: "re-sealing", Erase: "erasing",
	Open: "opening", Check: "checking", List: "listing", Generate: "generating", Rotate: "rotating",
	Retire: "retiring", Reinstate: "reinstating",
	Destroy: "destroying", Rewrap: "re-wrapping",
}

// Gerund returns the name of the action in errors, such as "revealing".
func (a Action) Gerund() string {
	if g, ok := gerunds[a]; ok {
		return g
	}
	return string(a)
}

// An Outcome is the result of an action.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allowed"
	Denied  Outcome = "denied" // because of the purpose, the keys or the value itself
	Failed  Outcome = "failed" // for a reason that says nothing about rights
)

// An Event is the record of one action, allowed or not. It never holds a
// value, an index or a key.
type Event struct {
	// Time is when the action was decided.
	Time time.Time
	// Action is the requested action.
	Action Action
	// Outcome is the result of the action.
	Outcome Outcome
	// Purpose is the purpose of the scope, or of the keys.
	Purpose purpose.Purpose
	// To is the purpose that a value is extended to, zero for other actions.
	To purpose.Purpose
	// Role is the role of the key that is rotated, "" for other actions.
	Role string
	// Subject is the pseudonym of the person under Purpose, 32 hex digits, or "" if
	// the action is not about one person.
	Subject string
	// Collected is the set of purposes that the value claims to be collected for or,
	// for a seal, that it is being collected for. It is empty if no value takes part.
	Collected purpose.Set
	// Kind is the name of the value's kind, or "" if no value takes part.
	Kind string
	// Caller is the caller that [WithCaller] put into the context, or "".
	Caller string
	// Err is the error of an action that was not allowed, nil otherwise.
	Err error
}

// An Auditor records events. Its methods are called from many goroutines at once,
// after an action was decided and before its result is returned. A result that was
// recorded as allowed can still be lost, but no result is returned unrecorded. Sealing
// for several purposes makes one event for each.
//
// Audit fails closed: if it returns an error or panics, the action fails with
// vault.ErrUnavailable and its result is lost. An Audit that blocks holds up the action,
// so it should heed ctx.
type Auditor interface {
	// Audit records e, or returns an error. The text of the error is never repeated.
	Audit(ctx context.Context, e Event) error
}

type callerKey struct{}

// maxCaller is the size of the longest caller, in bytes. Every event carries one.
const maxCaller = 256

// WithCaller returns a context that names the caller, such as a service, an employee
// or a request id, for [Event.Caller]. It grants nothing. Text beyond 256 bytes is cut
// off, and invalid UTF-8 is removed.
func WithCaller(ctx context.Context, caller string) context.Context {
	if len(caller) > maxCaller {
		caller = caller[:maxCaller]
	}
	return context.WithValue(ctx, callerKey{}, strings.ToValidUTF8(caller, ""))
}

// Caller returns the caller that [WithCaller] put into ctx, or "".
func Caller(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}

// Slog returns an [Auditor] that writes each event as one record of l, at level
// Info if the action was allowed and at level Warn otherwise. A nil l means
// [slog.Default]. An error of the logger's handler is an error of the auditor, so an
// action that can't be logged does not happen. A handler that is not enabled for the
// level drops the event, as it was configured to.
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
	if e.Role != "" {
		r.AddAttrs(slog.String("role", e.Role))
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
