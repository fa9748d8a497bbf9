package purpose_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

func TestMismatchErrorIsAndTells(t *testing.T) {
	refusal := &purpose.MismatchError{Collected: purpose.NewSet(security, billing), Asked: advertising}
	require.EqualError(t, refusal, "collected for billing+security, not advertising")

	wrapped := fmt.Errorf("signing in: %w", refusal)
	require.ErrorIs(t, wrapped, purpose.ErrMismatch)
	require.NotErrorIs(t, wrapped, purpose.ErrSyntax)
	require.NotErrorIs(t, wrapped, purpose.ErrBasis)
	require.NotErrorIs(t, purpose.ErrMismatch, refusal, "it holds in one direction")

	var got *purpose.MismatchError
	require.ErrorAs(t, wrapped, &got)
	require.Equal(t, purpose.NewSet(billing, security), got.Collected)
	require.Equal(t, advertising, got.Asked)
	require.Nil(t, errors.Unwrap(refusal))
}
