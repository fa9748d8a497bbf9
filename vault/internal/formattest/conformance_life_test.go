package formattest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// The two implementations over values of every layout and history, and over keys
// that change: what conformance_test.go does for values that were just sealed.

// Every value of the catalogue, in both forms: the independent implementation opens
// all of its slots with what it finds in the store, and none for anybody else; it
// seals the same slots again, and ours opens these.
func TestBothWaysForEveryLayout(t *testing.T) {
	a := vaulttest.NewCatalogue(t)
	o := observer{t, a.Store, vaulttest.KEK{Key: vaulttest.KEKKey}}
	content := vaulttest.Content(t, a.Store)
	keys := map[string]reference.Record{}
	for name := range a.Scopes {
		keys[name] = o.keys(name)
	}
	subjectKey := func(name, subject string) reference.Key {
		t.Helper()
		k, class := reference.SubjectKey(reference.Asked{Purpose: name, Keys: keys[name], Subject: subject, Store: content})
		require.Empty(t, class)
		return k
	}
	for i, v := range a.Values {
		sealed, err := vault.ParseSealed(v.Text())
		require.NoError(t, err)
		data, err := sealed.MarshalBinary()
		require.NoError(t, err)
		binary, ok := reference.ParseBinary(data)
		require.True(t, ok, a.Shapes[i])
		require.Equal(t, v, binary)

		twin := reference.Value{Kind: v.Kind, ID: reference.Random(16)}
		want := map[string]string{} // by purpose
		bound := map[string]string{}
		for _, s := range v.Slots {
			for _, subject := range []string{"", "alice", "bob", "gone", "nobody"} {
				plaintext, class := v.Open(reference.Asked{Kind: v.Kind, Purpose: s.Purpose, Keys: keys[s.Purpose], Subject: subject, Store: content, Now: uint64(time.Now().Unix())})
				text, opens := a.Slots[vaulttest.SlotPlace(v, s, subject)]
				require.Equal(t, opens, class == "success", "%s, %s for %q: %s", a.Shapes[i], s.Purpose, subject, class)
				require.Equal(t, text, plaintext)
				if opens {
					want[s.Purpose], bound[s.Purpose] = text, subject
				}
			}
			h, _, ok := reference.CutHeader(s.Header)
			require.True(t, ok)
			text, k := want[s.Purpose], keys[s.Purpose]
			require.NotEmpty(t, text)
			switch h.Typ {
			case 1:
				twin.Slots = append(twin.Slots, reference.SlotOf(v.Kind, s.Purpose, twin.ID, h, k.Seal[i%len(k.Seal)], reference.Random(12), text))
			case 2:
				own := subjectKey(s.Purpose, bound[s.Purpose])
				twin.Slots = append(twin.Slots, reference.SubjectSlot(v.Kind, s.Purpose, twin.ID, h, bound[s.Purpose], own, reference.Random(12), text))
			case 3, 4:
				pairs := slices.DeleteFunc(slices.Clone(k.Collect), func(k reference.Key) bool { return k.SlotType() != h.Typ })
				twin.Slots = append(twin.Slots, reference.CollectorOf(s.Purpose, pairs[i%len(pairs)]).Seal(v.Kind, twin.ID, h, text))
			}
			require.Equal(t, s.Header, twin.Slots[len(twin.Slots)-1].Header)
		}
		_, class := v.Open(reference.Asked{Kind: v.Kind, Purpose: "elsewhere", Keys: keys["security"], Subject: "", Store: content, Now: reference.Time})
		require.Equal(t, "mismatch", class)

		sealed, err = vault.ParseSealed(twin.Text())
		require.NoError(t, err)
		checkForms(t, sealed, twin)
		for name, text := range want {
			s := a.Scopes[name]
			if bound[name] != "" {
				s = s.For(bound[name])
			}
			got, err := s.Reveal(t.Context(), a.Kinds[v.Kind], sealed)
			require.NoError(t, err, a.Shapes[i])
			require.Equal(t, text, got)
		}
	}
}

// Keys of indexes come and go, and so does the KEK: the independent implementation
// follows by what it reads in the record.
func TestOthersFollowOurKeys(t *testing.T) {
	ctx := t.Context()
	v, o := newObserved(t)
	p := purpose.MustParse("security")
	s := vaulttest.ScopeNamed(t, v, "security")
	agree := func(n int) {
		t.Helper()
		got, err := s.Indexes(ctx, vaulttest.Phone, "+12025550123")
		require.NoError(t, err)
		require.Len(t, got, n)
		var want [][]byte
		for _, k := range o.keys("security").Index {
			want = append(want, reference.Index(k.Key, "phone", "security", "+12025550123"))
		}
		require.Equal(t, want[0], got[0][:], "the primary one first")
		for i := range got {
			require.True(t, slices.ContainsFunc(want, func(w []byte) bool { return string(w) == string(got[i][:]) }))
		}
		require.Len(t, want, n)
		one, err := s.Index(ctx, vaulttest.Phone, "+12025550123")
		require.NoError(t, err)
		require.Equal(t, got[0], one)
	}
	agree(1)
	first := o.keys("security").Index[0].ID
	vaulttest.Rotate(t, v, p, vault.RoleIndex)
	agree(2)
	vaulttest.Rotate(t, v, p, vault.RoleIndex)
	agree(3)
	require.NoError(t, v.Retire(ctx, p, first))
	agree(2)
	require.NoError(t, v.Destroy(ctx, p, first))
	agree(2)

	// Values under a key that is retired, brought back and destroyed.
	sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, s)
	require.NoError(t, err)
	old := o.keys("security").Seal[0].ID
	both := func(want string) {
		t.Helper()
		_, err := s.Reveal(ctx, vaulttest.Email, sealed)
		require.Equal(t, want, vaulttest.Class(err))
		_, class := o.open(sealed, "security", "")
		require.Equal(t, want, class)
	}
	vaulttest.Rotate(t, v, p, vault.RoleSeal)
	both("success")
	require.NoError(t, v.Retire(ctx, p, old))
	both("corrupt")
	require.NoError(t, v.Reinstate(ctx, p, old))
	both("success")

	// Another KEK wraps what there is, and it is otherwise the same.
	before := o.keys("security")
	other := vaulttest.KEK{Key: vaulttest.Key("another kek", 0x6b656b02)}
	both("success")
	require.NoError(t, v.Rewrap(ctx, vault.SharedKEK(other), p))
	record := vaulttest.Content(t, o.store)["security/keys"]
	_, err = reference.Unwrap(o.kek, "security", before.Vault, record)
	require.Error(t, err)
	after, err := reference.Unwrap(other, "security", before.Vault, record)
	require.NoError(t, err)
	require.Equal(t, before, after)
	o.kek = other
	require.NoError(t, v.Close())
	_, class := o.open(sealed, "security", "")
	require.Equal(t, "success", class)
}

// In a store and with keys of ours, the independent implementation makes a subject's
// key, seals for them with it, erases them and counts it: ours goes on from each.
func TestOthersKeepOurSubjects(t *testing.T) {
	ctx := context.Background()
	v, o := newObserved(t)
	p := purpose.MustParse("security")
	keys := o.keys("security")
	put := func(name string, data []byte) {
		t.Helper()
		old, err := o.store.Get(ctx, name)
		require.NoError(t, err)
		revision := int64(0)
		if len(old) > 0 {
			revision = old[0].Revision
		}
		_, err = o.store.Put(ctx, vault.Record{Name: name, Data: data, Revision: revision})
		require.NoError(t, err)
	}
	pseudonym := reference.Pseudonym("security", keys.Keys, "user-1")
	own := reference.Key{ID: 0xbeef0001, Key: reference.Random(32)}
	key := reference.SubjectRecord{State: 1, ID: own.ID, Time: reference.Time, Key: own.Key}
	put(reference.SubjectName("security", pseudonym), reference.SealSubject(keys.Seal[0], reference.Random(12), "security", keys.Vault, pseudonym, key.Bytes()))

	value := reference.Value{Kind: "tax-id", ID: reference.Random(16)}
	h := reference.Header{Typ: 2, Collected: reference.Time, Legal: 2, Notice: "signup-v7"}
	value.Slots = []reference.Slot{reference.SubjectSlot("tax-id", "security", value.ID, h, "user-1", own, reference.Random(12), "86095742719")}
	theirs, err := vault.ParseSealed(value.Text())
	require.NoError(t, err)
	s := vaulttest.ScopeNamed(t, v, "security").For("user-1")
	got, err := s.Reveal(ctx, vaulttest.TaxID, theirs)
	require.NoError(t, err)
	require.Equal(t, "86095742719", got)
	ours, err := vault.Seal(ctx, vaulttest.TaxID, "86095742719", s)
	require.NoError(t, err)
	require.Len(t, o.value(ours).Slots[0].Sealed, 12+32+16, "which does not name the key")
	_, class := o.open(ours, "security", "user-1")
	require.Equal(t, "success", class)

	// The intent first, then the tombstone, as the format has it.
	erasure := reference.Erasure{}.Next(keys.Keys, "security", pseudonym)
	put("security/erasures", reference.Erasures(keys.Keys, "security", erasure))
	tombstone := reference.SubjectRecord{State: 2, ID: own.ID, Time: reference.Time + 1, Of: erasure}
	put(reference.SubjectName("security", pseudonym), reference.SealSubject(keys.Seal[0], reference.Random(12), "security", keys.Vault, pseudonym, tombstone.Bytes()))
	late := vaulttest.OpenKept(t, o.store, vault.SharedKEK(o.kek))
	for _, sealed := range []vault.Sealed{theirs, ours} {
		_, err = vaulttest.ScopeNamed(t, late, "security").For("user-1").Reveal(ctx, vaulttest.TaxID, sealed)
		require.Equal(t, "erased", vaulttest.Class(err))
		_, class = o.open(sealed, "security", "user-1")
		require.Equal(t, "erased", class)
	}
	certificate, err := late.Erase(ctx, "user-1", p)
	require.NoError(t, err)
	require.EqualValues(t, reference.Time+1, certificate[0].Erased.Unix(), "theirs, not another one")
	_, err = late.Erase(ctx, "user-2", p)
	require.NoError(t, err)
	last, ok := reference.ReadErasures(o.keys("security").Keys, "security", vaulttest.Content(t, o.store)["security/erasures"])
	require.True(t, ok)
	require.Equal(t, erasure.Next(keys.Keys, "security", reference.Pseudonym("security", keys.Keys, "user-2")), last)
}
