package scenario

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piitest"
)

// What looks for leaks has to find them.
func TestFindAny(t *testing.T) {
	const address, number = "Quokka-0001@example.com", "+14155550001"
	plaintexts := []string{address, number}
	for name, text := range map[string]string{
		"an address":           "to <" + address + ">",
		"in lower case":        "quokka-0001",
		"a number":             "tel:14155550001",
		"an address in hex":    fmt.Sprintf("\\x%x", address),
		"in capital hex":       fmt.Sprintf("%X", address),
		"an address in base64": base64.StdEncoding.EncodeToString([]byte(address)),
	} {
		require.NotEmpty(t, findAny(text, plaintexts), name)
	}
	require.Empty(t, findAny("quokka-0002@example.com pii.Email(security)", plaintexts))
}

func TestShowsIndex(t *testing.T) {
	f := &fixture{T: t, kit: piitest.New(t, forSecurity)}
	x := f.index("quokka@example.com", f.kit.Scope(forSecurity))
	v, err := x.Value()
	require.NoError(t, err)
	require.True(t, showsIndex(fmt.Sprintf("x'%X'", v), x))
	require.True(t, showsIndex(fmt.Sprintf("%s", v), x))
	require.False(t, showsIndex(fmt.Sprint(x), x))
}
