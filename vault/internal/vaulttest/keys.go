package vaulttest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// Phone is the kind of the numbers in the vectors.
var Phone = vault.MustKind("phone", "pii.Phone")

// TaxID is a kind that a user of the library could make.
var TaxID = vault.MustKind("tax-id", "people.TaxID")

// KindNamed returns the kind of the given name: one of this package, or another one.
func KindNamed(name string) vault.Kind {
	for _, k := range []vault.Kind{Email, Phone, TaxID, Note, longestKind} {
		if k.String() == name {
			return k
		}
	}
	return vault.MustKind(name, "vault_test.Value")
}

// longestKind has the longest name that a kind can have.
var longestKind = vault.MustKind("k"+strings.Repeat("-9z", 10), "people.Longest")

// Never is the expiry of values that must open in every test: 2125-01-01T03:04:05Z.
const Never = 4891374245

var (
	// Email is the kind of the addresses in the vectors.
	Email = vault.MustKind("email", "pii.Email")

	// KEKKey is the key of the [KEK] that wraps the vectors' key records.
	KEKKey = Key("kek", 0x6b656b01)
	// VaultID is the id of the vault of the vectors.
	VaultID = Bytes("vault id", 16)
	// Keys are the keys of the vectors, by purpose.
	Keys = map[string]reference.Keys{
		"security": {
			Vault:   VaultID,
			Seal:    []reference.Key{Key("security seal 2", 0x5ec00002), Key("security seal 1", 0x5ec00001)},
			Index:   []reference.Key{Key("security index", 0x5ec0001d)},
			Subject: []reference.Key{Key("security subject", 0x5ec0005b)},
		},
		"advertising": {
			Vault:   VaultID,
			Seal:    []reference.Key{Key("advertising seal", 0xad000001)},
			Index:   []reference.Key{Key("advertising index", 0xad00001d)},
			Subject: []reference.Key{Key("advertising subject", 0xad00005b)},
		},
		"billing": {
			Vault:   VaultID,
			Seal:    []reference.Key{Key("billing seal", 0xb1000001)},
			Index:   []reference.Key{Key("billing index", 0xb100001d)},
			Subject: []reference.Key{Key("billing subject", 0xb100005b)},
		},
	}
)

// Collect are the keys of collectors, X25519 private keys. They are not in Keys, because
// most vectors do not need them.
var Collect = map[string][]reference.Key{
	"security":    {Key("security collect 2", 0x5ec000c2), Key("security collect 1", 0x5ec000c1)},
	"advertising": {Key("advertising collect", 0xad0000c1)},
	"billing":     {Key("billing collect", 0xb10000c1)},
}

// CollectXWing are keys of collectors as Collect has them, seeds of X-Wing key pairs.
var CollectXWing = map[string][]reference.Key{
	"security":    {xwing("security collect x-wing 2", 0x5ec000d2), xwing("security collect x-wing 1", 0x5ec000d1)},
	"advertising": {xwing("advertising collect x-wing", 0xad0000d1)},
	"billing":     {xwing("billing collect x-wing", 0xb10000d1)},
}

func xwing(label string, id uint32) reference.Key {
	return reference.Key{ID: id, Key: Bytes("key "+label, 32), XWing: true}
}

// Records are the key records of the vectors: Keys, Collect and CollectXWing.
var Records = func() map[string]reference.Record {
	all := map[string]reference.Record{}
	for name, keys := range Keys {
		all[name] = reference.Record{Keys: keys, Collect: slices.Concat(Collect[name], CollectXWing[name])}
	}
	return all
}()

// Key returns a key that is derived from its label.
func Key(label string, id uint32) reference.Key {
	return reference.Key{ID: id, Key: Bytes("key "+label, 32)}
}

// Bytes returns n bytes that are derived from a label.
func Bytes(label string, n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "onlyfor test vector: %s %d", label, i))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

// Class returns the word of the vectors for an error: the name of its sentinel, or
// "success". For an error with two sentinels it returns both names.
func Class(err error) string {
	class := ""
	for name, sentinel := range map[string]error{
		"corrupt": vault.ErrCorrupt, "mismatch": purpose.ErrMismatch, "expired": vault.ErrExpired,
		"subject": vault.ErrSubject, "erased": vault.ErrErased, "conflict": vault.ErrConflict,
		"no keys": vault.ErrNoKeys, "unavailable": vault.ErrUnavailable, "invalid": vault.ErrInvalid,
	} {
		if errors.Is(err, sentinel) {
			class += name
		}
	}
	if err == nil {
		class = "success"
	}
	return class
}

// Address is the plaintext of most vectors.
const Address = "alice@example.com"

var (
	// PlainHeader leaves four bits over in the last base64 character.
	PlainHeader = reference.Header{Typ: 1, Collected: reference.Time, Legal: 2}
	// FullHeader has all fields.
	FullHeader = reference.Header{Typ: 1, Collected: reference.Time, Legal: 1, Notice: "ads-optin-v2", Consent: "consent-2026-81f3", Expires: Never, From: "security", Stated: true}
)
