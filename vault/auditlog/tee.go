package auditlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/vault/audit"
)

// TeeOptions are the options of [Tee]. A nil *TeeOptions has the defaults.
type TeeOptions struct {
	// Either lets an event pass that one of the two auditors recorded. By default both
	// must record it.
	Either bool
	// Wait is the time that an auditor may take after the other one has recorded the
	// event, with Either. It counts as failed then. 0 is a second.
	Wait time.Duration
	// Failed, if not nil, is called with each error of an auditor, 0 for the first one
	// and 1 for the second one: with Either, nothing else tells that a record has gaps.
	Failed func(auditor int, err error)
}

// Tee returns an auditor that passes each event to two auditors at once, such as a [Log]
// and a remote one. It never returns before an auditor has recorded the event.
func Tee(first, second audit.Auditor, opts *TeeOptions) audit.Auditor {
	t := &tee{auditors: [2]audit.Auditor{first, second}}
	if opts != nil {
		t.opts = *opts
	}
	if t.opts.Wait == 0 {
		t.opts.Wait = time.Second
	}
	return t
}

type tee struct {
	auditors [2]audit.Auditor
	opts     TeeOptions
}

var (
	errNoAuditor = fmt.Errorf("auditlog: nil auditor: %w", ErrArgument)
	errPanicked  = errors.New("auditlog: auditor panicked")
	errSlow      = errors.New("auditlog: auditor did not answer in time")
)

func (t *tee) Audit(ctx context.Context, e audit.Event) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		auditor int
		err     error
	}
	answers := make(chan answer, 2) // of an auditor that nobody waits for any more, too
	for i, a := range t.auditors {
		go func() {
			err := errPanicked
			defer func() { answers <- answer{i, err} }() // an auditor can also end this goroutine
			err = ask(ctx, a, e)
		}()
	}
	errs := [2]error{errSlow, errSlow}
	var late <-chan time.Time
	done := ctx.Done()
	for answered := 0; answered < 2; {
		select {
		case a := <-answers:
			answered++
			errs[a.auditor] = a.err
			if a.err == nil && t.opts.Either {
				timer := time.NewTimer(t.opts.Wait)
				defer timer.Stop()
				late = timer.C
			}
			continue
		case <-late:
		case <-done:
			if len(answers) > 0 { // it came at the same time
				continue
			}
		}
		answered = 2
	}
	for i, err := range errs {
		if err != nil && t.opts.Failed != nil {
			t.opts.Failed(i, err)
		}
	}
	if t.opts.Either && (errs[0] == nil || errs[1] == nil) {
		return nil
	}
	return errors.Join(append(errs[:], ctx.Err())...)
}

// ask calls an auditor. A panic is an error, so that the other auditor is asked, too.
func ask(ctx context.Context, a audit.Auditor, e audit.Event) (err error) {
	if a == nil {
		return errNoAuditor
	}
	panicked := true
	defer func() {
		if panicked {
			recover()
			err = errPanicked
		}
	}()
	err = a.Audit(ctx, e)
	panicked = false
	return err
}
