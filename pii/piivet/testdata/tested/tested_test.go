package tested

import (
	"context"
	"testing"

	"example.com/purposes"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

func TestSomething(t *testing.T) {
	ctx := context.Background()
	v, err := vault.Open(ctx, vault.Memory(), vault.LocalKEK(t.TempDir()), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := v.Scope(ctx, purposes.Security)
	e, _ := pii.SealEmail(ctx, "ada@example.org", s)
	address, _ := e.Reveal(ctx, s)
	println(address)
	helper(address)
}

func helper(what string) { println(what) }
