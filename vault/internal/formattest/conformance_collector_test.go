package formattest

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// The two implementations and collectors: what one seals with a public key the
// other opens, and both read and write the same texts and key records.

// What the independent implementation collects, ours opens: under every key of a
// purpose, in batches, and beside slots of all types.
func TestOpensWhatOthersCollect(t *testing.T) {
	ctx := t.Context()
	_, record := vecSubjectKey("billing", vecSubject)
	records := map[string][]byte{
		reference.SubjectName("billing", reference.Pseudonym("billing", vaulttest.Keys["billing"], vecSubject)): maker("collect").subjectRecord("billing", vecSubject, record.Bytes()),
	}
	v := vaulttest.OpenKept(t, vaulttest.StoreOfRecords(t, vaulttest.Records, records), vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
	security := vaulttest.ScopeNamed(t, v, "security")
	for i, h := range refLayouts() {
		keys := vaulttest.Records["security"].Collect
		k := keys[i%len(keys)]
		c := reference.CollectorOf("security", k)
		batchKey := reference.Random(32)
		batch := reference.WrapKey(reference.Random(map[bool]int{false: 32, true: 64}[k.XWing]), c.ID, c.Public, reference.CollectInfo("security"), batchKey)
		for n := range 3 { // one by itself and two of a batch
			plaintext := strings.Repeat("é", 1+(i*37+n)%512)
			value := reference.Value{Kind: "email", ID: reference.Random(16)}
			value.Slots = []reference.Slot{
				maker("collect").slot(value, "advertising", h, plaintext),
				maker("collect").slotFor(value, "billing", vecSubject, h),
				c.Seal("email", value.ID, collectable(h), plaintext),
			}
			if n > 0 {
				value.Slots[2] = c.SealUnder(batch, batchKey, "email", value.ID, collectable(h), plaintext)
			}
			sealed, err := vault.ParseSealed(value.Text())
			require.NoError(t, err)
			checkForms(t, sealed, value)
			got, err := security.Reveal(ctx, vaulttest.Email, sealed)
			require.NoError(t, err)
			require.Equal(t, plaintext, got)
			got, err = vaulttest.ScopeNamed(t, v, "advertising").Reveal(ctx, vaulttest.Email, sealed)
			require.NoError(t, err)
			require.Equal(t, plaintext, got)
			got, err = vaulttest.ScopeNamed(t, v, "billing").For(vecSubject).Reveal(ctx, vaulttest.Email, sealed)
			require.NoError(t, err)
			require.Equal(t, vaulttest.Address, got)
		}
	}
}

// collector returns ours of a purpose, as it comes out of its text.
func (o observer) collector(v *vault.Admin, name string) *vault.Collector {
	o.t.Helper()
	c, err := v.Collector(context.Background(), purpose.MustParse(name))
	require.NoError(o.t, err)
	text, err := c.MarshalText()
	require.NoError(o.t, err)
	require.Equal(o.t, reference.CollectorOf(name, o.keys(name).Collect[0]).Text(), string(text))
	ref, ok := reference.ParseCollector(string(text))
	require.True(o.t, ok)
	require.Equal(o.t, name, ref.Purpose)
	parsed, err := vault.ParseCollector(string(text), nil)
	require.NoError(o.t, err)
	require.Equal(o.t, name, parsed.Purpose().String())
	return parsed
}

// What ours collects, the independent implementation opens, with keys that it
// took from ours' own records: one by one and in batches, beside what scopes seal.
func TestOthersOpenWhatWeCollect(t *testing.T) { eachKEM(t, testOthersOpenWhatWeCollect) }

// eachKEM runs a test for each mechanism of collectors.
func eachKEM(t *testing.T, test func(t *testing.T, k kem, opts *vault.Options)) {
	for _, k := range kems {
		t.Run(k.name, func(t *testing.T) { test(t, k, &vault.Options{Collectors: vault.CollectorKEM(k.name)}) })
	}
}

func testOthersOpenWhatWeCollect(t *testing.T, k kem, opts *vault.Options) {
	ctx := t.Context()
	v, o := newObservedWith(t, opts)
	alone := o.collector(v, "security").Under(purpose.Basis{Legal: purpose.Consent, Notice: "n", Consent: "c-1", Retain: time.Hour})
	batch, err := alone.Batch()
	require.NoError(t, err)
	ads, bills := vaulttest.ScopeNamed(t, v, "advertising"), vaulttest.ScopeNamed(t, v, "billing")
	keys := map[string]reference.Record{}
	for _, name := range conformNames {
		keys[name] = o.keys(name)
	}
	wrapped := map[string]int{}
	for n := 1; n <= 1024; n += 31 {
		plaintext := string(reference.Random(n))
		for _, c := range []*vault.Collector{alone, batch} {
			sealed, err := vault.Seal(ctx, vaulttest.Email, plaintext, c, bills.For("user-1"), ads)
			require.NoError(t, err)
			value := o.value(sealed)
			require.Len(t, value.Slots, 3)
			content := vaulttest.Content(t, o.store)
			now := uint64(time.Now().Unix())
			for i, subject := range []string{"", "user-1", ""} {
				require.EqualValues(t, []byte{1, 2, k.typ()}[i], value.Slots[i].Header[0])
				name := conformNames[i]
				got, class := value.Open(reference.Asked{Kind: "email", Purpose: name, Keys: keys[name], Subject: subject, Store: content, Now: now})
				require.Equal(t, "success", class)
				require.Equal(t, plaintext, got)
			}
			_, class := value.Open(reference.Asked{Kind: "email", Purpose: "security", Keys: keys["security"], Subject: "user-1", Store: content, Now: now})
			require.Equal(t, "subject", class)
			h, _, _ := reference.CutHeader(value.Slots[2].Header)
			require.Equal(t, []any{byte(1), "n", "c-1", ""}, []any{h.Legal, h.Notice, h.Consent, h.From})
			require.Zero(t, h.Collected%86400)
			require.InDelta(t, float64(now+3600), float64(h.Expires), 60)
			wrapped[string(value.Slots[2].Sealed[:k.wrapped()])]++
		}
	}
	require.Len(t, wrapped, 34+1, "the batch has one wrapped key, and each of the others its own")
}

// Keys of collectors come and go, in ours' records and in the other's eyes.
func TestOthersFollowKeysOfCollectors(t *testing.T) {
	ctx := t.Context()
	v, o := newObserved(t)
	security := purpose.MustParse("security")
	s := vaulttest.ScopeNamed(t, v, "security")
	seal := func(c *vault.Collector) vault.Sealed {
		t.Helper()
		sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, c)
		require.NoError(t, err)
		return sealed
	}
	both := func(sealed vault.Sealed, want string) {
		t.Helper()
		_, err := s.Reveal(ctx, vaulttest.Email, sealed)
		require.Equal(t, want, vaulttest.Class(err))
		_, class := o.open(sealed, "security", "")
		require.Equal(t, want, class)
	}
	first := o.collector(v, "security")
	before := o.keys("security").Collect[0]
	old := seal(first)
	both(old, "success")

	vaulttest.Rotate(t, v, security, vault.RoleCollect)
	require.Len(t, o.keys("security").Collect, 2)
	require.NotEqual(t, before.ID, o.keys("security").Collect[0].ID)
	young := seal(o.collector(v, "security"))
	late := seal(first) // a front end that was not told yet
	for _, sealed := range []vault.Sealed{old, young, late} {
		both(sealed, "success")
	}
	require.EqualValues(t, before.ID, reference.Uint(o.value(late).Slots[0].Sealed[1:5]))
	require.EqualValues(t, o.keys("security").Collect[0].ID, reference.Uint(o.value(young).Slots[0].Sealed[1:5]))

	require.NoError(t, v.Retire(ctx, security, before.ID))
	both(old, "corrupt")
	both(young, "success")
	require.NoError(t, v.Reinstate(ctx, security, before.ID))
	both(old, "success")
	require.NoError(t, v.Retire(ctx, security, before.ID))
	require.NoError(t, v.Destroy(ctx, security, before.ID))
	both(old, "corrupt")
	both(young, "success")
	require.Len(t, o.keys("security").Collect, 1)
}

// A key that another process brought back is a key again at the first value that
// names it: one that is retired is not known, so the store is asked.
func TestReinstatedElsewhere(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	v, o := newObserved(t)
	sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, o.collector(v, "security"))
	require.NoError(t, err)
	id := o.keys("security").Collect[0].ID
	elsewhere := vaulttest.OpenKept(t, o.store, vault.SharedKEK(o.kek))
	vaulttest.Rotate(t, elsewhere, security, vault.RoleCollect)
	require.NoError(t, elsewhere.Retire(ctx, security, id))

	here := vaulttest.ScopeNamed(t, vaulttest.OpenKept(t, o.store, vault.SharedKEK(o.kek)), "security")
	require.NoError(t, elsewhere.Reinstate(ctx, security, id))
	_, err = here.Reveal(ctx, vaulttest.Email, sealed)
	require.NoError(t, err)
}

// What is taken in is from then on like any other value: its header is as the
// collector wrote it, but for the type, and other slots are untouched.
func TestOthersOpenWhatWeTakeIn(t *testing.T) {
	ctx := context.Background()
	synctest.Test(t, func(t *testing.T) {
		v, o := newObserved(t)
		security := vaulttest.ScopeNamed(t, v, "security")
		c := o.collector(v, "security").Under(purpose.Basis{Notice: "signup-v7", Retain: time.Hour})
		sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, c, o.collector(v, "billing"))
		require.NoError(t, err)
		before := o.value(sealed)
		time.Sleep(time.Minute)
		for subject, typ := range map[string]byte{"": 1, "user-1": 2} {
			scope := security
			if subject != "" {
				scope = security.For(subject)
			}
			taken, err := vault.Reseal(ctx, vaulttest.Email, sealed, nil, scope)
			require.NoError(t, err)
			after := o.value(taken)
			require.Equal(t, before.ID, after.ID)
			require.Equal(t, before.Slots[0], after.Slots[0], "billing's, which is still a collector's")
			require.Equal(t, typ, after.Slots[1].Header[0])
			require.Equal(t, before.Slots[1].Header[1:], after.Slots[1].Header[1:])
			plaintext, class := o.open(taken, "security", subject)
			require.Equal(t, "success", class)
			require.Equal(t, vaulttest.Address, plaintext)
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
	store := vaulttest.StoreOfKeys(t, vaulttest.Keys, nil)
	o := observer{t, store, vaulttest.KEK{Key: vaulttest.KEKKey}}
	v := vaulttest.OpenKept(t, store, vault.SharedKEK(o.kek))
	_, err := v.Collector(ctx, security)
	require.Equal(t, "no keys", vaulttest.Class(err))
	value := reference.Value{Kind: "email", ID: reference.Random(16)}
	value.Slots = []reference.Slot{reference.CollectorOf("security", vaulttest.Collect["security"][0]).Seal("email", value.ID, vaulttest.PlainHeader, vaulttest.Address)}
	sealed, err := vault.ParseSealed(value.Text())
	require.NoError(t, err)
	_, err = vaulttest.ScopeNamed(t, v, "security").Reveal(ctx, vaulttest.Email, sealed)
	require.Equal(t, "corrupt", vaulttest.Class(err))

	vaulttest.Rotate(t, v, security, vault.RoleSeal)
	require.Empty(t, o.keys("security").Collect, "nobody asked for any")
	keys, err := v.Keys(ctx, security)
	require.NoError(t, err)
	require.Len(t, keys, 2+1+1+1)
}

// And gets some when it is asked to.
func TestRecordGetsCollectors(t *testing.T) {
	ctx := t.Context()
	security := purpose.MustParse("security")
	store := vaulttest.StoreOfKeys(t, vaulttest.Keys, nil)
	o := observer{t, store, vaulttest.KEK{Key: vaulttest.KEKKey}}
	v := vaulttest.OpenKept(t, store, vault.SharedKEK(o.kek))
	vaulttest.Rotate(t, v, security, vault.RoleCollect)
	require.Len(t, o.keys("security").Collect, 1)
	sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, o.collector(v, "security"))
	require.NoError(t, err)
	_, class := o.open(sealed, "security", "")
	require.Equal(t, "success", class)
}

// Encapsulated keys, the keys that they wrap, and nonces under a key that is used
// more than once: one that came again would undo what they are there for.
func TestNothingRandomRepeatsInCollectors(t *testing.T) {
	eachKEM(t, testNothingRandomRepeatsInCollectors)
}

func testNothingRandomRepeatsInCollectors(t *testing.T, k kem, opts *vault.Options) {
	v, o := newObservedWith(t, opts)
	c := o.collector(v, "security")
	key := o.keys("security").Collect[0]
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
		sealed, err := vault.Seal(t.Context(), vaulttest.Email, vaulttest.Address, c)
		require.NoError(t, err)
		value := o.value(sealed)
		once(value.ID, value.Slots[0].Sealed[k.wrapped():k.wrapped()+12])
		return value.Slots[0].Sealed
	}
	slotKeyOf := func(sealed []byte) []byte {
		gcm, nonce, ok := key.Context(sealed[5:5+k.enc], reference.CollectInfo("security"))
		require.True(t, ok)
		slotKey, err := gcm.Open(nil, nonce, sealed[5+k.enc:k.wrapped()], nil)
		require.NoError(t, err)
		return slotKey
	}
	for range 50 {
		s := sealed(c)
		once(halves(s[5 : 5+k.enc])...)
		once(slotKeyOf(s))
	}
	for _, batch := range batches {
		first := sealed(batch)
		once(halves(first[5 : 5+k.enc])...)
		once(slotKeyOf(first))
		for range 10 {
			require.Equal(t, first[:k.wrapped()], sealed(batch)[:k.wrapped()])
		}
	}
}

// halves returns the parts of an encapsulated key, of which each is random.
func halves(enc []byte) [][]byte {
	if len(enc) == 32 {
		return [][]byte{enc}
	}
	return [][]byte{enc[:1088], enc[1088:]}
}

// Slots of collectors are refused for what they say, whichever slot of the value
// they are, and do not keep others from opening.
func TestForgedCollectedSlotsBesideOthers(t *testing.T) {
	v := vaulttest.OpenKept(t, vaulttest.StoreOfRecords(t, vaulttest.Records, nil), vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
	for _, k := range kems {
		testForgedCollectedSlots(t, v, k)
	}
}

func testForgedCollectedSlots(t *testing.T, v *vault.Admin, k kem) {
	ctx := t.Context()
	value := maker("beside").collectedBy(k, "email", vaulttest.PlainHeader, conformNames...)
	for i, name := range conformNames {
		forged := value.Clone()
		forged.Slots[i].Sealed[k.wrapped()+5] ^= 1 // in the nonce
		sealed, err := vault.ParseSealed(forged.Text())
		require.NoError(t, err)
		for _, asked := range conformNames {
			_, err := vaulttest.ScopeNamed(t, v, asked).Reveal(ctx, vaulttest.Email, sealed)
			want := map[bool]string{true: "corrupt", false: "success"}[asked == name]
			require.Equal(t, want, vaulttest.Class(err))
			_, class := forged.Open(reference.Asked{Kind: "email", Purpose: asked, Keys: vaulttest.Records[asked]})
			require.Equal(t, want, class)
		}
	}
	// Another's slot key, which whoever holds a batch has, makes nothing for it.
	swapped := value.Clone()
	swapped.Slots = slices.Clone(value.Slots)
	swapped.Slots[0].Sealed, swapped.Slots[1].Sealed = value.Slots[1].Sealed, value.Slots[0].Sealed
	sealed, err := vault.ParseSealed(swapped.Text())
	require.NoError(t, err)
	for _, asked := range conformNames[:2] {
		_, err := vaulttest.ScopeNamed(t, v, asked).Reveal(ctx, vaulttest.Email, sealed)
		require.Equal(t, "corrupt", vaulttest.Class(err))
	}
}

// A batch begun from a batch is another one, and one under another basis is not.
func TestBatchOfABatch(t *testing.T) { eachKEM(t, testBatchOfABatch) }

func testBatchOfABatch(t *testing.T, k kem, opts *vault.Options) {
	v, o := newObservedWith(t, opts)
	first, err := o.collector(v, "security").Batch()
	require.NoError(t, err)
	second, err := first.Batch()
	require.NoError(t, err)
	wrapped := func(c *vault.Collector) []byte {
		t.Helper()
		sealed, err := vault.Seal(t.Context(), vaulttest.Email, vaulttest.Address, c)
		require.NoError(t, err)
		return o.value(sealed).Slots[0].Sealed[:k.wrapped()]
	}
	require.NotEqual(t, wrapped(first), wrapped(second))
	require.Equal(t, wrapped(first), wrapped(first.Under(purpose.Basis{Notice: "n"})))
}

// A collector that a vault hands out is recorded as being opened, and records what
// it seals where the vault does.
func TestCollectorsOfAVaultAreRecorded(t *testing.T) {
	ctx := t.Context()
	var seen []audit.Event
	v, err := vault.OpenAdmin(ctx, vaulttest.StoreOfRecords(t, vaulttest.Records, nil), vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}),
		&vault.Options{Audit: eventsTo(func(e audit.Event) { seen = append(seen, e) })})
	require.NoError(t, err)
	c, err := v.Collector(ctx, purpose.MustParse("security"))
	require.NoError(t, err)
	_, err = vault.Seal(ctx, vaulttest.Email, vaulttest.Address, c)
	require.NoError(t, err)
	var actions []audit.Action
	for _, e := range seen {
		require.Equal(t, "security", e.Purpose.String())
		actions = append(actions, e.Action)
	}
	require.Equal(t, []audit.Action{audit.Open, audit.Seal}, actions)
}

// eventsTo is an auditor that never fails.
type eventsTo func(audit.Event)

func (f eventsTo) Audit(_ context.Context, e audit.Event) error {
	f(e)
	return nil
}

// A collector's slot that names the key which seals is not on that key: only
// re-sealing puts it there.
func TestCollectedIsNotOnPrimaryKey(t *testing.T) {
	v := vaulttest.OpenKept(t, vaulttest.StoreOfRecords(t, vaulttest.Records, nil), vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
	s := vaulttest.ScopeNamed(t, v, "security")
	for _, k := range kems {
		value := maker("on primary key").collectedBy(k, "email", vaulttest.PlainHeader, "security")
		for _, id := range []uint32{k.keys["security"][0].ID, vecSecurity.Seal[0].ID} {
			copy(value.Slots[0].Sealed[1:5], []byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)})
			sealed, err := vault.ParseSealed(value.Text())
			require.NoError(t, err)
			require.False(t, sealed.OnPrimaryKey(s))
		}
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
	require.Equal(t, "corrupt", vaulttest.Class(err))
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(len(text)))
}

// collectable returns h as a collector can write it: collectors extend nothing.
func collectable(h reference.Header) reference.Header {
	h.From = ""
	return h
}
