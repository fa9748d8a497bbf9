package formattest

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// The seeds of the fuzz tests are the vectors of the form: most are refused for
// one reason each, so that undoing one fault leads far into the code.

func addVectors(f *testing.F, form string) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join(vecDir, "*.txt"))
	require.NoError(f, err)
	for _, path := range paths {
		v := readVector(f, path)
		switch {
		case form == "binary" && v.get("well-formed") == "yes" && v.get("form") == "text":
			value, ok := reference.Parse(string(v.value))
			require.True(f, ok)
			f.Add(value.Binary())
		case v.get("form") != form:
		case form == "text" || form == "collector":
			f.Add(string(v.value))
		default:
			f.Add(reference.Hex(string(bytes.TrimSuffix(v.value, []byte("\n")))))
		}
	}
}

// Both implementations accept the same texts, of which each is the only one for
// what it says, and reveal the same of them.
func FuzzParseSealed(f *testing.F) {
	addVectors(f, "text")
	scopes := revealers(f)
	f.Fuzz(func(t *testing.T, text string) {
		sealed, err := vault.ParseSealed(text)
		ref, ok := reference.Parse(text)
		if ok != (err == nil && text != "") {
			t.Fatalf("parsers disagree: %v %v", ok, err)
		}
		if err != nil && err != vault.ErrCorrupt {
			t.Fatal(err)
		}
		if !ok {
			if !sealed.IsZero() {
				t.Fatal("refused, but not zero")
			}
			return
		}
		got, err := sealed.MarshalText()
		if err != nil || string(got) != text {
			t.Fatal("prints as another text")
		}
		checkForms(t, sealed, ref)
		checkReveal(t, scopes, sealed, ref)
	})
}

func FuzzUnmarshalBinary(f *testing.F) {
	addVectors(f, "binary")
	scopes := revealers(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var sealed vault.Sealed
		before := bytes.Clone(data)
		err := sealed.UnmarshalBinary(data)
		if !bytes.Equal(before, data) {
			t.Fatal("changed its input")
		}
		ref, ok := reference.ParseBinary(data)
		if ok != (err == nil && len(data) > 0) {
			t.Fatalf("parsers disagree: %v %v", ok, err)
		}
		if err != nil && err != vault.ErrCorrupt {
			t.Fatal(err)
		}
		if !ok {
			if !sealed.IsZero() {
				t.Fatal("refused, but not zero")
			}
			return
		}
		got, err := sealed.MarshalBinary()
		if err != nil || !bytes.Equal(got, data) {
			t.Fatal("prints as other bytes")
		}
		checkForms(t, sealed, ref)
		checkReveal(t, scopes, sealed, ref)
	})
}

// Both implementations read the same texts of collectors, each of which is the
// only one for what it says, and what is sealed with one names its key.
func FuzzParseCollector(f *testing.F) {
	addVectors(f, "collector")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := vault.ParseCollector(text, nil)
		ref, ok := reference.ParseCollector(text)
		if ok != (err == nil) {
			t.Fatalf("parsers disagree: %v %v", ok, err)
		}
		if !ok {
			if c != nil || vaulttest.Class(err) != "corrupt" {
				t.Fatal("refused otherwise than as corrupt")
			}
			if len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Fatal("quoted")
			}
			return
		}
		got, err := c.MarshalText()
		if err != nil || string(got) != text || ref.Text() != text {
			t.Fatal("prints as another text")
		}
		if c.Purpose().String() != ref.Purpose {
			t.Fatal("of another purpose")
		}
		sealed, err := vault.Seal(t.Context(), vaulttest.Email, vaulttest.Address, c)
		require.NoError(t, err)
		written, err := sealed.MarshalText()
		require.NoError(t, err)
		value, ok := reference.Parse(string(written))
		require.True(t, ok)
		require.Equal(t, []string{ref.Purpose}, value.Names())
		require.EqualValues(t, ref.ID, reference.Uint(value.Slots[0].Sealed[1:5]))
		for name, keys := range vaulttest.Records {
			for _, k := range keys.Collect {
				if !bytes.Equal(k.Public(), ref.Public) {
					continue
				}
				own := reference.Record{Collect: []reference.Key{{ID: ref.ID, Key: k.Key, XWing: k.XWing}}}
				plaintext, class := value.Open(reference.Asked{Kind: "email", Purpose: ref.Purpose, Keys: own})
				require.Equal(t, "success", class, name)
				require.Equal(t, vaulttest.Address, plaintext)
			}
		}
	})
}

// fuzzRecords are records of the subject of the vectors: of security the key
// that the vectors are sealed with, of advertising a tombstone, of billing none.
var fuzzRecords = func() map[string][]byte {
	_, record := vecSubjectKey("security", vecSubject)
	records := map[string][]byte{}
	for name, payload := range map[string][]byte{
		"security": record.Bytes(), "advertising": vecTombstone("advertising", vecSubject).Bytes(),
	} {
		place := reference.SubjectName(name, reference.Pseudonym(name, vaulttest.Keys[name], vecSubject))
		records[place] = maker("fuzz").subjectRecord(name, vecSubject, payload)
	}
	return records
}()

// revealers are scopes of the purposes that the vectors have keys for.
func revealers(f *testing.F) map[string]*vault.Scope {
	v := vaulttest.OpenKept(f, vaulttest.StoreOfRecords(f, vaulttest.Records, fuzzRecords), vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey}))
	scopes := map[string]*vault.Scope{}
	for name := range vaulttest.Keys {
		scopes[name] = vaulttest.ScopeNamed(f, v, name)
	}
	return scopes
}

// checkReveal checks that both implementations open a value for the same
// purposes, to the same plaintext, and refuse it for the same reasons.
func checkReveal(t *testing.T, scopes map[string]*vault.Scope, sealed vault.Sealed, ref reference.Value) {
	now := uint64(time.Now().Unix())
	for _, kind := range []string{"email", "phone"} {
		for name, scope := range scopes {
			for _, subject := range []string{"", vecSubject} {
				asked := scope
				if subject != "" {
					asked = scope.For(subject)
				}
				want, class := ref.Open(reference.Asked{Kind: kind, Purpose: name, Keys: vaulttest.Records[name], Subject: subject, Store: fuzzRecords, Now: now})
				got, err := asked.Reveal(t.Context(), vaulttest.KindNamed(kind), sealed)
				if got != want || vaulttest.Class(err) != class {
					t.Fatalf("as %s for %s %s: want %s, got %v", kind, name, subject, class, err)
				}
			}
		}
	}
}

// A key record opens as it was made or not at all.
func FuzzKeyRecord(f *testing.F) {
	addVectors(f, "key record")
	kek := vaulttest.KEK{Key: vaulttest.KEKKey}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > vault.MaxRecord {
			return
		}
		before := slices.Clone(data)
		_, err := vaulttest.OpenRecordIn(t, kek, "security", vaulttest.VaultID, data)
		if err != nil && vaulttest.Class(err) != "corrupt" {
			t.Fatal(err)
		}
		if err == nil {
			keys, err := reference.Unwrap(kek, "security", data[4:20], data)
			require.NoError(t, err)
			require.Equal(t, vecSecurity, keys.Keys)
		}
		if !bytes.Equal(before, data) {
			t.Fatal("changed its input")
		}
	})
}

// What is in a key record is authentic, so its parser meets other bytes only
// from somebody who holds the KEK. It takes those without a panic too.
func FuzzKeyRecordPayload(f *testing.F) {
	for _, v := range allVectors() {
		if v.get("form") != "key record" {
			continue
		}
		data := reference.Hex(string(bytes.TrimSuffix(v.value, []byte("\n"))))
		r := &reference.Reader{B: data, Ok: true}
		r.Next(4 + 16 + 1)
		size := r.Next(2)
		wrapped := r.Next(int(size[0])<<8 | int(size[1]))
		nonce := r.Next(12)
		dek, err := vaulttest.KEK{Key: vaulttest.KEKKey}.Decrypt(wrapped, reference.KEKAAD("security", vaulttest.VaultID))
		if !r.Ok || err != nil {
			continue
		}
		if plain, err := reference.GCM(dek).Open(nil, nonce, r.B, reference.RecordAAD("security", vaulttest.VaultID, "", wrapped)); err == nil {
			f.Add(plain)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) > vault.MaxRecord/2 {
			return
		}
		kek := vaulttest.KEK{Key: vaulttest.KEKKey}
		record := reference.Wrap(kek, "security", vaulttest.VaultID, payload, reference.Random(32), reference.Random(12))
		scope, err := vaulttest.OpenRecord(t, kek, "security", record)
		if err != nil {
			if vaulttest.Class(err) != "corrupt" {
				t.Fatal(err)
			}
			return
		}
		// Whatever was accepted must work, once the purpose is not suspended any more.
		v := vaulttest.OpenKept(t, vaulttest.StoreOfData(t, "security/keys", record), vault.SharedKEK(kek))
		suspended, err := v.Suspensions(t.Context(), scope.Purpose())
		require.NoError(t, err)
		if len(suspended) > 0 && suspended[0].Notice == "" {
			require.NoError(t, v.Resume(t.Context(), scope.Purpose(), ""))
			scope = vaulttest.ScopeNamed(t, v, "security")
		}
		sealed, err := vault.Seal(t.Context(), vaulttest.Email, vaulttest.Address, scope)
		require.NoError(t, err)
		text, err := sealed.MarshalText()
		require.NoError(t, err)
		again, err := vault.ParseSealed(string(text))
		require.NoError(t, err)
		plaintext, err := scope.Reveal(t.Context(), vaulttest.Email, again)
		require.NoError(t, err)
		require.Equal(t, vaulttest.Address, plaintext)
		_, err = scope.Index(t.Context(), vaulttest.Email, vaulttest.Address)
		require.NoError(t, err)
		_, err = vault.Seal(t.Context(), vaulttest.Email, vaulttest.Address, scope.For(vecSubject))
		require.NoError(t, err)
		// So must its collector, if it has one: what can't be opened is not collected.
		c, err := v.Collector(t.Context(), purpose.MustParse("security"))
		if vaulttest.Class(err) == "no keys" {
			return
		}
		require.NoError(t, err)
		sealed, err = vault.Seal(t.Context(), vaulttest.Email, vaulttest.Address, c)
		require.NoError(t, err)
		plaintext, err = scope.Reveal(t.Context(), vaulttest.Email, sealed)
		require.NoError(t, err)
		require.Equal(t, vaulttest.Address, plaintext)
	})
}

// fuzzStore opens security's keys beside one other record.
func fuzzStore(t *testing.T, name string, data []byte) (*vault.Admin, vault.Store) {
	store := vaulttest.StoreOfData(t, "security/keys", fuzzKeyRecord)
	_, err := store.Put(t.Context(), vault.Record{Name: name, Data: data})
	require.NoError(t, err)
	return vaulttest.OpenKept(t, store, vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey})), store
}

var fuzzKeyRecord = reference.Wrap(vaulttest.KEK{Key: vaulttest.KEKKey}, "security", vaulttest.VaultID,
	encodePayload(reference.Payload("security", vaulttest.Keys["security"])), reference.Random(32), reference.Random(12))

// Both implementations read the same subject records, and whatever is done
// with one that is refused leaves it as it was.
func FuzzSubjectRecord(f *testing.F) {
	addVectors(f, "subject record")
	f.Fuzz(checkFuzzedSubject)
}

// What is in a subject record is authentic, so its parser meets other bytes
// only from somebody who holds the purpose's keys. It takes those too.
func FuzzSubjectRecordPayload(f *testing.F) {
	_, record := vecSubjectKey("security", vecSubject)
	f.Add(record.Bytes())
	f.Add(vecTombstone("security", vecSubject).Bytes())
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) > 4096 {
			return
		}
		checkFuzzedSubject(t, maker("fuzz").subjectRecord("security", vecSubject, payload))
	})
}

func checkFuzzedSubject(t *testing.T, data []byte) {
	if len(data) == 0 || len(data) > vault.MaxRecord {
		return
	}
	ctx := t.Context()
	name := reference.SubjectName("security", reference.Pseudonym("security", vecSecurity, vecSubject))
	record, ok := reference.OpenSubject(vecSecurity, "security", vecSubject, data)
	want := "corrupt"
	if ok {
		want = map[byte]string{1: "success", 2: "erased"}[record.State]
	}
	v, store := fuzzStore(t, name, data)
	s := vaulttest.ScopeNamed(t, v, "security").For(vecSubject)
	sealed, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, s)
	if vaulttest.Class(err) != want {
		t.Fatalf("want %s, got %v", want, err)
	}
	if want == "success" {
		text, err := sealed.MarshalText()
		require.NoError(t, err)
		value, _ := reference.Parse(string(text))
		plaintext, class := value.Open(reference.Asked{Kind: "email", Purpose: "security", Keys: reference.Record{Keys: vecSecurity},
			Subject: vecSubject, Store: map[string][]byte{name: data}})
		require.Equal(t, "success", class)
		require.Equal(t, vaulttest.Address, plaintext)
	}
	_, err = v.Erase(ctx, vecSubject, purpose.MustParse("security"))
	if err != nil { // whatever the record was
		t.Fatal(err)
	}
	if _, err := vault.Seal(ctx, vaulttest.Email, vaulttest.Address, s); err == nil {
		t.Fatal("sealed after erasure")
	}
	after := vaulttest.Content(t, store)[name]
	if buried, readable := reference.OpenSubject(vecSecurity, "security", vecSubject, after); !readable || buried.State != 2 || buried.ID != record.ID {
		t.Fatal("no tombstone")
	}
	if ok && record.State == 2 && !bytes.Equal(data, after) {
		t.Fatal("changed")
	}
}

// Both implementations read the same counts of erasures.
func FuzzErasures(f *testing.F) {
	addVectors(f, "erasures")
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > vault.MaxRecord {
			return
		}
		want, ok := reference.ReadErasures(vecSecurity, "security", data)
		v, _ := fuzzStore(t, "security/erasures", data)
		pin, err := v.Pin(t.Context(), purpose.MustParse("security"))
		if ok != (err == nil) || err != nil && vaulttest.Class(err) != "corrupt" {
			t.Fatalf("want %v, got %v", ok, err)
		}
		if ok {
			require.Equal(t, reference.Pin{
				Purpose: "security", Vault: vaulttest.VaultID, Generation: 1, Digest: reference.RecordDigest(fuzzKeyRecord), Erasure: want,
			}.Text(), pin.String())
		}
	})
}
