package vault_test

import (
	"testing"

	"github.com/onlyfor/onlyfor/vault/internal/childtest"
)

func TestMain(m *testing.M) { childtest.Main(m) }
