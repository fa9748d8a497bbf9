package attacktest

import (
	"testing"

	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func TestMain(m *testing.M) { vaulttest.Main(m) }
