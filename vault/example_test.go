package vault_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "onlyfor")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	store := vault.Dir(filepath.Join(dir, "keys"))
	kek := vault.LocalKEK(filepath.Join(dir, "kek"))
	v, err := vault.OpenAdmin(ctx, store, kek, nil)
	if err != nil {
		panic(err)
	}
	defer v.Close()
	security, advertising := purpose.MustParse("security"), purpose.MustParse("advertising")
	if err := v.Generate(ctx, security, advertising); err != nil {
		panic(err)
	}

	// Each component is given the scope of its own purpose, and no other.
	signIn, err := v.Scope(ctx, security)
	if err != nil {
		panic(err)
	}
	ads, err := v.Scope(ctx, advertising)
	if err != nil {
		panic(err)
	}

	note := vault.MustKind("memo", "example.Memo")
	sealed, err := vault.Seal(ctx, note, "only for sign-in", signIn)
	if err != nil {
		panic(err)
	}
	fmt.Println(signIn.Reveal(ctx, note, sealed))
	_, err = ads.Reveal(ctx, note, sealed)
	fmt.Println(err, errors.Is(err, purpose.ErrMismatch))
	// Output:
	// only for sign-in <nil>
	// example: revealing memo: collected for security, not advertising true
}

// Any tink.AEAD can wrap the keys: here a keyset in memory, in production one
// that a Tink client of a key service returns.
func ExampleSharedKEK() {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		panic(err)
	}
	primitive, err := aead.New(handle)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(primitive), nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(v.Generate(ctx, purpose.MustParse("security")))
	// Output: <nil>
}

// One KEK for each purpose: which process may use a purpose is then up to the
// key service's access rules.
func ExampleKEKFunc() {
	clients := map[purpose.Purpose]vault.AEAD{} // filled with clients of a key service
	kek := vault.KEKFunc(func(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
		if client, ok := clients[p]; ok {
			return client, nil
		}
		return nil, vault.ErrNoKeys
	})
	ctx := context.Background()
	v, err := vault.OpenAdmin(ctx, vault.Memory(), kek, nil)
	if err != nil {
		panic(err)
	}
	err = v.Generate(ctx, purpose.MustParse("security"))
	fmt.Println(errors.Is(err, vault.ErrNoKeys))
	// Output: true
}

// The basis of a collection is bound into the value and can be read without
// keys.
func ExampleScope_Under() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	prompt := security.Under(purpose.Basis{Legal: purpose.Contract, Notice: "2fa-prompt-v3"})
	sealed, err := vault.Seal(ctx, vault.MustKind("memo", "example.Memo"), "text", prompt)
	if err != nil {
		panic(err)
	}
	p, ok := sealed.Provenance(security.Purpose())
	fmt.Println(p.Notice, p.Legal, ok)
	// Output: 2fa-prompt-v3 contract true
}

func ExampleSealed_Purposes() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	sealed, err := vault.Seal(ctx, vault.MustKind("memo", "example.Memo"), "text", security)
	if err != nil {
		panic(err)
	}
	text, err := sealed.MarshalText()
	if err != nil {
		panic(err)
	}
	fmt.Println(strings.HasPrefix(string(text), "pii1.memo.security."))
	parsed, err := vault.ParseSealed(string(text))
	fmt.Println(parsed.Kind(), parsed.Purposes(), err)
	// Output:
	// true
	// memo security <nil>
}

// exampleVault returns a vault with keys for security, and their scope.
func exampleVault(ctx context.Context) (*vault.Admin, *vault.Scope) {
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(exampleAEAD()), nil)
	if err != nil {
		panic(err)
	}
	p := purpose.MustParse("security")
	if err := v.Generate(ctx, p); err != nil {
		panic(err)
	}
	s, err := v.Scope(ctx, p)
	if err != nil {
		panic(err)
	}
	return v, s
}

// exampleAEAD returns a tink.AEAD under a fresh key.
func exampleAEAD() vault.AEAD {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		panic(err)
	}
	a, err := aead.New(handle)
	if err != nil {
		panic(err)
	}
	return a
}
