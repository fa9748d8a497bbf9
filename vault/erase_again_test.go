package vault_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A dying store stops before it writes the record of a subject, as if the process had
// died there.
type dyingStore struct{ vault.Store }

func (s dyingStore) Put(ctx context.Context, r vault.Record) (int64, error) {
	if strings.Contains(r.Name, "/subjects/") {
		return 0, vault.ErrUnavailable
	}
	return s.Store.Put(ctx, r)
}

// An erasure that stopped after its intent was written is completed by the next erasure,
// by the next pin, and by repeating it. Until then nobody is refused because of it.
func TestErasuresThatStoppedAreCompleted(t *testing.T) {
	p := vaulttest.Security
	for name, next := range map[string]func(ctx context.Context, v *vault.Admin) error{
		"the same": func(ctx context.Context, v *vault.Admin) error {
			_, err := v.Erase(ctx, "alice", p)
			return err
		},
		"another": func(ctx context.Context, v *vault.Admin) error {
			_, err := v.Erase(ctx, "bob", p)
			return err
		},
		"a pin": func(ctx context.Context, v *vault.Admin) error {
			_, err := v.Pin(ctx, p)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
			v := vaulttest.Open(t, store, kek, nil)
			require.NoError(t, v.Generate(ctx, p))
			value := vaulttest.Seal(t, vaulttest.Scope(t, v, p).For("alice"))

			dying := vaulttest.Open(t, dyingStore{store}, kek, nil)
			_, err := dying.Erase(ctx, "alice", p)
			require.ErrorIs(t, err, vault.ErrUnavailable)
			fresh := vaulttest.Open(t, store, kek, nil)
			vaulttest.Opens(t, vaulttest.Scope(t, fresh, p).For("alice"), value)

			require.NoError(t, next(ctx, fresh))
			_, err = vaulttest.Scope(t, vaulttest.Open(t, store, kek, nil), p).For("alice").Reveal(ctx, vaulttest.Note, value)
			require.ErrorIs(t, err, vault.ErrErased)
			pin, err := fresh.Pin(ctx, p)
			require.NoError(t, err)
			_, err = vaulttest.Open(t, store, kek, &vault.Options{Pin: vault.FixedPins(pin)}).Scope(ctx, p)
			require.NoError(t, err)
		})
	}
}

// After an old store was put back, the certificates of the erasures since then erase the
// same people again, in any order. The pins of before hold again.
func TestEraseAgainAfterARestore(t *testing.T) {
	ctx, p := t.Context(), vaulttest.Security
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	v := vaulttest.Open(t, store, kek, nil)
	require.NoError(t, v.Generate(ctx, p))
	people := []string{"alice", "bob", "carol"}
	values := map[string]vault.Sealed{}
	for _, id := range append(people, "dave") {
		values[id] = vaulttest.Seal(t, vaulttest.Scope(t, v, p).For(id))
	}
	backup := vault.Memory()
	for name, data := range vaulttest.Content(t, store) {
		vaulttest.PutRecord(t, backup, name, 0, string(data))
	}
	var certificates []vault.Erasure
	for _, id := range people {
		done, err := v.Erase(ctx, id, p)
		require.NoError(t, err)
		certificates = append(done, certificates...) // the last one first
	}
	pinned := &vault.Options{Pin: vault.FixedPins(certificates[0].Pin)}
	_, err := vaulttest.Open(t, backup, kek, pinned).Scope(ctx, p)
	require.ErrorIs(t, err, vault.ErrCorrupt)

	restored := vaulttest.Open(t, backup, kek, nil)
	again, err := restored.EraseAgain(ctx, certificates...)
	require.NoError(t, err)
	require.Len(t, again, len(people))
	again, err = restored.EraseAgain(ctx, certificates...)
	require.NoError(t, err, "twice")
	require.Len(t, again, len(people))
	s := vaulttest.Scope(t, vaulttest.Open(t, backup, kek, pinned), p)
	for _, id := range people {
		_, err := s.For(id).Reveal(ctx, vaulttest.Note, values[id])
		require.ErrorIs(t, err, vault.ErrErased, id)
	}
	vaulttest.Opens(t, s.For("dave"), values["dave"])

	elsewhere := vaulttest.Open(t, vault.Memory(), kek, nil)
	require.NoError(t, elsewhere.Generate(ctx, p))
	done, err := elsewhere.EraseAgain(ctx, certificates...)
	require.ErrorIs(t, err, vault.ErrInvalid, "another vault's certificates")
	require.Empty(t, done)
}

// A certificate whose pseudonym means nobody here is refused, and nobody is erased: one with
// the pin of another purpose, whose pseudonyms are other people's, and one with a subject
// that is no pseudonym in its one spelling.
func TestCertificatesAreRefused(t *testing.T) {
	ctx, p := t.Context(), vaulttest.Security
	v := vaulttest.Generated(t, nil, p, vaulttest.Advertising)
	var good vault.Erasure
	for _, of := range []purpose.Purpose{vaulttest.Advertising, p} {
		vaulttest.Seal(t, vaulttest.Scope(t, v, of).For("alice"))
		done, err := v.Erase(ctx, "alice", of)
		require.NoError(t, err)
		good = done[0]
	}
	ads, err := v.Pin(ctx, vaulttest.Advertising)
	require.NoError(t, err)
	before, err := v.Pin(ctx, p)
	require.NoError(t, err)
	for name, change := range map[string]func(e *vault.Erasure){
		"a pin of another purpose": func(e *vault.Erasure) { e.Pin = ads },
		"the purpose of another":   func(e *vault.Erasure) { e.Purpose = vaulttest.Advertising },
		"no purpose":               func(e *vault.Erasure) { e.Purpose, e.Pin = purpose.Purpose{}, vault.Pin{} },
		"no subject":               func(e *vault.Erasure) { e.Subject = "" },
		"a digit less":             func(e *vault.Erasure) { e.Subject = e.Subject[1:] },
		"a byte less":              func(e *vault.Erasure) { e.Subject = e.Subject[2:] },
		"a byte more":              func(e *vault.Erasure) { e.Subject += "00" },
		"in capitals":              func(e *vault.Erasure) { e.Subject = "A" + e.Subject[1:] },
		"no digits":                func(e *vault.Erasure) { e.Subject = "g" + e.Subject[1:] },
		"a name":                   func(e *vault.Erasure) { e.Subject = "alice" },
	} {
		bad := good
		change(&bad)
		done, err := v.EraseAgain(ctx, bad)
		require.ErrorIs(t, err, vault.ErrInvalid, name)
		require.Empty(t, done, name)
		if bad.Subject != "" && bad.Subject != good.Subject {
			require.NotContains(t, err.Error(), bad.Subject, name)
		}
	}
	after, err := v.Pin(ctx, p)
	require.NoError(t, err)
	require.Equal(t, before, after)
	unpinned := good
	unpinned.Pin = vault.Pin{}
	done, err := v.EraseAgain(ctx, good, unpinned)
	require.NoError(t, err)
	require.Equal(t, []vault.Erasure{good, good}, done)
}
