package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrClock reports that this machine's clock and the database's differ by more than five
// minutes. Set them right; a retry without that fails again.
var ErrClock = errors.New("clock differs from the database's")

// maxSkew is how far the two clocks may differ.
const maxSkew = 5 * time.Minute

// checkClock compares the clock with the database's. A clock that is ahead would have
// values removed before their retention is over.
func (m *Migration) checkClock(ctx context.Context) error {
	var seconds int64
	var before, after time.Time
	if err := m.withRetries(ctx, func() error {
		before = time.Now()
		err := m.db.QueryRowContext(ctx, m.dialect.clock).Scan(&seconds)
		after = time.Now()
		return err
	}); err != nil {
		return err
	}
	there := time.Unix(seconds, 0)
	switch {
	case before.Sub(there) > maxSkew:
		return fmt.Errorf("this machine is ahead by %v: %w", before.Sub(there).Round(time.Second), ErrClock)
	case there.Sub(after) > maxSkew:
		return fmt.Errorf("this machine is behind by %v: %w", there.Sub(after).Round(time.Second), ErrClock)
	}
	return nil
}
