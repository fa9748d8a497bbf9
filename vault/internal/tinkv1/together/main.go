// Together links both Tinks, and wraps a vault's keys with an AEAD of the old path. It
// panics before main, unless conflicts of protocol buffers are configured as warnings.
package main

import (
	"log"

	"github.com/google/tink/go/aead"
	"github.com/google/tink/go/keyset"
	"github.com/google/tink/go/tink"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/tinkv1/roundtrip"
)

func main() {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		log.Fatal(err)
	}
	var old tink.AEAD
	if old, err = aead.New(h); err != nil {
		log.Fatal(err)
	}
	var kek vault.AEAD = old
	roundtrip.Run(kek)
}
