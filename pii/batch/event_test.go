package batch_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/batch"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A ledger is an auditor that keeps events, and can fail.
type ledger struct {
	mu     sync.Mutex
	events []audit.Event
	err    error
}

func (l *ledger) Audit(_ context.Context, e audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return l.err
}

// A run of items makes one event for each result: a refusal among many stands alone. If the
// event can't be recorded, no item has a result.
func TestMapIsRecordedByTheRun(t *testing.T) {
	ctx, security, ads := t.Context(), purpose.MustParse("security"), purpose.MustParse("advertising")
	l := &ledger{}
	a, err := vault.OpenAdmin(ctx, vault.Memory(), piitest.New(t).KEK, &vault.Options{Audit: l})
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	require.NoError(t, a.Generate(ctx, security, ads))
	s, err := a.Scope(ctx, security)
	require.NoError(t, err)
	other, err := a.Scope(ctx, ads)
	require.NoError(t, err)
	emails := make([]pii.Email, 300)
	for i := range emails {
		scope := s
		if i == 200 {
			scope = other
		}
		emails[i], err = pii.SealEmail(ctx, "alice@example.com", scope)
		require.NoError(t, err)
	}
	reveal := func(ctx context.Context, e pii.Email) (string, error) { return e.Reveal(ctx, s) }
	l.events = nil
	refused := 0
	for _, err := range batch.Map(ctx, slices.Values(emails), reveal) {
		if err != nil {
			require.ErrorIs(t, err, purpose.ErrMismatch)
			refused++
		}
	}
	require.Equal(t, 1, refused)
	var counts []int
	for _, e := range l.events {
		if e.Outcome == audit.Denied {
			require.Equal(t, "purpose", e.Reason)
			require.Len(t, e.Value, 32)
			require.Equal(t, 1, e.Count)
			continue
		}
		require.Len(t, e.Root, 64)
		counts = append(counts, e.Count)
	}
	require.ElementsMatch(t, []int{128, 127, 44}, counts, "runs of 128, 128 and 44 items")

	l.err = context.DeadlineExceeded
	for text, err := range batch.Map(ctx, slices.Values(emails), reveal) {
		require.ErrorIs(t, err, vault.ErrUnavailable)
		require.Empty(t, text)
	}
}
