package reference

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Time is the time of everything in the vectors: 2026-01-02T03:04:05Z.
const Time = 1767323045

// KeyPayload is the plaintext of a key record.
type KeyPayload struct {
	Purpose    string `json:"purpose"`
	Generation uint64 `json:"generation"`
	Seal       Keyset `json:"seal"`
	Index      Keyset `json:"index"`
	Subject    Keyset `json:"subject"`

	Collect *Keyset `json:"collect,omitempty"`
}

// Keyset is one keyset of a key record: Tink's serialization in base64, and the time at
// which each key was made, by key id.
type Keyset struct {
	Keyset  string            `json:"keyset"`
	Created map[string]uint64 `json:"created"`
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
	set := func(keys []Key, data []byte) Keyset {
		created := map[string]uint64{}
		for _, k := range keys {
			created[fmt.Sprint(k.ID)] = Time
		}
		return Keyset{base64.StdEncoding.EncodeToString(data), created}
	}
	p := KeyPayload{
		Purpose: name, Generation: 1,
		Seal:    set(keys.Seal, ProtoKeyset(keys.Seal, GCMType, 3, 1)),
		Index:   set(keys.Index, ProtoKeyset(keys.Index, CMACType, 2, 3)),
		Subject: set(keys.Subject, ProtoKeyset(keys.Subject, CMACType, 2, 3)),
	}
	if keys.Collect != nil {
		collect := set(keys.Collect, ProtoEntries(CollectEntries(keys.Collect)...))
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
// It returns the primary key first, and leaves out disabled keys.
func readKeyset(data []byte, typ string, prefix uint64, read func(value Proto) ([]byte, bool)) ([]Key, error) {
	set, err := ReadProto(data)
	if err != nil {
		return nil, err
	}
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
		k := Key{uint32(entry.ints[3]), key}
		if uint64(k.ID) == set.ints[1] {
			keys = slices.Insert(keys, 0, k)
		} else {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || uint64(keys[0].ID) != set.ints[1] {
		return nil, errors.New("no enabled primary key")
	}
	return keys, nil
}

// symmetricKey returns a function that reads a key of 32 bytes from the given field of
// its message.
func symmetricKey(field uint64) func(value Proto) ([]byte, bool) {
	return func(value Proto) ([]byte, bool) {
		key := value.Only(field)
		return key, len(value.bytes[field]) == 1 && len(key) == 32
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

// Wrap writes a key record, with the data key, the nonce and the KEK of the caller.
func Wrap(kek AEAD, name string, payload, dek, nonce []byte) []byte {
	wrapped, err := kek.Encrypt(dek, []byte("onlyfor purpose-keys "+name))
	if err != nil {
		panic(err)
	}
	return WrapUnder(name, wrapped, payload, dek, nonce)
}

// WrapUnder is Wrap with a data key that was wrapped before.
func WrapUnder(name string, wrapped, payload, dek, nonce []byte) []byte {
	b := append([]byte("ofk1"), byte(len(wrapped)>>8), byte(len(wrapped)))
	b = append(append(b, wrapped...), nonce...)
	return GCM(dek).Seal(b, nonce, payload, RecordAAD(name, wrapped))
}

// RecordAAD returns the associated data of a key record.
func RecordAAD(name string, wrapped []byte) []byte {
	return slices.Concat([]byte("ofk1"), String("purpose-keys"), String(name), wrapped)
}

// AEAD wraps data keys.
type AEAD interface {
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// spelled refuses a payload with a name that is spelled in another way, or that is
// there twice, neither of which package json minds.
func spelled(payload []byte) error {
	times := map[string]int{} // by path
	var path []string
	isName := true
	for d := json.NewDecoder(bytes.NewReader(payload)); ; {
		token, err := d.Token()
		switch {
		case err == io.EOF:
			for at, n := range times {
				if n > 1 || !pathRE.MatchString(at) {
					return errors.New("name unknown, or there twice")
				}
			}
			return nil
		case err != nil:
			return err
		case token == json.Delim('{'):
			path, isName = append(path, ""), true
		case token == json.Delim('}'):
			path, isName = path[:len(path)-1], true
		case isName:
			path[len(path)-1] = token.(string)
			times[strings.Join(path, ".")]++
			isName = false
		default:
			isName = true
		}
	}
}

var pathRE = regexp.MustCompile(`\A(purpose|generation|(seal|index|subject|collect)(\.keyset|\.created(\.\d+)?)?)\z`)

// Unwrap reads a key record.
func Unwrap(kek AEAD, name string, data []byte) (Record, error) {
	r := &Reader{B: data, Ok: true}
	magic, size := r.Next(4), r.Next(2)
	wrapped := r.Next(int(size[0])<<8 | int(size[1]))
	nonce := r.Next(12)
	if !r.Ok || string(magic) != "ofk1" || len(data) > 1<<20 {
		return Record{}, errors.New("malformed")
	}
	dek, err := kek.Decrypt(wrapped, []byte("onlyfor purpose-keys "+name))
	if err != nil {
		return Record{}, err
	}
	if len(dek) != 32 {
		return Record{}, errors.New("data key of another size")
	}
	plain, err := GCM(dek).Open(nil, nonce, r.B, RecordAAD(name, wrapped))
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
	if payload.Purpose != name || payload.Generation == 0 {
		return Record{}, errors.New("of another purpose")
	}
	if err := spelled(plain); err != nil {
		return Record{}, err
	}
	var keys Record
	for _, x := range []struct {
		to       *[]Key
		from     *Keyset
		typ      string
		prefix   uint64
		read     func(value Proto) ([]byte, bool)
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
		set, err := base64.StdEncoding.DecodeString(x.from.Keyset)
		if err == nil {
			*x.to, err = readKeyset(set, x.typ, x.prefix, x.read)
		}
		if err != nil && !x.optional {
			return Record{}, err
		}
	}
	return keys, nil
}
