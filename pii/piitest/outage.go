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

// An Outage stands between a vault and its key store and key service, and makes
// them fail as its script says:
//
//	outage := &piitest.Outage{}
//	v, err := vault.Open(ctx, outage.Store(kit.Store), outage.KEK(kit.KEK), nil)
//	outage.Script(piitest.Step{Call: piitest.KEKDecrypt, Fault: piitest.Hang})
//
// The same calls meet the same faults in every run, and nothing depends on the
// clock, so tests with a context that ends work in the bubbles of
// testing/synctest. The zero Outage lets everything pass. It may be used from
// many goroutines at once.
type Outage struct {
	mu    sync.Mutex
	steps []Step
	calls []Step
}

// A Call is a kind of request to a key store or a key service.
type Call string

// The calls of [vault.Store], and those of [vault.KEK] and its AEADs.
const (
	StoreGet    Call = "store get"
	StorePut    Call = "store put"
	StoreList   Call = "store list"
	KEKFor      Call = "KEK for"
	KEKGenerate Call = "KEK generate"
	KEKEncrypt  Call = "KEK encrypt"
	KEKDecrypt  Call = "KEK decrypt"
	AnyCall     Call = "" // in a Step: whichever comes
)

// A Fault is what becomes of a call.
type Fault int

// The faults.
const (
	// Pass lets the call through: to fail at the third one.
	Pass Fault = iota
	// Hang answers when the context is done, with its error.
	Hang
	// Deny is vault.ErrNoKeys: access was taken away.
	Deny
	// Throttle is vault.ErrUnavailable: too many requests.
	Throttle
	// Fail is an error that package vault does not know, as a client's own are.
	Fail
	// Garbage answers, and wrongly: Get with records whose bytes are altered,
	// List with a name that is none, the KEK with bytes that it made up. Put
	// reports a change that it did not make.
	Garbage
	// Lose makes the call and loses the answer, which is vault.ErrUnavailable.
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

// A Step says what becomes of some calls.
type Step struct {
	// Call is which calls it is about, [AnyCall] for all.
	Call Call
	// Purpose is whose keys the call has to be about, zero for anybody's.
	Purpose purpose.Purpose
	// Fault is what becomes of them.
	Fault Fault
	// Delay is how long each of them takes at least, unless its context is done
	// first.
	Delay time.Duration
	// Times is how many calls the step is for: 0 stands for one, [Forever] for
	// all that come.
	Times int
}

// Script replaces what is left of the script: without steps the outage is over.
// Each call meets the first step that is about it and has calls left, and passes
// if there is none. Calls that hang already go on hanging.
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

// Calls returns the calls so far, oldest first, each with the fault that it met:
// Purpose is zero for a call that is about several, and Times is 1.
func (o *Outage) Calls() []Step {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.calls)
}

// meet returns what becomes of a call, after its delay.
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

// errFail has a text that nobody may repeat, as those of clients quote requests.
var errFail = errors.New("internal error, request 9f86d081")

func lost(call Call) error { return fmt.Errorf("%v: answer lost: %w", call, vault.ErrUnavailable) }

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

// purposesOf returns the purposes that records of these names belong to.
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

// altered returns other bytes, always the same for the same.
func altered(b []byte) []byte {
	out := slices.Clone(b)
	for i := range out {
		out[i] ^= 0x5a
	}
	return out
}
