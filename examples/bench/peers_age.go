package main

import (
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// newAge returns age, which seals for a public key, as a collector does. Its contenders are
// sealing and revealing.
func newAge(text []byte) (race, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return race{}, fmt.Errorf("age: %w", err)
	}
	encrypt := func() (string, error) {
		var b strings.Builder
		w, err := age.Encrypt(&b, identity.Recipient())
		if err != nil {
			return "", err
		}
		if _, err := w.Write(text); err != nil {
			return "", err
		}
		if err := w.Close(); err != nil {
			return "", err
		}
		return b.String(), nil
	}
	file, err := encrypt()
	if err != nil {
		return race{}, fmt.Errorf("age: %w", err)
	}
	return race{contenders: []contender{
		each("age, X25519", func() error { _, err := encrypt(); return err }),
		each("age, X25519", func() error {
			r, err := age.Decrypt(strings.NewReader(file), identity)
			if err == nil {
				_, err = io.ReadAll(r)
			}
			return err
		}),
	}}, nil
}
