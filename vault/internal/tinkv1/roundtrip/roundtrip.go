// Package roundtrip takes a vault through its life under a KEK.
package roundtrip

import (
	"bytes"
	"context"
	"errors"
	"log"
	"os"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// The plaintext that Run seals.
const address = "ada@example.com"

var security = purpose.MustParse("security")

// Run lets a vault make its keys under a KEK and seal a value, and reveals the value in
// another vault, which has to unwrap the keys. It returns the wrapped keys and the
// sealed value, and ends the program if anything fails.
func Run(a vault.AEAD) (record, sealed []byte) {
	ctx := context.Background()
	store := vault.Memory()
	first := open(ctx, store, a)
	check(first.Generate(ctx, security))
	scope, err := first.Scope(ctx, security)
	check(err)
	email, err := pii.SealEmail(ctx, address, scope)
	check(err)

	scope, err = open(ctx, store, a).Scope(ctx, security)
	check(err)
	got, err := email.Reveal(ctx, scope)
	check(err)
	if got != address {
		check(errors.New("revealed something else"))
	}
	records, err := store.Get(ctx, "security/keys")
	check(err)

	// Another KEK opens nothing, so a has wrapped the keys.
	if _, err := open(ctx, store, flipped{a}).Scope(ctx, security); !errors.Is(err, vault.ErrNoKeys) {
		check(errors.New("opens whatever the KEK says"))
	}
	sealed, err = email.MarshalText()
	check(err)
	return records[0].Data, sealed
}

func open(ctx context.Context, store vault.Store, a vault.AEAD) *vault.Admin {
	v, err := vault.OpenAdmin(ctx, store, vault.SharedKEK(a), nil)
	check(err)
	return v
}

// flipped passes on an altered ciphertext.
type flipped struct{ vault.AEAD }

func (f flipped) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	other := bytes.Clone(ciphertext)
	other[len(other)-1] ^= 1
	return f.AEAD.Decrypt(other, associatedData)
}

func check(err error) {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
}
