package vault_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// The two implementations and collectors: what one seals with a public key the
// other opens, and both read and write the same texts and key records.

// What the independent implementation collects, ours opens: under every key of a
// purpose, in batches, and beside slots of all types.
func TestOpensWhatOthersCollect(t *testing.T) {
	ctx := t.Context()
	_, record := vecSubjectKey("billing", vecSubject)
	records := map[string][]byte{
		refSubjectName("billing", refPseudonym("billing", vecKeys["billing"], vecSubject)): maker("collect").subjectRecord("billing", vecSubject, record.bytes()),
	}
	v := vecOpen(t, refStoreOf(t, vecRecords, records), vault.SharedKEK(refKEK{key: vecKEK}))
	security := refScope(t, v, "security")
	for i, h := range refLayouts() {
		keys := vecCollect["security"]
		c := refCollectorOf("security", keys[i%len(keys)])
		batchKey := refRandom(32)
		batch := refWrapKey(refRandom(32), c.id, c.public, refCollectInfo("security"), batchKey)
		for n := range 3 { // one by itself and two of a batch
			plaintext := strings.Repeat("é", 1+(i*37+n)%512)
			value := refValue{kind: "email", id: refRandom(16)}
			value.slots = []refSlot{
				maker("collect").slot(value, "advertising", h, plaintext),
				maker("collect").slotFor(value, "billing", vecSubject, h),
				c.seal("email", value.id, h, plaintext),
			}
			if n > 0 {
				value.slots[2] = c.sealUnder(batch, batchKey, "email", value.id, h, plaintext)
			}
			sealed, err := vault.ParseSealed(value.text())
			require.NoError(t, err)
			checkForms(t, sealed, value)
			got, err := security.Reveal(ctx, vecEmail, sealed)
			require.NoError(t, err)
			require.Equal(t, plaintext, got)
			got, err = refScope(t, v, "advertising").Reveal(ctx, vecEmail, sealed)
			require.NoError(t, err)
			require.Equal(t, plaintext, got)
			got, err = refScope(t, v, "billing").For(vecSubject).Reveal(ctx, vecEmail, sealed)
			require.NoError(t, err)
			require.Equal(t, vecAddress, got)
		}
	}
}

// collector returns ours of a purpose, as it comes out of its text.
func (o observer) collector(v *vault.Vault, name string) *vault.Collector {
	o.t.Helper()
	c, err := v.Collector(context.Background(), purpose.MustParse(name))
	require.NoError(o.t, err)
	text, err := c.MarshalText()
	require.NoError(o.t, err)
	require.Equal(o.t, refCollectorOf(name, o.keys(name).collect[0]).text(), string(text))
	ref, ok := refParseCollector(string(text))
	require.True(o.t, ok)
	require.Equal(o.t, name, ref.purpose)
	parsed, err := vault.ParseCollector(string(text), nil)
	require.NoError(o.t, err)
	require.Equal(o.t, name, parsed.Purpose().String())
	return parsed
}

// What ours collects, the independent implementation opens, with keys that it
// took from ours' own records: one by one and in batches, beside what scopes seal.
func TestOthersOpenWhatWeCollect(t *testing.T) {
	ctx := t.Context()
	v, o := newObserved(t)
	alone := o.collector(v, "security").Under(purpose.Basis{Legal: purpose.Consent, Notice: "n", Consent: "c-1", Retain: time.Hour})
	batch, err := alone.Batch()
	require.NoError(t, err)
	ads, bills := refScope(t, v, "advertising"), refScope(t, v, "billing")
	keys := map[string]refRecord{}
	for _, name := range conformNames {
		keys[name] = o.keys(name)
	}
	wrapped := map[string]int{}
	for n := 1; n <= 1024; n += 31 {
		plaintext := string(refRandom(n))
		for _, c := range []*vault.Collector{alone, batch} {
			sealed, err := vault.Seal(ctx, vecEmail, plaintext, c, bills.For("user-1"), ads)
			require.NoError(t, err)
			value := o.value(sealed)
			require.Len(t, value.slots, 3)
			content := refContent(t, o.store)
			now := uint64(time.Now().Unix())
			for i, subject := range []string{"", "user-1", ""} {
				require.EqualValues(t, []byte{1, 2, 3}[i], value.slots[i].header[0])
				name := conformNames[i]
				got, class := value.open(refAsked{"email", name, keys[name], subject, content, now})
				require.Equal(t, "success", class)
				require.Equal(t, plaintext, got)
			}
			_, class := value.open(refAsked{"email", "security", keys["security"], "user-1", content, now})
			require.Equal(t, "subject", class)
			h, _, _ := refCutHeader(value.slots[2].header)
			require.Equal(t, []any{byte(1), "n", "c-1", ""}, []any{h.legal, h.notice, h.consent, h.from})
			require.EqualValues(t, 3600, h.expires-h.collected)
			wrapped[string(value.slots[2].sealed[:85])]++
		}
	}
	require.Len(t, wrapped, 34+1, "the batch has one wrapped key, and each of the others its own")
}

// Keys of collectors come and go, in ours' records and in the other's eyes.
func TestOthersFollowKeysOfCollectors(t *testing.T) {
	ctx := t.Context()
	v, o := newObserved(t)
	security := purpose.MustParse("security")
	s := refScope(t, v, "security")
	seal := func(c *vault.Collector) vault.Sealed {
		t.Helper()
		sealed, err := vault.Seal(ctx, vecEmail, vecAddress, c)
		require.NoError(t, err)
		return sealed
	}
	both := func(sealed vault.Sealed, want string) {
		t.Helper()
		_, err := s.Reveal(ctx, vecEmail, sealed)
		require.Equal(t, want, vecClass(err))
		_, class := o.open(sealed, "security", "")
		require.Equal(t, want, class)
	}
	first := o.collector(v, "security")
	before := o.keys("security").collect[0]
	old := seal(first)
	both(old, "success")

	require.NoError(t, v.RotateCollector(ctx, security))
	require.Len(t, o.keys("security").collect, 2)
	require.NotEqual(t, before.id, o.keys("security").collect[0].id)
	young := seal(o.collector(v, "security"))
	late := seal(first) // a front end that was not told yet
	for _, sealed := range []vault.Sealed{old, young, late} {
		both(sealed, "success")
	}
	require.EqualValues(t, before.id, refUint(o.value(late).slots[0].sealed[1:5]))
	require.EqualValues(t, o.keys("security").collect[0].id, refUint(o.value(young).slots[0].sealed[1:5]))

	require.NoError(t, v.Retire(ctx, security, before.id))
	both(old, "corrupt")
	both(young, "success")
	require.NoError(t, v.Reinstate(ctx, security, before.id))
	both(old, "success")
	require.NoError(t, v.Retire(ctx, security, before.id))
	require.NoError(t, v.Destroy(ctx, security, before.id))
	both(old, "corrupt")
	both(young, "success")
	require.Len(t, o.keys("security").collect, 1)
}

// A key that another process brought back is a key again at the first value that
// names it: one that is retired is not known, so the store is asked.
func TestReinstatedElsewhere(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	v, o := newObserved(t)
	sealed, err := vault.Seal(ctx, vecEmail, vecAddress, o.collector(v, "security"))
	require.NoError(t, err)
	id := o.keys("security").collect[0].id
	elsewhere := vecOpen(t, o.store, vault.SharedKEK(o.kek))
	require.NoError(t, elsewhere.RotateCollector(ctx, security))
	require.NoError(t, elsewhere.Retire(ctx, security, id))

	here := refScope(t, vecOpen(t, o.store, vault.SharedKEK(o.kek)), "security")
	require.NoError(t, elsewhere.Reinstate(ctx, security, id))
	_, err = here.Reveal(ctx, vecEmail, sealed)
	require.NoError(t, err)
}

// What is taken in is from then on like any other value: its header is as the
// collector wrote it, but for the type, and other slots are untouched.
func TestOthersOpenWhatWeTakeIn(t *testing.T) {
	ctx := context.Background()
	synctest.Test(t, func(t *testing.T) {
		v, o := newObserved(t)
		security := refScope(t, v, "security")
		c := o.collector(v, "security").Under(purpose.Basis{Notice: "signup-v7", Retain: time.Hour})
		sealed, err := vault.Seal(ctx, vecEmail, vecAddress, c, o.collector(v, "billing"))
		require.NoError(t, err)
		before := o.value(sealed)
		time.Sleep(time.Minute)
		for subject, typ := range map[string]byte{"": 1, "user-1": 2} {
			scope := security
			if subject != "" {
				scope = security.For(subject)
			}
			taken, err := vault.Reseal(ctx, vecEmail, sealed, scope)
			require.NoError(t, err)
			after := o.value(taken)
			require.Equal(t, before.id, after.id)
			require.Equal(t, before.slots[0], after.slots[0], "billing's, which is still a collector's")
			require.Equal(t, typ, after.slots[1].header[0])
			require.Equal(t, before.slots[1].header[1:], after.slots[1].header[1:])
			plaintext, class := o.open(taken, "security", subject)
			require.Equal(t, "success", class)
			require.Equal(t, vecAddress, plaintext)
			_, class = o.open(taken, "billing", "")
			require.Equal(t, "success", class)
		}
		time.Sleep(time.Hour)
		_, class := o.open(sealed, "security", "")
		require.Equal(t, "expired", class)
	})
}

// A record that others wrote without keys of collectors works as ever.
func TestRecordWithoutCollectors(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	store := refStore(t, vecKeys, nil)
	o := observer{t, store, refKEK{key: vecKEK}}
	v := vecOpen(t, store, vault.SharedKEK(o.kek))
	_, err := v.Collector(ctx, security)
	require.Equal(t, "no keys", vecClass(err))
	value := refValue{kind: "email", id: refRandom(16)}
	value.slots = []refSlot{refCollectorOf("security", vecCollect["security"][0]).seal("email", value.id, vecPlain, vecAddress)}
	sealed, err := vault.ParseSealed(value.text())
	require.NoError(t, err)
	_, err = refScope(t, v, "security").Reveal(ctx, vecEmail, sealed)
	require.Equal(t, "corrupt", vecClass(err))

	require.NoError(t, v.Rotate(ctx, security))
	require.Empty(t, o.keys("security").collect, "nobody asked for any")
	keys, err := v.Keys(ctx, security)
	require.NoError(t, err)
	require.Len(t, keys, 2+1+1+1)
}

// And gets some when it is asked to.
func TestRecordGetsCollectors(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	store := refStore(t, vecKeys, nil)
	o := observer{t, store, refKEK{key: vecKEK}}
	v := vecOpen(t, store, vault.SharedKEK(o.kek))
	require.NoError(t, v.RotateCollector(ctx, security))
	require.Len(t, o.keys("security").collect, 1)
	sealed, err := vault.Seal(ctx, vecEmail, vecAddress, o.collector(v, "security"))
	require.NoError(t, err)
	_, class := o.open(sealed, "security", "")
	require.Equal(t, "success", class)
}

// Ours keeps what it imports in the record as it came, and opens with it what the
// independent implementation encrypted before.
func TestOthersReadWhatWeImport(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	elsewhere := []refKey{vecKey("elsewhere 2", 0xe15e0002), vecKey("elsewhere 1", 0xe15e0001)}
	v, o := newObserved(t)
	for taken(t, v, security, 0xe15e0002, 0xe15e0001) { // once in 10^9
		v, o = newObserved(t)
	}
	require.NoError(t, v.Import(ctx, security, refProtoKeyset(elsewhere, refGCMType, 3, 1)))
	require.Equal(t, elsewhere, o.keys("security").imported)
	s := refScope(t, v, "security")
	for i, key := range elsewhere {
		ad := fmt.Append(nil, "row ", i)
		ciphertext := refSeal(key, refRandom(12), []byte("Alice@Example.com"), ad)
		adopted, err := vault.Adopt(ctx, vecEmail, ciphertext, ad, strings.ToLower, s)
		require.NoError(t, err)
		plaintext, class := o.open(adopted, "security", "")
		require.Equal(t, "success", class)
		require.Equal(t, vecAddress, plaintext)
		require.EqualValues(t, o.keys("security").seal[0].id, refUint(o.value(adopted).slots[0].sealed[1:5]))
		_, err = vault.Adopt(ctx, vecEmail, ciphertext, nil, strings.ToLower, s)
		require.Equal(t, "corrupt", vecClass(err))
		_, err = vault.Adopt(ctx, vecEmail, ciphertext, ad, strings.ToLower, refScope(t, v, "billing"))
		require.Equal(t, "no keys", vecClass(err), "imported for one purpose alone")
	}
	require.NoError(t, v.DropImport(ctx, security))
	require.Empty(t, o.keys("security").imported)
	require.NotEmpty(t, o.keys("security").collect)
}

// Encapsulated keys, the keys that they wrap, and nonces under a key that is used
// more than once: one that came again would undo what they are there for.
func TestNothingRandomRepeatsInCollectors(t *testing.T) {
	v, o := newObserved(t)
	c := o.collector(v, "security")
	key := o.keys("security").collect[0]
	var batches []*vault.Collector
	for range 20 {
		batch, err := c.Batch()
		require.NoError(t, err)
		batches = append(batches, batch)
	}
	seen := map[string]bool{}
	once := func(random ...[]byte) {
		t.Helper()
		for _, r := range random {
			require.False(t, seen[string(r)])
			seen[string(r)] = true
		}
	}
	sealed := func(c *vault.Collector) []byte {
		t.Helper()
		sealed, err := vault.Seal(t.Context(), vecEmail, vecAddress, c)
		require.NoError(t, err)
		value := o.value(sealed)
		once(value.id, value.slots[0].sealed[85:97])
		return value.slots[0].sealed
	}
	slotKeyOf := func(sealed []byte) []byte {
		dh, ok := refExchange(key.key, sealed[5:37])
		require.True(t, ok)
		gcm, nonce := refSuite.context(dh, sealed[5:37], refPublic(key.key), refCollectInfo("security"))
		slotKey, err := gcm.Open(nil, nonce, sealed[37:85], nil)
		require.NoError(t, err)
		return slotKey
	}
	for range 50 {
		s := sealed(c)
		once(s[5:37], slotKeyOf(s))
	}
	for _, batch := range batches {
		first := sealed(batch)
		once(first[5:37], slotKeyOf(first))
		for range 10 {
			require.Equal(t, first[:85], sealed(batch)[:85])
		}
	}
}

// Slots of collectors are refused for what they say, whichever slot of the value
// they are, and do not keep others from opening.
func TestForgedCollectedSlotsBesideOthers(t *testing.T) {
	ctx := t.Context()
	v := vecOpen(t, refStoreOf(t, vecRecords, nil), vault.SharedKEK(refKEK{key: vecKEK}))
	value := maker("beside").collected(conformNames...)
	for i, name := range conformNames {
		forged := value.clone()
		forged.slots[i].sealed[90] ^= 1
		sealed, err := vault.ParseSealed(forged.text())
		require.NoError(t, err)
		for _, asked := range conformNames {
			_, err := refScope(t, v, asked).Reveal(ctx, vecEmail, sealed)
			want := map[bool]string{true: "corrupt", false: "success"}[asked == name]
			require.Equal(t, want, vecClass(err))
			_, class := forged.open(refAsked{kind: "email", purpose: asked, keys: vecRecords[asked]})
			require.Equal(t, want, class)
		}
	}
	// Another's slot key, which whoever holds a batch has, makes nothing for it.
	swapped := value.clone()
	swapped.slots = slices.Clone(value.slots)
	swapped.slots[0].sealed, swapped.slots[1].sealed = value.slots[1].sealed, value.slots[0].sealed
	sealed, err := vault.ParseSealed(swapped.text())
	require.NoError(t, err)
	for _, asked := range conformNames[:2] {
		_, err := refScope(t, v, asked).Reveal(ctx, vecEmail, sealed)
		require.Equal(t, "corrupt", vecClass(err))
	}
}

// A batch begun from a batch is another one, and one under another basis is not.
func TestBatchOfABatch(t *testing.T) {
	v, o := newObserved(t)
	first, err := o.collector(v, "security").Batch()
	require.NoError(t, err)
	second, err := first.Batch()
	require.NoError(t, err)
	wrapped := func(c *vault.Collector) []byte {
		t.Helper()
		sealed, err := vault.Seal(t.Context(), vecEmail, vecAddress, c)
		require.NoError(t, err)
		return o.value(sealed).slots[0].sealed[:85]
	}
	require.NotEqual(t, wrapped(first), wrapped(second))
	require.Equal(t, wrapped(first), wrapped(first.Under(purpose.Basis{Notice: "n"})))
}

// A collector that a vault hands out is recorded as being opened, and records what
// it seals where the vault does.
func TestCollectorsOfAVaultAreRecorded(t *testing.T) {
	ctx := t.Context()
	var seen []vault.Event
	v, err := vault.Open(ctx, refStoreOf(t, vecRecords, nil), vault.SharedKEK(refKEK{key: vecKEK}),
		&vault.Options{Audit: eventsTo(func(e vault.Event) { seen = append(seen, e) })})
	require.NoError(t, err)
	c, err := v.Collector(ctx, purpose.MustParse("security"))
	require.NoError(t, err)
	_, err = vault.Seal(ctx, vecEmail, vecAddress, c)
	require.NoError(t, err)
	var actions []vault.Action
	for _, e := range seen {
		require.Equal(t, "security", e.Purpose.String())
		actions = append(actions, e.Action)
	}
	require.Equal(t, []vault.Action{vault.ActionOpen, vault.ActionSeal}, actions)
}

// eventsTo is an auditor that never fails.
type eventsTo func(vault.Event)

func (f eventsTo) Audit(_ context.Context, e vault.Event) error {
	f(e)
	return nil
}

// A collector's slot that names the key which seals is not on that key: only
// re-sealing puts it there.
func TestCollectedIsNotOnPrimaryKey(t *testing.T) {
	v := vecOpen(t, refStoreOf(t, vecRecords, nil), vault.SharedKEK(refKEK{key: vecKEK}))
	s := refScope(t, v, "security")
	value := maker("on primary key").collected("security")
	for _, id := range []uint32{vecCollect["security"][0].id, vecSecurity.seal[0].id} {
		copy(value.slots[0].sealed[1:5], []byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)})
		sealed, err := vault.ParseSealed(value.text())
		require.NoError(t, err)
		require.False(t, sealed.OnPrimaryKey(s))
	}
}

// Text that is too long is refused before it is looked at: cut at its dots it would
// take sixteen times its size.
func TestCollectorTextOverLong(t *testing.T) {
	text := strings.Repeat(".", 8<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := vault.ParseCollector(text, nil)
	runtime.ReadMemStats(&after)
	require.Equal(t, "corrupt", vecClass(err))
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(len(text)))
}
