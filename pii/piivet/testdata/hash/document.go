package hash

import (
	"context"
	"crypto/sha256"
	"encoding/json"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

type event struct {
	ID, Email string
}

// documents have an address among other things.
func documents(ctx context.Context, e pii.Email, s *vault.Scope) {
	address, _ := e.Reveal(ctx, s)
	body, _ := json.Marshal(event{"17", address})
	_ = sha256.Sum256(body)
	h := sha256.New()
	h.Write(body)
	check(body)

	alone, _ := json.Marshal(address)
	_ = sha256.Sum256(alone)      // want `sha256.Sum256`
	h.Write(alone)                // want `sha256.New`
	h.Write([]byte(address + id)) // want `sha256.New`
}

const id = "17"

func check(body []byte) [32]byte { return sha256.Sum256(body) }
