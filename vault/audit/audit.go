// Package audit records every use of keys. A vault passes an [Event] to the [Auditor] in
// its options before it returns a result:
//
//	v, err := vault.Open(ctx, store, kek, &vault.Options{Audit: audit.Slog(logger)})
//
// An event names the caller, the action, the purpose and the outcome. It never holds a
// value, an index or a key. [Slog] writes events to a logger. An auditor of your own
// implements the one method of [Auditor]. A [Watch] looks at events for data that moves
// from one purpose to another, and passes them on.
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
	Extend Action = "extend" // extend a value to another purpose
	Reseal Action = "reseal" // seal a value anew under the newest keys
	Erase  Action = "erase"  // destroy the keys of a subject

	Open      Action = "open" // open the keys of a purpose, for a scope
	List      Action = "list" // list the keys of a purpose
	Generate  Action = "generate"
	Rotate    Action = "rotate"  // publish a new key
	Promote   Action = "promote" // make a published key primary before its time
	Retire    Action = "retire"
	Reinstate Action = "reinstate"
	Destroy   Action = "destroy"
	Rewrap    Action = "rewrap" // wrap the keys of a purpose with another KEK

	RewrapSubjects Action = "rewrap-subjects" // wrap the keys of subjects with the primary key
	CheckDenied    Action = "check-denied"    // prove that this process can't open the keys of a purpose
	CheckKEK       Action = "check-kek"       // prove that the KEK of a purpose binds associated data

	// These are recorded without a caller, once when they start to fail and once when
	// they succeed again.
	Refresh Action = "refresh" // read the keys in use again from the store
	Renew   Action = "renew"   // ask the key service again about the keys in use
	Count   Action = "count"   // write the number of seals to the store

	// Due is recorded once, without a caller, when a key has sealed 2^31 times: half of
	// its budget is used, so its role is due for a rotation.
	Due Action = "due"
)

var gerunds = map[Action]string{
	Seal: "sealing", Reveal: "revealing", Hint: "hinting", Index: "indexing",
	Extend: "extending", Reseal: "re-sealing", Erase: "erasing",
	Open: "opening", CheckDenied: "checking", CheckKEK: "checking", List: "listing", Generate: "generating", Rotate: "rotating", Promote: "promoting",
	Retire: "retiring", Reinstate: "reinstating",
	Destroy: "destroying", Rewrap: "re-wrapping", RewrapSubjects: "re-wrapping", Refresh: "refreshing", Renew: "renewing",
	Count: "counting", Due: "rotating",
}

// Gerund returns the word for the action in errors, such as "revealing".
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
	Denied  Outcome = "denied" // refused because of the purpose, the keys or the value
	Failed  Outcome = "failed" // failed for a reason that says nothing about rights
)

// An Event is the record of one action, allowed or not. It never holds a value, an index
// or a key.
type Event struct {
	// Time is the time of the decision about the action.
	Time time.Time
	// Action is the requested action.
	Action Action
	// Outcome is the result of the action.
	Outcome Outcome
	// Purpose is the purpose of the scope or of the keys.
	Purpose purpose.Purpose
	// To is the purpose that a value is extended to, and From the purpose that it is
	// extended from. An extension makes an event for each of the two purposes, which
	// names the other one. To and From are zero for other actions.
	To, From purpose.Purpose
	// Role is the role of the key that is rotated, "" for other actions.
	Role string
	// Subject is the pseudonym of the person under Purpose, 32 hexadecimal digits, or
	// "" if the action is not about one person.
	Subject string
	// Collected is the set of purposes that the value is sealed for, as its header
	// claims or, for a seal, as the caller asks. It is empty if no value takes part.
	Collected purpose.Set
	// Kind is the name of the value's kind, or "" if no value takes part.
	Kind string
	// Reason is one word that tells more about the result of some actions, "" for others:
	// "made" or "exists" for Generate, "again" for an erasure by its certificate.
	Reason string
	// Caller is the caller that [WithCaller] put into the context, or "".
	Caller string
	// Err is the error of an action that was not allowed, nil otherwise.
	Err error
}

// An Auditor records events. Its method is called from many goroutines at once, after
// the decision about an action and before its result is returned. No result is returned
// without its event, but an action that was recorded as allowed can still fail. Sealing
// for several purposes makes an event for each.
//
// Auditing fails closed: if Audit returns an error or panics, the action fails with
// vault.ErrUnavailable and its result is dropped. The action waits for Audit, so Audit
// should return when ctx is done.
type Auditor interface {
	// Audit records e, or returns an error. No other error repeats the text of this one.
	Audit(ctx context.Context, e Event) error
}

type callerKey struct{}

// maxCaller is the size of the longest caller, in bytes. Every event carries its caller.
const maxCaller = 256

// WithCaller returns a context with the name of the caller, such as a service, an
// employee or a request id. Events carry it as [Event.Caller]. It grants no rights. A
// name is cut off after 256 bytes, and invalid UTF-8 is removed from it.
func WithCaller(ctx context.Context, caller string) context.Context {
	if len(caller) > maxCaller {
		caller = caller[:maxCaller]
	}
	return context.WithValue(ctx, callerKey{}, strings.ToValidUTF8(caller, ""))
}

// Caller returns the name that [WithCaller] put into ctx, or "".
func Caller(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}

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
	// Call the handler directly: the Logger drops its errors.
	r := slog.NewRecord(e.Time, level, "onlyfor", 0)
	r.AddAttrs(
		slog.String("action", string(e.Action)),
		slog.String("outcome", string(e.Outcome)),
		slog.String("purpose", e.Purpose.String()),
	)
	if !e.To.IsZero() {
		r.AddAttrs(slog.String("to", e.To.String()))
	}
	if !e.From.IsZero() {
		r.AddAttrs(slog.String("from", e.From.String()))
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
	if e.Reason != "" {
		r.AddAttrs(slog.String("reason", e.Reason))
	}
	if e.Caller != "" {
		r.AddAttrs(slog.String("caller", e.Caller))
	}
	if e.Err != nil {
		r.AddAttrs(slog.String("error", e.Err.Error()))
	}
	return l.Handler().Handle(ctx, r)
}
