package vault

import (
	"bytes"
	"cmp"
	"crypto/fips140"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
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
	Vault      []byte       `json:"vault"`      // the id of the vault
	Generation uint64       `json:"generation"` // the number of changes, from 1
	History    []byte       `json:"history"`    // the digest of each generation before, in order
	Seal       keysetRecord `json:"seal"`
	Index      keysetRecord `json:"index"`
	Subject    keysetRecord `json:"subject"`

	// Nil in a record without such a keyset.
	Collect *keysetRecord `json:"collect,omitempty"`

	Destroyed map[uint32]int64 `json:"destroyed,omitempty"` // Unix seconds by id, in all roles

	Suspended []suspensionRecord `json:"suspended,omitempty"` // by notice
}

// A keysetRecord is one keyset, in cleartext, with the times of its keys: Unix seconds by
// key id. Tink keeps no times.
type keysetRecord struct {
	Keyset  []byte           `json:"keyset"` // Tink's binary form
	Created map[uint32]int64 `json:"created"`
	Retired map[uint32]int64 `json:"retired,omitempty"` // of the keys that are out of use
	Primary map[uint32]int64 `json:"primary,omitempty"` // of the keys that are still to become primary
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

// newKeyRecord makes keys for p in the given vault, no two of them with one id.
func newKeyRecord(p purpose.Purpose, vault format.VaultID, kem CollectorKEM) (*keyRecord, error) {
	for {
		r, err := newKeysets(p, vault, kem)
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
func newKeysets(p purpose.Purpose, vault format.VaultID, kem CollectorKEM) (*keyRecord, error) {
	r := &keyRecord{Purpose: p.String(), Vault: vault[:], Generation: 1, History: []byte{}}
	for _, k := range r.keysets() {
		if err := k.add(k.role, kem, 0); err != nil {
			return nil, err
		}
	}
	// Where the platform lacks the KEM, as it lacks X25519 alone under
	// GODEBUG=fips140=only, a purpose has no collectors.
	var collect keysetRecord
	if collect.add(RoleCollect, kem, 0) == nil {
		r.Collect = &collect
	}
	return r, nil
}

// add puts a fresh key into the keyset. The key becomes primary at the given time, or a
// second after the keys that were published before. The first key of a keyset, and any
// key if the time is 0, is primary at once. A key of RoleCollect is of the given KEM.
func (r *keysetRecord) add(role Role, kem CollectorKEM, primaryAt int64) error {
	m := keyset.NewManager()
	first := len(r.Keyset) == 0
	if len(r.Keyset) > 0 {
		h, err := r.handle()
		if err != nil {
			return err
		}
		m = keyset.NewManagerFromHandle(h)
	}
	id, err := addKey(m, role, kem)
	if err != nil {
		return err
	}
	if first || primaryAt == 0 {
		if err := m.SetPrimary(id); err != nil {
			return err
		}
	} else {
		for _, at := range r.Primary {
			primaryAt = max(primaryAt, at+1)
		}
		r.Primary = cloneOrMake(r.Primary)
		r.Primary[id] = primaryAt
	}
	r.Created = cloneOrMake(r.Created)
	r.Created[id] = unixNow()
	return r.set(m)
}

// cloneOrMake returns a copy of times that can be written to.
func cloneOrMake(times map[uint32]int64) map[uint32]int64 {
	if times == nil {
		return make(map[uint32]int64)
	}
	return maps.Clone(times)
}

// set takes over the keyset of m, in cleartext; wrap encrypts it. Keys that stay
// keep their times. A key that goes out of use is retired now.
func (r *keysetRecord) set(m *keyset.Manager) error {
	h, err := m.Handle()
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&buf)); err != nil {
		return err
	}
	created, retired := make(map[uint32]int64), make(map[uint32]int64)
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return err
		}
		id := e.KeyID()
		created[id] = r.Created[id]
		if e.KeyStatus() == keyset.Enabled {
			continue
		}
		at, known := r.Retired[id]
		if !known {
			at = unixNow()
		}
		retired[id] = at
	}
	r.Keyset, r.Created, r.Retired = buf.Bytes(), created, retired
	return nil
}

// handle returns the keyset as Tink's type. A keyset whose times do not fit it is
// errKeyset.
//
// Tink computes the public halves of key pairs when it reads them. Under
// GODEBUG=fips140=only it would refuse those of X-Wing for their X25519 half, though a
// hybrid with ML-KEM is allowed. Reading a key pair of X25519 alone uses it for
// nothing: newCollectSet leaves it out there.
func (r *keysetRecord) handle() (h *keyset.Handle, err error) {
	fips140.WithoutEnforcement(func() {
		h, err = insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(r.Keyset)))
	})
	if err != nil {
		return nil, errKeyset
	}
	if err := r.checkTimes(h); err != nil {
		return nil, err
	}
	return h, nil
}

// maxWrapped is the size of the largest wrapped key, in bytes.
const maxWrapped = 1<<16 - 1

// wrap encrypts r under a fresh key and has the KEK wrap that key: key services
// limit a plaintext to a few kilobytes, and the keysets of a purpose grow.
func wrap(kek kekClient, p purpose.Purpose, r *keyRecord) ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil || len(r.Vault) != format.VaultIDSize {
		return nil, errKeyset
	}
	defer clear(payload)
	dek := newDEK()
	defer clear(dek)
	h := keyRecordHeader{vault: format.VaultID(r.Vault)}
	if h.kek, err = kek.keyName(); err != nil {
		return nil, err
	}
	if h.wrapped, err = kek.encrypt(dek, format.KEKAAD(p.String(), h.vault)); err != nil {
		return nil, err
	}
	if len(h.wrapped) == 0 || len(h.wrapped) > maxWrapped {
		return nil, fmt.Errorf("key service returned a wrapped key of no usable size: %w", ErrUnavailable)
	}
	return sealWith(dek, h.encode(), payload, h.aad(p))
}

// unwrap is the reverse of wrap, for a record of the given vault. A record of another
// purpose or another vault does not open, even under a KEK that ignores associated data.
func unwrap(kek kekClient, p purpose.Purpose, vault format.VaultID, data []byte) (*keyRecord, error) {
	h, payload, err := cutKeyRecord(data, vault)
	if err != nil {
		return nil, err
	}
	dek, err := kek.decrypt(h.wrapped, format.KEKAAD(p.String(), h.vault))
	if err != nil {
		return nil, err
	}
	defer clear(dek)
	plain, err := openWith(dek, payload, h.aad(p))
	if err != nil {
		return nil, fmt.Errorf("key record does not open: %w", ErrCorrupt)
	}
	defer clear(plain)
	return parseKeyRecord(p, vault, plain)
}

// A keyRecordHeader is the part of a key record that is in the clear.
type keyRecordHeader struct {
	vault   format.VaultID
	kek     string // the name of the KEK that wrapped the key, or ""
	wrapped []byte // the key of the record, as the KEK wrapped it
}

// encode returns the header as it begins a record.
func (h keyRecordHeader) encode() []byte {
	b := append([]byte(format.KeyRecordMagic), h.vault[:]...)
	b = format.AppendString8(b, h.kek)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.wrapped)))
	return append(b, h.wrapped...)
}

// aad returns the associated data of the record of p.
func (h keyRecordHeader) aad(p purpose.Purpose) []byte {
	return format.AppendKeyRecordAAD(nil, p.String(), h.vault, h.kek, h.wrapped)
}

// cutKeyRecord splits a key record of the given vault into its header and the encrypted
// keysets.
func cutKeyRecord(data []byte, vault format.VaultID) (h keyRecordHeader, payload []byte, err error) {
	const fixed = len(format.KeyRecordMagic) + format.VaultIDSize + 1
	if len(data) < fixed || len(data) > MaxRecord || string(data[:len(format.KeyRecordMagic)]) != format.KeyRecordMagic {
		return h, nil, errKeyRecord
	}
	h.vault = format.VaultID(data[len(format.KeyRecordMagic):])
	if h.vault != vault {
		return h, nil, errOtherVault
	}
	n, rest := int(data[fixed-1]), data[fixed:]
	if len(rest) < n+2 || !validKeyName(string(rest[:n])) {
		return h, nil, errKeyRecord
	}
	h.kek, rest = string(rest[:n]), rest[n:]
	n, rest = int(binary.BigEndian.Uint16(rest)), rest[2:]
	if n == 0 || len(rest) < n {
		return h, nil, errKeyRecord
	}
	h.wrapped = rest[:n:n]
	return h, rest[n:], nil
}

// advance makes r the next generation of the record with the given bytes.
func (r *keyRecord) advance(old []byte) {
	d := newRecordDigest(old)
	r.Generation++
	r.History = append(r.History, d[:]...)
}

// parseKeyRecord parses the decrypted keysets of p. It refuses unknown fields, and a
// field that is there twice: an older process that dropped the keys of a newer one on
// its next write would lose them for good.
func parseKeyRecord(p purpose.Purpose, vault format.VaultID, plain []byte) (*keyRecord, error) {
	var r keyRecord
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || !exactNames(json.NewDecoder(bytes.NewReader(plain)), recordNames) {
		return nil, fmt.Errorf("key record of another version: %w", ErrCorrupt)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || r.Purpose != p.String() || string(r.Vault) != string(vault[:]) || r.Generation == 0 {
		return nil, errKeyRecord
	}
	if uint64(len(r.History)) != (r.Generation-1)*recordDigestSize || r.Generation > MaxRecord {
		return nil, errKeyRecord
	}
	if err := r.checkDestroyed(); err != nil {
		return nil, err
	}
	if err := r.checkSuspended(); err != nil {
		return nil, err
	}
	return &r, nil
}

// The names of the fields of a key record, and of its keysets.
var (
	recordNames = names{
		"purpose": nil, "vault": nil, "generation": nil, "history": nil,
		"seal": keysetNames, "index": keysetNames, "subject": keysetNames, "collect": keysetNames, "destroyed": ids,
		"suspended": suspensionNames,
	}
	keysetNames = names{"keyset": nil, "created": ids, "retired": ids, "primary": ids}

	suspensionNames = names{"notice": nil, "actions": nil, "reason": nil, "since": nil, "until": nil}
)

// exactNames reports whether no object in the next value has a name twice, or a name that
// is not in known at its depth. Package json takes "SEAL" for "seal", the last of two
// fields, and "07" for the key id 7.
func exactNames(d *json.Decoder, known names) bool {
	t, err := d.Token()
	if err != nil || t != json.Delim('{') && t != json.Delim('[') {
		return err == nil
	}
	seen := make(map[string]bool)
	for d.More() {
		within := known
		if t == json.Delim('{') {
			next, err := d.Token()
			name, ok := next.(string)
			if err != nil || !ok || seen[name] {
				return false
			}
			seen[name] = true
			if within, ok = known.has(name); !ok {
				return false
			}
		}
		if !exactNames(d, within) {
			return false
		}
	}
	_, err = d.Token() // the end of the object or of the array
	return err == nil
}

// parameters returns the parameters of new keys of the role. Seal keys are
// AES-256-GCM with the TINK prefix, which puts the key's id before every
// ciphertext, so that opening never tries keys. Index keys and pseudonym keys are
// AES-CMAC PRF keys: an index needs no more than a PRF, and Tink's other PRFs cost
// ten times as much.
func (r Role) parameters(of CollectorKEM) (key.Parameters, error) {
	switch r {
	case RoleCollect:
		if k, ok := findKEM(func(k *kem) bool { return k.name == of }); ok && k.works() {
			return k.parameters()
		}
		return nil, errNoKEM
	case RoleSeal:
		return aesgcm.NewParameters(aesgcm.ParametersOpts{
			KeySizeInBytes: 32, IVSizeInBytes: format.NonceSize, TagSizeInBytes: format.TagSize, Variant: aesgcm.VariantTink,
		})
	}
	p, err := aescmacprf.NewParameters(32)
	return &p, err
}

// addKey puts a fresh key into a keyset.
func addKey(m *keyset.Manager, role Role, kem CollectorKEM) (id uint32, err error) {
	params, err := role.parameters(kem)
	if err != nil {
		return 0, err
	}
	// The platform has the KEM: see handle.
	fips140.WithoutEnforcement(func() { id, err = m.AddNewKeyFromParameters(params) })
	return id, err
}

// newSealKeyset makes a keyset with one seal key.
func newSealKeyset() (*keyset.Handle, error) {
	m := keyset.NewManager()
	id, err := addKey(m, RoleSeal, "")
	if err != nil {
		return nil, err
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, err
	}
	return m.Handle()
}

// add puts a fresh key into one of the record's keysets, as [keysetRecord.add] does. Its
// id, which add returns, is unique among the ids of all keys that the purpose has or had. A
// key of RoleCollect is of the given KEM.
func (r *keyRecord) add(to *keysetRecord, role Role, kem CollectorKEM, primaryAt int64) (id uint32, err error) {
	if _, err := r.describe(); err != nil {
		return 0, err
	}
	known := r.states()
	for {
		next := *to
		if err := next.add(role, kem, primaryAt); err != nil {
			return 0, fmt.Errorf("no such key can be made here: %w", ErrUnavailable)
		}
		for id := range next.Created {
			if known[id] == 0 {
				*to = next
				return id, nil
			}
		}
	}
}

// find returns the key with the given id, which must have the given status and must not be
// the key of pseudonyms.
func (r *keyRecord) find(id uint32, status Status) (Key, error) {
	known, err := r.describe()
	if err != nil {
		return Key{}, err
	}
	i := slices.IndexFunc(known, func(k Key) bool { return k.ID == id })
	switch {
	case i < 0:
		return Key{}, fmt.Errorf("no key of that id: %w", ErrInvalid)
	case known[i].Status != status:
		return Key{}, fmt.Errorf("key is %s, not %s: %w", known[i].Status, status, ErrInvalid)
	case known[i].Role == RoleSubject:
		return Key{}, errPseudonymKey
	}
	return known[i], nil
}

// edit applies f to the keyset of a role.
func (r *keyRecord) edit(role Role, f func(*keyset.Manager) error) error {
	for _, of := range r.keysets() {
		if of.role != role {
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
			continue // a platform that can't read the keyset leaves it as it is
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
			id := e.KeyID()
			k := Key{ID: id, Role: set.role, Status: Active, Created: time.Unix(set.Created[id], 0).UTC()}
			if set.role == RoleCollect {
				k.KEM = kemName(e.Key())
			}
			switch {
			case e.IsPrimary():
				k.Status = Primary
			case e.KeyStatus() != keyset.Enabled:
				k.Status, k.Retired = Retired, time.Unix(set.Retired[id], 0).UTC()
			}
			if at, coming := set.Primary[id]; coming {
				k.PrimaryAt = time.Unix(at, 0).UTC()
			}
			all = append(all, k)
		}
		slices.SortStableFunc(all[start:], func(a, b Key) int { return cmp.Compare(a.Created.Unix(), b.Created.Unix()) })
	}
	return all, nil
}

var (
	errKeyRecord    = fmt.Errorf("malformed key record: %w", ErrCorrupt)
	errNoKEM        = errors.New("the platform lacks the mechanism")
	errPseudonymKey = fmt.Errorf("the key of pseudonyms is never changed: %w", ErrInvalid)
)
