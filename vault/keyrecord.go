package vault

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf/aescmacprf"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A keyRecord holds all keysets of one purpose, in one record of the store, so that
// one compare-and-swap changes them together. FORMAT.md describes how a key record
// is wrapped.
type keyRecord struct {
	Purpose    string       `json:"purpose"`
	Generation uint64       `json:"generation"` // the number of changes, from 1
	Seal       keysetRecord `json:"seal"`
	Index      keysetRecord `json:"index"`
	Subject    keysetRecord `json:"subject"`

	// Nil in a record without such a keyset.
	Collect *keysetRecord `json:"collect,omitempty"`
}

// A keysetRecord is one keyset, in cleartext, with the creation times of its keys.
type keysetRecord struct {
	Keyset  []byte           `json:"keyset"`  // Tink's binary form
	Created map[uint32]int64 `json:"created"` // Unix seconds by key id; Tink keeps no times
}

// A roleKeyset is one keyset of a key record, with its role.
type roleKeyset struct {
	role Role
	*keysetRecord
}

// keysets returns the keysets that r has.
func (r *keyRecord) keysets() []roleKeyset {
	all := []roleKeyset{{RoleSeal, &r.Seal}, {RoleIndex, &r.Index}, {RoleSubject, &r.Subject}}
	if r.Collect != nil {
		all = append(all, roleKeyset{RoleCollect, r.Collect})
	}
	return all
}

// keyRecordName returns the name of the key record of p. Each purpose has a folder
// of its own, so that file permissions can follow purposes.
func keyRecordName(p purpose.Purpose) string { return p.String() + "/keys" }

// newKeyRecord makes keys for p, no two of them with one id.
func newKeyRecord(p purpose.Purpose) (*keyRecord, error) {
	for {
		r, err := newKeysets(p)
		if err != nil {
			return nil, err
		}
		all, err := r.describe()
		if err != nil {
			return nil, err
		}
		ids := make(map[uint32]bool)
		for _, k := range all {
			ids[k.ID] = true
		}
		if len(ids) == len(all) {
			return r, nil
		}
	}
}

// newKeysets makes keysets for p. A key of one keyset can have the id of a key of
// another.
func newKeysets(p purpose.Purpose) (*keyRecord, error) {
	r := &keyRecord{Purpose: p.String(), Generation: 1}
	for _, k := range r.keysets() {
		if err := k.add(k.role); err != nil {
			return nil, err
		}
	}
	// Where the platform has no X25519, as under GODEBUG=fips140=only, a purpose
	// has no collectors.
	var collect keysetRecord
	if collect.add(RoleCollect) == nil {
		r.Collect = &collect
	}
	return r, nil
}

// add puts a fresh key into the keyset and makes it the primary one.
func (r *keysetRecord) add(role Role) error {
	m := keyset.NewManager()
	if len(r.Keyset) > 0 {
		h, err := r.handle()
		if err != nil {
			return err
		}
		m = keyset.NewManagerFromHandle(h)
	}
	id, err := addKey(m, role)
	if err != nil {
		return err
	}
	created := maps.Clone(r.Created)
	if created == nil {
		created = make(map[uint32]int64)
	}
	created[id] = time.Now().Unix()
	r.Created = created
	return r.set(m)
}

// set takes over the keyset of m, in cleartext; wrap encrypts it. Keys that stay
// keep their times.
func (r *keysetRecord) set(m *keyset.Manager) error {
	h, err := m.Handle()
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&buf)); err != nil {
		return err
	}
	created := make(map[uint32]int64)
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return err
		}
		created[e.KeyID()] = r.Created[e.KeyID()]
	}
	r.Keyset, r.Created = buf.Bytes(), created
	return nil
}

// handle returns the keyset as Tink's type.
func (r *keysetRecord) handle() (*keyset.Handle, error) {
	return insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(r.Keyset)))
}

// maxWrapped is the size of the largest wrapped key, in bytes.
const maxWrapped = 1<<16 - 1

// wrap encrypts r under a fresh key and has the KEK wrap that key: key services
// limit a plaintext to a few kilobytes, and the keysets of a purpose grow.
func wrap(kek kekClient, p purpose.Purpose, r *keyRecord) ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, errKeyset
	}
	defer clear(payload)
	dek := newDEK()
	defer clear(dek)
	wrapped, err := kek.encrypt(dek, format.KEKAAD(p.String()))
	if err != nil {
		return nil, err
	}
	if len(wrapped) == 0 || len(wrapped) > maxWrapped {
		return nil, fmt.Errorf("key service returned a wrapped key of no usable size: %w", ErrUnavailable)
	}
	b := binary.BigEndian.AppendUint16([]byte(format.KeyRecordMagic), uint16(len(wrapped)))
	b = append(b, wrapped...)
	return sealWith(dek, b, payload, format.AppendKeyRecordAAD(nil, p.String(), wrapped))
}

// unwrap is the reverse of wrap. A record of another purpose does not open, even
// under a KEK that ignores associated data.
func unwrap(kek kekClient, p purpose.Purpose, data []byte) (*keyRecord, error) {
	wrapped, payload, ok := cutKeyRecord(data)
	if !ok {
		return nil, errKeyRecord
	}
	dek, err := kek.decrypt(wrapped, format.KEKAAD(p.String()))
	if err != nil {
		return nil, err
	}
	defer clear(dek)
	plain, err := openWith(dek, payload, format.AppendKeyRecordAAD(nil, p.String(), wrapped))
	if err != nil {
		return nil, fmt.Errorf("key record does not open: %w", ErrCorrupt)
	}
	defer clear(plain)
	return parseKeyRecord(p, plain)
}

// cutKeyRecord splits a key record into the wrapped key and the encrypted keysets.
func cutKeyRecord(data []byte) (wrapped, payload []byte, ok bool) {
	const fixed = len(format.KeyRecordMagic) + 2
	if len(data) < fixed || len(data) > MaxRecord || string(data[:len(format.KeyRecordMagic)]) != format.KeyRecordMagic {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(data[len(format.KeyRecordMagic):]))
	if n == 0 || len(data) < fixed+n {
		return nil, nil, false
	}
	return data[fixed : fixed+n : fixed+n], data[fixed+n:], true
}

// parseKeyRecord parses the decrypted keysets of p. It refuses unknown fields, and a
// field that is there twice: an older process that dropped the keys of a newer one on
// its next write would lose them for good.
func parseKeyRecord(p purpose.Purpose, plain []byte) (*keyRecord, error) {
	var r keyRecord
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || !exactNames(json.NewDecoder(bytes.NewReader(plain)), recordNames, keysetNames) {
		return nil, fmt.Errorf("key record of another version: %w", ErrCorrupt)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || r.Purpose != p.String() || r.Generation == 0 {
		return nil, errKeyRecord
	}
	return &r, nil
}

// The names of the fields of a key record, and of its keysets.
var (
	recordNames = []string{"purpose", "generation", "seal", "index", "subject", "collect"}
	keysetNames = []string{"keyset", "created"}
)

// exactNames reports whether no object in the next value has a name twice, and the
// objects at each depth have the given names alone. Package json takes "SEAL" for
// "seal", and the last of two fields.
func exactNames(d *json.Decoder, names ...[]string) bool {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return err == nil
	}
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok || seen[name] || len(names) > 0 && !slices.Contains(names[0], name) {
			return false
		}
		seen[name] = true
		if !exactNames(d, names[min(1, len(names)):]...) {
			return false
		}
	}
	_, err := d.Token() // the end of the object
	return err == nil
}

// parameters returns the parameters of new keys of the role. Seal keys are
// AES-256-GCM with the TINK prefix, which puts the key's id before every
// ciphertext, so that opening never tries keys. Index keys and pseudonym keys are
// AES-CMAC PRF keys: an index needs no more than a PRF, and Tink's other PRFs cost
// ten times as much.
func (r Role) parameters() (key.Parameters, error) {
	switch r {
	case RoleCollect:
		return hpkeParameters()
	case RoleSeal:
		return aesgcm.NewParameters(aesgcm.ParametersOpts{
			KeySizeInBytes: 32, IVSizeInBytes: format.NonceSize, TagSizeInBytes: format.TagSize, Variant: aesgcm.VariantTink,
		})
	}
	p, err := aescmacprf.NewParameters(32)
	return &p, err
}

// hpkeParameters returns the parameters of collectors' keys: HPKE (RFC 9180) with
// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, with the TINK prefix.
func hpkeParameters() (*hpke.Parameters, error) {
	return hpke.NewParameters(hpke.ParametersOpts{
		KEMID: hpke.DHKEM_X25519_HKDF_SHA256, KDFID: hpke.HKDFSHA256, AEADID: hpke.AES256GCM, Variant: hpke.VariantTink,
	})
}

// addKey puts a fresh primary key into a keyset.
func addKey(m *keyset.Manager, role Role) (id uint32, err error) {
	params, err := role.parameters()
	if err != nil {
		return 0, err
	}
	if id, err = m.AddNewKeyFromParameters(params); err != nil {
		return 0, err
	}
	return id, m.SetPrimary(id)
}

// newSealKeyset makes a keyset with one seal key.
func newSealKeyset() (*keyset.Handle, error) {
	m := keyset.NewManager()
	if _, err := addKey(m, RoleSeal); err != nil {
		return nil, err
	}
	return m.Handle()
}

// add puts a fresh key into one of the record's keysets. Its id is unique among the keys
// of the purpose, in all roles.
func (r *keyRecord) add(to *keysetRecord, role Role) error {
	known, err := r.describe()
	if err != nil {
		return err
	}
	ids := make(map[uint32]bool)
	for _, k := range known {
		ids[k.ID] = true
	}
	for {
		next := *to
		if err := next.add(role); err != nil {
			return fmt.Errorf("no such key can be made here: %w", ErrUnavailable)
		}
		fresh := false
		for id := range next.Created {
			fresh = fresh || !ids[id]
		}
		if fresh {
			*to = next
			return nil
		}
	}
}

// edit applies f to the keyset of the key with the given id. The key must have the given
// status, and must not be the key of pseudonyms.
func (r *keyRecord) edit(id uint32, status Status, f func(*keyset.Manager) error) error {
	known, err := r.describe()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(known, func(k Key) bool { return k.ID == id })
	switch {
	case i < 0:
		return fmt.Errorf("no key of that id: %w", ErrInvalid)
	case known[i].Status != status:
		return fmt.Errorf("key is %s, not %s: %w", known[i].Status, status, ErrInvalid)
	case known[i].Role == RoleSubject:
		return errPseudonymKey
	}
	for _, of := range r.keysets() {
		if of.role != known[i].Role {
			continue
		}
		h, err := of.handle()
		if err != nil {
			return errKeyset
		}
		m := keyset.NewManagerFromHandle(h)
		if err := f(m); err != nil {
			return errKeyset
		}
		if err := of.set(m); err != nil {
			return errKeyset
		}
	}
	return nil
}

// describe returns the keys of all keysets.
func (r *keyRecord) describe() ([]Key, error) {
	var all []Key
	for _, set := range r.keysets() {
		h, err := set.handle()
		if err != nil && set.role == RoleCollect {
			continue // a platform without X25519 can't read the keyset, and leaves it as it is
		}
		if err != nil {
			return nil, errKeyRecord
		}
		start := len(all)
		for i := range h.Len() {
			e, err := h.Entry(i)
			if err != nil {
				return nil, errKeyRecord
			}
			k := Key{ID: e.KeyID(), Role: set.role, Status: Active, Created: time.Unix(set.Created[e.KeyID()], 0).UTC()}
			switch {
			case e.IsPrimary():
				k.Status = Primary
			case e.KeyStatus() != keyset.Enabled:
				k.Status = Retired
			}
			all = append(all, k)
		}
		slices.SortStableFunc(all[start:], func(a, b Key) int { return cmp.Compare(a.Created.Unix(), b.Created.Unix()) })
	}
	return all, nil
}

var (
	errKeyRecord    = fmt.Errorf("malformed key record: %w", ErrCorrupt)
	errPseudonymKey = fmt.Errorf("the key of pseudonyms is never changed: %w", ErrInvalid)
)
