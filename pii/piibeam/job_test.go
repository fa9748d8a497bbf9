package piibeam

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// An error is the row's fault if the row would fail in the same way everywhere. A refusal
// that could not be recorded is an outage, and the bundle is tried again.
func TestRowsFault(t *testing.T) {
	for _, fault := range []error{
		errRowID, pii.ErrMalformed, vault.ErrCorrupt, vault.ErrRetired, vault.ErrExpired, vault.ErrErased, vault.ErrSubject,
	} {
		require.True(t, rowsFault(fault), fault)
		if fault != errRowID {
			require.True(t, rowsFault(fmt.Errorf("pii: revealing email: %w", fault)), fault)
			require.False(t, rowsFault(fmt.Errorf("%w: audit failed: %w", fault, vault.ErrUnavailable)), fault)
		}
	}
	for _, outage := range []error{vault.ErrUnavailable, vault.ErrNoKeys, vault.ErrInvalid, context.Canceled, errors.New("down")} {
		require.False(t, rowsFault(outage), outage)
	}
}
