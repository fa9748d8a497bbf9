package hcvault_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/vault/kms/internal/kmstest"
)

func TestKeyService(t *testing.T) {
	kmstest.Run(t, func(t testing.TB) kmstest.Service { return newFake(t) })
}
