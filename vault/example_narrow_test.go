package vault_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A web front end seals what people type in, and opens nothing. All that it is
// given is a line of text, which is no secret.
func ExampleParseCollector() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	collector, err := v.Collector(ctx, security.Purpose())
	if err != nil {
		panic(err)
	}
	text, err := collector.MarshalText() // into the front end's configuration
	if err != nil {
		panic(err)
	}

	front, err := vault.ParseCollector(string(text), nil)
	if err != nil {
		panic(err)
	}
	sealed, err := vault.Seal(ctx, exampleNote, "typed in", front.Under(purpose.Basis{Notice: "sign-up-v2"}))
	fmt.Println(sealed, err)

	// The back end takes it in, under the person's own key.
	own, err := vault.Reseal(ctx, exampleNote, sealed, nil, security.For("user-1"))
	if err != nil {
		panic(err)
	}
	fmt.Println(security.For("user-1").Reveal(ctx, exampleNote, own))
	// Output:
	// memo(security) <nil>
	// typed in <nil>
}

// Values of one batch share the costly part of sealing for a public key.
func ExampleCollector_Batch() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	collector, err := v.Collector(ctx, security.Purpose())
	if err != nil {
		panic(err)
	}
	batch, err := collector.Batch()
	if err != nil {
		panic(err)
	}
	for _, text := range []string{"one", "two"} {
		sealed, err := vault.Seal(ctx, exampleNote, text, batch)
		if err != nil {
			panic(err)
		}
		fmt.Println(security.Reveal(ctx, exampleNote, sealed))
	}
	// Output:
	// one <nil>
	// two <nil>
}

// Sign-in looks people up and has no business in revealing anything; a sender of
// messages is handed rows, and has none in looking anybody up.
func ExampleVault_Lookup() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	lookup, err := v.Lookup(ctx, security.Purpose())
	if err != nil {
		panic(err)
	}
	a, err := lookup.Index(ctx, exampleNote, "text")
	if err != nil {
		panic(err)
	}
	b, err := security.Index(ctx, exampleNote, "text")
	fmt.Println(lookup, a == b, err)
	// Output: vault.Lookup(security) true <nil>
}

func ExampleVault_Reader() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	sealed, err := vault.Seal(ctx, exampleNote, "text", security.For("user-1"))
	if err != nil {
		panic(err)
	}
	reader, err := v.Reader(ctx, security.Purpose())
	if err != nil {
		panic(err)
	}
	fmt.Println(reader.For("user-1").Reveal(ctx, exampleNote, sealed))
	// Output: text <nil>
}

// deniedAEAD is the AEAD of a key service that knows the caller and refuses.
type deniedAEAD struct{}

func (deniedAEAD) Encrypt(_, _ []byte) ([]byte, error) { return nil, vault.ErrAccessDenied }
func (deniedAEAD) Decrypt(_, _ []byte) ([]byte, error) { return nil, vault.ErrAccessDenied }

// The advertising process refuses to start if it could open security's keys.
func ExampleVault_CheckDenied() {
	ctx := context.Background()
	security, advertising := purpose.MustParse("security"), purpose.MustParse("advertising")
	store, securityKEK, advertisingKEK := vault.Memory(), vault.SharedKEK(exampleAEAD()), vault.SharedKEK(exampleAEAD())
	admin, err := vault.OpenAdmin(ctx, store, vault.KEKs{security: securityKEK, advertising: advertisingKEK}, nil)
	if err != nil {
		panic(err)
	}
	defer admin.Close()
	if err := admin.Generate(ctx, security, advertising); err != nil {
		panic(err)
	}

	for _, granted := range []vault.KEKs{
		{advertising: advertisingKEK, security: vault.SharedKEK(deniedAEAD{})},
		{advertising: advertisingKEK, security: securityKEK}, // a grant too many
	} {
		v, err := vault.OpenAdmin(ctx, store, granted, nil)
		if err != nil {
			panic(err)
		}
		defer v.Close()
		err = v.CheckDenied(ctx, security)
		fmt.Println(err, errors.Is(err, vault.ErrGranted))
	}
	// Output:
	// <nil> false
	// vault: checking keys of security: this process can open keys that it must not have true
}

func ExampleVault_CheckKEK() {
	ctx := context.Background()
	v, security := exampleVault(ctx)
	defer v.Close()
	fmt.Println(v.CheckKEK(ctx, security.Purpose()))
	// Output: <nil>
}

func ExampleVault_Purposes() {
	ctx := context.Background()
	v, _ := exampleVault(ctx)
	defer v.Close()
	fmt.Println(v.Purposes(ctx))
	// Output: security <nil>
}
