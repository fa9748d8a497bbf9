package vault_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() vault.Store {
		store := vault.Memory()
		return func() vault.Store { return store }
	})
}
