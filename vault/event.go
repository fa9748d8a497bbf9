package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// These actions are steps of others, and are not audited.
const (
	actionRefresh audit.Action = "read"
	actionRenew   audit.Action = "ask" // the key service, about opened keys
	actionFindKey audit.Action = "learn"
	actionSubject audit.Action = "subject"

	actionSeals    audit.Action = "seals"
	actionPurposes audit.Action = "purposes"
)

func outcomeOf(err error) audit.Outcome {
	switch {
	case err == nil:
		return audit.Allowed
	case errors.Is(err, purpose.ErrMismatch), errors.Is(err, ErrCorrupt),
		errors.Is(err, ErrNoKeys), errors.Is(err, ErrExpired), errors.Is(err, ErrErased),
		errors.Is(err, ErrSubject), errors.Is(err, ErrGranted), errors.Is(err, purpose.ErrNoConsent):
		return audit.Denied
	}
	return audit.Failed
}

// audit completes e from ctx and err, and passes it to the auditor. It returns err. If
// the event could not be recorded, it returns errUnaudited and keeps err beside it, so
// that a refusal stays a refusal.
func (b *backend) audit(ctx context.Context, e audit.Event, err error) error {
	b.stats.operation(e.Action, err)
	return recordEvent(ctx, b.opts.Audit, e, err)
}

func recordEvent(ctx context.Context, to audit.Auditor, e audit.Event, err error) error {
	if to == nil {
		return err
	}
	e.Time, e.Caller, e.Err, e.Outcome = time.Now(), audit.Caller(ctx), err, outcomeOf(err)
	failure := callAuditor(ctx, to, e)
	switch {
	case failure == nil:
		return err
	case err == nil:
		return errUnaudited
	}
	return fmt.Errorf("%w; %w", err, errUnaudited)
}

// errUnaudited reports that an event was not recorded. It does not repeat the text of
// the auditor's error, which could hold anything.
var errUnaudited = fmt.Errorf("audit failed: %w", ErrUnavailable)

func callAuditor(ctx context.Context, a audit.Auditor, e audit.Event) (err error) {
	defer func() {
		if recover() != nil {
			err = ErrUnavailable
		}
	}()
	return a.Audit(ctx, e)
}
