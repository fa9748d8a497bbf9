package reference

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Time is the time of everything in the vectors: 2026-01-02T03:04:05Z.
const Time = 1767323045

// KeyPayload is the plaintext of a key record.
type KeyPayload struct {
	Purpose    string `json:"purpose"`
	Vault      []byte `json:"vault"`
	Generation uint64 `json:"generation"`
	History    []byte `json:"history"`
	Seal       Keyset `json:"seal"`
	Index      Keyset `json:"index"`
	Subject    Keyset `json:"subject"`

	Collect *Keyset `json:"collect,omitempty"`

	Destroyed map[string]uint64 `json:"destroyed,omitempty"`

	Suspended []Suspended `json:"suspended,omitempty"`
}

// Keyset is one keyset of a key record: Tink's serialization in base64, and times by key
// id: of the making of each key, of the retirement of keys that are disabled, and of the
// promotion of keys that are to become primary.
type Keyset struct {
	Keyset  string            `json:"keyset"`
	Created map[string]uint64 `json:"created"`
	Retired map[string]uint64 `json:"retired,omitempty"`
	Primary map[string]uint64 `json:"primary,omitempty"`
}

const (
	// GCMType is the type URL of AES-GCM keys in a Tink keyset.
	GCMType = "type.googleapis.com/google.crypto.tink.AesGcmKey"
	// CMACType is the type URL of AES-CMAC keys in a Tink keyset.
	CMACType = "type.googleapis.com/google.crypto.tink.AesCmacPrfKey"
)

// Payload is [Record.Payload] of a record without keys of collectors.
func Payload(name string, keys Keys) KeyPayload {
	return Record{Keys: keys}.Payload(name)
}

// Payload returns the plaintext of the key record of the named purpose. It is of
// generation 1, and all of its keys were made at [Time].
func (keys Record) Payload(name string) KeyPayload {
	p := KeyPayload{
		Purpose: name, Vault: keys.Vault, Generation: 1, History: []byte{},
		Seal:    SetOf(ProtoKeyset(keys.Seal, GCMType, 3, 1)),
		Index:   SetOf(ProtoKeyset(keys.Index, CMACType, 2, 3)),
		Subject: SetOf(ProtoKeyset(keys.Subject, CMACType, 2, 3)),
	}
	if keys.Collect != nil {
		collect := SetOf(ProtoEntries(CollectEntries(keys.Collect)...))
		p.Collect = &collect
	}
	return p
}

// ProtoKeyset writes a google.crypto.tink.Keyset of symmetric keys. Prefix 1 is TINK,
// and 3 is RAW, the prefix of PRF keys.
func ProtoKeyset(keys []Key, typ string, keyField, prefix uint64) []byte {
	var entries []Entry
	for _, k := range keys {
		entries = append(entries, Entry{k.ID, typ, ProtoBytes(nil, keyField, k.Key), Symmetric, Enabled, prefix})
	}
	return ProtoEntries(entries...)
}

// Entry is one key of a google.crypto.tink.Keyset.
type Entry struct {
	ID                       uint32
	Typ                      string
	Value                    []byte
	Material, Status, Prefix uint64
}

const (
	// Symmetric is the KeyMaterialType of keys without halves.
	Symmetric, private = 1, 2
	// Enabled and Disabled are the KeyStatusType of keys.
	Enabled, Disabled = 1, 2
)

// ProtoEntries writes a keyset whose first key is primary.
func ProtoEntries(entries ...Entry) []byte {
	var set []byte
	if len(entries) > 0 {
		set = ProtoInt(set, 1, uint64(entries[0].ID)) // primary_key_id
	}
	for _, e := range entries {
		data := ProtoBytes(nil, 1, []byte(e.Typ))                       // type_url
		data = ProtoBytes(data, 2, e.Value)                             // value
		data = ProtoInt(data, 3, e.Material)                            // key_material_type
		entry := ProtoInt(ProtoBytes(nil, 1, data), 2, e.Status)        // key_data, status
		entry = ProtoInt(ProtoInt(entry, 3, uint64(e.ID)), 4, e.Prefix) // key_id, output_prefix_type
		set = ProtoBytes(set, 2, entry)
	}
	return set
}

// ProtoBytes appends field n, a string, bytes or a message, to a protobuf message.
func ProtoBytes(b []byte, n uint64, v []byte) []byte {
	b = binary.AppendUvarint(b, n<<3|2)
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// ProtoInt appends field n, a varint, to a protobuf message.
func ProtoInt(b []byte, n, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, n<<3), v)
}

// readKeyset reads a keyset as package vault generates it: keys of one type and prefix.
// It returns the key first that is primary at the time now, and leaves out disabled keys.
func readKeyset(from Keyset, now uint64, typ string, prefix uint64, read func(value Proto) (Key, bool)) ([]Key, error) {
	data, err := base64.StdEncoding.DecodeString(from.Keyset)
	if err != nil {
		return nil, err
	}
	set, err := ReadProto(data)
	if err != nil {
		return nil, err
	}
	primary, err := from.primaryAt(data, now)
	if err != nil {
		return nil, err
	}
	flagged := false
	var keys []Key
	for _, raw := range set.bytes[2] {
		entry, err := ReadProto(raw)
		if err != nil {
			return nil, err
		}
		keyData, err := ReadProto(entry.Only(1))
		if err != nil {
			return nil, err
		}
		value, err := ReadProto(keyData.Only(2))
		if err != nil {
			return nil, err
		}
		if entry.ints[2] == Disabled {
			continue
		}
		key, ok := read(value)
		if string(keyData.Only(1)) != typ || entry.ints[2] != Enabled || entry.ints[4] != prefix || !ok {
			return nil, errors.New("not an enabled key of this type")
		}
		k := key
		k.ID = uint32(entry.ints[3])
		flagged = flagged || uint64(k.ID) == set.ints[1]
		if k.ID == primary {
			keys = slices.Insert(keys, 0, k)
		} else {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || keys[0].ID != primary || !flagged {
		return nil, errors.New("no enabled primary key")
	}
	return keys, nil
}

// symmetricKey returns a function that reads a key of 32 bytes from the given field of
// its message.
func symmetricKey(field uint64) func(value Proto) (Key, bool) {
	return func(value Proto) (Key, bool) {
		key := value.Only(field)
		return Key{Key: key}, len(value.bytes[field]) == 1 && len(key) == 32
	}
}

// Proto is a protobuf message: its varints, and its strings, bytes and messages, by
// field number.
type Proto struct {
	ints  map[uint64]uint64
	bytes map[uint64][][]byte
}

// Only returns the first of the fields of number n, or nil if there is none.
func (m Proto) Only(n uint64) []byte {
	if len(m.bytes[n]) == 0 {
		return nil
	}
	return m.bytes[n][0]
}

// ReadProto reads a protobuf message of varints, strings, bytes and messages.
func ReadProto(data []byte) (Proto, error) {
	m := Proto{map[uint64]uint64{}, map[uint64][][]byte{}}
	for r := bytes.NewReader(data); r.Len() > 0; {
		tag, err := binary.ReadUvarint(r)
		if err != nil {
			return m, err
		}
		n, err := binary.ReadUvarint(r)
		switch {
		case err != nil:
			return m, err
		case tag&7 == 0:
			m.ints[tag>>3] = n
		case tag&7 == 2 && n <= uint64(r.Len()):
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				return m, err
			}
			m.bytes[tag>>3] = append(m.bytes[tag>>3], b)
		default:
			return m, errors.New("wire type")
		}
	}
	return m, nil
}

// VaultRecord writes the record of a vault's id.
func VaultRecord(vault []byte) []byte { return append([]byte("ofv1"), vault...) }

// KEKAAD returns the associated data with which a KEK wraps the data key of a key record.
func KEKAAD(name string, vault []byte) []byte {
	return fmt.Appendf(nil, "onlyfor purpose-keys %s %x", name, vault)
}

// Wrap writes a key record, with the data key, the nonce and the KEK of the caller, which
// has no name.
func Wrap(kek AEAD, name string, vault, payload, dek, nonce []byte) []byte {
	wrapped, err := kek.Encrypt(dek, KEKAAD(name, vault))
	if err != nil {
		panic(err)
	}
	return WrapUnder(name, vault, "", wrapped, payload, dek, nonce)
}

// WrapUnder is Wrap with a data key that was wrapped before, and the name of the KEK.
func WrapUnder(name string, vault []byte, kek string, wrapped, payload, dek, nonce []byte) []byte {
	b := RecordHead(vault, kek, wrapped)
	return GCM(dek).Seal(append(b, nonce...), nonce, payload, RecordAAD(name, vault, kek, wrapped))
}

// RecordHead returns a key record up to its nonce.
func RecordHead(vault []byte, kek string, wrapped []byte) []byte {
	return slices.Concat([]byte("ofk1"), vault, String(kek), []byte{byte(len(wrapped) >> 8), byte(len(wrapped))}, wrapped)
}

// RecordAAD returns the associated data of a key record.
func RecordAAD(name string, vault []byte, kek string, wrapped []byte) []byte {
	return slices.Concat([]byte("ofk1"), String("purpose-keys"), String(name), vault, String(kek), wrapped)
}

// RecordDigest returns the digest of a key record, as it stands in the history of later
// generations and in pins.
func RecordDigest(record []byte) []byte {
	sum := sha256.Sum256(record)
	return sum[:16]
}

// AEAD wraps data keys.
type AEAD interface {
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// spelled refuses a payload with a name that is spelled in another way, or that is
// there twice, neither of which package json minds.
func spelled(payload []byte) error {
	times := map[string]int{} // by path, in which the elements of a list have their number
	d := json.NewDecoder(bytes.NewReader(payload))
	var within func(path string) error // reads one value
	within = func(path string) error {
		token, err := d.Token()
		if err != nil {
			return err
		}
		if token != json.Delim('{') && token != json.Delim('[') {
			return nil
		}
		for i := 0; d.More(); i++ {
			name := strconv.Itoa(i)
			if token == json.Delim('{') {
				next, err := d.Token()
				if err != nil {
					return err
				}
				name = next.(string)
			}
			at := strings.TrimPrefix(path+"."+name, ".")
			if token == json.Delim('{') {
				if times[at]++; times[at] > 1 || !pathRE.MatchString(at) {
					return errors.New("name unknown, or there twice")
				}
			}
			if err := within(at); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	}
	return within("")
}

var keyNameRE = regexp.MustCompile(`\A[!-~]*\z`)

var pathRE = regexp.MustCompile(`\A(purpose|vault|generation|history|(seal|index|subject|collect)(\.keyset|\.(created|retired|primary)(\.\d+)?)?|destroyed(\.\d+)?|suspended(\.\d+\.(notice|actions|reason|since|until))?)\z`)

// Unwrap reads a key record of the given vault, as it is now.
func Unwrap(kek AEAD, name string, vault, data []byte) (Record, error) {
	return UnwrapAt(kek, name, vault, data, uint64(time.Now().Unix()))
}

// UnwrapAt is Unwrap at another time: keys become primary as time goes by.
func UnwrapAt(kek AEAD, name string, vault, data []byte, now uint64) (Record, error) {
	r := &Reader{B: data, Ok: true}
	magic, of := r.Next(4), r.Next(16)
	kekName := string(r.Next(int(r.Next(1)[0])))
	size := r.Next(2)
	wrapped := r.Next(int(size[0])<<8 | int(size[1]))
	nonce := r.Next(12)
	if !r.Ok || string(magic) != "ofk1" || len(data) > 1<<20 || len(wrapped) == 0 || !keyNameRE.MatchString(kekName) {
		return Record{}, errors.New("malformed")
	}
	if !bytes.Equal(of, vault) {
		return Record{}, errors.New("of another vault")
	}
	dek, err := kek.Decrypt(wrapped, KEKAAD(name, vault))
	if err != nil {
		return Record{}, err
	}
	if len(dek) != 32 {
		return Record{}, errors.New("data key of another size")
	}
	plain, err := GCM(dek).Open(nil, nonce, r.B, RecordAAD(name, vault, kekName, wrapped))
	if err != nil {
		return Record{}, err
	}
	var payload KeyPayload
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	if err := d.Decode(&payload); err != nil {
		return Record{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return Record{}, errors.New("something after the payload")
	}
	if payload.Purpose != name || !bytes.Equal(payload.Vault, vault) || payload.Generation == 0 {
		return Record{}, errors.New("of another purpose")
	}
	if uint64(len(payload.History)) != 16*(payload.Generation-1) || payload.Generation > 1<<16 {
		return Record{}, errors.New("a history of another length")
	}
	if err := spelled(plain); err != nil {
		return Record{}, err
	}
	if err := payload.checkDestroyed(); err != nil {
		return Record{}, err
	}
	if err := payload.checkSuspended(); err != nil {
		return Record{}, err
	}
	keys := Record{Keys: Keys{Vault: vault}}
	for _, x := range []struct {
		to       *[]Key
		from     *Keyset
		typ      string
		prefix   uint64
		read     func(value Proto) (Key, bool)
		optional bool
	}{
		{&keys.Seal, &payload.Seal, GCMType, 1, symmetricKey(3), false},
		{&keys.Index, &payload.Index, CMACType, 3, symmetricKey(2), false},
		{&keys.Subject, &payload.Subject, CMACType, 3, symmetricKey(2), false},
		{&keys.Collect, payload.Collect, HPKEType, 1, collectKey, true},
	} {
		if x.from == nil {
			continue
		}
		keys, err := readKeyset(*x.from, now, x.typ, x.prefix, x.read)
		if err == nil {
			*x.to = keys
		}
		if err != nil && !x.optional {
			return Record{}, err
		}
	}
	return keys, nil
}
