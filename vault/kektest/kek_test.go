package kektest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	tinkaead "github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/kektest"
)

func TestRing(t *testing.T) {
	kektest.Run(t, func(testing.TB) vault.KEK { return &ring{} }, &kektest.Options{
		Denied: func(testing.TB) vault.KEK { return &ring{} },
	})
}

// One of Tink's AEADs, whose errors are Tink's own.
func TestSharedKEK(t *testing.T) {
	kektest.Run(t, func(t testing.TB) vault.KEK { return shared(t) }, &kektest.Options{Shared: true})
}

func shared(t testing.TB) vault.KEK {
	h, err := keyset.NewHandle(tinkaead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	a, err := tinkaead.New(h)
	require.NoError(t, err)
	return vault.SharedKEK(a)
}

func TestKEKs(t *testing.T) {
	purposes := [2]purpose.Purpose{purpose.MustParse("billing"), purpose.MustParse("newsletter")}
	kektest.Run(t, func(t testing.TB) vault.KEK {
		return vault.KEKs{purposes[0]: shared(t), purposes[1]: shared(t)}
	}, &kektest.Options{Purposes: purposes})
}
