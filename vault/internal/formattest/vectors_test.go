package formattest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/format"
	"github.com/onlyfor/onlyfor/vault/internal/reference"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// The vectors are files, for implementations in any language; the README beside
// them says how to read them. What writes them is here, on top of the
// independent implementation. To write them again after an addition:
//
//	go test ./vault/internal/formattest -run TestVectors -update-vectors

var updateVectors = flag.Bool("update-vectors", false, "write vault/testdata/vectors")

const vecDir = "../../testdata/vectors"

const (
	vecPast = 1577934245 // 2020-01-02T03:04:05Z
	vecMax  = reference.Latest

	// vecRetention is the longest that a value may be retained for, in seconds: the
	// longest period of a basis, and the rest of its last day.
	vecRetention = (100*365 + 1) * 24 * 3600
)

func vecProvenance(h reference.Header) purpose.Provenance {
	p := purpose.Provenance{
		Collected: time.Unix(int64(h.Collected), 0).UTC(),
		Legal:     purpose.Legal(h.Legal),
		Notice:    h.Notice,
		Consent:   h.Consent,
		Stated:    h.Stated,
	}
	if h.Expires != 0 {
		p.Expires = time.Unix(int64(h.Expires), 0).UTC()
	}
	if h.From != "" {
		p.From = purpose.MustParse(h.From)
	}
	return p
}

// vector is one file: keys in order, then the value.
type vector struct {
	name   string
	fields [][2]string
	value  []byte
}

func (v *vector) add(key, text string) { v.fields = append(v.fields, [2]string{key, text}) }

// get returns the first field of that name.
func (v *vector) get(key string) string {
	for _, f := range v.fields {
		if f[0] == key {
			return f[1]
		}
	}
	return ""
}

func (v *vector) keys(field string) []reference.Key {
	var keys []reference.Key
	for _, f := range v.fields {
		if f[0] == field {
			id, key, _ := strings.Cut(f[1], " ")
			keys = append(keys, reference.Key{ID: uint32(reference.Uint(reference.Hex(id))), Key: reference.Hex(key)})
		}
	}
	return keys
}

// collectKeys returns the key pairs of collectors, in the order of their fields.
func (v *vector) collectKeys() []reference.Key {
	xwing := v.keys(kemXWing.field)
	for i := range xwing {
		xwing[i].XWing = true
	}
	if len(v.fields) > 0 && v.first(kemXWing.field, kemX25519.field) == kemXWing.field {
		return slices.Concat(xwing, v.keys(kemX25519.field))
	}
	return slices.Concat(v.keys(kemX25519.field), xwing)
}

// first returns the name that the first field with one of the names has.
func (v *vector) first(names ...string) string {
	for _, f := range v.fields {
		if slices.Contains(names, f[0]) {
			return f[0]
		}
	}
	return ""
}

func (v *vector) addKeys(field string, keys ...reference.Key) {
	for _, k := range keys {
		v.add(field, fmt.Sprintf("%08x %x", k.ID, k.Key))
	}
}

func (v *vector) file() []byte {
	var b bytes.Buffer
	for _, f := range v.fields {
		fmt.Fprintf(&b, "%s: %s\n", f[0], f[1])
	}
	b.WriteByte('\n')
	b.Write(v.value)
	return b.Bytes()
}

func readVector(t testing.TB, path string) *vector {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	head, value, ok := bytes.Cut(data, []byte("\n\n"))
	require.True(t, ok, "no empty line")
	v := &vector{name: strings.TrimSuffix(filepath.Base(path), ".txt"), value: value}
	for line := range strings.SplitSeq(string(head), "\n") {
		key, text, ok := strings.Cut(line, ": ")
		require.True(t, ok, "not a field: %s", line)
		v.add(key, text)
	}
	return v
}

// Checking.

func TestVectors(t *testing.T) {
	want := map[string]*vector{}
	for _, v := range allVectors() {
		require.Nil(t, want[v.name], "two vectors of one name: %s", v.name)
		want[v.name] = v
	}
	if *updateVectors {
		old, err := filepath.Glob(filepath.Join(vecDir, "*.txt"))
		require.NoError(t, err)
		for _, path := range old {
			require.NoError(t, os.Remove(path))
		}
		for name, v := range want {
			require.NoError(t, os.WriteFile(filepath.Join(vecDir, name+".txt"), v.file(), 0o644))
		}
	}
	paths, err := filepath.Glob(filepath.Join(vecDir, "*.txt"))
	require.NoError(t, err)
	require.Len(t, paths, len(want), "run with -update-vectors")
	scopes := vecScopes{}
	for _, path := range paths {
		v := readVector(t, path)
		t.Run(v.name, func(t *testing.T) {
			require.Contains(t, want, v.name, "nothing writes this file")
			require.Equal(t, string(want[v.name].file()), string(v.file()), "run with -update-vectors")
			switch form := v.get("form"); form {
			case "text", "binary":
				checkSealed(t, v, scopes)
			case "index":
				checkIndex(t, v, scopes)
			case "key record":
				checkKeyRecord(t, v)
			case "subject record":
				checkSubjectRecord(t, v)
			case "erasures":
				checkErasures(t, v)
			case "seals":
				checkSeals(t, v)
			case "collector":
				checkCollectorText(t, v, scopes)
			default:
				t.Fatal("unknown form", form)
			}
		})
	}
}

// vecScopes caches scopes by purpose, keys and records.
type vecScopes map[string]*vault.Scope

func (c vecScopes) of(t *testing.T, v *vector) *vault.Scope {
	t.Helper()
	asked := v.asked()
	cached := fmt.Sprint(asked.Purpose, asked.Keys, asked.Store)
	if c[cached] == nil {
		store := vaulttest.StoreOfRecords(t, map[string]reference.Record{asked.Purpose: asked.Keys}, asked.Store)
		c[cached] = vaulttest.ScopeNamed(t, vaulttest.OpenKept(t, store, vault.SharedKEK(vaulttest.KEK{Key: vaulttest.KEKKey})), asked.Purpose)
	}
	if asked.Subject != "" {
		return c[cached].For(asked.Subject)
	}
	return c[cached]
}

// asked returns what the independent implementation needs to open the value.
// Keys that the vector does not need are those of security.
func (v *vector) asked() reference.Asked {
	asked := reference.Asked{
		Kind: v.get("kind"), Purpose: v.get("purpose"), Subject: string(reference.Hex(v.get("subject"))),
		Keys: reference.Record{
			Keys:    reference.Keys{Vault: vaulttest.VaultID, Seal: v.keys("key"), Index: v.keys("index key"), Subject: v.keys("subject key")},
			Collect: v.collectKeys(),
		},
		Store: map[string][]byte{},
		Now:   uint64(time.Now().Unix()),
	}
	for _, set := range []struct{ to, or *[]reference.Key }{
		{&asked.Keys.Seal, &vecSecurity.Seal}, {&asked.Keys.Index, &vecSecurity.Index}, {&asked.Keys.Subject, &vecSecurity.Subject},
	} {
		if *set.to == nil {
			*set.to = *set.or
		}
	}
	for _, f := range v.fields {
		if f[0] == "record" {
			name, data, _ := strings.Cut(f[1], " ")
			asked.Store[name] = reference.Hex(data)
		}
	}
	return asked
}

var vecSecurity = vaulttest.Keys["security"]

func checkSealed(t *testing.T, v *vector, scopes vecScopes) {
	var sealed vault.Sealed
	var err error
	var ref reference.Value
	var refOK bool
	before, _ := vault.ParseSealed(vecSample().Text())
	into := before
	if v.get("form") == "text" {
		sealed, err = vault.ParseSealed(string(v.value))
		require.Equal(t, err, into.UnmarshalText(v.value))
		ref, refOK = reference.Parse(string(v.value))
	} else {
		data := reference.Hex(string(bytes.TrimSuffix(v.value, []byte("\n"))))
		err = sealed.UnmarshalBinary(data)
		require.Equal(t, err, into.UnmarshalBinary(data))
		ref, refOK = reference.ParseBinary(data)
	}

	wellFormed := v.get("well-formed") == "yes"
	require.Equal(t, wellFormed, refOK, "independent parser")
	if !wellFormed {
		require.Equal(t, vault.ErrCorrupt, err)
		require.True(t, sealed.IsZero())
		require.Equal(t, before, into, "left as it was")
		require.Equal(t, "corrupt", v.get("expect"))
		return
	}
	require.NoError(t, err)
	require.Equal(t, sealed, into)
	checkForms(t, sealed, ref)

	plaintext, err := scopes.of(t, v).Reveal(t.Context(), vaulttest.KindNamed(v.get("kind")), sealed)
	require.Equal(t, v.get("expect"), vaulttest.Class(err))
	require.Equal(t, v.get("plaintext"), hex.EncodeToString([]byte(plaintext)))

	got, class := ref.Open(v.asked())
	require.Equal(t, v.get("expect"), class, "independent implementation")
	require.Equal(t, plaintext, got)

	if p, ok := sealed.Provenance(purpose.MustParse(v.get("purpose"))); ok && v.get("collected") != "" {
		require.Equal(t, v.fields[len(v.fields)-len(provenanceFields(p)):], provenanceFields(p))
	}
}

// checkForms checks that there is one way to write v, in both forms.
func checkForms(t testing.TB, v vault.Sealed, ref reference.Value) {
	t.Helper()
	text, err := v.MarshalText()
	require.NoError(t, err)
	require.Equal(t, ref.Text(), string(text))
	data, err := v.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, ref.Binary(), data)
	var again vault.Sealed
	require.NoError(t, again.UnmarshalBinary(data))
	require.Equal(t, v, again)
	require.NoError(t, again.UnmarshalText(text))
	require.Equal(t, v, again)
	require.Equal(t, ref.Kind, v.Kind())
	require.Equal(t, strings.Join(ref.Names(), "+"), v.Purposes().String())
	for _, slot := range ref.Slots {
		h, _, ok := reference.CutHeader(slot.Header)
		require.True(t, ok)
		p, ok := v.Provenance(purpose.MustParse(slot.Purpose))
		require.True(t, ok)
		require.Equal(t, vecProvenance(h), p)
	}
}

func checkIndex(t *testing.T, v *vector, scopes vecScopes) {
	kind := vaulttest.KindNamed(v.get("kind"))
	index, err := scopes.of(t, v).Index(t.Context(), kind, string(v.value))
	require.NoError(t, err)
	require.Equal(t, v.get("index"), hex.EncodeToString(index[:]))
	require.Equal(t, v.get("index"), hex.EncodeToString(
		reference.Index(v.keys("index key")[0].Key, v.get("kind"), v.get("purpose"), string(v.value))), "independent implementation")
}

func checkKeyRecord(t *testing.T, v *vector) {
	data := reference.Hex(string(bytes.TrimSuffix(v.value, []byte("\n"))))
	kek := vaulttest.KEK{Key: v.keys("kek")[0]}
	name := v.get("purpose")
	s, err := vaulttest.OpenRecordIn(t, kek, name, vaulttest.VaultID, data)
	require.Equal(t, v.get("expect"), vaulttest.Class(err))
	keys, refErr := reference.Unwrap(kek, name, reference.Hex(v.get("vault")), data)
	require.Equal(t, err == nil, refErr == nil, "independent implementation")
	if err != nil {
		return
	}
	sealed, err := vault.ParseSealed(v.get("opens"))
	require.NoError(t, err)
	plaintext, err := s.Reveal(t.Context(), vaulttest.Email, sealed)
	if notice := v.get("suspended"); notice != "" {
		var refusal *vault.SuspendedError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, notice, cmp.Or(refusal.Notice, "-"))
	} else {
		require.NoError(t, err)
		require.Equal(t, v.get("plaintext"), hex.EncodeToString([]byte(plaintext)))
	}

	pseudonym, err := s.Pseudonym(t.Context(), string(reference.Hex(v.get("subject"))))
	require.NoError(t, err)
	require.Equal(t, v.get("pseudonym"), pseudonym)

	require.Equal(t, vaulttest.Keys[name], keys.Keys)
	checkPrimary(t, s, keys)
	checkCollectRecord(t, v, s, keys)
}

// checkPrimary checks that new values and indexes are under the keys that are primary now.
func checkPrimary(t *testing.T, s *vault.Scope, keys reference.Record) {
	t.Helper()
	sealed, err := vault.Seal(t.Context(), vaulttest.Email, vaulttest.Address, s)
	require.NoError(t, err)
	value, ok := reference.Parse(string(vaulttest.MustText(t, sealed)))
	require.True(t, ok)
	require.EqualValues(t, keys.Seal[0].ID, reference.Uint(value.Slots[0].Sealed[1:5]))
	index, err := s.Index(t.Context(), vaulttest.Email, vaulttest.Address)
	require.NoError(t, err)
	require.Equal(t, reference.Index(keys.Index[0].Key, "email", s.Purpose().String(), vaulttest.Address), index[:])
}

// FORMAT.md opens with a real value, and takes it apart to the last byte.
func TestFormatSample(t *testing.T) {
	doc, err := os.ReadFile("../../FORMAT.md")
	require.NoError(t, err)
	blocks := strings.Split(string(doc), "\n```\n")
	require.Greater(t, len(blocks), 5)
	sample := vecSample()
	require.Equal(t, sample.Text(), blocks[1])
	require.Equal(t, hex.EncodeToString(sample.Body()), dissected(blocks[3]))
	require.Equal(t, hex.EncodeToString(
		reference.AAD(sample.Kind, "security", sample.ID, sample.Slots[0].Header, "")), dissected(blocks[5]))
	require.Contains(t, string(doc), fmt.Sprintf("| text form | | 65,536 bytes accepted, %s used |", thousands(len(vecLongest().Text()))))
	require.Contains(t, string(doc), fmt.Sprintf("| binary form | | 65,536 bytes accepted, %s used |", thousands(len(vecLongest().Binary()))))
	require.Equal(t, 65536, format.MaxText)
	collector := reference.CollectorOf("security", vaulttest.Collect["security"][0]).Text()
	require.Contains(t, string(doc), "\n```\n"+collector+"\n```\n")
	for _, k := range kems {
		of := func(name string) string {
			return number(len(reference.CollectorOf(name, k.keys["security"][0]).Text()))
		}
		require.Contains(t, string(doc), fmt.Sprintf("| text of a collector, %s | %s | %s bytes |", k.name, of("p"), of("p"+strings.Repeat("-", 62))))
		require.Contains(t, string(doc), fmt.Sprintf("| wrapped slot key, %s | %s | %s bytes |", k.name, number(k.wrapped()), number(k.wrapped())))
		require.Equal(t, k.wrapped(), format.WrappedKeySize(k.typ()))
		v := maker("sizes").collectedBy(k, "email", reference.Header{Collected: reference.Time}, "security")
		require.Contains(t, string(doc), fmt.Sprintf("| sealed by a collector of %s (type %d) | %s bytes | %s bytes |", k.name, k.typ(), number(len(v.Text())), number(len(v.Binary()))))
	}
}

// number writes n with a comma between thousands.
func number(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return thousands(n)
}

// Values that were sealed before subjects, extension and collectors had their
// rules, as they were then: what writes the vectors may not change them.
func TestFirstValuesStillOpen(t *testing.T) {
	v := vaulttest.VaultOfKeys(t, vaulttest.Keys)
	for _, c := range []struct{ kind, purpose, plaintext, text string }{
		{"email", "security", vaulttest.Address, "pii1.email.security.ZtCKYQB4Nom9OvgthAEyIgEDAGlXNaUCCXNpZ251cC12NwBBAV7AAALLihjvksmgWwZb5_ncuifFZtDEIBn9RF2OOk5ru7aVVps-afpIKchsXamJBUqFfodZawIlVpe4niErtbU"},
		{"email", "security", vaulttest.Address, "pii1.email.security.Emz45_XzzE2IHAlvAnY2xwEAAGlXNaUAQQFewAACfZnEpyW5aFbIDEILS033_8Gxov4JQeomF0ws6EwlwjFnB5awzSIWBc_bL4Logfu1qgFbZDBulMUMf_Qt"},
		{"email", "security", vaulttest.Address, "pii1.email.security.VUA_F8qZ9RO2nHVBhkZx0gEBAGlXNaUCAEEBXsAAAQfqmMWVMozrhoCUAwbobC9AzMKrOoDBq4gigIzZn65ZMO2ijsLU1NfwLubdu0zvXhJQsOUKV10nRtBpmg"},
		{"phone", "advertising", "+12025550123", "pii1.phone.advertising~security.iuG6bqxUnbmxItwLzHz6zwEBAGlXNaUCAEEBrQAAAZBOV5ca0NRNIDVqfc_YXmB9mgfRTDxMD8NPy_0OJdrJJ2ZP5zI6m390mIYo51InhBPfaEOm00ecMEp7wQEBAGlXNaUCAEEBXsAAAjeX8-FH2cylccN31LjKoKWXgP1lVc_0y5V-RiWBUzuw_T8_I6GRWFgfZk6-7IRaHJDyH4Smykml4R-luA"},
		{"email", "advertising", vaulttest.Address, "pii1.email.advertising.T1PI557-QtPzCG6i9v9JlAEfAGlXNaUBDGFkcy1vcHRpbi12MhFjb25zZW50LTIwMjYtODFmMwEjjHKlCHNlY3VyaXR5AEEBrQAAAfSrGEdHO2rukabFaTU3a_BqB8YGWY3gJ8Wu1xS3RlG5LlmnU3vn-ZMPEIfS44KtXTgPgD2oyqKMw8Yx7Q"},
	} {
		sealed, err := vault.ParseSealed(c.text)
		require.NoError(t, err)
		got, err := vaulttest.ScopeNamed(t, v, c.purpose).Reveal(t.Context(), vaulttest.KindNamed(c.kind), sealed)
		require.NoError(t, err)
		require.Equal(t, c.plaintext, got)
	}
}

// dissected returns the bytes in a block of lines, each of them bytes in
// hexadecimal, two blanks and what they are.
func dissected(block string) string {
	var bytes string
	for line := range strings.SplitSeq(block, "\n") {
		hexes, _, _ := strings.Cut(line, "  ")
		bytes += strings.ReplaceAll(hexes, " ", "")
	}
	return bytes
}

func thousands(n int) string { return fmt.Sprintf("%d,%03d", n/1000, n%1000) }

// Writing.

func vecSample() reference.Value {
	m := maker("sample")
	return m.value("email", "alice@example.com",
		reference.Header{Typ: 1, Collected: reference.Time, Legal: 2, Notice: "signup-v7"}, "security")
}

// maker makes what is in one vector. Its name stands for all randomness.
type maker string

func (m maker) bytes(label string, n int) []byte { return vaulttest.Bytes(string(m)+" "+label, n) }

// value seals plaintext for each purpose under its primary key.
func (m maker) value(kind, plaintext string, h reference.Header, names ...string) reference.Value {
	v := reference.Value{Kind: kind, ID: m.bytes("value id", 16)}
	for _, name := range names {
		v.Slots = append(v.Slots, m.slot(v, name, h, plaintext))
	}
	return v
}

func (m maker) slot(v reference.Value, name string, h reference.Header, plaintext string) reference.Slot {
	return reference.SlotOf(v.Kind, name, v.ID, h, m.key(name), m.bytes("nonce "+name, 12), plaintext)
}

func (m maker) key(name string) reference.Key {
	if keys, ok := vaulttest.Keys[name]; ok {
		return keys.Seal[0]
	}
	return vaulttest.Key("seal "+name, uint32(reference.Uint(m.bytes("key id "+name, 4))))
}

// email is the plain case that most faults are put into.
func (m maker) email() reference.Value {
	return m.value("email", vaulttest.Address, vaulttest.PlainHeader, "security")
}

func (m maker) both() reference.Value {
	return m.value("email", vaulttest.Address, vaulttest.PlainHeader, "advertising", "security")
}

// header is email with the given slot header, sealed properly.
func (m maker) header(header ...[]byte) string {
	v := m.email()
	joined := bytes.Join(header, nil)
	v.Slots[0] = reference.Slot{Purpose: "security", Header: joined, Sealed: reference.Seal(m.key("security"), m.bytes("nonce", 12),
		reference.Pad(vaulttest.Address), reference.AAD(v.Kind, "security", v.ID, joined, ""))}
	return v.Text()
}

// padded is email with the given padded plaintext, sealed properly.
func (m maker) padded(padded string) string {
	v := m.email()
	v.Slots[0].Sealed = reference.Seal(m.key("security"), m.bytes("nonce", 12), []byte(padded),
		reference.AAD(v.Kind, "security", v.ID, v.Slots[0].Header, ""))
	return v.Text()
}

// sealedPart is email with the given bytes for its sealed part.
func (m maker) sealedPart(change func(sealed []byte) []byte) string {
	v := m.email()
	v.Slots[0].Sealed = change(v.Slots[0].Sealed)
	return v.Text()
}

func provenanceFields(p purpose.Provenance) [][2]string {
	fields := [][2]string{{"collected", fmt.Sprint(p.Collected.Unix())}}
	add := func(key, text string) {
		if text != "" {
			fields = append(fields, [2]string{key, text})
		}
	}
	if p.Legal != purpose.Unstated {
		add("legal", fmt.Sprint(int(p.Legal)))
	}
	add("notice", p.Notice)
	add("consent", p.Consent)
	if !p.Expires.IsZero() {
		add("expires", fmt.Sprint(p.Expires.Unix()))
	}
	add("from", p.From.String())
	if p.Stated {
		add("stated", "yes")
	}
	return fields
}

// vecList collects vectors.
type vecList []*vector

// sealed adds a vector of a sealed value in text form.
func (l *vecList) sealed(name, expect, wellFormed, kind, asked, comment string, value string) *vector {
	v := &vector{name: name, value: []byte(value)}
	v.add("expect", expect)
	v.add("form", "text")
	v.add("well-formed", wellFormed)
	v.add("kind", kind)
	v.add("purpose", asked)
	v.addKeys("key", vaulttest.Keys[asked].Seal...)
	v.add("comment", comment)
	*l = append(*l, v)
	return v
}

// opens adds a value that opens for the purpose asked.
func (l *vecList) opens(name, asked, comment, plaintext string, value reference.Value) *vector {
	v := l.sealed(name, "success", "yes", value.Kind, asked, comment, value.Text())
	v.add("plaintext", hex.EncodeToString([]byte(plaintext)))
	for _, s := range value.Slots {
		if s.Purpose == asked {
			h, _, _ := reference.CutHeader(s.Header)
			v.fields = append(v.fields, provenanceFields(vecProvenance(h))...)
		}
	}
	return v
}

// forged adds a value that parses and must not open for security.
func (l *vecList) forged(name, comment string, make func(m maker) string) {
	l.sealed(name, "corrupt", "yes", "email", "security", comment, make(maker(name)))
}

// malformed adds a text that must not parse.
func (l *vecList) malformed(name, comment string, make func(m maker) string) {
	l.sealed(name, "corrupt", "no", "email", "security", comment, make(maker(name)))
}

// binary turns the vector that was added last into one of the binary form.
func (v *vector) binary(data []byte) {
	for i := range v.fields {
		if v.fields[i][0] == "form" {
			v.fields[i][1] = "binary"
		}
	}
	v.value = []byte(hex.EncodeToString(data) + "\n")
}

func (l *vecList) malformedBinary(name, comment string, make func(m maker) []byte) {
	l.sealed(name, "corrupt", "no", "email", "security", comment, "").binary(make(maker(name)))
}

func allVectors() []*vector {
	var l vecList
	l.positive()
	l.textFaults()
	l.nameFaults()
	l.base64Faults()
	l.bodyFaults()
	l.headerFaults()
	l.sealedPartFaults()
	l.forgeries()
	l.paddingFaults()
	l.binaryForms()
	l.indexes()
	l.keyRecords()
	l.subjects()
	l.subjectFaults()
	l.subjectRecords()
	l.erasures()
	l.seals()
	for _, k := range kems {
		l.collected(k)
		l.collectedFaults(k)
		l.collectedRecords(k)
		l.collectorTexts(k)
	}
	l.collectedByBoth()
	l.unknown()
	return l
}

func (l *vecList) positive() {
	l.opens("sample", "security", "the value that FORMAT.md takes apart", vaulttest.Address, vecSample())

	m := maker("email")
	bare := reference.Header{Typ: 1, Collected: reference.Time}
	l.opens("email", "security", "one purpose, nothing but the time of collection", vaulttest.Address,
		m.value("email", vaulttest.Address, bare, "security"))

	m = "phone_two_purposes"
	phone := m.value("phone", "+12025550123", vaulttest.PlainHeader, "advertising", "security")
	l.opens("phone_two_purposes", "security", "two slots, asked for the second", "+12025550123", phone)
	l.opens("phone_two_purposes_other", "advertising", "the same value, asked for the first", "+12025550123", phone)

	m = "kind_of_a_user"
	l.opens("kind_of_a_user", "security", "a kind that the library does not know", "DE 12 345 678",
		m.value("tax-id-2", "DE 12 345 678", bare, "security"))
	m = "kind_longest"
	l.opens("kind_longest", "security", "31 bytes of kind", "x", m.value("k"+strings.Repeat("9", 29)+"-", "x", bare, "security"))

	m = "provenance_all"
	l.opens("provenance_all", "advertising", "every optional field", vaulttest.Address,
		m.value("email", vaulttest.Address, vaulttest.FullHeader, "advertising"))
	for _, c := range []struct {
		name string
		h    reference.Header
	}{
		{"legal", reference.Header{Legal: 6}},
		{"notice", reference.Header{Notice: "a"}},
		{"notice_longest", reference.Header{Notice: "9._-" + strings.Repeat("Z", 60)}},
		{"consent", reference.Header{Consent: "c-1"}},
		{"expires", reference.Header{Expires: vaulttest.Never}},
		{"extended", reference.Header{Consent: "c-1", From: "billing"}},
		{"extended_longest", reference.Header{Consent: "c-1", From: "f" + strings.Repeat("-", 62)}},
		{"collected_latest", reference.Header{Collected: vecMax}},
		{"stated", reference.Header{Collected: vecPast, Stated: true}},
		{"stated_earliest", reference.Header{Collected: 1, Stated: true}},
		{"stated_with_retention", reference.Header{Collected: vecPast, Expires: vecPast + vecRetention, Stated: true}},
		{"expires_latest", reference.Header{Expires: reference.Time + vecRetention}},
	} {
		h := c.h
		h.Typ = 1
		if h.Collected == 0 {
			h.Collected = reference.Time
		}
		m = maker("provenance_" + c.name)
		l.opens(string(m), "security", "one optional field", vaulttest.Address, m.value("email", vaulttest.Address, h, "security"))
	}
	m = "provenance_time_latest"
	l.sealed(string(m), "unavailable", "yes", "email", "security",
		"collected after now, with a time of retention: the reader's clock was set back, and can't tell whether it is over",
		m.value("email", vaulttest.Address, reference.Header{Typ: 1, Collected: vecMax - 1, Expires: vecMax}, "security").Text())
	m = "provenance_expires_earliest"
	l.sealed(string(m), "expired", "yes", "email", "security", "collected a second after the epoch, by a clock that was set there",
		m.value("email", vaulttest.Address, reference.Header{Typ: 1, Collected: 1, Expires: 2}, "security").Text())
	m = "provenance_time_earliest"
	l.opens(string(m), "security", "collected at the epoch, as by a clock that was never set", vaulttest.Address,
		m.value("email", vaulttest.Address, reference.Header{Typ: 1}, "security"))

	for _, n := range []int{1, 31, 32, 63, 64, 1024} {
		m = maker(fmt.Sprintf("plaintext_%d", n))
		plaintext := strings.Repeat("0123456789abcdef", 64)[:n]
		l.opens(string(m), "security", fmt.Sprintf("%d bytes of plaintext, %d when padded", n, len(reference.Pad(plaintext))),
			plaintext, m.value("email", plaintext, bare, "security"))
	}
	m = "plaintext_like_padding"
	l.opens(string(m), "security", "plaintext that ends in 0x80 and NUL bytes", "a\x80\x00\x00",
		m.value("email", "a\x80\x00\x00", bare, "security"))
	m = "plaintext_not_utf8"
	l.opens(string(m), "security", "plaintext is bytes", "\xff\xfe\x00",
		m.value("email", "\xff\xfe\x00", bare, "security"))

	m = "key_rotated"
	rotated := m.email()
	rotated.Slots[0] = reference.SlotOf("email", "security", rotated.ID, vaulttest.PlainHeader,
		vaulttest.Keys["security"].Seal[1], m.bytes("nonce", 12), vaulttest.Address)
	l.opens(string(m), "security", "sealed under a key that is no longer primary", vaulttest.Address, rotated)

	m = "slot_dropped"
	dropped := m.both()
	dropped.Slots = dropped.Slots[1:]
	l.opens(string(m), "security", "the other slot was dropped with its name: no key is needed for that", vaulttest.Address, dropped)

	m = "slot_forged_beside"
	beside := m.both()
	beside.Slots[0].Sealed[20] ^= 1
	l.opens(string(m), "security", "another purpose's slot does not open: that is the other purpose's affair", vaulttest.Address, beside)

	m = "slot_of_subject_beside"
	beside = m.both()
	beside.Slots[0].Header[0] = 2
	beside.Slots[0].Sealed = beside.Slots[0].Sealed[5:]
	l.opens(string(m), "security", "beside a slot of type 2", vaulttest.Address, beside)

	m = "slot_of_collector_beside"
	beside = m.both()
	beside.Slots[0].Header[0] = 3
	beside.Slots[0].Sealed = m.collector(kemX25519, 32)
	l.opens(string(m), "security", "beside a slot of type 3", vaulttest.Address, beside)

	m = "slot_of_collector_xwing_beside"
	beside = m.both()
	beside.Slots[0].Header[0] = 4
	beside.Slots[0].Sealed = m.collector(kemXWing, 32)
	l.opens(string(m), "security", "beside a slot of type 4", vaulttest.Address, beside)

	l.opens("longest", "security", "sixteen slots with every field at its longest", strings.Repeat("x", 1024), vecLongest())
}

// vecLongest is the longest value there is: one slot that opens, and fifteen
// of type 4, which is the longest type although it has no former purpose.
func vecLongest() reference.Value {
	m := maker("longest")
	v := reference.Value{Kind: strings.Repeat("k", 31), ID: m.bytes("value id", 16)}
	plaintext := strings.Repeat("x", 1024)
	for i := range 16 {
		h := reference.Header{
			Typ: 4, Collected: reference.Time, Legal: 1, Expires: vaulttest.Never,
			Notice: strings.Repeat("n", 64), Consent: strings.Repeat("c", 64),
		}
		if i == 15 {
			h.Typ, h.From = 1, strings.Repeat("f", 63)
			v.Slots = append(v.Slots, m.slot(v, "security", h, plaintext))
			continue
		}
		sealed := append([]byte{1}, m.bytes(fmt.Sprint("sealed ", i), kemXWing.wrapped()-1+12+1056+16)...)
		v.Slots = append(v.Slots, reference.Slot{Purpose: strings.Repeat("p", 61) + fmt.Sprintf("%02d", i), Header: h.Bytes(), Sealed: sealed})
	}
	return v
}

func (l *vecList) textFaults() {
	replace := func(old, new string) func(maker) string {
		return func(m maker) string { return strings.Replace(m.email().Text(), old, new, 1) }
	}
	l.malformed("version_unknown", "pii2 is for another version of the format", replace("pii1", "pii2"))
	l.malformed("version_uppercase", "there is one spelling of the first field", replace("pii1", "PII1"))
	l.malformed("version_empty", "nothing before the first dot", replace("pii1", ""))
	l.malformed("version_missing", "begins with the kind", replace("pii1.", ""))
	l.malformed("not_sealed", "a plaintext address where a sealed value belongs", func(maker) string { return vaulttest.Address })
	l.malformed("space_before", "nothing is trimmed", replace("pii1", " pii1"))
	l.malformed("byte_order_mark", "nothing is trimmed", replace("pii1", "\ufeffpii1"))
	l.malformed("nul_before", "NUL is no character of the form", replace("pii1", "\x00pii1"))
	l.malformed("nul_after", "NUL ends strings in C, and no value here", func(m maker) string { return m.email().Text() + "\x00" })
	l.malformed("nul_in_kind", "NUL ends strings in C, and no kind here", replace("email", "ema\x00il"))
	l.malformed("nul_in_purpose", "NUL ends strings in C, and no name here", replace("security", "secu\x00rity"))
	l.malformed("field_missing", "no purposes", replace("security.", ""))
	l.malformed("field_extra", "a dot after the body", func(m maker) string { return m.email().Text() + "." })
	l.malformed("field_fifth", "a field after the body", func(m maker) string { return m.email().Text() + ".AAAA" })
	l.malformed("separator_slash", "dots separate fields", func(m maker) string { return strings.ReplaceAll(m.email().Text(), ".", "/") })
	l.malformed("percent_encoded", "the form needs no escaping in URLs and knows none", replace("pii1.", "pii1%2E"))
	l.malformed("over_long", "65,537 bytes, one more than a parser looks at", func(m maker) string {
		v := m.email()
		body := v.Body()
		missing := 65537 - len(reference.Text(v.Kind, "security", body))
		body = append(body, make([]byte, missing/4*3)...) // three bytes are four characters
		for len(reference.Text(v.Kind, "security", body)) < 65537 {
			body = append(body, 0)
		}
		return reference.Text(v.Kind, "security", body)
	})
	for _, c := range []struct{ name, keep, comment string }{
		{"magic", "pi", "cut off in the first field"},
		{"kind", "pii1.em", "cut off in the kind"},
		{"after_kind", "pii1.email.", "cut off after the kind"},
		{"purpose", "pii1.email.secu", "cut off in the purpose"},
		{"after_purpose", "pii1.email.security.", "cut off before the body"},
	} {
		l.malformed("truncated_in_"+c.name, c.comment, func(maker) string { return c.keep })
	}
	l.malformed("truncated_by_one", "the last character is missing", func(m maker) string {
		text := m.email().Text()
		return text[:len(text)-1]
	})
}

func (l *vecList) nameFaults() {
	kind := func(kind string) func(maker) string {
		return func(m maker) string {
			return m.value(kind, vaulttest.Address, vaulttest.PlainHeader, "security").Text()
		}
	}
	for _, c := range []struct{ name, kind, comment string }{
		{"empty", "", "a kind has a letter at least"},
		{"uppercase", "Email", "one spelling of a name"},
		{"digit_first", "2mail", "a name begins with a letter"},
		{"hyphen_first", "-email", "a name begins with a letter"},
		{"underscore", "e_mail", "not a character of a name"},
		{"over_long", strings.Repeat("k", 32), "32 bytes"},
		{"not_ascii", "émail", "names are ASCII"},
		{"lookalike", "еmail", "the first letter is Cyrillic"},
		{"space_after", "email ", "nothing is trimmed"},
	} {
		l.malformed("kind_"+c.name, c.comment, kind(c.kind))
	}

	names := func(names string) func(maker) string {
		return func(m maker) string { return m.value("email", vaulttest.Address, vaulttest.PlainHeader, names).Text() }
	}
	for _, c := range []struct{ name, purpose, comment string }{
		{"empty", "", "a purpose has a letter at least"},
		{"uppercase", "Security", "one spelling of a name"},
		{"digit_first", "2security", "a name begins with a letter"},
		{"underscore", "secu_rity", "not a character of a name"},
		{"over_long", strings.Repeat("p", 64), "64 bytes"},
		{"not_ascii", "sécurité", "names are ASCII"},
		{"lookalike", "ѕecurity", "the first letter is Cyrillic"},
		{"space_after", "security ", "nothing is trimmed"},
	} {
		l.malformed("purpose_"+c.name, c.comment, names(c.purpose))
	}

	list := func(names ...string) func(maker) string {
		return func(m maker) string {
			return m.value("email", vaulttest.Address, vaulttest.PlainHeader, names...).Text()
		}
	}
	l.malformed("purposes_reordered", "both slots are in the order of the names, which is not ascending", list("security", "advertising"))
	l.malformed("purposes_duplicate", "one purpose twice, each time with a slot that opens", list("security", "security"))
	l.malformed("purposes_plus", "the separator is ~", func(m maker) string {
		return strings.Replace(m.both().Text(), "~", "+", 1)
	})
	l.malformed("purposes_separator_first", "an empty name before the first", list("", "security"))
	l.malformed("purposes_separator_last", "an empty name after the last", list("security", ""))
	l.malformed("purposes_separator_twice", "an empty name between two", list("advertising", "", "security"))
	l.malformed("purposes_17", "one more than there may be", func(m maker) string {
		var names []string
		for i := range 16 {
			names = append(names, fmt.Sprintf("p%02d", i))
		}
		return m.value("email", vaulttest.Address, vaulttest.PlainHeader, append(names, "security")...).Text()
	})
	l.malformed("purpose_added", "a name without a slot", func(m maker) string {
		return reference.Text("email", "advertising~security", m.email().Body())
	})
	l.malformed("purpose_dropped", "a slot without a name", func(m maker) string {
		return reference.Text("email", "security", m.both().Body())
	})
}

func (l *vecList) base64Faults() {
	body := func(change func(text string) string) func(maker) string {
		return func(m maker) string {
			text := m.email().Text()
			at := strings.LastIndexByte(text, '.') + 1
			return text[:at] + change(text[at:])
		}
	}
	// At an offset where four characters end, which is where libraries that take
	// line breaks expect them.
	insert := func(s string) func(maker) string {
		return body(func(text string) string { return text[:76] + s + text[76:] })
	}
	l.malformed("base64_line_feed", "a line break in the body", insert("\n"))
	l.malformed("base64_carriage_return", "a carriage return in the body", insert("\r"))
	l.malformed("base64_crlf", "MIME's line break in the body", insert("\r\n"))
	l.malformed("base64_space", "a space in the body", insert(" "))
	l.malformed("base64_tab", "a tab in the body", insert("\t"))
	l.malformed("base64_nul", "a NUL byte in the body", insert("\x00"))
	l.malformed("base64_not_ascii", "a fullwidth letter in the body", insert("Ａ"))
	l.malformed("base64_line_feed_first", "a line break before the body", body(func(s string) string { return "\n" + s }))
	l.malformed("base64_line_feed_last", "a line break after the body, as from a text file", body(func(s string) string { return s + "\n" }))
	l.malformed("base64_carriage_return_last", "a carriage return after the body", body(func(s string) string { return s + "\r" }))
	l.malformed("base64_space_last", "a space after the body, as from a column of fixed width", body(func(s string) string { return s + " " }))
	l.malformed("base64_padded", "'=' at the end", body(func(s string) string { return s + "==" }))
	l.malformed("base64_half_padded", "one '=' where two would be standard", body(func(s string) string { return s + "=" }))
	l.malformed("base64_standard_alphabet", "'+' and '/' for '-' and '_'", func(m maker) string {
		for i := 0; ; i++ {
			v := maker(fmt.Sprint(m, i)).email()
			if text := base64.RawStdEncoding.EncodeToString(v.Body()); strings.Contains(text, "+") && strings.Contains(text, "/") {
				return "pii1.email.security." + text
			}
		}
	})
	l.malformed("base64_four_bits_left", "the bits that the last character has over are not zero", body(func(s string) string {
		return s[:len(s)-1] + string(s[len(s)-1]+1)
	}))
	l.malformed("base64_two_bits_left", "the bits that the last character has over are not zero", func(m maker) string {
		v := m.value("email", vaulttest.Address, reference.Header{Typ: 1, Collected: reference.Time, Notice: "a"}, "security")
		text := v.Text()
		return text[:len(text)-1] + string(text[len(text)-1]+1)
	})
	l.malformed("base64_one_over", "a last character that can't hold a byte", func(m maker) string {
		return m.value("email", vaulttest.Address, reference.Header{Typ: 1, Collected: reference.Time}, "security").Text() + "A"
	})
}

func (l *vecList) bodyFaults() {
	cut := func(n int) func(maker) string {
		return func(m maker) string { return reference.Text("email", "security", m.email().Body()[:n]) }
	}
	l.malformed("truncated_in_value_id", "15 bytes of body", cut(15))
	l.malformed("truncated_after_value_id", "no slot", cut(16))
	l.malformed("truncated_in_time", "the slot header ends in the time of collection", cut(16+4))
	l.malformed("truncated_before_legal", "the slot header ends before a field that its flags promise", cut(16+7))
	l.malformed("truncated_after_header", "no length of the sealed part", cut(16+8))
	l.malformed("truncated_in_length", "half a length of the sealed part", cut(16+9))
	l.malformed("truncated_in_nonce", "the sealed part ends in the nonce", cut(16+10+5+6))
	l.malformed("truncated_in_tag", "the last byte is missing", cut(16+10+64))
	l.malformed("trailing_byte", "a byte after the last slot", func(m maker) string {
		return reference.Text("email", "security", append(m.email().Body(), 0))
	})
	l.malformed("truncated_second_slot", "the second slot has no sealed part", func(m maker) string {
		v := m.both()
		v.Slots[1].Sealed = nil
		return v.Text()
	})
}

func (l *vecList) headerFaults() {
	at := reference.Uint40(reference.Time)
	head := func(typ, flags byte) []byte { return append([]byte{typ, flags}, at...) }
	for _, c := range []struct {
		name, comment string
		header        [][]byte
	}{
		{"type_zero", "no such slot type", [][]byte{head(0, 0)}},
		{"type_unknown", "no such slot type", [][]byte{head(4, 0)}},
		{"type_255", "no such slot type", [][]byte{head(255, 0)}},
		{"flag_unknown", "0x40 stands for nothing in this version", [][]byte{head(1, 0x40)}},
		{"flag_unknown_80", "0x80 stands for nothing in this version", [][]byte{head(1, 0x80)}},
		{"legal_zero", "no ground is stated by leaving the field out", [][]byte{head(1, 1), {0}}},
		{"legal_unknown", "there are six legal grounds", [][]byte{head(1, 1), {7}}},
		{"notice_empty", "no notice is stated by leaving the field out", [][]byte{head(1, 2), {0}}},
		{"notice_over_long", "65 bytes", [][]byte{head(1, 2), reference.String(strings.Repeat("n", 65))}},
		{"notice_with_space", "outside the grammar of references", [][]byte{head(1, 2), reference.String("a notice")}},
		{"notice_with_line_feed", "would forge lines of a log", [][]byte{head(1, 2), reference.String("notice\nv2")}},
		{"notice_with_nul", "outside the grammar of references", [][]byte{head(1, 2), reference.String("notice\x00")}},
		{"notice_hyphen_first", "begins with a letter or digit", [][]byte{head(1, 2), reference.String("-notice")}},
		{"notice_an_address", "a reference has no room for an address", [][]byte{head(1, 2), reference.String(vaulttest.Address)}},
		{"notice_a_number", "a reference has no room for a phone number", [][]byte{head(1, 2), reference.String("12025550123")}},
		{"notice_not_ascii", "outside the grammar of references", [][]byte{head(1, 2), reference.String("avis-donné")}},
		{"consent_empty", "no consent is stated by leaving the field out", [][]byte{head(1, 4), {0}}},
		{"consent_over_long", "65 bytes", [][]byte{head(1, 4), reference.String(strings.Repeat("c", 65))}},
		{"consent_bad_grammar", "outside the grammar of references", [][]byte{head(1, 4), reference.String("yes!")}},
		{"expires_at_collection", "a value that could never be used", [][]byte{head(1, 8), at}},
		{"expires_before_collection", "a value that could never be used", [][]byte{head(1, 8), reference.Uint40(reference.Time - 1)}},
		{"expires_zero", "no limit is stated by leaving the field out", [][]byte{head(1, 8), reference.Uint40(0)}},
		{"from_empty", "no former purpose is stated by leaving the field out", [][]byte{head(1, 20), reference.String("c-1"), {0}}},
		{"from_uppercase", "not the name of a purpose", [][]byte{head(1, 20), reference.String("c-1"), reference.String("Billing")}},
		{"from_over_long", "64 bytes", [][]byte{head(1, 20), reference.String("c-1"), reference.String(strings.Repeat("f", 64))}},
		{"from_length_beyond", "a length that reaches beyond the body", [][]byte{head(1, 20), reference.String("c-1"), {255}}},
		{"from_own_purpose", "extended from the purpose that it is for", [][]byte{head(1, 20), reference.String("c-1"), reference.String("security")}},
		{"field_without_flag", "a legal ground that no flag announces", [][]byte{head(1, 0), {2}}},
		{"flag_without_field", "a flag whose field is missing", [][]byte{head(1, 1)}},
		{"collected_after_9999", "a second after the last one of the year 9999", [][]byte{{1, 0}, reference.Uint40(vecMax + 1)}},
		{"collected_in_36812", "the last second that five bytes hold", [][]byte{{1, 0}, reference.Uint40(1<<40 - 1)}},
		{"expires_after_9999", "a second after the last one of the year 9999", [][]byte{{1, 8}, reference.Uint40(vecMax), reference.Uint40(vecMax + 1)}},
		{"expires_of_unset_clock", "a clock that was not set can't tell when a retention ends", [][]byte{{1, 8}, reference.Uint40(0), reference.Uint40(vaulttest.Never)}},
		{"stated_of_unset_clock", "nobody states the time of a clock that was not set", [][]byte{{1, 0x20}, reference.Uint40(0)}},
		{"expires_too_late", "a second more than a hundred years and the rest of a day after the collection", [][]byte{head(1, 8), reference.Uint40(reference.Time + vecRetention + 1)}},
		{"fields_out_of_order", "the legal ground comes before the notice id", [][]byte{head(1, 3), reference.String("signup-v7"), {2}}},
	} {
		l.malformed(c.name, c.comment, func(m maker) string { return m.header(c.header...) })
	}
	l.malformed("from_without_consent", "there is no extension without consent", func(maker) string {
		return maker("provenance_from").value("email", vaulttest.Address, reference.Header{Typ: 1, Collected: reference.Time, From: "billing"}, "security").Text()
	})
	l.malformed("from_own_purpose_beside", "the other slot was extended from the purpose that it is for", func(m maker) string {
		v := m.both()
		v.Slots[0] = m.slot(v, "advertising", reference.Header{Typ: 1, Collected: reference.Time, Consent: "c-1", From: "advertising"}, vaulttest.Address)
		return v.Text()
	})
}

// collector returns a sealed part of type 3 or 4 around nothing.
func (m maker) collector(k kem, padded int) []byte {
	return append([]byte{1}, m.bytes("sealed", k.wrapped()-1+12+padded+16)...)
}

func (l *vecList) sealedPartFaults() {
	length := func(n int) func(maker) string {
		return func(m maker) string {
			return m.sealedPart(func(sealed []byte) []byte {
				return append(sealed, make([]byte, 2048)...)[:n]
			})
		}
	}
	l.malformed("sealed_empty", "no sealed part", length(0))
	l.malformed("sealed_without_plaintext", "not even padding", length(33))
	l.malformed("sealed_short", "a byte less than any sealed part has", length(33+31))
	l.malformed("sealed_between_steps", "not padded to a multiple of 32 bytes", length(33+33))
	l.malformed("sealed_over_long", "a step more than the longest plaintext needs", length(33+1056+32))
	l.malformed("sealed_prefix_zero", "Tink's CRUNCHY prefix", func(m maker) string {
		return m.sealedPart(func(sealed []byte) []byte { sealed[0] = 0; return sealed })
	})
	l.malformed("sealed_length_beyond", "the length reaches beyond the body", func(m maker) string {
		body := m.email().Body()
		body[16+8+1] += 32
		return reference.Text("email", "security", body)
	})
	l.malformed("sealed_length_short", "the length ends before the sealed part does", func(m maker) string {
		v := m.value("email", strings.Repeat("x", 40), vaulttest.PlainHeader, "security")
		body := v.Body()
		body[16+8+1] -= 32
		return reference.Text("email", "security", body)
	})
	for _, k := range kems {
		collector := func(name, comment string, sealed func(m maker, sealed []byte) []byte) {
			l.malformed("collector"+k.infix+"_"+name, comment, func(m maker) string {
				v := m.email()
				v.Slots[0].Header[0] = k.typ()
				v.Slots[0].Sealed = sealed(m, v.Slots[0].Sealed)
				return v.Text()
			})
		}
		collector("short", fmt.Sprintf("type %d has a wrapped key, for which this is too short", k.typ()),
			func(_ maker, sealed []byte) []byte { return sealed })
		collector("without_key", fmt.Sprintf("type %d that is one HPKE ciphertext, without a key that it wraps", k.typ()),
			func(m maker, _ []byte) []byte { return m.collector(k, 32)[:k.wrapped()] })
		collector("without_plaintext", "a wrapped key and not even padding",
			func(m maker, _ []byte) []byte { return m.collector(k, 0) })
		collector("between_steps", "not padded to a multiple of 32 bytes",
			func(m maker, _ []byte) []byte { return m.collector(k, 33) })
		collector("over_long", "a step more than the longest plaintext needs",
			func(m maker, _ []byte) []byte { return m.collector(k, 1056+32) })
		collector("prefix_zero", "Tink's CRUNCHY prefix", func(m maker, _ []byte) []byte {
			sealed := m.collector(k, 32)
			sealed[0] = 0
			return sealed
		})
	}
}

func (l *vecList) forgeries() {
	asked := func(name, expect, kind, purpose, comment string, value reference.Value) {
		l.sealed(name, expect, "yes", kind, purpose, comment, value.Text())
	}

	m := maker("mismatch")
	asked("mismatch", "mismatch", "email", "advertising", "an honest wrong purpose", m.email())
	m = "mismatch_forged"
	forged := m.email()
	forged.Slots[0].Sealed[20] ^= 1
	asked(string(m), "mismatch", "email", "advertising", "the header alone tells a wrong purpose, whatever it labels", forged)
	m = "mismatch_prefix"
	asked(string(m), "mismatch", "email", "security", "a purpose whose name begins like the one asked",
		m.value("email", vaulttest.Address, vaulttest.PlainHeader, "security-2"))
	m = "expired"
	past := reference.Header{Typ: 1, Collected: vecPast, Expires: vecPast + 1}
	asked(string(m), "expired", "email", "security", "retention ended in 2020", m.value("email", vaulttest.Address, past, "security"))

	m = "purpose_relabelled"
	relabelled := m.email()
	relabelled.Slots[0].Purpose = "advertising"
	asked(string(m), "corrupt", "email", "advertising", "sealed for security, labelled advertising", relabelled)
	m = "purpose_relabelled_added"
	both := m.email()
	both.Slots = append([]reference.Slot{both.Slots[0]}, both.Slots...)
	both.Slots[0].Purpose = "advertising"
	asked(string(m), "corrupt", "email", "advertising", "the slot of security was copied under a second name", both)
	m = "kind_relabelled"
	kind := m.value("phone", vaulttest.Address, vaulttest.PlainHeader, "security")
	kind.Kind = "email"
	asked(string(m), "corrupt", "email", "security", "sealed as a phone, labelled email", kind)
	m = "kind_other"
	asked(string(m), "corrupt", "email", "security", "an honest phone where an email is asked",
		m.value("phone", "+12025550123", vaulttest.PlainHeader, "security"))

	other := func(m maker) reference.Value { return maker(m + " other").both() }
	l.forged("slots_swapped", "the slots of one value changed places under their names", func(m maker) string {
		v := m.both()
		v.Slots[0].Header, v.Slots[1].Header = v.Slots[1].Header, v.Slots[0].Header
		v.Slots[0].Sealed, v.Slots[1].Sealed = v.Slots[1].Sealed, v.Slots[0].Sealed
		return v.Text()
	})
	l.forged("slots_mixed", "the slot asked is of another value", func(m maker) string {
		v := m.both()
		v.Slots[1] = other(m).Slots[1]
		return v.Text()
	})
	l.forged("value_id_of_another", "the value id is another value's", func(m maker) string {
		v := m.both()
		v.ID = other(m).ID
		return v.Text()
	})
	l.forged("header_of_another", "the slot header is another value's", func(m maker) string {
		v := m.both()
		h := vaulttest.PlainHeader
		h.Collected++
		v.Slots[1].Header = h.Bytes()
		return v.Text()
	})

	edited := func(name, comment string, from, to reference.Header) {
		l.forged("provenance_"+name+"_edited", comment, func(m maker) string {
			v := m.value("email", vaulttest.Address, from, "security")
			v.Slots[0].Header = to.Bytes()
			return v.Text()
		})
	}
	full := vaulttest.FullHeader
	full.From = "billing" // not security, which the slot is for
	change := func(f func(h *reference.Header)) reference.Header {
		h := full
		f(&h)
		return h
	}
	edited("collected", "the time of collection was moved", full, change(func(h *reference.Header) { h.Collected-- }))
	edited("stated_dropped", "a time that was stated claims to have been observed", full, change(func(h *reference.Header) { h.Stated = false }))
	edited("stated_added", "a time that was observed claims to have been stated", change(func(h *reference.Header) { h.Stated = false }), full)
	edited("legal", "the legal ground was changed", full, change(func(h *reference.Header) { h.Legal = 6 }))
	edited("notice", "the notice was changed", full, change(func(h *reference.Header) { h.Notice = "ads-optin-v3" }))
	edited("consent", "the consent was changed", full, change(func(h *reference.Header) { h.Consent = "consent-2026-81f4" }))
	edited("expires", "the retention was prolonged", full, change(func(h *reference.Header) { h.Expires++ }))
	edited("from", "the former purpose was changed", full, change(func(h *reference.Header) { h.From = "support" }))
	edited("from_dropped", "what was extended claims to have been collected for this purpose", full, change(func(h *reference.Header) { h.From = "" }))
	edited("from_added", "what was collected for this purpose claims to have been extended",
		change(func(h *reference.Header) { h.From = "" }), full)
	edited("expires_dropped", "the retention was dropped", full, change(func(h *reference.Header) { h.Expires = 0 }))
	edited("consent_added", "a consent was invented", vaulttest.PlainHeader, reference.Header{Typ: 1, Collected: reference.Time, Legal: 2, Consent: "consent-1"})
	edited("notice_to_consent", "the flag of the notice became that of the consent",
		reference.Header{Typ: 1, Collected: reference.Time, Notice: "n-1"}, reference.Header{Typ: 1, Collected: reference.Time, Consent: "n-1"})
	edited("expiry_passed", "an edit does not make a value expire: it makes it corrupt",
		vaulttest.PlainHeader, reference.Header{Typ: 1, Collected: vecPast, Legal: 2, Expires: vecPast + 1})
	edited("expiry_undone", "an expired value does not come back by an edit",
		reference.Header{Typ: 1, Collected: vecPast, Expires: vecPast + 1}, reference.Header{Typ: 1, Collected: vecPast, Expires: vecPast + vecRetention})

	flip := func(n int) func(maker) string {
		return func(m maker) string {
			return m.sealedPart(func(sealed []byte) []byte { sealed[(n+len(sealed))%len(sealed)] ^= 1; return sealed })
		}
	}
	l.forged("key_unknown", "a key id that the scope has no key for", flip(4))
	l.forged("key_relabelled", "the id of the purpose's other key", func(m maker) string {
		return m.sealedPart(func(sealed []byte) []byte { sealed[4] = 1; return sealed })
	})
	l.forged("key_of_other_purpose", "made with the keys of advertising and the associated data of security", func(m maker) string {
		v := m.email()
		v.Slots[0] = reference.SlotOf("email", "security", v.ID, vaulttest.PlainHeader, vaulttest.Keys["advertising"].Seal[0], m.bytes("nonce", 12), vaulttest.Address)
		return v.Text()
	})
	l.forged("key_of_other_purpose_relabelled", "the same, under the id of a key of security", func(m maker) string {
		v := m.email()
		key := reference.Key{ID: vaulttest.Keys["security"].Seal[0].ID, Key: vaulttest.Keys["advertising"].Seal[0].Key}
		v.Slots[0] = reference.SlotOf("email", "security", v.ID, vaulttest.PlainHeader, key, m.bytes("nonce", 12), vaulttest.Address)
		return v.Text()
	})
	l.forged("nonce_altered", "a bit of the nonce", flip(5))
	l.forged("ciphertext_altered", "a bit of the ciphertext", flip(17))
	l.forged("tag_altered", "the last bit of the tag", flip(-1))
	l.forged("tag_zero", "a tag of zeros", func(m maker) string {
		return m.sealedPart(func(sealed []byte) []byte { clear(sealed[len(sealed)-16:]); return sealed })
	})
	l.forged("ciphertext_cut", "a step of ciphertext was cut out, and the lengths put right", func(m maker) string {
		v := m.value("email", strings.Repeat("x", 40), vaulttest.PlainHeader, "security")
		s := v.Slots[0].Sealed
		v.Slots[0].Sealed = append(s[:17+32:17+32], s[17+64:]...)
		return v.Text()
	})

	aad := func(name, comment string, change func(v reference.Value, header []byte) []byte) {
		l.forged(name, comment, func(m maker) string {
			v := m.email()
			v.Slots[0].Sealed = reference.Seal(m.key("security"), m.bytes("nonce", 12), reference.Pad(vaulttest.Address), change(v, v.Slots[0].Header))
			return v.Text()
		})
	}
	aad("aad_empty", "nothing is bound", func(reference.Value, []byte) []byte { return nil })
	aad("aad_without_version", "everything is bound but the format", func(v reference.Value, header []byte) []byte {
		return reference.AAD(v.Kind, "security", v.ID, header, "")[4:]
	})
	aad("aad_of_other_purpose", "another purpose is bound, under a key of this one", func(v reference.Value, header []byte) []byte {
		return reference.AAD(v.Kind, "advertising", v.ID, header, "")
	})
	aad("aad_names_run_together", "no length tells where the kind ends", func(v reference.Value, header []byte) []byte {
		return bytes.Join([][]byte{[]byte("pii1"), []byte(v.Kind), []byte("security"), v.ID, header, {0, 0}}, nil)
	})
	aad("aad_with_subject", "a subject is bound, in a slot that has none", func(v reference.Value, header []byte) []byte {
		return reference.AAD(v.Kind, "security", v.ID, header, "user-1")
	})

	l.malformed("type_relabelled", "type 1 was changed into type 2, whose sealed part begins with the nonce", func(m maker) string {
		retyped := m.email()
		retyped.Slots[0].Header[0] = 2
		return retyped.Text()
	})
	m = "type_relabelled_cut"
	retyped := m.email()
	retyped.Slots[0].Header[0] = 2
	retyped.Slots[0].Sealed = retyped.Slots[0].Sealed[5:]
	asked(string(m), "subject", "email", "security", "type 1 was changed into type 2, and its key prefix cut off: the header alone tells who may ask", retyped)
	m = "type_2_under_purpose_key"
	h := vaulttest.PlainHeader
	h.Typ = 2
	asked(string(m), "subject", "email", "security", "type 2, sealed properly but under the purpose's own key",
		m.value("email", vaulttest.Address, h, "security"))
	for _, k := range kems {
		l.forged(fmt.Sprintf("type_%d_of_noise", k.typ()), fmt.Sprintf("type %d of the right shape and nothing in it", k.typ()), func(m maker) string {
			v := m.email()
			v.Slots[0].Header[0] = k.typ()
			v.Slots[0].Sealed = m.collector(k, 32)
			return v.Text()
		})
	}
}

func (l *vecList) paddingFaults() {
	for _, c := range []struct{ name, comment, padded string }{
		{"zeros", "zeros and no marker", strings.Repeat("\x00", 32)},
		{"none", "plaintext up to the last byte", strings.Repeat("x", 32)},
		{"marker_wrong", "0x81 for 0x80", vaulttest.Address + "\x81" + strings.Repeat("\x00", 14)},
		{"after_marker", "a byte other than zero after the marker", vaulttest.Address + "\x80" + strings.Repeat("\x00", 13) + "\x01"},
		{"step_too_long", "a whole step of zeros more than needed", vaulttest.Address + "\x80" + strings.Repeat("\x00", 14+32)},
		{"steps_too_long", "padded to the longest", vaulttest.Address + "\x80" + strings.Repeat("\x00", 14+1024)},
		{"pkcs7", "padded as PKCS #7 does", vaulttest.Address + strings.Repeat("\x0f", 15)},
		{"without_plaintext", "no plaintext before the marker", "\x80" + strings.Repeat("\x00", 31)},
		{"plaintext_over_long", "1,025 bytes of plaintext", string(reference.Pad(strings.Repeat("x", 1025)))},
	} {
		l.forged("padding_"+c.name, c.comment, func(m maker) string { return m.padded(c.padded) })
	}
}

func (l *vecList) binaryForms() {
	for _, v := range []reference.Value{maker("binary").email(), maker("binary_two_purposes").both()} {
		name := map[int]string{1: "binary", 2: "binary_two_purposes"}[len(v.Slots)]
		l.opens(name, "security", "the binary form", vaulttest.Address, v).binary(v.Binary())
	}
	l.opens("binary_longest", "security", "the binary form of the longest value", strings.Repeat("x", 1024),
		vecLongest()).binary(vecLongest().Binary())
	m := maker("binary_relabelled")
	v := m.email()
	v.Slots[0].Purpose = "advertising"
	l.sealed(string(m), "corrupt", "yes", "email", "advertising", "sealed for security, labelled advertising", "").binary(v.Binary())

	// pii1 form of the fields before the body: 01, kind, count, names.
	head := func(kind string, count byte, names ...string) []byte {
		b := append([]byte{1}, reference.String(kind)...)
		b = append(b, count)
		for _, name := range names {
			b = append(b, reference.String(name)...)
		}
		return b
	}
	with := func(head []byte) func(maker) []byte {
		return func(m maker) []byte { return append(bytes.Clone(head), m.email().Body()...) }
	}
	l.malformedBinary("binary_version_unknown", "02 is for another version", with(append([]byte{2}, head("email", 1, "security")[1:]...)))
	l.malformedBinary("binary_of_text", "the text form where the binary one belongs", func(m maker) []byte { return []byte(m.email().Text()) })
	l.malformedBinary("binary_no_purpose", "a count of zero", with(head("email", 0)))
	l.malformedBinary("binary_count_short", "a count below that of the slots", func(m maker) []byte {
		return append(head("email", 1, "security"), m.both().Body()...)
	})
	l.malformedBinary("binary_count_beyond", "a count above that of the names", with(head("email", 255, "security")))
	l.malformedBinary("binary_purposes_17", "one more than there may be", func(m maker) []byte {
		var names []string
		for i := range 17 {
			names = append(names, fmt.Sprintf("p%02d", i))
		}
		return m.value("email", vaulttest.Address, vaulttest.PlainHeader, names...).Binary()
	})
	l.malformedBinary("binary_purposes_reordered", "names not in ascending order", func(m maker) []byte {
		return m.value("email", vaulttest.Address, vaulttest.PlainHeader, "security", "advertising").Binary()
	})
	l.malformedBinary("binary_separator_in_name", "one name that would be two in the text form", func(m maker) []byte {
		return append(head("email", 1, "advertising~security"), m.both().Body()...)
	})
	l.malformedBinary("binary_dot_in_kind", "a kind that would be two fields in the text form", with(head("email.security", 1, "x")))
	l.malformedBinary("binary_kind_empty", "a kind has a letter at least", with(head("", 1, "security")))
	l.malformedBinary("binary_purpose_uppercase", "one spelling of a name", with(head("email", 1, "Security")))
	l.malformedBinary("binary_length_beyond", "the length of the kind reaches beyond the end", func(maker) []byte { return []byte{1, 200, 'e'} })
	l.malformedBinary("binary_one_byte", "the first byte and nothing else", func(maker) []byte { return []byte{1} })
	l.malformedBinary("binary_no_body", "names and nothing else", func(maker) []byte { return head("email", 1, "security") })
	l.malformedBinary("binary_truncated", "the last byte is missing", func(m maker) []byte {
		data := m.email().Binary()
		return data[:len(data)-1]
	})
	l.malformedBinary("binary_trailing_byte", "a byte after the last slot", func(m maker) []byte { return append(m.email().Binary(), 0) })
}

func (l *vecList) indexes() {
	security, advertising := vaulttest.Keys["security"].Index[0], vaulttest.Keys["advertising"].Index[0]
	for _, c := range []struct {
		name, purpose, kind string
		key                 reference.Key
		comment, canonical  string
	}{
		{"email", "security", "email", security, "an address in its canonical form", vaulttest.Address},
		{"phone", "security", "phone", security, "a number in its canonical form", "+12025550123"},
		{"other_purpose", "advertising", "email", advertising, "the same address under another purpose", vaulttest.Address},
		{"other_purpose_same_key", "advertising", "email", security, "another purpose that was given a copy of security's key", vaulttest.Address},
		{"other_kind", "security", "phone", security, "the same text as another kind", vaulttest.Address},
		{"one_byte", "security", "email", security, "the shortest text", "a"},
		{"two_blocks", "security", "email", security, "what is computed of fills two AES blocks", strings.Repeat("b", 13)},
		{"longest", "security", "email", security, "1,024 bytes", strings.Repeat("c", 1024)},
		{"not_utf8", "security", "email", security, "text is bytes", "\xff\xfe\x00"},
		{"names_run_together", "urity", "emailsec", security, "a kind and a purpose whose letters joined are those of index_email", vaulttest.Address},
		{"text_run_together", "secur", "email", security, "a purpose and a text whose letters joined are those of index_email", "ity" + vaulttest.Address},
	} {
		v := &vector{name: "index_" + c.name, value: []byte(c.canonical)}
		v.add("expect", "success")
		v.add("form", "index")
		v.add("kind", c.kind)
		v.add("purpose", c.purpose)
		v.addKeys("index key", c.key)
		v.add("comment", c.comment)
		v.add("index", hex.EncodeToString(reference.Index(c.key.Key, c.kind, c.purpose, c.canonical)))
		*l = append(*l, v)
	}
}

// encodePayload returns the JSON of a key record's payload.
func encodePayload(p reference.KeyPayload) []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return b
}

func (l *vecList) keyRecords() {
	const nonceAt = 4 + 16 + 1 + 2 + 65 // after magic, vault id, a KEK without a name, length and wrapped key
	record := func(name, expect, comment string, make func(m maker) []byte) *vector {
		m := maker("key_record_" + name)
		v := &vector{name: string(m), value: []byte(hex.EncodeToString(make(m)) + "\n")}
		v.add("expect", expect)
		v.add("form", "key record")
		v.add("purpose", "security")
		v.add("vault", hex.EncodeToString(vaulttest.VaultID))
		v.addKeys("kek", vaulttest.KEKKey)
		v.add("comment", comment)
		*l = append(*l, v)
		return v
	}
	// wrapped is a record made for one purpose of a payload that may name another.
	wrapped := func(m maker, name string, payload []byte) []byte {
		kek := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}
		return reference.Wrap(kek, name, vaulttest.VaultID, payload, m.bytes("dek", 32), m.bytes("nonce", 12))
	}
	encoded := encodePayload
	good := reference.Payload("security", vaulttest.Keys["security"])
	payload := func(change func(p *reference.KeyPayload)) func(maker) []byte {
		return func(m maker) []byte {
			p := good
			change(&p)
			return wrapped(m, "security", encoded(p))
		}
	}
	keyset := func(keys []reference.Key, typ string, field, prefix uint64) reference.Keyset {
		return reference.SetOf(reference.ProtoKeyset(keys, typ, field, prefix))
	}
	keys := vaulttest.Keys["security"]

	v := record("good", "success", "opens the value in the field opens", payload(func(*reference.KeyPayload) {}))
	v.add("opens", vecSample().Text())
	v.add("plaintext", hex.EncodeToString([]byte(vaulttest.Address)))
	v.add("subject", hex.EncodeToString([]byte(vecSubject)))
	v.add("pseudonym", hex.EncodeToString(reference.Pseudonym("security", keys, vecSubject)))

	data := func(change func(b []byte) []byte) func(maker) []byte {
		return func(m maker) []byte { return change(wrapped(m, "security", encoded(good))) }
	}
	record("version_unknown", "corrupt", "ofk2 is for another version", data(func(b []byte) []byte { b[3] = '2'; return b }))
	record("truncated_in_length", "corrupt", "half a length", data(func(b []byte) []byte { return b[:22] }))
	record("truncated_in_wrapped_key", "corrupt", "ends in the wrapped key", data(func(b []byte) []byte { return b[:60] }))
	record("truncated_in_payload", "corrupt", "the last byte is missing", data(func(b []byte) []byte { return b[:len(b)-1] }))
	record("no_payload", "corrupt", "ends with the wrapped key", data(func(b []byte) []byte { return b[:nonceAt] }))
	record("trailing_byte", "corrupt", "a byte after the payload", data(func(b []byte) []byte { return append(b, 0) }))
	record("no_wrapped_key", "corrupt", "a length of zero", data(func(b []byte) []byte {
		return slices.Concat(reference.RecordHead(vaulttest.VaultID, "", nil), b[nonceAt:])
	}))
	record("length_beyond", "corrupt", "the length reaches beyond the end", data(func(b []byte) []byte { b[21] = 0xff; return b }))
	record("wrapped_key_altered", "corrupt", "a bit of the wrapped key", data(func(b []byte) []byte { b[40] ^= 1; return b }))
	record("payload_altered", "corrupt", "a bit of the payload", data(func(b []byte) []byte { b[200] ^= 1; return b }))
	record("of_other_purpose", "corrupt", "advertising's record in security's place", func(m maker) []byte {
		return wrapped(m, "advertising", encoded(reference.Payload("advertising", vaulttest.Keys["advertising"])))
	})
	record("of_other_purpose_rewrapped", "corrupt", "advertising's payload under a key that was wrapped for security", func(m maker) []byte {
		kek := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}
		dek := m.bytes("dek", 32)
		w, err := kek.Encrypt(dek, reference.KEKAAD("security", vaulttest.VaultID))
		if err != nil {
			panic(err)
		}
		return reference.WrapUnder("advertising", vaulttest.VaultID, "", w, encoded(reference.Payload("advertising", vaulttest.Keys["advertising"])), dek, m.bytes("nonce", 12))
	})
	record("names_other_purpose", "corrupt", "wrapped for security, but the payload names advertising",
		payload(func(p *reference.KeyPayload) { p.Purpose = "advertising" }))
	record("wrapped_key_of_another", "corrupt", "the wrapped key is another record's", func(m maker) []byte {
		a, b := wrapped(m, "security", encoded(good)), wrapped(m+"2", "security", encoded(good))
		return append(a[:nonceAt:nonceAt], b[nonceAt:]...)
	})
	record("data_key_short", "corrupt", "a data key of 16 bytes", func(m maker) []byte {
		return reference.Wrap(vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}, "security", vaulttest.VaultID, encoded(good), m.bytes("dek", 16), m.bytes("nonce", 12))
	})
	other := vaulttest.Bytes("other vault", 16)
	kekNamed := func(m maker, name string, bound string) []byte {
		dek := m.bytes("dek", 32)
		w, err := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}.Encrypt(dek, reference.KEKAAD("security", vaulttest.VaultID))
		if err != nil {
			panic(err)
		}
		b := reference.WrapUnder("security", vaulttest.VaultID, bound, w, encoded(good), dek, m.bytes("nonce", 12))
		return slices.Concat(reference.RecordHead(vaulttest.VaultID, name, w), b[nonceAt+len(bound):])
	}
	of := func(name, expect, comment string, data func(m maker) []byte) *vector {
		v := record(name, expect, comment, data)
		v.add("opens", vecSample().Text())
		v.add("plaintext", hex.EncodeToString([]byte(vaulttest.Address)))
		v.add("subject", hex.EncodeToString([]byte(vecSubject)))
		v.add("pseudonym", hex.EncodeToString(reference.Pseudonym("security", keys, vecSubject)))
		return v
	}
	for name, kek := range map[string]string{"short": "k", "arn": "arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-security", "longest": strings.Repeat("~", 255)} {
		of("kek_named_"+name, "success", "the name of the KEK", func(m maker) []byte { return kekNamed(m, kek, kek) })
	}
	record("kek_name_altered", "corrupt", "another name of the KEK than is bound", func(m maker) []byte { return kekNamed(m, "key-2", "key-1") })
	record("kek_name_dropped", "corrupt", "no name of the KEK, though one is bound", func(m maker) []byte { return kekNamed(m, "", "key-1") })
	for name, kek := range map[string]string{"space": "a b", "line_feed": "a\n", "zero": "\x00", "delete": "\x7f", "not_ascii": "schlüssel"} {
		record("kek_name_of_"+name, "corrupt", "a name of the KEK that is not printable ASCII without blanks", func(m maker) []byte { return kekNamed(m, kek, kek) })
	}
	record("of_other_vault", "corrupt", "another vault's record, under the same KEK", func(m maker) []byte {
		p := good
		p.Vault = other
		return reference.Wrap(vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}, "security", other, encoded(p), m.bytes("dek", 32), m.bytes("nonce", 12))
	})
	record("of_other_vault_relabelled", "corrupt", "another vault's record, with the id of this vault written over its own", func(m maker) []byte {
		p := good
		p.Vault = other
		b := reference.Wrap(vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}, "security", other, encoded(p), m.bytes("dek", 32), m.bytes("nonce", 12))
		copy(b[4:], vaulttest.VaultID)
		return b
	})
	record("kek_bound_to_other_vault", "corrupt", "a data key that was wrapped for another vault, and everything else of this one", func(m maker) []byte {
		dek := m.bytes("dek", 32)
		w, err := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}.Encrypt(dek, reference.KEKAAD("security", other))
		if err != nil {
			panic(err)
		}
		return reference.WrapUnder("security", vaulttest.VaultID, "", w, encoded(good), dek, m.bytes("nonce", 12))
	})
	record("kek_bound_to_no_vault", "corrupt", "a data key that was wrapped for the purpose alone", func(m maker) []byte {
		dek := m.bytes("dek", 32)
		w, err := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}.Encrypt(dek, []byte("onlyfor purpose-keys security"))
		if err != nil {
			panic(err)
		}
		return reference.WrapUnder("security", vaulttest.VaultID, "", w, encoded(good), dek, m.bytes("nonce", 12))
	})
	record("names_other_vault", "corrupt", "wrapped in this vault, but the payload names another", payload(func(p *reference.KeyPayload) { p.Vault = other }))
	record("names_no_vault", "corrupt", "a payload without the id of the vault", func(m maker) []byte {
		whole := encoded(good)
		at, end := bytes.Index(whole, []byte(`"vault"`)), bytes.Index(whole, []byte(`"generation"`))
		return wrapped(m, "security", slices.Concat(whole[:at], whole[end:]))
	})
	record("vault_altered", "corrupt", "a bit of the vault id", data(func(b []byte) []byte { b[10] ^= 1; return b }))
	record("truncated_in_vault", "corrupt", "ends in the vault id", data(func(b []byte) []byte { return b[:12] }))
	record("truncated_in_kek_name", "corrupt", "ends in the name of the KEK", func(m maker) []byte { return kekNamed(m, "key-1", "key-1")[:24] })
	of("generation_three", "success", "the digests of two generations before", payload(func(p *reference.KeyPayload) {
		p.Generation, p.History = 3, maker("history").bytes("digests", 32)
	}))
	for name, n := range map[string]int{"missing": 0, "short": 16, "cut": 31, "long": 48} {
		record("history_"+name, "corrupt", "a history of another length than the generation has", payload(func(p *reference.KeyPayload) {
			p.Generation, p.History = 3, maker("history").bytes("digests", n)
		}))
	}
	record("generation_beyond", "corrupt", "more generations than a record has room for", payload(func(p *reference.KeyPayload) { p.Generation = 1<<60 + 1 }))
	record("generation_zero", "corrupt", "the first generation is 1", payload(func(p *reference.KeyPayload) { p.Generation = 0 }))
	record("field_unknown", "corrupt", "a field of another version: who rewrote the record would lose it", func(m maker) []byte {
		return wrapped(m, "security", bytes.Replace(encoded(good), []byte(`{`), []byte(`{"collector":{},`), 1))
	})
	record("payload_trailing", "corrupt", "a second payload after the first", func(m maker) []byte {
		return wrapped(m, "security", append(encoded(good), "{}"...))
	})
	record("payload_not_json", "corrupt", "text that is no payload", func(m maker) []byte { return wrapped(m, "security", []byte("keys")) })
	record("seal_keyset_empty", "corrupt", "no key to seal with", payload(func(p *reference.KeyPayload) { p.Seal = reference.SetOf(nil) }))
	record("seal_keyset_aes128", "corrupt", "a key of 16 bytes", payload(func(p *reference.KeyPayload) {
		p.Seal = keyset([]reference.Key{{ID: keys.Seal[0].ID, Key: keys.Seal[0].Key[:16]}}, reference.GCMType, 3, 1)
	}))
	record("seal_keyset_raw", "corrupt", "a key without a prefix can't be told from others", payload(func(p *reference.KeyPayload) {
		p.Seal = keyset(keys.Seal[:1], reference.GCMType, 3, 3)
	}))
	record("seal_keyset_crunchy", "corrupt", "a prefix that no sealed part has", payload(func(p *reference.KeyPayload) {
		p.Seal = keyset(keys.Seal, reference.GCMType, 3, 4)
	}))
	record("seal_keyset_of_prf", "corrupt", "an index key for sealing", payload(func(p *reference.KeyPayload) {
		p.Seal = p.Index
	}))
	record("index_keyset_of_aead", "corrupt", "a sealing key for indexes", payload(func(p *reference.KeyPayload) {
		p.Index = p.Seal
	}))
	record("index_keyset_empty", "corrupt", "no key to index with", payload(func(p *reference.KeyPayload) { p.Index = reference.SetOf(nil) }))
	record("index_keyset_aes128", "corrupt", "a key of 16 bytes", payload(func(p *reference.KeyPayload) {
		p.Index = keyset([]reference.Key{{ID: keys.Index[0].ID, Key: keys.Index[0].Key[:16]}}, reference.CMACType, 2, 3)
	}))
	record("subject_keyset_empty", "corrupt", "no key for pseudonyms", payload(func(p *reference.KeyPayload) { p.Subject = reference.SetOf(nil) }))
	record("subject_keyset_missing", "corrupt", "a payload of two keysets", func(m maker) []byte {
		whole := encoded(good)
		at := bytes.Index(whole, []byte(`,"subject"`))
		return wrapped(m, "security", append(whole[:at:at], '}'))
	})
	record("subject_keyset_of_aead", "corrupt", "a sealing key for pseudonyms", payload(func(p *reference.KeyPayload) {
		p.Subject = p.Seal
	}))
	record("subject_keyset_aes128", "corrupt", "a key of 16 bytes", payload(func(p *reference.KeyPayload) {
		p.Subject = keyset([]reference.Key{{ID: keys.Subject[0].ID, Key: keys.Subject[0].Key[:16]}}, reference.CMACType, 2, 3)
	}))
	l.keyTimes(record, payload)
	l.suspended(record, payload)
	record("aad_empty", "corrupt", "the payload is bound to nothing", func(m maker) []byte {
		b := wrapped(m, "security", encoded(good))
		return reference.GCM(m.bytes("dek", 32)).Seal(b[:nonceAt+12:nonceAt+12], m.bytes("nonce", 12), encoded(good), nil)
	})
	record("aad_names_run_together", "corrupt", "no length tells where the role ends", func(m maker) []byte {
		b := wrapped(m, "security", encoded(good))
		aad := bytes.Join([][]byte{[]byte("ofk1purpose-keys"), reference.String("security"), vaulttest.VaultID, {0}, b[23:nonceAt]}, nil)
		return reference.GCM(m.bytes("dek", 32)).Seal(b[:nonceAt+12:nonceAt+12], m.bytes("nonce", 12), encoded(good), aad)
	})
}

// keyTimes are key records with times of their keys, right ones and wrong ones.
func (l *vecList) keyTimes(record func(name, expect, comment string, make func(m maker) []byte) *vector,
	payload func(change func(p *reference.KeyPayload)) func(maker) []byte,
) {
	keys := vaulttest.Keys["security"]
	newer, older := keys.Seal[0], keys.Seal[1]
	index := keys.Index[0]
	id := func(k reference.Key) string { return fmt.Sprint(k.ID) }
	at := func(k reference.Key, t uint64) map[string]uint64 { return map[string]uint64{id(k): t} }
	// seal is a keyset of the two seal keys, of which one is primary in Tink's sense.
	seal := func(primary, other reference.Key) reference.Keyset {
		return reference.SetOf(reference.ProtoKeyset([]reference.Key{primary, other}, reference.GCMType, 3, 1))
	}
	// disabled is a keyset with the newer key, and with the older one out of use.
	disabled := func() reference.Keyset {
		entry := func(k reference.Key, status uint64) reference.Entry {
			return reference.Entry{ID: k.ID, Typ: reference.GCMType, Value: reference.ProtoBytes(nil, 3, k.Key), Material: reference.Symmetric, Status: status, Prefix: 1}
		}
		return reference.SetOf(reference.ProtoEntries(entry(newer, reference.Enabled), entry(older, reference.Disabled)))
	}
	const past, beyond = vecPast, 253402300800
	for _, c := range []struct {
		name, comment string
		change        func(p *reference.KeyPayload)
	}{
		{"published", "the older key becomes primary in the year 2125", func(p *reference.KeyPayload) { p.Seal.Primary = at(older, vaulttest.Never) }},
		{"promoted", "the newer key became primary in 2020", func(p *reference.KeyPayload) {
			p.Seal = seal(older, newer)
			p.Seal.Primary = at(newer, past)
		}},
		{"destroyed", "with keys that were destroyed", func(p *reference.KeyPayload) {
			p.Destroyed = map[string]uint64{"0": reference.Time, "4294967295": reference.Time}
		}},
	} {
		v := record("times_"+c.name, "success", c.comment, payload(c.change))
		v.add("opens", vecSample().Text())
		v.add("plaintext", hex.EncodeToString([]byte(vaulttest.Address)))
		v.add("subject", hex.EncodeToString([]byte(vecSubject)))
		v.add("pseudonym", hex.EncodeToString(reference.Pseudonym("security", keys, vecSubject)))
	}
	for _, c := range []struct {
		name, comment string
		change        func(p *reference.KeyPayload)
	}{
		{"created_missing", "a key that was never made", func(p *reference.KeyPayload) { p.Seal.Created = at(newer, reference.Time) }},
		{"created_of_no_key", "a key was made that is not there", func(p *reference.KeyPayload) {
			p.Index.Created = map[string]uint64{id(index): reference.Time, "7": reference.Time}
		}},
		{"created_beyond", "made in the year 10000", func(p *reference.KeyPayload) { p.Index.Created = at(index, beyond) }},
		{"retired_missing", "a key out of use without the time at which it was retired", func(p *reference.KeyPayload) {
			p.Seal = disabled()
			p.Seal.Retired = nil
		}},
		{"retired_in_use", "a key that is in use was retired", func(p *reference.KeyPayload) { p.Seal.Retired = at(older, reference.Time) }},
		{"retired_of_no_key", "a key was retired that is not there", func(p *reference.KeyPayload) {
			p.Seal.Retired = map[string]uint64{"7": reference.Time}
		}},
		{"retired_beyond", "retired in the year 10000", func(p *reference.KeyPayload) {
			p.Seal = disabled()
			p.Seal.Retired = at(older, beyond)
		}},
		{"primary_of_no_key", "a key becomes primary that is not there", func(p *reference.KeyPayload) {
			p.Seal.Primary = map[string]uint64{"7": reference.Time}
		}},
		{"primary_of_other_keyset", "an index key becomes the primary key of seals", func(p *reference.KeyPayload) { p.Seal.Primary = at(index, reference.Time) }},
		{"primary_of_primary", "the primary key becomes primary", func(p *reference.KeyPayload) { p.Seal.Primary = at(newer, reference.Time) }},
		{"primary_of_retired", "a key that is out of use becomes primary", func(p *reference.KeyPayload) {
			p.Seal = disabled()
			p.Seal.Primary = at(older, reference.Time)
		}},
		{"primary_beyond", "primary in the year 10000", func(p *reference.KeyPayload) { p.Seal.Primary = at(older, beyond) }},
		{"primary_together", "two keys become primary in one second", func(p *reference.KeyPayload) {
			third := vaulttest.Key("security seal 3", 0x5ec00003)
			p.Seal = reference.SetOf(reference.ProtoKeyset([]reference.Key{newer, older, third}, reference.GCMType, 3, 1))
			p.Seal.Primary = map[string]uint64{id(older): past, id(third): past}
		}},
		{"destroyed_key", "a destroyed key that is there", func(p *reference.KeyPayload) { p.Destroyed = at(older, reference.Time) }},
		{"destroyed_beyond", "destroyed in the year 10000", func(p *reference.KeyPayload) { p.Destroyed = map[string]uint64{"7": beyond} }},
		{"id_beyond", "an id of more than 32 bits", func(p *reference.KeyPayload) { p.Destroyed = map[string]uint64{"4294967296": reference.Time} }},
		{"id_with_zero", "a second spelling of an id", func(p *reference.KeyPayload) {
			p.Index.Created = map[string]uint64{"0" + id(index): reference.Time}
		}},
	} {
		record("times_"+c.name, "corrupt", c.comment, payload(c.change))
	}
	record("times_negative", "corrupt", "destroyed before 1970", func(m maker) []byte {
		p := encodePayload(reference.Payload("security", keys))
		p = append(bytes.TrimSuffix(p, []byte("}")), `,"destroyed":{"7":-1}}`...)
		kek := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}
		return reference.Wrap(kek, "security", vaulttest.VaultID, p, m.bytes("dek", 32), m.bytes("nonce", 12))
	})
	record("destroyed_in_keyset", "corrupt", "a list that a keyset does not have", func(m maker) []byte {
		p := encodePayload(reference.Payload("security", keys))
		p = bytes.Replace(p, []byte(`"seal":{`), []byte(`"seal":{"destroyed":{},`), 1)
		kek := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}
		return reference.Wrap(kek, "security", vaulttest.VaultID, p, m.bytes("dek", 32), m.bytes("nonce", 12))
	})
}

// suspended are key records with suspensions, right ones and wrong ones. The value in the
// field opens is under the notice signup-v7.
func (l *vecList) suspended(record func(name, expect, comment string, make func(m maker) []byte) *vector,
	payload func(change func(p *reference.KeyPayload)) func(maker) []byte,
) {
	keys := vaulttest.Keys["security"]
	all := []string{"seal", "reveal", "hint", "index", "extend"}
	one := func(notice string, until uint64, actions ...string) reference.Suspended {
		return reference.Suspended{Notice: notice, Actions: actions, Reason: "under review", Since: reference.Time, Until: until}
	}
	with := func(s ...reference.Suspended) func(maker) []byte {
		return payload(func(p *reference.KeyPayload) { p.Suspended = s })
	}
	for _, c := range []struct {
		name, comment, suspended string
		list                     []reference.Suspended
	}{
		{"other_notice", "another notice is suspended", "", []reference.Suspended{one("signup-v8", 0, all...)}},
		{"other_action", "other actions on the value are suspended", "", []reference.Suspended{one("", 0, "hint"), one("signup-v7", 0, "hint", "extend")}},
		{"ended", "the suspension has ended", "", []reference.Suspended{one("signup-v7", reference.Time+1, all...)}},
		{"notice", "the notice is suspended", "signup-v7", []reference.Suspended{one("", reference.Time+1, all...), one("signup-v7", 0, "reveal")}},
		{"purpose", "the purpose is suspended, until the year 2125", "-", []reference.Suspended{one("", vaulttest.Never, "reveal"), one("signup-v7", 0, "reveal")}},
	} {
		v := record("suspended_"+c.name, "success", c.comment, with(c.list...))
		v.add("opens", vecSample().Text())
		v.add("plaintext", hex.EncodeToString([]byte(vaulttest.Address)))
		if c.suspended != "" {
			v.add("suspended", c.suspended)
		}
		v.add("subject", hex.EncodeToString([]byte(vecSubject)))
		v.add("pseudonym", hex.EncodeToString(reference.Pseudonym("security", keys, vecSubject)))
	}
	long := make([]reference.Suspended, 65)
	for i := range long {
		long[i] = one(fmt.Sprintf("n-%02d", i), 0, "reveal")
	}
	reasoned := func(reason string) reference.Suspended {
		s := one("n-1", 0, "reveal")
		s.Reason = reason
		return s
	}
	for _, c := range []struct {
		name, comment string
		list          []reference.Suspended
	}{
		{"twice", "one notice twice", []reference.Suspended{one("n-1", 0, "reveal"), one("n-1", 0, "hint")}},
		{"unsorted", "notices out of order", []reference.Suspended{one("n-1", 0, "reveal"), one("", 0, "hint")}},
		{"action_unknown", "an action that can't be suspended", []reference.Suspended{one("n-1", 0, "reveal", "erase")}},
		{"action_twice", "an action twice", []reference.Suspended{one("n-1", 0, "reveal", "reveal")}},
		{"actions_unsorted", "actions out of order", []reference.Suspended{one("n-1", 0, "hint", "reveal")}},
		{"no_action", "a suspension of nothing", []reference.Suspended{one("n-1", 0)}},
		{"notice_malformed", "a notice that is no reference", []reference.Suspended{one("two words", 0, "reveal")}},
		{"reason_of_two_lines", "a reason that forges a line of a log", []reference.Suspended{reasoned("a\nb")}},
		{"reason_turned", "a reason that turns the direction of text", []reference.Suspended{reasoned("a\u202eb")}},
		{"reason_long", "a reason of 201 bytes", []reference.Suspended{reasoned(strings.Repeat("r", 201))}},
		{"ends_before", "it ends when it begins", []reference.Suspended{one("n-1", reference.Time, "reveal")}},
		{"until_beyond", "it ends in the year 10000", []reference.Suspended{one("n-1", 253402300800, "reveal")}},
		{"too_many", "65 suspensions", long},
	} {
		record("suspended_"+c.name, "corrupt", c.comment, with(c.list...))
	}
	for name, c := range map[string][2]string{
		"field_unknown": {`{"notice":"n-1","actions":["reveal"],"reason":"","since":1,"people":[]}`, "a field of another version"},
		"field_twice":   {`{"notice":"n-1","actions":["reveal"],"reason":"","since":1,"actions":["hint"]}`, "a field that is there twice"},
		"field_folded":  {`{"notice":"n-1","Actions":["reveal"],"reason":"","since":1}`, "a name in other letters"},
		"empty":         {``, "a list of no suspension"},
	} {
		record("suspended_"+name, "corrupt", c[1], func(m maker) []byte {
			p := encodePayload(reference.Payload("security", keys))
			p = append(bytes.TrimSuffix(p, []byte("}")), `,"suspended":[`+c[0]+`]}`...)
			kek := vaulttest.KEK{Key: vaulttest.KEKKey, Nonce: m.bytes("kek nonce", 12)}
			return reference.Wrap(kek, "security", vaulttest.VaultID, p, m.bytes("dek", 32), m.bytes("nonce", 12))
		})
	}
}

// The longest value there can be is well below the limit, so no value that can
// be sealed is too long to be read.
func TestLongestFits(t *testing.T) {
	require.Less(t, len(vecLongest().Text()), format.MaxText)
	require.Equal(t, format.MaxSlots, len(vecLongest().Slots))
}
