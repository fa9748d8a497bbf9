package vaulttest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
)

// RefusesAnotherVault copies each record of one vault into the place of the same record of
// another vault, and requires that it is refused there. Both vaults have one KEK and even
// one set of keys, as if somebody had changed the id of a copy, so nothing but the id tells
// their records apart. The function fresh returns an empty store at each call.
func RefusesAnotherVault(t *testing.T, fresh func(t *testing.T) vault.Store) {
	ours, theirs := newIdentified(t, fresh(t), VaultID), newIdentified(t, fresh(t), Bytes("other vault", 16))
	all := Content(t, ours.store)
	seen := map[string]bool{}
	for name := range all {
		kind := ours.kind(t, name)
		seen[kind] = true
		for _, from := range foreignOf[kind] {
			t.Run(kind+" by "+from, func(t *testing.T) {
				old := GetRecord(t, ours.store, name)
				at := PutRecord(t, ours.store, name, old.Revision, string(GetRecord(t, theirs.store, theirs.names[from]).Data))
				ours.requireRefused(t, kind)
				PutRecord(t, ours.store, name, at, string(old.Data))
				ours.requireWhole(t)
			})
		}
	}
	for kind := range foreignOf {
		require.True(t, seen[kind], kind)
	}
}

// foreignOf has, for each kind of record, the kinds of another vault's records that are put
// in its place.
var foreignOf = map[string][]string{
	"vault id":  {"vault id"},
	"keys":      {"keys"},
	"erasures":  {"erasures"},
	"seals":     {"seals"},
	"person":    {"person", "tombstone"},
	"tombstone": {"tombstone", "person"},
}

// An identified is a vault with an id that the test chose.
type identified struct {
	store       vault.Store
	kek         vault.KEK
	names       map[string]string // of the records, by kind
	pin         vault.Pin
	alice, bobs vault.Sealed
}

// newIdentified makes a vault with the given id, in which alice has a key and bob was
// erased.
func newIdentified(t *testing.T, store vault.Store, id []byte) *identified {
	t.Helper()
	keys := Keys["security"]
	keys.Vault = id
	payload, err := json.Marshal(reference.Record{Keys: keys}.Payload("security"))
	require.NoError(t, err)
	kek := KEK{Key: KEKKey}
	PutRecord(t, store, "0-vault", 0, string(reference.VaultRecord(id)))
	PutRecord(t, store, "security/keys", 0, string(reference.Wrap(kek, "security", id, payload, reference.Random(32), reference.Random(12))))

	i := &identified{store: store, kek: vault.SharedKEK(kek), names: map[string]string{}}
	v := Open(t, store, i.kek, nil)
	s := Scope(t, v, Security)
	i.alice, i.bobs = Seal(t, s.For("alice")), Seal(t, s.For("bob"))
	done, err := v.Erase(t.Context(), "bob", Security)
	require.NoError(t, err)
	i.pin = done[0].Pin
	for subject, kind := range map[string]string{"alice": "person", "bob": "tombstone"} {
		pseudonym, err := s.Pseudonym(t.Context(), subject)
		require.NoError(t, err)
		i.names[kind] = "security/subjects/" + pseudonym[:2] + "/" + pseudonym
	}
	for _, kind := range []string{"keys", "erasures", "seals"} {
		i.names[kind] = "security/" + kind
	}
	i.names["vault id"] = "0-vault"
	require.NoError(t, v.Close()) // and writes its seals
	i.requireWhole(t)
	return i
}

// kind returns the kind of a record.
func (i *identified) kind(t *testing.T, name string) string {
	t.Helper()
	for kind, known := range i.names {
		if name == known {
			return kind
		}
	}
	t.Fatal("no such record: ", strings.ToValidUTF8(name, "?"))
	return ""
}

// open opens the vault anew, perhaps with its pin.
func (i *identified) open(t *testing.T, pinned bool) *vault.Admin {
	t.Helper()
	if !pinned {
		return Open(t, i.store, i.kek, nil)
	}
	return Open(t, i.store, i.kek, &vault.Options{Pin: vault.FixedPins(i.pin)})
}

// requireWhole requires that everything works, so that a refusal has one cause.
func (i *identified) requireWhole(t *testing.T) {
	t.Helper()
	for _, pinned := range []bool{false, true} {
		v := i.open(t, pinned)
		s := Scope(t, v, Security)
		Opens(t, s.For("alice"), i.alice)
		Refuses(t, s.For("bob"), i.bobs, vault.ErrErased)
		_, err := v.Keys(t.Context(), Security)
		require.NoError(t, err)
	}
}

// requireRefused requires that a record of the given kind is refused.
func (i *identified) requireRefused(t *testing.T, kind string) {
	t.Helper()
	for _, pinned := range []bool{false, true} {
		v := i.open(t, pinned)
		s, err := v.Scope(t.Context(), Security)
		switch {
		case kind == "vault id", kind == "keys", kind == "erasures", kind == "tombstone" && pinned:
			require.ErrorIs(t, err, vault.ErrCorrupt)
			require.ErrorIs(t, v.Generate(t.Context(), Security), map[bool]error{true: vault.ErrCorrupt}[kind == "vault id" || kind == "keys"])
			continue
		}
		require.NoError(t, err)
		if kind == "seals" {
			_, err := v.Keys(t.Context(), Security)
			require.ErrorIs(t, err, vault.ErrCorrupt)
			continue
		}
		subject, value := "alice", i.alice
		if kind == "tombstone" {
			subject, value = "bob", i.bobs
		}
		_, err = s.For(subject).Reveal(t.Context(), Note, value)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		require.NotErrorIs(t, err, vault.ErrErased)
		_, err = vault.Seal(t.Context(), Note, "text", s.For(subject))
		require.ErrorIs(t, err, vault.ErrCorrupt, "no new key takes its place")
	}
}
