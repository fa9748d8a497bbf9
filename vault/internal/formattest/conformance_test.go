package formattest

import (
	"context"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// Two implementations of FORMAT.md, ours and the independent one, read what
// the other writes.

// refLayouts returns slots of many shapes: every combination of optional
// fields that the format allows.
func refLayouts() []reference.Header {
	var all []reference.Header
	for bits := range 1 << 6 {
		h := reference.Header{Typ: 1, Collected: reference.Time}
		if bits&1 != 0 {
			h.Legal = byte(1 + bits%6)
		}
		if bits&2 != 0 {
			h.Notice = "2fa-prompt-v3"
		}
		if bits&4 != 0 {
			h.Consent = "consent-2026-81f3"
		}
		if bits&8 != 0 {
			h.Expires = vaulttest.Never
		}
		if bits&16 != 0 {
			if bits&4 == 0 {
				continue // there is no extension without consent
			}
			h.From = "support"
		}
		h.Stated = bits&32 != 0
		all = append(all, h)
	}
	return all
}

var conformNames = []string{"advertising", "billing", "security"}

// What the independent implementation seals, ours opens, and writes and
// labels the same way: slots of both types, under every key of a purpose.
func TestOpensWhatOthersSeal(t *testing.T) {
	ctx := context.Background()
	const subject = "user-1"
	records := map[string][]byte{}
	subjectKeys := map[string]reference.Key{}
	for i, name := range conformNames {
		keys := vaulttest.Keys[name]
		key := reference.Key{ID: uint32(0xcafe + i), Key: reference.Random(32)}
		subjectKeys[name] = key
		record := reference.SubjectRecord{State: 1, ID: key.ID, Time: reference.Time, Key: key.Key}
		pseudonym := reference.Pseudonym(name, keys, subject)
		records[reference.SubjectName(name, pseudonym)] = reference.SealSubject(
			keys.Seal[len(keys.Seal)-1], reference.Random(12), name, keys.Vault, pseudonym, record.Bytes())
	}
	v := vaulttest.OpenKept(t, vaulttest.StoreOfKeys(t, vaulttest.Keys, records), vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
	random := mrand.New(mrand.NewPCG(1, 2))
	for i, h := range refLayouts() {
		for typ := byte(1); typ <= 2; typ++ {
			h.Typ = typ
			plaintext := strings.Repeat("é", 1+random.IntN(512))
			value := reference.Value{Kind: "email", ID: reference.Random(16)}
			for _, name := range conformNames[:1+i%3] {
				keys, bound := vaulttest.Keys[name].Seal, ""
				if typ == 2 {
					keys, bound = []reference.Key{subjectKeys[name]}, subject
				}
				value.Slots = append(value.Slots,
					reference.SubjectSlot("email", name, value.ID, h, bound, keys[i%len(keys)], reference.Random(12), plaintext))
			}

			sealed, err := vault.ParseSealed(value.Text())
			require.NoError(t, err)
			data, err := sealed.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, value.Binary(), data)

			for _, slot := range value.Slots {
				s := vaulttest.ScopeNamed(t, v, slot.Purpose)
				if typ == 2 {
					s = s.For(subject)
				}
				got, err := s.Reveal(ctx, vaulttest.Email, sealed)
				require.NoError(t, err)
				require.Equal(t, plaintext, got)
				p, ok := sealed.Provenance(purpose.MustParse(slot.Purpose))
				require.True(t, ok)
				require.Equal(t, vecProvenance(h), p)
			}
		}
	}
}

// An observer is the independent implementation with the KEK and a copy of the
// store of a vault of ours, and nothing else.
type observer struct {
	t     testing.TB
	store vault.Store
	kek   vaulttest.KEK
}

// newObserved returns a vault of ours with keys of its own, and its observer.
func newObserved(t testing.TB) (*vault.Admin, observer) { return newObservedWith(t, nil) }

func newObservedWith(t testing.TB, opts *vault.Options) (*vault.Admin, observer) {
	t.Helper()
	o := observer{t, vault.Memory(), vaulttest.KEK{Key: vaulttest.KEKKey}}
	v, err := vault.OpenAdmin(context.Background(), o.store, vault.SharedKEK(o.kek), vaulttest.DestroyingAtOnce(opts))
	require.NoError(t, err)
	for _, name := range conformNames {
		require.NoError(t, v.Generate(context.Background(), purpose.MustParse(name)))
	}
	return v, o
}

func (o observer) keys(name string) reference.Record {
	o.t.Helper()
	content := vaulttest.Content(o.t, o.store)
	keys, err := reference.Unwrap(o.kek, name, content["0-vault"][4:], content[name+"/keys"])
	require.NoError(o.t, err)
	return keys
}

// open returns what the observer makes of a value, having written it again
// byte for byte.
func (o observer) open(v vault.Sealed, name, subject string) (plaintext, class string) {
	o.t.Helper()
	return o.value(v).Open(reference.Asked{
		Kind: v.Kind(), Purpose: name, Keys: o.keys(name), Subject: subject, Store: vaulttest.Content(o.t, o.store), Now: uint64(time.Now().Unix()),
	})
}

func (o observer) value(v vault.Sealed) reference.Value {
	o.t.Helper()
	text, err := v.MarshalText()
	require.NoError(o.t, err)
	value, ok := reference.Parse(string(text))
	require.True(o.t, ok)
	require.Equal(o.t, string(text), value.Text())
	for _, slot := range value.Slots {
		h, _, ok := reference.CutHeader(slot.Header)
		require.True(o.t, ok)
		p, ok := v.Provenance(purpose.MustParse(slot.Purpose))
		require.True(o.t, ok)
		require.Equal(o.t, vecProvenance(h), p)
	}
	return value
}

// What ours seals under keys of its own, the independent implementation opens,
// having got the keys from ours' own records; and their indexes agree.
func TestOthersOpenWhatWeSeal(t *testing.T) {
	ctx := context.Background()
	v, o := newObserved(t)
	var scopes []*vault.Scope
	keys := map[string]reference.Record{}
	bases := []purpose.Basis{
		{},
		{Legal: purpose.Contract, Retain: time.Hour},
		{Legal: purpose.Consent, Notice: "n", Consent: strings.Repeat("c", 64), Retain: purpose.MaxRetain},
	}
	for i, name := range conformNames {
		keys[name] = o.keys(name)
		scopes = append(scopes, vaulttest.ScopeNamed(t, v, name).Under(bases[i]))
	}
	subjects := []string{"", "user-1", "", "\x00\xff", strings.Repeat("é", 127) + "x"}
	for n := 1; n <= 1024; n++ {
		plaintext := string(reference.Random(n))
		subject := subjects[n%len(subjects)]
		var sealers []vault.Sealer
		for _, s := range scopes[:1+n%3] {
			if subject != "" {
				s = s.For(subject)
			}
			sealers = append(sealers, s)
		}
		slices.Reverse(sealers) // Seal puts them in order
		sealed, err := vault.Seal(ctx, vaulttest.Email, plaintext, sealers...)
		require.NoError(t, err)
		value := o.value(sealed)
		require.Len(t, value.Slots, len(sealers))
		content := vaulttest.Content(t, o.store)
		for i, name := range conformNames {
			got, class := value.Open(reference.Asked{Kind: "email", Purpose: name, Keys: keys[name], Subject: subject, Store: content, Now: uint64(time.Now().Unix())})
			if i >= len(value.Slots) {
				require.Equal(t, "mismatch", class)
				continue
			}
			require.Equal(t, "success", class)
			require.Equal(t, plaintext, got)
		}
		i := n % 3
		index, err := scopes[i].Index(ctx, vaulttest.Email, plaintext)
		require.NoError(t, err)
		require.Equal(t, reference.Index(keys[conformNames[i]].Index[0].Key, "email", conformNames[i], plaintext), index[:])
	}
}

// Values that were changed after they were sealed are values like any other.
func TestOthersOpenWhatWeChange(t *testing.T) {
	ctx := context.Background()
	synctest.Test(t, func(t *testing.T) {
		v, o := newObserved(t)
		for _, subject := range []string{"", "user-1"} {
			scoped := func(name string) *vault.Scope {
				s := vaulttest.ScopeNamed(t, v, name)
				if subject != "" {
					s = s.For(subject)
				}
				return s
			}
			opens := func(v vault.Sealed, names ...string) {
				t.Helper()
				require.Equal(t, strings.Join(names, "+"), v.Purposes().String())
				for _, name := range names {
					plaintext, class := o.open(v, name, subject)
					require.Equal(t, "success", class)
					require.Equal(t, vaulttest.Address, plaintext)
				}
			}
			sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, scoped("security").Under(purpose.Basis{Notice: "n"}))
			require.NoError(t, err)
			opens(sealed, "security")
			id := o.value(sealed).ID

			extended, err := vault.Extend(ctx, vaulttest.Email, sealed, nil, scoped("security"),
				scoped("advertising").Under(purpose.Basis{Consent: "c-1", Retain: time.Hour}))
			require.NoError(t, err)
			opens(extended, "advertising", "security")
			twice, err := vault.Extend(ctx, vaulttest.Email, extended, nil, scoped("advertising"),
				scoped("billing").Under(purpose.Basis{Consent: "c-2"}))
			require.NoError(t, err)
			opens(twice, "advertising", "billing", "security")
			require.Equal(t, id, o.value(twice).ID)
			var headers []reference.Header
			for i, from := range []string{"security", "security", ""} { // where it was collected
				h, _, ok := reference.CutHeader(o.value(twice).Slots[i].Header)
				require.True(t, ok)
				require.Equal(t, from, h.From)
				headers = append(headers, h)
			}
			require.Equal(t, headers[0].Expires, headers[1].Expires, "it expires with its source")
			require.Equal(t, o.value(sealed).Slots[0], o.value(twice).Slots[2], "untouched")

			without := twice.Without(purpose.MustParse("security"))
			opens(without, "advertising", "billing")
			_, class := o.open(without, "security", subject)
			require.Equal(t, "mismatch", class)

			before := o.keys("advertising").Seal[0].ID
			vaulttest.Rotate(t, v, purpose.MustParse("advertising"), vault.RoleSeal)
			require.NotEqual(t, before, o.keys("advertising").Seal[0].ID)
			resealed, err := vault.Reseal(ctx, vaulttest.Email, twice, nil, scoped("advertising"))
			require.NoError(t, err)
			opens(resealed, "advertising", "billing", "security")
			opens(twice, "advertising", "billing", "security")
			require.Equal(t, o.value(twice).Slots[0].Header, o.value(resealed).Slots[0].Header)
			require.NotEqual(t, o.value(twice).Slots[0].Sealed, o.value(resealed).Slots[0].Sealed)
			require.Equal(t, o.value(twice).Slots[1:], o.value(resealed).Slots[1:])
			require.Equal(t, id, o.value(resealed).ID)

			time.Sleep(time.Hour)
			_, class = o.open(resealed, "advertising", subject)
			require.Equal(t, "expired", class)
			opens(resealed.WithoutExpired(), "security")
		}
	})
}

// The records of subjects, re-wrapped and erased, read the same to both.
func TestOthersReadOurSubjects(t *testing.T) {
	ctx := context.Background()
	v, o := newObserved(t)
	security := purpose.MustParse("security")
	s := vaulttest.ScopeNamed(t, v, "security")
	read := func(subject string) (reference.SubjectRecord, []byte) {
		t.Helper()
		keys := o.keys("security")
		data := vaulttest.Content(t, o.store)[reference.SubjectName("security", reference.Pseudonym("security", keys.Keys, subject))]
		record, ok := reference.OpenSubject(keys.Keys, "security", subject, data)
		require.True(t, ok)
		return record, data
	}
	values := map[string]vault.Sealed{}
	before := map[string]reference.SubjectRecord{}
	start := time.Now()
	for i := range 20 {
		subject := fmt.Sprint("user-", i)
		var err error
		values[subject], err = vault.Seal(ctx, vaulttest.Email, vaulttest.Address, s.For(subject))
		require.NoError(t, err)
		record, _ := read(subject)
		require.EqualValues(t, 1, record.State)
		require.Zero(t, record.Time%86400, "a whole day")
		vaulttest.RequireSince(t, start.Add(-24*time.Hour), time.Unix(int64(record.Time), 0))
		before[subject] = record
		pseudonym, err := s.Pseudonym(ctx, subject)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%x", reference.Pseudonym("security", o.keys("security").Keys, subject)), pseudonym)
	}
	require.Len(t, vaulttest.Content(t, o.store), 1+3+20)

	vaulttest.Rotate(t, v, security, vault.RoleSeal)
	require.NoError(t, v.RewrapSubjects(ctx, security, "", nil))
	primary := o.keys("security").Seal[0].ID
	for subject := range values {
		record, data := read(subject)
		require.Equal(t, before[subject], record, "re-wrapped, and otherwise what it was")
		require.EqualValues(t, primary, reference.Uint(data[5:9]))
		plaintext, class := o.open(values[subject], "security", subject)
		require.Equal(t, "success", class)
		require.Equal(t, vaulttest.Address, plaintext)
		_, class = o.open(values[subject], "security", "user-x")
		require.Equal(t, "corrupt", class)
		_, class = o.open(values[subject], "security", "")
		require.Equal(t, "subject", class)
	}

	for n, subject := range []string{"user-0", "user-1", "never seen"} {
		certificate, err := v.Erase(ctx, subject, security)
		require.NoError(t, err)
		record, _ := read(subject)
		require.EqualValues(t, 2, record.State)
		require.Equal(t, before[subject].ID, record.ID)
		erasure := certificate[0]
		require.EqualValues(t, erasure.Erased.Unix(), record.Time)
		require.Equal(t, fmt.Sprintf("%x", reference.Pseudonym("security", o.keys("security").Keys, subject)), erasure.Subject)
		last, ok := reference.ReadErasures(o.keys("security").Keys, "security", vaulttest.Content(t, o.store)["security/erasures"])
		require.True(t, ok)
		require.EqualValues(t, n+1, last.Count)
		require.Equal(t, reference.Erasure{Count: last.Count, Digest: last.Digest}, record.Of, "the record of erasures is of the last")
		if value, sealed := values[subject]; sealed {
			require.Equal(t, fmt.Sprintf("%08x", record.ID), erasure.KeyID)
			_, class := o.open(value, "security", subject)
			require.Equal(t, "erased", class)
		}
	}
	_, class := o.open(values["user-2"], "security", "user-2")
	require.Equal(t, "success", class)
}

// And the other way round: ours goes on with records that others wrote.
func TestReadsSubjectsOfOthers(t *testing.T) {
	ctx := context.Background()
	keys := vaulttest.Keys["security"]
	key := reference.Key{ID: 0xcafe, Key: reference.Random(32)}
	erasure := vecErasure("security", "erased")
	records := map[string][]byte{"security/erasures": reference.Erasures(keys, "security", erasure)}
	put := func(subject string, r reference.SubjectRecord) {
		pseudonym := reference.Pseudonym("security", keys, subject)
		records[reference.SubjectName("security", pseudonym)] = reference.SealSubject(keys.Seal[1], reference.Random(12), "security", keys.Vault, pseudonym, r.Bytes())
	}
	put("alive", reference.SubjectRecord{State: 1, ID: key.ID, Time: reference.Time, Key: key.Key})
	put("erased", reference.SubjectRecord{State: 2, ID: 0xbeef, Time: reference.Time, Of: erasure})
	store := vaulttest.StoreOfKeys(t, map[string]reference.Keys{"security": keys}, records)
	v := vaulttest.OpenKept(t, store, vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
	s := vaulttest.ScopeNamed(t, v, "security")
	p := purpose.MustParse("security")

	want := reference.Pin{Purpose: "security", Vault: keys.Vault, Generation: 1, Digest: reference.RecordDigest(vaulttest.Content(t, store)["security/keys"]), Erasure: erasure}
	pin, err := v.Pin(ctx, p)
	require.NoError(t, err)
	require.Equal(t, want.Text(), pin.String())
	sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, s.For("alive"))
	require.NoError(t, err)
	text, err := sealed.MarshalText()
	require.NoError(t, err)
	value, _ := reference.Parse(string(text))
	plaintext, class := value.Open(reference.Asked{
		Kind: "email", Purpose: "security", Keys: reference.Record{Keys: keys}, Subject: "alive", Store: records,
	})
	require.Equal(t, "success", class, "sealed under the key that was there")
	require.Equal(t, vaulttest.Address, plaintext)
	_, err = vault.Seal(ctx, vaulttest.Email, vaulttest.Address, s.For("erased"))
	require.ErrorIs(t, err, vault.ErrErased)

	certificate, err := v.Erase(ctx, "erased", p)
	require.NoError(t, err)
	require.Equal(t, "0000beef", certificate[0].KeyID)
	require.EqualValues(t, reference.Time, certificate[0].Erased.Unix())
	require.Equal(t, pin, certificate[0].Pin, "not counted again")
	certificate, err = v.Erase(ctx, "alive", p)
	require.NoError(t, err)
	require.Equal(t, "0000cafe", certificate[0].KeyID)
	want.Erasure = erasure.Next(keys, "security", reference.Pseudonym("security", keys, "alive"))
	require.Equal(t, want.Text(), certificate[0].Pin.String())
}

// A value id, a nonce or a subject's key that is used again would undo what
// they are there for.
func TestNothingRandomRepeats(t *testing.T) {
	ctx := context.Background()
	v, o := newObserved(t)
	a, b := vaulttest.ScopeNamed(t, v, "advertising"), vaulttest.ScopeNamed(t, v, "security")
	seen := map[string]bool{}
	once := func(random ...[]byte) {
		t.Helper()
		for _, r := range random {
			require.False(t, seen[string(r)])
			seen[string(r)] = true
		}
	}
	for i := range 500 {
		subject := fmt.Sprint("user-", i)
		sealed, err := vault.Seal(ctx, vaulttest.Email, "alice@example.com", a, b.For(subject))
		require.NoError(t, err)
		value := o.value(sealed)
		once(value.ID, value.Slots[0].Sealed[5:17], value.Slots[1].Sealed[:12])
	}
	keys := o.keys("security")
	content := vaulttest.Content(t, o.store)
	for i := range 500 {
		subject := fmt.Sprint("user-", i)
		data := content[reference.SubjectName("security", reference.Pseudonym("security", keys.Keys, subject))]
		record, ok := reference.OpenSubject(keys.Keys, "security", subject, data)
		require.True(t, ok)
		once(record.Key, data[4+5:4+5+12])
	}
}

// hugeStore holds a record that is larger than a record may be.
type hugeStore struct {
	vault.Store
	data []byte
}

func (h hugeStore) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	return []vault.Record{
		{Name: "security/keys", Data: h.data, Revision: 1}, {Name: "0-vault", Data: reference.VaultRecord(vaulttest.VaultID), Revision: 1},
	}, nil
}

// A key record over the limit is refused before it is opened, though it would
// open.
func TestKeyRecordOverLong(t *testing.T) {
	kek := vaulttest.KEK{Key: vaulttest.KEKKey}
	payload := encodePayload(reference.Payload("security", vaulttest.Keys["security"]))
	for over := range 2 {
		blanks := strings.Repeat(" ", vault.MaxRecord+over-23-65-12-16-len(payload))
		data := reference.Wrap(kek, "security", vaulttest.VaultID, append([]byte(blanks), payload...), reference.Random(32), reference.Random(12))
		require.Len(t, data, vault.MaxRecord+over)
		_, err := reference.Unwrap(kek, "security", vaulttest.VaultID, data)
		require.Equal(t, over == 0, err == nil)
		v := vaulttest.OpenKept(t, hugeStore{vault.Memory(), data}, vault.SharedKEK(kek))
		_, err = v.Scope(t.Context(), purpose.MustParse("security"))
		require.Equal(t, over == 1, errors.Is(err, vault.ErrCorrupt))
		require.Equal(t, over == 0, err == nil)
	}
}

// A KEK that binds no more than the beginning of its associated data is found
// out: the test leaves all but the last byte as it is.
func TestKEKThatBindsABeginning(t *testing.T) {
	kek := prefixKEK{vaulttest.KEK{Key: vaulttest.KEKKey}, len("onlyfor purpose-keys security ") + 32 - 1}
	v := vaulttest.OpenKept(t, vault.Memory(), vault.SharedKEK(kek))
	require.Equal(t, "no keys", vaulttest.Class(v.Generate(t.Context(), purpose.MustParse("security"))))
	kek.n++
	v = vaulttest.OpenKept(t, vault.Memory(), vault.SharedKEK(kek))
	require.NoError(t, v.Generate(t.Context(), purpose.MustParse("security")))
}

type prefixKEK struct {
	vaulttest.KEK
	n int
}

func (k prefixKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	return k.KEK.Encrypt(plaintext, aad[:min(k.n, len(aad))])
}

func (k prefixKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	return k.KEK.Decrypt(ciphertext, aad[:min(k.n, len(aad))])
}
