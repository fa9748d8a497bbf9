package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/examples/encodings/sentinel"
)

func TestProgram(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	require.NotEmpty(t, out.String())
	require.Empty(t, sentinel.New(person.Address, person.Number).Find(out.String()), out.String())
}
