package kms

import (
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Keys has the key of a key service for each purpose. It is a [Template] or [URIs],
// and no other type.
type Keys interface {
	// Key returns the key of purpose p. A purpose without one is
	// [vault.ErrNoKeys]; the zero Purpose and a malformed URI are
	// [vault.ErrInvalid].
	Key(p purpose.Purpose) (Key, error)

	check(s Service) error
}

// A Template is the URI of every purpose's key, with "{purpose}" in place of the
// purpose's name, once or more:
//
//	aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}
//	gcp-kms://projects/example/locations/europe-west3/keyRings/onlyfor/cryptoKeys/{purpose}
//	hcvault://vault.example.com:8200/transit/keys/onlyfor-{purpose}
//
// Two purposes never have one key.
type Template string

const placeholder = "{purpose}"

// Key returns the key whose URI has the name of p in place of "{purpose}". A
// name too long for the key service is [vault.ErrInvalid].
func (t Template) Key(p purpose.Purpose) (Key, error) {
	if p.IsZero() {
		return Key{}, errNoPurpose
	}
	if !strings.Contains(string(t), placeholder) {
		return Key{}, errNoPlaceholder
	}
	k, err := parseKey(strings.ReplaceAll(string(t), placeholder, p.String()))
	if err != nil {
		return Key{}, fmt.Errorf("kms: key of %s: %w", p, err)
	}
	return k, nil
}

var (
	errNoPurpose     = fmt.Errorf("kms: no purpose: %w", vault.ErrInvalid)
	errNoPlaceholder = fmt.Errorf("kms: template without %s, which would be one key for all: %w", placeholder, vault.ErrInvalid)
)

// sample is the purpose that templates are checked with. No key service refuses its
// name as too short.
var sample = purpose.MustParse("security")

func (t Template) check(s Service) error {
	k, err := t.Key(sample)
	if err != nil {
		return err
	}
	return k.of(s)
}

// URIs are the URIs of keys by purpose. Other purposes have no key. Do not change
// the map after a KEK was made with it.
type URIs map[purpose.Purpose]string

// Key returns the key at the URI of p.
func (u URIs) Key(p purpose.Purpose) (Key, error) {
	if p.IsZero() {
		return Key{}, errNoPurpose
	}
	uri, ok := u[p]
	if !ok {
		return Key{}, &noURIError{p}
	}
	k, err := parseKey(uri)
	if err != nil {
		return Key{}, fmt.Errorf("kms: key of %s: %w", p, err)
	}
	return k, nil
}

// A noURIError reports a purpose without a URI in this process. It is not
// [vault.ErrAccessDenied]: the process may have a grant for a key that it does not know.
type noURIError struct{ purpose purpose.Purpose }

func (e *noURIError) Error() string {
	return fmt.Sprintf("kms: no URI for %s: %v", e.purpose, vault.ErrNoKeys)
}

func (e *noURIError) Unwrap() error { return vault.ErrNoKeys }

func (u URIs) check(s Service) error {
	if len(u) == 0 {
		return fmt.Errorf("kms: no keys: %w", vault.ErrInvalid)
	}
	purposes := make([]purpose.Purpose, 0, len(u))
	for p := range u {
		purposes = append(purposes, p)
	}
	owners := make(map[Key]purpose.Purpose, len(u))
	for p := range purpose.NewSet(purposes...).All() { // in order, so that the error is the same each time
		k, err := u.Key(p)
		if err != nil {
			return err
		}
		if err := k.of(s); err != nil {
			return err
		}
		if other, taken := owners[k]; taken {
			return fmt.Errorf("kms: %s and %s have one key, so who may use one may use both: %w", other, p, vault.ErrInvalid)
		}
		owners[k] = p
	}
	if _, ok := u[purpose.Purpose{}]; ok {
		return errNoPurpose
	}
	return nil
}

// Check returns nil if keys are well-formed, differ for each purpose, and are all of
// service s. Any other keys, also nil, are [vault.ErrInvalid].
//
// It does not notice two aliases of one AWS key, which only AWS knows.
func Check(keys Keys, s Service) error {
	if keys == nil {
		return fmt.Errorf("kms: no keys: %w", vault.ErrInvalid)
	}
	return keys.check(s)
}
