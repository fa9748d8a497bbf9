//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package vault_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Keys in a directory, and the keys that wrap them in another: all that one
// machine needs.
func ExampleDir() {
	ctx := context.Background()
	home, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home)

	store := vault.Dir(filepath.Join(home, "keys"))
	kek := vault.LocalKEK(filepath.Join(home, "kek"))
	v, err := vault.OpenAdmin(ctx, store, kek, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	if err := v.Generate(ctx, purpose.MustParse("billing"), purpose.MustParse("security")); err != nil {
		log.Fatal(err)
	}

	for name, err := range store.List(ctx, "", "") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name)
	}
	// Output:
	// 0-vault
	// billing/keys
	// security/keys
}

// The advertising service sees the key store, and of the KEK's files that of its
// own purpose only. It can't open the security scope.
func ExampleLocalKEK() {
	ctx := context.Background()
	home, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home)
	security, advertising := purpose.MustParse("security"), purpose.MustParse("advertising")
	store := vault.Dir(filepath.Join(home, "keys"))

	// Each purpose's keys are made where that purpose is used.
	for _, p := range []purpose.Purpose{security, advertising} {
		v, err := vault.OpenAdmin(ctx, store, vault.LocalKEK(filepath.Join(home, p.String()+"-service")), nil)
		if err != nil {
			log.Fatal(err)
		}
		if err := v.Generate(ctx, p); err != nil {
			log.Fatal(err)
		}
		v.Close()
	}

	v, err := vault.OpenAdmin(ctx, store, vault.LocalKEK(filepath.Join(home, "advertising-service")), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	_, err = v.Scope(ctx, advertising)
	fmt.Println("advertising:", err)
	_, err = v.Scope(ctx, security)
	fmt.Println("security refused:", errors.Is(err, vault.ErrNoKeys))
	// Output:
	// advertising: <nil>
	// security refused: true
}
