package piitest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// An Outage stands between a vault and its key store and key service. It makes their
// calls fail as its script says:
//
//	outage := &piitest.Outage{}
//	v, err := vault.Open(ctx, outage.Store(kit.Store), outage.KEK(kit.KEK), nil)
//	outage.Script(piitest.Step{Call: piitest.KEKDecrypt, Fault: piitest.Hang})
//
// Equal calls meet equal faults in every run. Nothing depends on the clock, so tests
// of timeouts work in the bubbles of testing/synctest. The zero Outage lets every
// call pass. Many goroutines may use an Outage at once.
type Outage struct {
	mu    sync.Mutex
	steps []Step
	calls []Step
}

// A Call is a kind of request to a key store or a key service.
type Call string

// The calls of [vault.Store], of [vault.KEK] and of its AEADs.
const (
	StoreGet    Call = "store get"
	StorePut    Call = "store put"
	StoreList   Call = "store list"
	KEKFor      Call = "KEK for"
	KEKGenerate Call = "KEK generate"
	KEKEncrypt  Call = "KEK encrypt"
	KEKDecrypt  Call = "KEK decrypt"
	AnyCall     Call = "" // in a Step: all calls
)

// A Fault is the way in which a call fails.
type Fault int

// The faults.
const (
	// Pass lets the call through. Two of them in front of a fault make the third
	// call fail.
	Pass Fault = iota
	// Hang answers once the context is done, with its error.
	Hang
	// Deny is vault.ErrNoKeys: access was taken away.
	Deny
	// Throttle is vault.ErrUnavailable: too many requests.
	Throttle
	// Fail is an error that package vault does not know, as a client may return.
	Fail
	// Garbage is a wrong answer. Get returns records with altered bytes, List a
	// name that is none, and the KEK made-up bytes. Put reports success and
	// does nothing.
	Garbage
	// Lose makes the call and loses the answer: the caller gets
	// vault.ErrUnavailable.
	Lose
	// Panic panics.
	Panic
)

var faultNames = [...]string{"pass", "hang", "deny", "throttle", "fail", "garbage", "lose", "panic"}

// String returns the fault in lower case, such as "hang".
func (f Fault) String() string {
	if f < 0 || int(f) >= len(faultNames) {
		return "unknown fault"
	}
	return faultNames[f]
}

// Forever is for [Step].Times.
const Forever = -1

// A Step gives some calls a fault.
type Step struct {
	// Call is the call that the step matches, [AnyCall] for all.
	Call Call
	// Purpose is the purpose whose keys the call has to be about, zero for any.
	Purpose purpose.Purpose
	// Fault is the fault of the matched calls.
	Fault Fault
	// Delay is the least duration of each matched call, unless its context is done
	// first.
	Delay time.Duration
	// Times is the number of calls that the step matches. 0 stands for one, and
	// [Forever] for any number.
	Times int
}

// Script replaces the rest of the script. Without steps the outage is over. Each call
// meets the first step that matches it and has calls left, and passes if there is
// none. Calls that hang already go on hanging.
func (o *Outage) Script(steps ...Step) {
	mustTest()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.steps = slices.Clone(steps)
	for i := range o.steps {
		if o.steps[i].Times == 0 {
			o.steps[i].Times = 1
		}
	}
}

// Calls returns the calls so far, oldest first, each with the fault that it met.
// Purpose is zero for a call about several purposes, and Times is 1.
func (o *Outage) Calls() []Step {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.calls)
}

// meet returns the fault of a call and its error, after its delay.
func (o *Outage) meet(ctx context.Context, call Call, purposes ...purpose.Purpose) (Fault, error) {
	mustTest()
	step := o.next(call, purposes)
	if step.Delay > 0 {
		timer := time.NewTimer(step.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return step.Fault, ctx.Err()
		}
	}
	switch step.Fault {
	case Hang:
		<-ctx.Done()
		return Hang, ctx.Err()
	case Deny:
		return Deny, fmt.Errorf("%v: access denied: %w", call, vault.ErrNoKeys)
	case Throttle:
		return Throttle, fmt.Errorf("%v: too many requests: %w", call, vault.ErrUnavailable)
	case Fail:
		return Fail, errFail
	case Panic:
		panic("piitest: a panic that the script of an Outage asked for")
	}
	return step.Fault, nil
}

// errFail has a text that no message may repeat: errors of clients quote requests.
var errFail = errors.New("internal error, request 9f86d081")

// lost returns the error of a call whose answer is lost.
func lost(call Call) error { return fmt.Errorf("%v: answer lost: %w", call, vault.ErrUnavailable) }

// next records a call and returns the step that it meets.
func (o *Outage) next(call Call, purposes []purpose.Purpose) Step {
	o.mu.Lock()
	defer o.mu.Unlock()
	met := Step{Call: call, Times: 1}
	if len(purposes) == 1 {
		met.Purpose = purposes[0]
	}
	for i := range o.steps {
		s := &o.steps[i]
		if s.Times == 0 || s.Call != AnyCall && s.Call != call ||
			!s.Purpose.IsZero() && !slices.Contains(purposes, s.Purpose) {
			continue
		}
		if s.Times > 0 {
			s.Times--
		}
		met.Fault, met.Delay = s.Fault, s.Delay
		break
	}
	o.calls = append(o.calls, met)
	return met
}

// purposesOf returns the purposes of the records of these names.
func purposesOf(names ...string) []purpose.Purpose {
	var found []purpose.Purpose
	for _, name := range names {
		segment, _, _ := strings.Cut(name, "/")
		if p, err := purpose.Parse(segment); err == nil && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// altered returns bytes that differ from b everywhere, and depend on b alone.
func altered(b []byte) []byte {
	out := slices.Clone(b)
	for i := range out {
		out[i] ^= 0x5a
	}
	return out
}
