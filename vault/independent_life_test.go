package vault_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// The two implementations over values of every layout and history, and over keys
// that change: what conformance_test.go does for values that were just sealed.

// Every value of the catalogue, in both forms: the independent implementation opens
// all of its slots with what it finds in the store, and none for anybody else; it
// seals the same slots again, and ours opens these.
func TestBothWaysForEveryLayout(t *testing.T) {
	a := newCatalogue(t)
	o := observer{t, a.store, refKEK{key: vecKEK}}
	content := refContent(t, a.store)
	keys := map[string]refRecord{}
	for name := range a.scopes {
		keys[name] = o.keys(name)
	}
	subjectKey := func(name, subject string) refKey {
		t.Helper()
		k, class := refSubjectKey(refAsked{purpose: name, keys: keys[name], subject: subject, store: content})
		require.Empty(t, class)
		return k[0]
	}
	for i, v := range a.values {
		sealed, err := vault.ParseSealed(v.text())
		require.NoError(t, err)
		data, err := sealed.MarshalBinary()
		require.NoError(t, err)
		binary, ok := refParseBinary(data)
		require.True(t, ok, a.shapes[i])
		require.Equal(t, v, binary)

		twin := refValue{kind: v.kind, id: refRandom(16)}
		want := map[string]string{} // by purpose
		bound := map[string]string{}
		for _, s := range v.slots {
			for _, subject := range []string{"", "alice", "bob", "gone", "nobody"} {
				plaintext, class := v.open(refAsked{v.kind, s.purpose, keys[s.purpose], subject, content, uint64(time.Now().Unix())})
				text, opens := a.slots[slotPlace(v, s, subject)]
				require.Equal(t, opens, class == "success", "%s, %s for %q: %s", a.shapes[i], s.purpose, subject, class)
				require.Equal(t, text, plaintext)
				if opens {
					want[s.purpose], bound[s.purpose] = text, subject
				}
			}
			h, _, ok := refCutHeader(s.header)
			require.True(t, ok)
			text, k := want[s.purpose], keys[s.purpose]
			require.NotEmpty(t, text)
			switch h.typ {
			case 1:
				twin.slots = append(twin.slots, refSlotOf(v.kind, s.purpose, twin.id, h, k.seal[i%len(k.seal)], refRandom(12), text))
			case 2:
				own := subjectKey(s.purpose, bound[s.purpose])
				twin.slots = append(twin.slots, refSubjectSlot(v.kind, s.purpose, twin.id, h, bound[s.purpose], own, refRandom(12), text))
			case 3:
				twin.slots = append(twin.slots, refCollectorOf(s.purpose, k.collect[i%len(k.collect)]).seal(v.kind, twin.id, h, text))
			}
			require.Equal(t, s.header, twin.slots[len(twin.slots)-1].header)
		}
		_, class := v.open(refAsked{v.kind, "elsewhere", keys["security"], "", content, vecTime})
		require.Equal(t, "mismatch", class)

		sealed, err = vault.ParseSealed(twin.text())
		require.NoError(t, err)
		checkForms(t, sealed, twin)
		for name, text := range want {
			s := a.scopes[name]
			if bound[name] != "" {
				s = s.For(bound[name])
			}
			got, err := s.Reveal(t.Context(), a.kinds[v.kind], sealed)
			require.NoError(t, err, a.shapes[i])
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
	s := refScope(t, v, "security")
	agree := func(n int) {
		t.Helper()
		got, err := s.Indexes(ctx, vecPhone, "+12025550123")
		require.NoError(t, err)
		require.Len(t, got, n)
		var want [][]byte
		for _, k := range o.keys("security").index {
			want = append(want, refIndex(k.key, "phone", "security", "+12025550123"))
		}
		require.Equal(t, want[0], got[0][:], "the primary one first")
		for i := range got {
			require.True(t, slices.ContainsFunc(want, func(w []byte) bool { return string(w) == string(got[i][:]) }))
		}
		require.Len(t, want, n)
		one, err := s.Index(ctx, vecPhone, "+12025550123")
		require.NoError(t, err)
		require.Equal(t, got[0], one)
	}
	agree(1)
	first := o.keys("security").index[0].id
	require.NoError(t, v.RotateIndex(ctx, p))
	agree(2)
	require.NoError(t, v.RotateIndex(ctx, p))
	agree(3)
	require.NoError(t, v.Retire(ctx, p, first))
	agree(2)
	require.NoError(t, v.Destroy(ctx, p, first))
	agree(2)

	// Values under a key that is retired, brought back and destroyed.
	sealed, err := vault.Seal(ctx, vecEmail, vecAddress, s)
	require.NoError(t, err)
	old := o.keys("security").seal[0].id
	both := func(want string) {
		t.Helper()
		_, err := s.Reveal(ctx, vecEmail, sealed)
		require.Equal(t, want, vecClass(err))
		_, class := o.open(sealed, "security", "")
		require.Equal(t, want, class)
	}
	require.NoError(t, v.Rotate(ctx, p))
	both("success")
	require.NoError(t, v.Retire(ctx, p, old))
	both("corrupt")
	require.NoError(t, v.Reinstate(ctx, p, old))
	both("success")

	// Another KEK wraps what there is, and it is otherwise the same.
	before := o.keys("security")
	other := refKEK{key: vecKey("another kek", 0x6b656b02)}
	both("success")
	require.NoError(t, v.Rewrap(ctx, vault.SharedKEK(other), p))
	record := refContent(t, o.store)["security/keys"]
	_, err = refUnwrap(o.kek, "security", record)
	require.Error(t, err)
	after, err := refUnwrap(other, "security", record)
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
	pseudonym := refPseudonym("security", keys.refKeys, "user-1")
	own := refKey{0xbeef0001, refRandom(32)}
	key := refSubjectRecord{1, own.id, vecTime, own.key}
	put(refSubjectName("security", pseudonym), refSealSubject(keys.seal[0], refRandom(12), "security", pseudonym, key.bytes()))

	value := refValue{kind: "tax-id", id: refRandom(16)}
	h := refHeader{typ: 2, collected: vecTime, legal: 2, notice: "signup-v7"}
	value.slots = []refSlot{refSubjectSlot("tax-id", "security", value.id, h, "user-1", own, refRandom(12), "86095742719")}
	theirs, err := vault.ParseSealed(value.text())
	require.NoError(t, err)
	s := refScope(t, v, "security").For("user-1")
	got, err := s.Reveal(ctx, vecTaxID, theirs)
	require.NoError(t, err)
	require.Equal(t, "86095742719", got)
	ours, err := vault.Seal(ctx, vecTaxID, "86095742719", s)
	require.NoError(t, err)
	require.EqualValues(t, own.id, refUint(o.value(ours).slots[0].sealed[1:5]))
	_, class := o.open(ours, "security", "user-1")
	require.Equal(t, "success", class)

	// The count first, then the tombstone, as the format has it.
	put("security/erasures", refErasures(keys.refKeys, "security", 1))
	tombstone := refSubjectRecord{2, own.id, vecTime + 1, nil}
	put(refSubjectName("security", pseudonym), refSealSubject(keys.seal[0], refRandom(12), "security", pseudonym, tombstone.bytes()))
	late := vecOpen(t, o.store, vault.SharedKEK(o.kek))
	for _, sealed := range []vault.Sealed{theirs, ours} {
		_, err = refScope(t, late, "security").For("user-1").Reveal(ctx, vecTaxID, sealed)
		require.Equal(t, "erased", vecClass(err))
		_, class = o.open(sealed, "security", "user-1")
		require.Equal(t, "erased", class)
	}
	certificate, err := late.Erase(ctx, "user-1", p)
	require.NoError(t, err)
	require.EqualValues(t, vecTime+1, certificate.Erasures[0].Erased.Unix(), "theirs, not another one")
	_, err = late.Erase(ctx, "user-2", p)
	require.NoError(t, err)
	count, ok := refReadErasures(o.keys("security").refKeys, "security", refContent(t, o.store)["security/erasures"])
	require.True(t, ok)
	require.EqualValues(t, 2, count)
}
