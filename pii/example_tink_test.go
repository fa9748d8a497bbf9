package pii_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var errOldKeyset = errors.New("users: email does not open with the old keyset")

// sealTink seals an e-mail address that the application encrypted with plain
// Tink. A ciphertext that does not open is errOldKeyset, and one of other text
// pii.ErrMalformed. No error has the plaintext or a part of it.
func sealTink(ctx context.Context, old tink.AEAD, ciphertext, associatedData []byte, scope *vault.Scope) (pii.Email, error) {
	address, err := old.Decrypt(ciphertext, associatedData)
	if err != nil {
		return pii.Email{}, errOldKeyset
	}
	defer clear(address)
	return pii.SealEmail(ctx, string(address), scope)
}

// A column that holds ciphertexts of plain Tink is sealed row by row. Each is
// opened with the keyset that encrypted it, and sealed for the purpose that it
// was collected for. When no row is left, destroy the old keyset: whoever has it
// reads old copies of the column.
//
// The provenance of a value has the day of its sealing. The basis says which
// notice the person saw at the time of collection.
func Example_tink() {
	// What the application has: a keyset, and a ciphertext in a row.
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	must(err)
	old, err := aead.New(handle)
	must(err)
	row, err := old.Encrypt([]byte("Alice@EXAMPLE.com"), []byte("users.email"))
	must(err)

	scope := security.Under(purpose.Basis{Notice: "2fa-prompt-v1"})
	email, err := sealTink(ctx, old, row, []byte("users.email"), scope)
	fmt.Println(email, err)
	fmt.Println(email.Reveal(ctx, security))
	index, err := email.Index(ctx, security) // for the index column beside it
	fmt.Println(index, err)

	// The ciphertext of another column.
	_, err = sealTink(ctx, old, row, []byte("orders.email"), scope)
	fmt.Println(err)

	// A ciphertext that holds no address. Show the row to a person.
	row, err = old.Encrypt([]byte("n/a"), []byte("users.email"))
	must(err)
	_, err = sealTink(ctx, old, row, []byte("users.email"), scope)
	fmt.Println(err, errors.Is(err, pii.ErrMalformed))
	// Output:
	// pii.Email(security) <nil>
	// Alice@example.com <nil>
	// pii.Index <nil>
	// users: email does not open with the old keyset
	// pii: sealing email: not a valid email true
}
