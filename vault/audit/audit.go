// Package audit records every use of keys. A vault passes an [Event] to the [Auditor] in
// its options before it returns a result:
//
//	v, err := vault.Open(ctx, store, kek, &vault.Options{Audit: audit.Slog(logger)})
//
// An event names the caller, the action, the purpose and the outcome. It never holds a
// value, an index or a key. [Slog] writes events to a logger. Package auditlog keeps them
// in a log that can't be edited unnoticed. An auditor of your own implements the one
// method of [Auditor]. A [Watch] looks at events for data that moves from one purpose to
// another, and passes them on.
package audit

import (
	"context"
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
	Send   Action = "send" // reveal a value to a recipient: see vault.Reader.To
	Index  Action = "index"
	Extend Action = "extend" // extend a value to another purpose
	Reseal Action = "reseal" // seal a value anew under the newest keys
	Erase  Action = "erase"  // destroy the keys of a subject

	Withdraw Action = "withdraw" // remove a purpose from a value
	Sweep    Action = "sweep"    // remove a purpose from a value because its retention is over
	Clear    Action = "clear"    // remove the index of a value from its column

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

	Suspend Action = "suspend" // stop actions of a purpose, or of one of its notices
	Resume  Action = "resume"  // end a suspension

	// Budget is recorded when vault.Options.Budget is first used up in a row, beside the event
	// of the operation that was refused.
	Budget Action = "budget"

	// These are recorded without a caller: once when they start to fail, once when they
	// succeed again, and whenever the key service has unwrapped keys for them.
	Refresh Action = "refresh" // read the keys in use again from the store
	Renew   Action = "renew"   // ask the key service again about the keys in use
	Count   Action = "count"   // write the number of seals to the store

	// Due is recorded once, without a caller, when a key has sealed 2^31 times: half of
	// its budget is used, so its role is due for a rotation.
	Due Action = "due"
)

var gerunds = map[Action]string{
	Seal: "sealing", Reveal: "revealing", Hint: "hinting", Send: "sending", Index: "indexing",
	Extend: "extending", Reseal: "re-sealing", Erase: "erasing",
	Withdraw: "withdrawing", Sweep: "sweeping", Clear: "clearing",
	Open: "opening", CheckDenied: "checking", CheckKEK: "checking", List: "listing", Generate: "generating", Rotate: "rotating", Promote: "promoting",
	Retire: "retiring", Reinstate: "reinstating",
	Destroy: "destroying", Rewrap: "re-wrapping", RewrapSubjects: "re-wrapping", Refresh: "refreshing", Renew: "renewing",
	Count: "counting", Due: "rotating",
	Suspend: "suspending", Resume: "resuming", Budget: "spending",
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
//
// # Facts and claims
//
// Time, Action, Outcome, Purpose, To, From, Role, Subject, Generation, Digest, Reason, Count,
// Unwraps and Err are facts that the vault knows. Recipient, Caller and Operation are
// statements of the program.
//
// Collected, Value, KeyID and Provenance are copied from the header of the value. In an
// allowed [Reveal], [Send], [Hint], [Extend] or [Reseal], and in an allowed [Index] of a value,
// Value, KeyID and Provenance are authentic: the key of Purpose has opened the value, and
// nobody without that key, or the public key of a collector, could have written them. In
// an allowed [Seal] the vault has just written them. In every other event they are claims
// of whoever wrote the value, and a refused value may be a forgery. Collected is always a
// claim: anybody can remove a purpose from a value.
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
	// Role is the role of the key that is rotated, promoted, retired, reinstated or
	// destroyed, "" for other actions and for a key that was not found.
	Role string
	// KeyID is the id of the key: the key that is rotated in, promoted, retired,
	// reinstated or destroyed, the destroyed key of a subject, the key that seals or that
	// the value names, or the key that computes an index. It is 0 if there is none, such as
	// for a value of a subject, which names no key.
	KeyID uint32
	// Generation is the number of changes of the keys of Purpose so far, and includes the
	// change of this action. It is 0 if the keys did not open, and for a collector.
	Generation uint64
	// Digest stands for the record of the keys of Purpose at Generation: 32 hexadecimal
	// digits, the beginning of the SHA-256 of the bytes that the store has. Two events with
	// one generation and different digests tell of two histories of the keys: somebody put
	// the store back. It is set for an action that reads or changes the record of the keys
	// ([Open], [List], [CheckKEK], [RewrapSubjects], and the actions from [Generate] to
	// [Rewrap]) and for [Erase], [Refresh], [Renew] and [Count]. It is "" for an action on
	// values, and where Generation is 0.
	Digest string
	// Subject is the pseudonym of the person under Purpose, 32 hexadecimal digits, or
	// "" if the action is not about one person. It is also "" if no keys of Purpose are
	// open in this vault, because they compute the pseudonym.
	Subject string
	// Collected is the set of purposes that the value is sealed for, as its header
	// claims or, for a seal, as the caller asks. It is empty if no value takes part.
	Collected purpose.Set
	// Kind is the name of the value's kind, or "" if no value takes part.
	Kind string
	// Value is the random id of the value, 32 hexadecimal digits, or "" if no value takes
	// part or none was made. Events on one value have the id in common, and so do events
	// on copies of the value.
	Value string
	// NewValue is the id that the value has after a [Reseal] of all its slots, or "".
	NewValue string
	// Provenance says why and when the value was collected for Purpose. If a [Seal], or
	// the new slot of an [Extend], fails, it is the ground, the notice and the consent that
	// were asked for. It is zero for a value that was not collected for Purpose.
	Provenance purpose.Provenance
	// Reason is one word that tells more about the result. For an action that was not
	// allowed, it is one of the fixed words below. For an allowed action it is "made" or
	// "exists" (Generate), "denied" (CheckDenied), "again" (an erasure by its certificate),
	// "absent" (Withdraw, if the value was not collected for Purpose, and Resume, if nothing
	// was suspended), or "".
	//
	//	access       the KEK refused this process        vault.ErrAccessDenied
	//	basis        the basis is not valid              purpose.ErrBasis
	//	budget       the budget is used up              vault.ErrBudget
	//	conflict     another process was first           vault.ErrConflict
	//	consent      no record of consent                purpose.ErrNoConsent
	//	corrupt      malformed, forged or altered        vault.ErrCorrupt
	//	erased       the subject is erased               vault.ErrErased
	//	expired      retention is over                   vault.ErrExpired
	//	granted      this process can open the keys      vault.ErrGranted
	//	invalid      an argument is not valid            vault.ErrInvalid
	//	keys         there are no usable keys            vault.ErrNoKeys
	//	other        an error of the caller's functions
	//	purpose      collected for other purposes        purpose.ErrMismatch
	//	retired      the key is retired or destroyed     vault.ErrRetired
	//	subject      not sealed for this subject         vault.ErrSubject
	//	suspended    purpose or notice is suspended     vault.ErrSuspended
	//	unavailable  store, key service or auditor down  vault.ErrUnavailable
	Reason string
	// Note has the actions that a [Suspend] stops and, after a colon, its reason, as in
	// "reveal,hint: deceptive notice". It is "" for other actions, but an auditor may fill it
	// in: the command onlyfor notes who approved a [Destroy] or a [Resume]. Provenance of a
	// Suspend has the notice and the end, and Provenance of a Resume has the notice.
	Note string
	// Count is the number of values, texts or subjects that the action is about. It is 0
	// for an action on keys. For [RewrapSubjects] it is the number of subjects whose keys
	// were wrapped anew.
	Count int
	// Unwraps is the number of times that the KEK of Purpose has unwrapped keys since the
	// last event of Purpose. Every unwrap is in one event: the event of the action that had
	// to wait for it or, if actions run at the same time, of another one. So the
	// events of a vault have as many unwraps as the log of its key service has decryptions
	// that succeeded. It is 0 for keys that were open already.
	Unwraps int
	// Root stands for the values of an event that [Batch] joined. It is the root of a Merkle
	// tree (RFC 9162, SHA-256), 64 hexadecimal digits. The leaves are the 16 bytes of each
	// Value and of each NewValue, in ascending order; an id that occurs twice is two leaves.
	// It is "" for the event of one action, and if no value has an id.
	Root string
	// Recipient is the recipient that vault.Reader.To was given, such as the host of a mail
	// gateway, or "". The vault knows that the program named it, and not who got the value.
	Recipient string
	// Caller is the caller that [WithCaller] put into the context, or "".
	Caller string
	// Operation is the operation that [WithOperation] put into the context, or "".
	Operation string
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
// should return when ctx is done. The ctx has the values of the caller's one. It lasts for
// two seconds after that is done, so that a caller who leaves keeps no event out of the log,
// and until Audit returns.
type Auditor interface {
	// Audit records e, or returns an error. No other error repeats the text of this one.
	Audit(ctx context.Context, e Event) error
}
