package vault_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A victim is a set of sealed values, and all that may ever be revealed of
// them: a slot opens where it stands under the name, kind and value id that it
// was sealed with, for the subject that it was sealed for, and in no other
// place.
type victim struct {
	scopes map[string]*vault.Scope
	asks   []ask
	slots  map[string]string // plaintext by the slot and what it is bound to
	values []refValue
}

// An ask is one way of looking at a value: as a kind, for a purpose and a
// subject or none.
type ask struct {
	kind, purpose, subject string
	scope                  *vault.Scope
}

func newVictim(t testing.TB) *victim {
	t.Helper()
	v := refVault(t, vecKeys)
	a := &victim{scopes: map[string]*vault.Scope{}, slots: map[string]string{}}
	for name := range vecKeys {
		a.scopes[name] = refScope(t, v, name)
		for _, kind := range []string{"email", "phone"} {
			a.asks = append(a.asks, ask{kind, name, "", a.scopes[name]})
		}
	}
	for _, subject := range []string{"alice", "bob"} {
		a.asks = append(a.asks, ask{"email", "security", subject, a.scopes["security"].For(subject)})
	}
	seal := func(kind vault.Kind, plaintext, subject string, scopes ...*vault.Scope) {
		var sealers []vault.Sealer
		for _, s := range scopes {
			if subject != "" {
				s = s.For(subject)
			}
			sealers = append(sealers, s)
		}
		sealed, err := vault.Seal(context.Background(), kind, plaintext, sealers...)
		require.NoError(t, err)
		text, err := sealed.MarshalText()
		require.NoError(t, err)
		value, ok := refParse(string(text))
		require.True(t, ok)
		for _, s := range value.slots {
			a.slots[slotPlace(value, s, subject)] = plaintext
		}
		a.values = append(a.values, value)
	}
	phone := vault.MustKind("phone", "vault_test.Phone")
	security, advertising, billing := a.scopes["security"], a.scopes["advertising"], a.scopes["billing"]
	full := purpose.Basis{
		Legal: purpose.Consent, Notice: "ads-optin-v2", Consent: "consent-2026-81f3", Retain: purpose.MaxRetain,
	}
	seal(vecEmail, "alice@example.com", "", security)
	seal(vecEmail, "bob@example.com", "", security)
	seal(vecEmail, "carol@example.com", "", advertising, security)
	seal(vecEmail, "dave@example.com", "", advertising.Under(full), security.Under(purpose.Basis{Notice: "n"}))
	seal(phone, "+12025550123", "", security)
	seal(phone, "+12025550124", "", advertising.Under(full), billing, security.Under(full))
	seal(vecEmail, strings.Repeat("x", 100), "", security.Under(purpose.Basis{Legal: purpose.Contract}))
	seal(vecEmail, "alice@example.com", "alice", security)
	seal(vecEmail, "bob@example.com", "bob", security.Under(full))
	return a
}

func slotPlace(v refValue, s refSlot, subject string) string {
	return fmt.Sprintf("%q %q %q %x %x %x", v.kind, s.purpose, subject, v.id, s.header, s.sealed)
}

// reveal checks that sealed opens where it may, and is refused everywhere
// else with a sentinel that fits. It returns how many slots opened.
func (a *victim) reveal(t testing.TB, sealed vault.Sealed) int {
	text, err := sealed.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	value, ok := refParse(string(text))
	if !ok {
		t.Fatalf("parsed, though it is malformed: %q", text)
	}
	opened := 0
	for _, asked := range a.asks {
		want, class := "", "mismatch"
		if value.kind != asked.kind {
			class = "corrupt"
		}
		for _, s := range value.slots {
			if value.kind != asked.kind || s.purpose != asked.purpose {
				continue
			}
			class = "corrupt"
			if typ := s.header[0]; typ <= 2 && (typ == 2) != (asked.subject != "") {
				class = "subject"
			}
			if want, ok = a.slots[slotPlace(value, s, asked.subject)]; ok {
				class = "success"
				opened++
			}
		}
		got, err := asked.scope.Reveal(context.Background(), vault.MustKind(asked.kind, "vault_test.Value"), sealed)
		if got != want || vecClass(err) != class {
			t.Fatalf("%s as %s for %s %s: want %s, got %v", text, asked.kind, asked.purpose, asked.subject, class, err)
		}
	}
	return opened
}

// text and binary do the same with bytes that may not parse at all.
func (a *victim) text(t testing.TB, text string) int {
	sealed, err := vault.ParseSealed(text)
	return a.parsed(t, sealed, err, text == "")
}

func (a *victim) binary(t testing.TB, data []byte) int {
	var sealed vault.Sealed
	err := sealed.UnmarshalBinary(data)
	return a.parsed(t, sealed, err, len(data) == 0)
}

func (a *victim) parsed(t testing.TB, sealed vault.Sealed, err error, empty bool) int {
	if err != nil || empty {
		if !sealed.IsZero() || !empty && err != vault.ErrCorrupt {
			t.Fatal(err)
		}
		return 0
	}
	return a.reveal(t, sealed)
}

func TestValuesOpenUntouched(t *testing.T) {
	a := newVictim(t)
	for _, v := range a.values {
		require.Equal(t, len(v.slots), a.text(t, v.text()))
		require.Equal(t, len(v.slots), a.binary(t, v.binary()))
	}
}

func TestEveryBitFlip(t *testing.T) {
	a := newVictim(t)
	for _, v := range a.values {
		text, data := []byte(v.text()), v.binary()
		// A value of several slots opens for those that the flip did not touch.
		most := len(v.slots) - 1
		for bit := range 8 * len(text) {
			text[bit/8] ^= 1 << (bit % 8)
			require.LessOrEqual(t, a.text(t, string(text)), most)
			text[bit/8] ^= 1 << (bit % 8)
		}
		for bit := range 8 * len(data) {
			data[bit/8] ^= 1 << (bit % 8)
			require.LessOrEqual(t, a.binary(t, data), most)
			data[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// Every other byte in every place, for characters that are more than a bit away.
func TestEveryByteReplaced(t *testing.T) {
	a := newVictim(t)
	v := a.values[0]
	text, data := []byte(v.text()), v.binary()
	for i, c := range text {
		for b := range 256 {
			if text[i] = byte(b); text[i] != c {
				require.Zero(t, a.text(t, string(text)))
			}
		}
		text[i] = c
	}
	for i, c := range data {
		for b := range 256 {
			if data[i] = byte(b); data[i] != c {
				require.Zero(t, a.binary(t, data))
			}
		}
		data[i] = c
	}
}

func TestEveryTruncation(t *testing.T) {
	a := newVictim(t)
	for _, v := range a.values {
		text, data := v.text(), v.binary()
		for n := range text {
			_, err := vault.ParseSealed(text[:n])
			require.Equal(t, n == 0, err == nil, text[:n])
			require.Zero(t, a.text(t, text[:n]))
			if n > 0 {
				require.Zero(t, a.text(t, text[n:]))
			}
		}
		for n := range data {
			require.Zero(t, a.binary(t, data[:n]))
			if n > 0 {
				require.Zero(t, a.binary(t, data[n:]))
			}
		}
	}
}

func TestEveryInsertionAndDeletion(t *testing.T) {
	a := newVictim(t)
	for _, v := range a.values[:3] {
		text, data := v.text(), v.binary()
		for i := 0; i <= len(text); i++ {
			for _, c := range "\n\r\t \x00.~=+/-_Aa0\u00a0\ufeff" {
				require.LessOrEqual(t, a.text(t, text[:i]+string(c)+text[i:]), len(v.slots)-1)
			}
			if i < len(text) {
				require.LessOrEqual(t, a.text(t, text[:i]+text[i+1:]), len(v.slots)-1)
			}
		}
		for i := 0; i <= len(data); i++ {
			for _, c := range []byte{0, 1, 0x80, 0xff} {
				require.LessOrEqual(t, a.binary(t, slices.Insert(slices.Clone(data), i, c)), len(v.slots)-1)
			}
			if i < len(data) {
				require.LessOrEqual(t, a.binary(t, slices.Delete(slices.Clone(data), i, i+1)), len(v.slots)-1)
			}
		}
	}
}

// The head of one value before the tail of another, cut at every byte of
// each that could fit.
func TestEverySplice(t *testing.T) {
	a := newVictim(t)
	for _, v := range a.values {
		for _, w := range a.values {
			if v.text() == w.text() {
				continue
			}
			vt, wt, vb, wb := v.text(), w.text(), v.binary(), w.binary()
			most := max(len(v.slots), len(w.slots)) // whole slots may change nothing but their neighbours
			for n := range min(len(vt), len(wt)) {
				require.LessOrEqual(t, a.text(t, vt[:n]+wt[n:]), most)
				require.LessOrEqual(t, a.text(t, vt[:len(vt)-n]+wt[len(wt)-n:]), most)
			}
			for n := range min(len(vb), len(wb)) {
				require.LessOrEqual(t, a.binary(t, append(vb[:n:n], wb[n:]...)), most)
				require.LessOrEqual(t, a.binary(t, append(vb[:len(vb)-n:len(vb)-n], wb[len(wb)-n:]...)), most)
			}
		}
	}
}

// Values put together from the parts of others, each with lengths and order
// put right, so that only cryptography can refuse them.
func TestRecombinedParts(t *testing.T) {
	a := newVictim(t)
	names := slices.Sorted(maps.Keys(a.scopes))
	var slots []refSlot
	var owners []int
	for i, v := range a.values {
		for _, s := range v.slots {
			slots, owners = append(slots, s), append(owners, i)
		}
	}
	for _, kind := range []string{"email", "phone"} {
		for i, v := range a.values {
			for _, h := range slots {
				for j, s := range slots {
					for _, name := range names {
						forged := refValue{kind, v.id, []refSlot{{name, h.header, s.sealed}}}
						want := 0
						if owners[j] == i && v.kind == kind && s.purpose == name && bytes.Equal(h.header, s.header) {
							want = 1 // that is the value itself, or what is left when its other slots are dropped
						}
						require.Equal(t, want, a.text(t, forged.text()))
					}
				}
			}
		}
	}
}

// Relabelling is the attack that the library is there for: each slot under
// each name, alone and beside the slot that it was copied from.
func TestRelabelled(t *testing.T) {
	a := newVictim(t)
	for _, v := range a.values {
		for i, s := range v.slots {
			for name := range a.scopes {
				alone := refValue{v.kind, v.id, []refSlot{{name, s.header, s.sealed}}}
				require.Equal(t, name == s.purpose, a.text(t, alone.text()) == 1)
				if s.header[0] == 2 {
					continue // the header tells that nobody but a subject may ask
				}
				if slices.Contains(v.names(), name) {
					continue
				}
				renamed := v.clone()
				renamed.slots[i].purpose = name
				added := v.clone()
				added.slots = append(added.slots, refSlot{name, s.header, s.sealed})
				for _, forged := range []refValue{renamed, added} {
					slices.SortFunc(forged.slots, func(x, y refSlot) int { return strings.Compare(x.purpose, y.purpose) })
					sealed, err := vault.ParseSealed(forged.text())
					require.NoError(t, err)
					a.reveal(t, sealed)
					_, err = a.scopes[name].Reveal(t.Context(), vault.MustKind(v.kind, "vault_test.Value"), sealed)
					require.ErrorIs(t, err, vault.ErrCorrupt)
					require.NotErrorIs(t, err, purpose.ErrMismatch)
				}
			}
		}
	}
}

// Whoever edits the type of a slot gets a value that does not parse, for the
// shape of a collector's is another, or one that opens for nobody.
func TestRetypedSlots(t *testing.T) {
	a := newVictim(t)
	for _, v := range a.values {
		for i := range v.slots {
			for typ := range 256 {
				forged := v.clone()
				own := forged.slots[i].header[0]
				forged.slots[i].header[0] = byte(typ)
				want := len(v.slots)
				if typ != int(own) {
					want--
				}
				sealed, err := vault.ParseSealed(forged.text())
				if typ != 1 && typ != 2 {
					require.Equal(t, vault.ErrCorrupt, err)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, want, a.reveal(t, sealed))
			}
		}
	}
}

// A copied row is a value like any other: purpose slots do not say whose they
// are. It stays what it was, and opens for no purpose more.
func TestCopiedRowsGainNothing(t *testing.T) {
	a := newVictim(t)
	security, advertising := a.scopes["security"], a.scopes["advertising"]
	for _, v := range a.values[:2] { // collected for security alone
		row, err := vault.ParseSealed(v.text())
		require.NoError(t, err)
		_, err = security.Reveal(t.Context(), vecEmail, row)
		require.NoError(t, err)
		_, err = advertising.Reveal(t.Context(), vecEmail, row)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		_, err = advertising.Hint(t.Context(), vecEmail, row, strings.ToUpper)
		require.ErrorIs(t, err, purpose.ErrMismatch)
		_, err = advertising.IndexSealed(t.Context(), vecEmail, row, strings.ToUpper)
		require.ErrorIs(t, err, purpose.ErrMismatch)
	}
}

// Somebody with the keys of advertising can add a slot of advertising to any
// value, and say there what they like. It tells security nothing, and shows
// nothing of what security's slot holds.
func TestInsiderOfOnePurpose(t *testing.T) {
	a := newVictim(t)
	key := vecKeys["advertising"].seal[0]
	v := a.values[0].clone()
	v.slots = slices.Insert(v.slots, 0,
		refSlotOf(v.kind, "advertising", v.id, vecFull, key, refRandom(12), "mallory@example.com"))
	a.slots[slotPlace(v, v.slots[0], "")] = "mallory@example.com"
	require.Equal(t, 2, a.text(t, v.text()))
	sealed, err := vault.ParseSealed(v.text())
	require.NoError(t, err)
	got, err := a.scopes["security"].Reveal(t.Context(), vecEmail, sealed)
	require.NoError(t, err)
	require.Equal(t, "alice@example.com", got)

	// The same under the name of security is refused, whatever key id it bears.
	for _, id := range []uint32{key.id, vecKeys["security"].seal[0].id} {
		forged := a.values[0].clone()
		forged.slots[0] = refSlotOf(forged.kind, "security", forged.id, vecPlain, refKey{id, key.key}, refRandom(12), "mallory@example.com")
		require.Zero(t, a.text(t, forged.text()))
	}
}

// AES-GCM does not commit to its key: who holds two keys can make one
// ciphertext that is authentic under both. Made to measure, it still opens in
// each slot only where the key id in front of it is one of that purpose's; and
// where two purposes' keys have one id, it tells them two different things, as
// two slots sealed one by one would have done.
func TestOneCiphertextUnderTwoKeys(t *testing.T) {
	security, advertising := vecKeys["security"].seal[0], vecKeys["advertising"].seal[0]
	value := refValue{kind: "email", id: refRandom(16)}
	header := vecPlain.bytes()
	sealed := sealTwice(
		security, refAAD("email", "security", value.id, header, ""),
		advertising, refAAD("email", "advertising", value.id, header, ""))
	slots := []refSlot{{"advertising", header, sealed}, {"security", header, sealed}}

	try := func(v *vault.Vault, name string, slots ...refSlot) (string, string) {
		value.slots = slots
		parsed, err := vault.ParseSealed(value.text())
		require.NoError(t, err)
		plaintext, err := refScope(t, v, name).Reveal(t.Context(), vecEmail, parsed)
		return plaintext, vecClass(err)
	}
	v := refVault(t, vecKeys)
	_, class := try(v, "security", slots...)
	require.Equal(t, "success", class)
	_, class = try(v, "advertising", slots...)
	require.Equal(t, "corrupt", class)
	_, class = try(v, "advertising", slots[1])
	require.Equal(t, "mismatch", class)

	advertising.id = security.id // as it is for one pair of keys in 2^32
	keys := func(k refKey, name string) refKeys {
		return refKeys{[]refKey{k}, vecKeys[name].index, vecKeys[name].subject}
	}
	v = refVault(t, map[string]refKeys{
		"security": keys(security, "security"), "advertising": keys(advertising, "advertising"),
	})
	one, class := try(v, "security", slots...)
	require.Equal(t, "success", class)
	two, class := try(v, "advertising", slots...)
	require.Equal(t, "success", class)
	require.NotEqual(t, one, two)
	_, class = try(v, "advertising", slots[1])
	require.Equal(t, "mismatch", class)
	_, class = try(v, "security", slots[0])
	require.Equal(t, "mismatch", class)
	slots[1].purpose = "advertising"
	_, class = try(v, "advertising", slots[1])
	require.Equal(t, "success", class, "it is advertising's slot after all")
}

// sealTwice returns a sealed part, under the first key's id, that is authentic
// and well padded under both keys. The tag is linear in each block of
// ciphertext, so one free block makes the tags equal.
func sealTwice(one refKey, aad1 []byte, two refKey, aad2 []byte) []byte {
	type side struct{ stream, hash, mask []byte }
	prepare := func(k refKey, nonce []byte) side {
		block, err := aes.NewCipher(k.key)
		if err != nil {
			panic(err)
		}
		s := side{make([]byte, 32), make([]byte, 16), make([]byte, 16)}
		block.Encrypt(s.hash, s.hash)
		block.Encrypt(s.mask, append(nonce[:12:12], 0, 0, 0, 1))
		block.Encrypt(s.stream, append(nonce[:12:12], 0, 0, 0, 2))
		block.Encrypt(s.stream[16:], append(nonce[:12:12], 0, 0, 0, 3))
		return s
	}
	// A nonce under which one last byte is the end of the padding for both.
	var nonce []byte
	var a, b side
	for {
		nonce = refRandom(12)
		a, b = prepare(one, nonce), prepare(two, nonce)
		if a.stream[31] == b.stream[31] {
			break
		}
	}
	c := make([]byte, 32)
	c[31] = a.stream[31] ^ 0x80
	tag := func(s side, aad []byte) []byte {
		blocks := append(slices.Clone(aad), make([]byte, (16-len(aad)%16)%16)...)
		blocks = append(blocks, c...)
		blocks = binary.BigEndian.AppendUint64(blocks, uint64(8*len(aad)))
		blocks = binary.BigEndian.AppendUint64(blocks, uint64(8*len(c)))
		y := make([]byte, 16)
		for block := range slices.Chunk(blocks, 16) {
			y = gfMul(xor(y, block), s.hash)
		}
		return xor(y, s.mask)
	}
	cube := func(h []byte) []byte { return gfMul(gfMul(h, h), h) } // the first block is multiplied three times
	copy(c, gfMul(xor(tag(a, aad1), tag(b, aad2)), gfInverse(xor(cube(a.hash), cube(b.hash)))))

	sealed := binary.BigEndian.AppendUint32([]byte{1}, one.id)
	return append(append(append(sealed, nonce...), c...), tag(a, aad1)...)
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range out {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// gfMul multiplies in GCM's field, NIST SP 800-38D, algorithm 1.
func gfMul(x, y []byte) []byte {
	z, v := make([]byte, 16), slices.Clone(y)
	for i := range 128 {
		if x[i/8]>>(7-i%8)&1 == 1 {
			z = xor(z, v)
		}
		carry := v[15] & 1
		for j := 15; j > 0; j-- {
			v[j] = v[j]>>1 | v[j-1]<<7
		}
		v[0] = v[0]>>1 ^ 0xe1*carry
	}
	return z
}

// gfInverse is x to the power of 2^128 - 2.
func gfInverse(x []byte) []byte {
	z := make([]byte, 16)
	z[0] = 0x80 // one
	for range 127 {
		x = gfMul(x, x)
		z = gfMul(z, x)
	}
	return z
}

// A refused length costs nothing, however long the text.
func TestLengthIsCheckedFirst(t *testing.T) {
	for _, head := range []string{"", newVictim(t).values[0].text()} {
		data := append([]byte(head), bytes.Repeat([]byte("A"), 64<<20)...)
		text := string(data)
		short := data[:vault.MaxText+1]
		var into vault.Sealed
		refuse := func() {
			_, err1 := vault.ParseSealed(text)
			err2 := into.UnmarshalText(data)
			err3 := into.UnmarshalText(short)
			data[0] = 1
			err4 := into.UnmarshalBinary(data)
			err5 := into.UnmarshalBinary(short)
			data[0] = text[0]
			for _, err := range []error{err1, err2, err3, err4, err5} {
				if err != vault.ErrCorrupt {
					panic("not refused")
				}
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		refuse() // the first time, when no buffer is as large yet
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
		require.Zero(t, testing.AllocsPerRun(10, refuse))
	}
}

// The longest value there can be is well below the limit, so no value that can
// be sealed is too long to be read.
func TestLongestFits(t *testing.T) {
	require.Less(t, len(vecLongest().text()), vault.MaxText)
	require.Equal(t, vault.MaxSlots, len(vecLongest().slots))
}

// Key records.

// exchanged returns a store whose records of security and advertising stand in
// each other's place.
func exchanged(t *testing.T, store vault.Store) vault.Store {
	t.Helper()
	ctx := t.Context()
	other := vault.Memory()
	for from, to := range map[string]string{"security/keys": "advertising/keys", "advertising/keys": "security/keys"} {
		records, err := store.Get(ctx, from)
		require.NoError(t, err)
		require.Len(t, records, 1)
		_, err = other.Put(ctx, vault.Record{Name: to, Data: records[0].Data})
		require.NoError(t, err)
	}
	return other
}

var vecPurposes = []purpose.Purpose{purpose.MustParse("security"), purpose.MustParse("advertising")}

func vecOpen(t testing.TB, store vault.Store, kek vault.KEK) *vault.Vault {
	t.Helper()
	v, err := vault.Open(context.Background(), store, kek, nil)
	require.NoError(t, err)
	return v
}

func TestExchangedKeyRecords(t *testing.T) {
	shared := vault.SharedKEK(refKEK{key: vecKEK})
	separate := vault.KEKFunc(func(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
		return refKEK{key: vecKey("kek "+p.String(), 7)}, nil
	})
	for name, kek := range map[string]vault.KEK{"shared KEK": shared, "a KEK for each": separate} {
		t.Run(name, func(t *testing.T) {
			store := vault.Memory()
			require.NoError(t, vecOpen(t, store, kek).Generate(t.Context(), vecPurposes...))
			v := vecOpen(t, exchanged(t, store), kek)
			for _, p := range vecPurposes {
				s, err := v.Scope(t.Context(), p)
				require.Nil(t, s)
				require.Equal(t, "corrupt", vecClass(err))
				// Nor does Generate take it for a purpose without keys.
				require.NoError(t, v.Generate(t.Context(), p))
				_, err = v.Scope(t.Context(), p)
				require.Equal(t, "corrupt", vecClass(err))
			}
		})
	}
}

// blindKEK is a key service that binds associated data only while honest, or
// only in what it is asked about by a self-test.
type blindKEK struct {
	refKEK
	honest, actor bool
}

func (k *blindKEK) For(context.Context, purpose.Purpose) (vault.AEAD, error) { return k, nil }

func (k *blindKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	b := append(binary.BigEndian.AppendUint16(nil, uint16(len(aad))), aad...)
	return k.refKEK.Encrypt(append(b, plaintext...), nil)
}

func (k *blindKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	b, err := k.refKEK.Decrypt(ciphertext, nil)
	if err != nil {
		return nil, err
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if !bytes.Equal(b[2:n], aad) && (k.honest || k.actor && bytes.HasSuffix(aad, []byte("!"))) {
		return nil, vault.ErrCorrupt
	}
	return b[n:], nil
}

func TestKEKThatIgnoresAssociatedData(t *testing.T) {
	ctx := t.Context()
	kek := &blindKEK{refKEK: refKEK{key: vecKEK}}
	store := vault.Memory()

	// Generate notices, and leaves nothing behind.
	err := vecOpen(t, store, kek).Generate(ctx, vecPurposes...)
	require.Equal(t, "no keys", vecClass(err))
	for _, p := range vecPurposes {
		records, err := store.Get(ctx, p.String()+"/keys")
		require.NoError(t, err)
		require.Empty(t, records)
	}

	// So does CheckKEK, of keys that were made when the service was another one.
	kek.honest = true
	require.NoError(t, vecOpen(t, store, kek).Generate(ctx, vecPurposes...))
	require.NoError(t, vecOpen(t, store, kek).CheckKEK(ctx, vecPurposes...))
	kek.honest = false
	for _, p := range vecPurposes {
		require.Equal(t, "no keys", vecClass(vecOpen(t, store, kek).CheckKEK(ctx, p)))
		_, err = vecOpen(t, exchanged(t, store), kek).Scope(ctx, p)
		require.Equal(t, "corrupt", vecClass(err), "the record itself refuses another purpose")
	}

	// Where the self-test is deceived, or was passed before, the record itself
	// refuses another purpose.
	kek.actor = true
	for _, p := range vecPurposes {
		require.NoError(t, vecOpen(t, store, kek).CheckKEK(ctx, p), "deceived")
		_, err = vecOpen(t, exchanged(t, store), kek).Scope(ctx, p)
		require.Equal(t, "corrupt", vecClass(err))
	}
}

func TestSwappedKEK(t *testing.T) {
	ctx := t.Context()
	store := vault.Memory()
	swap := false
	kek := vault.KEKFunc(func(_ context.Context, p purpose.Purpose) (vault.AEAD, error) {
		if swap == (p == vecPurposes[0]) {
			return refKEK{key: vecKey("one", 1)}, nil
		}
		return refKEK{key: vecKey("two", 1)}, nil // of the same id
	})
	require.NoError(t, vecOpen(t, store, kek).Generate(ctx, vecPurposes...))
	for _, exchange := range []bool{false, true} {
		swap = !exchange
		from := store
		if exchange {
			from = exchanged(t, store)
		}
		for _, p := range vecPurposes {
			_, err := vecOpen(t, from, kek).Scope(ctx, p)
			require.Equal(t, "corrupt", vecClass(err))
		}
	}
	// Both at once: the KEK opens its own record, in the other purpose's place.
	swap = true
	for _, p := range vecPurposes {
		_, err := vecOpen(t, exchanged(t, store), kek).Scope(ctx, p)
		require.Equal(t, "corrupt", vecClass(err))
	}
}

func TestEveryBitFlipOfAKeyRecord(t *testing.T) {
	kek := refKEK{key: vecKEK}
	store := vault.Memory()
	require.NoError(t, vecOpen(t, store, vault.SharedKEK(kek)).Generate(t.Context(), vecPurposes[0]))
	records, err := store.Get(t.Context(), "security/keys")
	require.NoError(t, err)
	data := records[0].Data
	_, err = openRecord(t, kek, "security", data)
	require.NoError(t, err)
	for bit := range 8 * len(data) {
		data[bit/8] ^= 1 << (bit % 8)
		_, err := openRecord(t, kek, "security", data)
		require.Equal(t, "corrupt", vecClass(err), "bit %d", bit)
		data[bit/8] ^= 1 << (bit % 8)
	}
	for n := 1; n < len(data); n++ {
		_, err := openRecord(t, kek, "security", data[:n])
		require.Equal(t, "corrupt", vecClass(err), "%d bytes", n)
	}
}
