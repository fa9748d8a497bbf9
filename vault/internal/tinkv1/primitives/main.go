// Primitives wraps a vault's keys with an AEAD of the old path that needs no protocol
// buffers, in one program with this library.
package main

import (
	"log"

	"github.com/google/tink/go/aead/subtle"
	"github.com/google/tink/go/subtle/random"
	"github.com/google/tink/go/tink"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/tinkv1/roundtrip"
)

func main() {
	gcm, err := subtle.NewAESGCM(random.GetRandomBytes(32))
	if err != nil {
		log.Fatal(err)
	}
	var old tink.AEAD = gcm
	var kek vault.AEAD = old
	roundtrip.Run(kek)
}
