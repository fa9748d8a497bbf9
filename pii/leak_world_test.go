package pii_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// A leakWorld is what a row works with: a contact, a vault whose keys the test
// knows, and one sink for all output. Events go there too, as both
// handlers of slog write them.
type leakWorld struct {
	testing.TB
	contact *piitest.Contact
	seen    map[string]bool // what came out already
	errors  int             // different ones

	mu  sync.Mutex
	all bytes.Buffer
	out io.Writer // searched for the contact

	store         vault.Store
	kek           *knownKEK
	vault         *vault.Admin
	security, ads *vault.Scope

	// The contact, sealed for security.
	email pii.Email
	phone pii.Phone
	index pii.Index
}

func newLeakWorld(t testing.TB, c *piitest.Contact) *leakWorld {
	t.Helper()
	w := &leakWorld{TB: t, contact: c, seen: map[string]bool{}, out: c.Writer("output"), store: vault.Memory(), kek: newKnownKEK(t)}
	w.vault = w.open(w.store, w.kek, nil)
	require.NoError(w, w.vault.Generate(ctx, forSecurity, forAdvertising, forBilling))
	w.security, w.ads = w.scope(w.vault, forSecurity), w.scope(w.vault, forAdvertising)
	w.email, w.phone = w.seal(w.security)
	var err error
	w.index, err = pii.IndexEmail(ctx, c.Address, w.security)
	require.NoError(w, err)
	// So that there is a key of a subject, whose id is the address, as some have it.
	w.seal(w.security.For(c.Address))
	return w
}

func (w *leakWorld) open(store vault.Store, kek vault.KEK, auditor audit.Auditor) *vault.Admin {
	w.Helper()
	if auditor == nil {
		auditor = shownEvents{w, []audit.Auditor{
			audit.Slog(slog.New(slog.NewTextHandler(w, timeless))), audit.Slog(slog.New(slog.NewJSONHandler(w, timeless))),
		}}
	}
	v, err := vault.OpenAdmin(ctx, store, kek, &vault.Options{Audit: auditor, DestroyAfter: time.Nanosecond})
	require.NoError(w, err)
	w.Cleanup(func() { v.Close() })
	return v
}

// timeless leaves the time out, so that the same event twice is the same output.
var timeless = &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}}

func (w *leakWorld) scope(v *vault.Admin, p purpose.Purpose) *vault.Scope {
	w.Helper()
	s, err := v.Scope(ctx, p)
	require.NoError(w, err)
	return s
}

// seal returns the contact, sealed.
func (w *leakWorld) seal(scopes ...vault.Sealer) (pii.Email, pii.Phone) {
	w.Helper()
	email, err := pii.SealEmail(ctx, w.contact.Address, scopes...)
	require.NoError(w, err)
	phone, err := pii.SealPhone(ctx, w.contact.Number, scopes...)
	require.NoError(w, err)
	return email, phone
}

// Write takes output, each piece once.
func (w *leakWorld) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[string(b)] {
		return len(b), nil
	}
	w.seen[string(b)] = true
	w.all.Write(b)
	return w.out.Write(b)
}

// shownEvents are auditors, beside which every event is printed.
type shownEvents struct {
	w  *leakWorld
	to []audit.Auditor
}

func (s shownEvents) Audit(ctx context.Context, e audit.Event) error {
	e.Time = time.Time{}
	text := fmt.Sprintf("%v %+v %#v\n", e, e, e)
	if s.w.before(text) {
		return nil
	}
	s.w.noSeal("event", text)
	io.WriteString(s.w, text)
	for _, a := range s.to {
		if err := a.Audit(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// check searches all that came out for keys and for the bytes of the index. The
// contact itself is for piitest to find.
func (w *leakWorld) check() {
	w.Helper()
	w.mu.Lock()
	out := w.all.Bytes()
	w.mu.Unlock()
	require.NotEmpty(w, out, "nothing came out, so nothing was searched")
	for what, secrets := range map[string][][]byte{"a key": w.secrets(), "an index": {indexBytes(w, w.index)}} {
		if found := findSecret(out, secrets); found != "" {
			w.Errorf("%s is in the output, spelled %q", what, found)
		}
	}
}

// findSecret returns how eight bytes of a secret are spelled in out, or twelve of
// them in base64, "" if they are not in it. In the random base64 of out, eight would
// be found by chance in one of some ten thousand runs.
func findSecret(out []byte, secrets [][]byte) string {
	heads := make(map[string][]string) // spellings by how they begin
	add := func(spellings []string) {
		for _, s := range spellings {
			s = string(asciiLower([]byte(s)))
			heads[s[:8]] = append(heads[s[:8]], s)
		}
	}
	for _, secret := range secrets {
		for i := 0; i+8 <= len(secret); i += 8 {
			add(append(spellings(secret[i:i+8]), string(secret[i:i+8])))
		}
		for i := 0; i+12 <= len(secret); i += 4 {
			add(spellings64(secret[i : i+12]))
		}
	}
	lower := asciiLower(out)
	for i := 0; i+8 <= len(lower); i++ {
		for _, s := range heads[string(lower[i:i+8])] {
			if bytes.HasPrefix(lower[i:], []byte(s)) {
				return s
			}
		}
	}
	return ""
}

// asciiLower leaves bytes that are no text as they are.
func asciiLower(b []byte) []byte {
	lower := bytes.Clone(b)
	for i, c := range lower {
		if c >= 'A' && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return lower
}

// A knownKEK is a KEK that remembers what it wrapped.
type knownKEK struct {
	key []byte
	gcm cipher.AEAD

	mu      sync.Mutex
	wrapped [][]byte
}

func newKnownKEK(t testing.TB) *knownKEK {
	t.Helper()
	k := &knownKEK{key: make([]byte, 32)}
	rand.Read(k.key)
	k.gcm = gcmOf(t, k.key)
	return k
}

func gcmOf(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	require.NoError(t, err)
	return gcm
}

func (k *knownKEK) For(context.Context, purpose.Purpose) (vault.AEAD, error) {
	return k, nil
}

func (k *knownKEK) Encrypt(plaintext, aad []byte) ([]byte, error) {
	k.remember(plaintext)
	return k.gcm.Seal(nil, nil, plaintext, aad), nil
}

func (k *knownKEK) remember(key []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrapped = append(k.wrapped, bytes.Clone(key))
}

func (k *knownKEK) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	return k.gcm.Open(nil, nil, ciphertext, aad)
}

// secrets returns the KEK, the keys that it wrapped, and those that are in the
// store: of purposes and of subjects.
func (w *leakWorld) secrets() [][]byte {
	w.Helper()
	all := [][]byte{w.kek.key}
	var records []vault.Record
	for name, err := range w.store.List(ctx, "", "") {
		require.NoError(w, err)
		found, err := w.store.Get(ctx, name)
		require.NoError(w, err)
		records = append(records, found...)
	}
	var subjects [][]byte
	for _, dek := range w.kek.wrapped {
		all = append(all, dek)
		for _, r := range records {
			p, isKeys := strings.CutSuffix(r.Name, "/keys")
			payload, ok := w.unwrap(dek, p, r.Data)
			if !isKeys || !ok {
				continue
			}
			var keys map[string]any
			require.NoError(w, json.Unmarshal(payload, &keys))
			for _, role := range []string{"seal", "index", "subject", "collect"} {
				raw := []byte(`"` + keys[role].(map[string]any)["keyset"].(string) + `"`)
				var binary []byte
				require.NoError(w, json.Unmarshal(raw, &binary))
				h, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(binary)))
				require.NoError(w, err)
				all = append(all, rawKeys(w, h)...)
				if role == "seal" {
					subjects = append(subjects, subjectKeys(w, h, p, records)...)
				}
			}
		}
	}
	require.Greater(w, len(all), 10, "the keys were found")
	return append(all, subjects...)
}

// unwrap opens a key record as FORMAT.md describes it, if dek is its key.
func (w *leakWorld) unwrap(dek []byte, p string, data []byte) ([]byte, bool) {
	w.Helper()
	const magic = "ofk1"
	if len(data) < 21 || string(data[:4]) != magic || len(dek) != 32 {
		return nil, false
	}
	named := 21 + int(data[20]) // after the vault's id and the name of the KEK
	n := named + 2 + int(binary.BigEndian.Uint16(data[named:]))
	role := "purpose-keys"
	aad := append([]byte(magic), byte(len(role)))
	aad = append(append(append(aad, role...), byte(len(p))), p...)
	aad = append(append(aad, data[4:named]...), data[named+2:n]...)
	plain, err := gcmOf(w, dek).Open(nil, nil, data[n:], aad)
	return plain, err == nil
}

func rawKeys(t testing.TB, h *keyset.Handle) (all [][]byte) {
	t.Helper()
	for i := range h.Len() {
		entry, err := h.Entry(i)
		require.NoError(t, err)
		switch k := entry.Key().(type) {
		case interface{ KeyBytes() secretdata.Bytes }:
			all = append(all, k.KeyBytes().Data(insecuresecretdataaccess.Token{}))
		case interface{ PrivateKeyBytes() secretdata.Bytes }:
			all = append(all, k.PrivateKeyBytes().Data(insecuresecretdataaccess.Token{}))
		default:
			t.Fatalf("a key of type %T", k)
		}
	}
	return all
}

// subjectKeys opens the records of a purpose's subjects.
func subjectKeys(t testing.TB, h *keyset.Handle, p string, records []vault.Record) (all [][]byte) {
	t.Helper()
	a, err := aead.New(h)
	require.NoError(t, err)
	for _, r := range records {
		if !strings.HasPrefix(r.Name, p+"/subjects/") {
			continue
		}
		pseudonym, err := hex.DecodeString(r.Name[strings.LastIndexByte(r.Name, '/')+1:])
		require.NoError(t, err)
		aad := append(append([]byte("sub1"), byte(len(p))), p...)
		for _, r := range records {
			if r.Name == "0-vault" {
				aad = append(aad, r.Data[len("ofv1"):]...)
			}
		}
		plain, err := a.Decrypt(r.Data[len("ofs1"):], append(aad, pseudonym...))
		require.NoError(t, err)
		if plain[0] == 1 { // and is no tombstone
			all = append(all, plain[len(plain)-32:])
		}
	}
	return all
}
