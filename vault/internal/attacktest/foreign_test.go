package attacktest

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// No record of another vault is taken for one of this vault, not even with the same KEK and
// the same keys. Module sqlstore tries it on databases.
func TestRecordsOfAnotherVault(t *testing.T) {
	for name, fresh := range map[string]func(t *testing.T) vault.Store{
		"memory": func(*testing.T) vault.Store { return vault.Memory() },
		"dir":    func(t *testing.T) vault.Store { return vault.Dir(filepath.Join(t.TempDir(), "keys")) },
	} {
		t.Run(name, func(t *testing.T) { vaulttest.RefusesAnotherVault(t, fresh) })
	}
}

// Somebody who can write to the store puts every record of a vault in the place of every
// other one. Nobody's values open as another person's, for another purpose, or after an
// erasure, and no fault is taken for an absent key.
func TestEveryRecordUnderEveryOtherName(t *testing.T) {
	ctx := t.Context()
	whole, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, whole, kek, nil)
	purposes := []purpose.Purpose{vaulttest.Security, vaulttest.Advertising, vaulttest.Billing}
	require.NoError(t, v.Generate(ctx, purposes...))
	type owner struct {
		purpose purpose.Purpose
		subject string // "" for a value of the purpose
	}
	values := map[owner]vault.Sealed{}
	for _, p := range purposes {
		s := vaulttest.Scope(t, v, p)
		for _, subject := range []string{"", "alice", "bob"} {
			of := s
			if subject != "" {
				of = s.For(subject)
			}
			sealed, err := vault.Seal(ctx, vaulttest.Note, p.String()+" "+subject, of)
			require.NoError(t, err)
			values[owner{p, subject}] = sealed
		}
		for _, erased := range []string{"carol", "bob"} {
			_, err := v.Erase(ctx, erased, p)
			require.NoError(t, err)
		}
	}
	require.NoError(t, v.Close())
	content := vaulttest.Content(t, whole)
	require.Len(t, content, 1+3*(3+3)) // the id; keys, erasures, seals, alice, bob, carol
	opened, refused := 0, 0
	for to := range content {
		for from := range content {
			if from == to {
				continue
			}
			store := vault.Memory()
			for name, data := range content {
				if name == to {
					data = content[from]
				}
				vaulttest.PutRecord(t, store, name, 0, string(data))
			}
			v := vaulttest.Open(t, store, kek, nil)
			for _, p := range purposes {
				s, err := v.Scope(ctx, p)
				if err != nil {
					// A KEK need not tell a record that was moved from one that it may not open.
					require.True(t, errors.Is(err, vault.ErrCorrupt) || errors.Is(err, vault.ErrNoKeys), "%s in place of %s: %v", from, to, err)
					require.NotErrorIs(t, err, vault.ErrUnavailable)
					refused++
					continue
				}
				for of, value := range values {
					for _, subject := range []string{"", "alice", "bob"} {
						as := s
						if subject != "" {
							as = s.For(subject)
						}
						text, err := as.Reveal(ctx, vaulttest.Note, value)
						if err == nil {
							require.Equal(t, owner{p, subject}, of, "%s in place of %s", from, to)
							require.NotEqual(t, "bob", subject, "%s in place of %s", from, to)
							require.Equal(t, p.String()+" "+subject, text)
							opened++
							continue
						}
						require.NotErrorIs(t, err, vault.ErrUnavailable)
					}
				}
				_, err = vault.Seal(ctx, vaulttest.Note, "text", s.For("bob"))
				require.Error(t, err, "erased: %s in place of %s", from, to)
			}
			require.NoError(t, v.Close())
		}
	}
	require.Greater(t, opened, 500)
	require.Greater(t, refused, 100)
}
