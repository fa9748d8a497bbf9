package ready_test

import "github.com/tink-crypto/tink-go/v2/aead/subtle"

var exampleAEAD, _ = subtle.NewAESGCM(make([]byte, 32))
