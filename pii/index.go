package pii

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/onlyfor/onlyfor/vault"
)

// An Index is an immutable blind index: a keyed token that finds a value under one
// purpose, and under no other. It is 16 bytes in a column of bytes (BYTEA,
// VARBINARY(16), BLOB). The collation of a text column could make two people one.
//
// An Index goes into databases alone. All indexes of one address under one purpose
// are equal, so in JSON or in logs they would let others link people. An Index
// therefore refuses other encodings with [ErrNoText], and prints as "pii.Index". It is
// comparable, so structs with an Index compare in tests, and an Index can be a key of a
// map. Its bytes in memory, which a diff of a test may show, are encrypted with a random
// key of the process, and of use to nobody outside it.
//
// The zero Index is the absence of one, and NULL in SQL. Functions that make an
// Index return a poisoned one with every error. A poisoned Index can't be a query
// argument. A zero one would make some query builders leave out the condition and
// return every row. For == one absent index is equal to another; to decide who somebody
// is, use [Index.Equal].
type Index struct {
	state  indexState
	hidden [vault.IndexSize]byte // encrypted by hide
}

// An indexState tells a usable [Index] from an absent and from a poisoned one.
type indexState byte

const (
	noIndex indexState = iota
	usableIndex
	poisonedIndex
)

// ErrPoisoned reports the use of an [Index] that came with an error.
var ErrPoisoned = errors.New("pii: index is unusable, for making it failed")

var poisoned = Index{state: poisonedIndex}

// indexCipher has the random key of this process under which indexes are hidden.
var indexCipher = sync.OnceValue(func() cipher.Block {
	key := make([]byte, 16)
	rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // for keys of another size
	}
	return block
})

func newIndex(bytes [vault.IndexSize]byte, err error) (Index, error) {
	if err != nil {
		return poisoned, err
	}
	return Index{usableIndex, hide(bytes)}, nil
}

// hide returns the block encrypted under indexCipher. Memory that is passed to a
// [cipher.Block] moves to the heap, so it comes from a pool, and is cleared.
func hide(block [vault.IndexSize]byte) [vault.IndexSize]byte {
	buf := blocks.Get().(*[vault.IndexSize]byte)
	*buf = block
	indexCipher().Encrypt(buf[:], buf[:])
	block = *buf
	clear(buf[:])
	blocks.Put(buf)
	return block
}

// unhide is the reverse of hide.
func unhide(block [vault.IndexSize]byte) [vault.IndexSize]byte {
	buf := blocks.Get().(*[vault.IndexSize]byte)
	*buf = block
	indexCipher().Decrypt(buf[:], buf[:])
	block = *buf
	clear(buf[:])
	blocks.Put(buf)
	return block
}

var blocks = sync.Pool{New: func() any { return new([vault.IndexSize]byte) }}

// bytes returns the bytes of a usable index. A poisoned index is [ErrPoisoned].
func (x Index) bytes() (bytes [vault.IndexSize]byte, err error) {
	if x.state != usableIndex {
		return bytes, ErrPoisoned
	}
	return unhide(x.hidden), nil
}

// Equal reports whether x and other are usable indexes of the same bytes. It
// compares them in constant time. The zero Index and a poisoned one equal nothing,
// not even themselves, as NULL does in SQL. Diff tools that use Equal, such as
// go-cmp, therefore find two zero indexes different, unless they are told to use ==.
func (x Index) Equal(other Index) bool {
	return x.state == usableIndex && other.state == usableIndex &&
		subtle.ConstantTimeCompare(x.hidden[:], other.hidden[:]) == 1
}

// IsZero reports whether x is the absence of an index. It is false for a poisoned
// one.
func (x Index) IsZero() bool { return x.state == noIndex }

// Value returns the 16 bytes, or NULL for the zero Index. It implements
// [driver.Valuer]. A poisoned Index is [ErrPoisoned], so that the query does not
// run. With that error Value returns bytes that match nobody, for query builders
// that forget the error.
func (x Index) Value() (driver.Value, error) {
	if x.IsZero() {
		return nil, nil
	}
	bytes, err := x.bytes()
	if err != nil {
		// Not nil: GORM forgets the error in a comparison and writes IS NULL for
		// nil, which is true of every row without an index.
		return []byte{}, err
	}
	return bytes[:], nil
}

// Scan copies 16 bytes. It implements [database/sql.Scanner]. NULL is the zero
// Index. Anything else is [vault.ErrCorrupt] and leaves x as it was.
func (x *Index) Scan(src any) error {
	switch src := src.(type) {
	case nil:
		*x = Index{}
		return nil
	case []byte:
		if len(src) == vault.IndexSize {
			*x, _ = newIndex([vault.IndexSize]byte(src), nil)
			return nil
		}
	}
	return fmt.Errorf("pii: scanning index: %w", vault.ErrCorrupt)
}

// ErrNoText reports an attempt to encode an [Index] as text or as binary data. Only
// databases take indexes.
var ErrNoText = errors.New(`pii: an index has no form outside databases, which would let others link people: leave the field out, as with json:"-"`)

// MarshalText always fails with [ErrNoText], so that encoders of JSON, XML and YAML
// fail too. Otherwise they would drop the index without an error.
func (x Index) MarshalText() ([]byte, error) { return nil, ErrNoText }

// UnmarshalText always fails with [ErrNoText].
func (x *Index) UnmarshalText([]byte) error { return ErrNoText }

// MarshalBinary always fails with [ErrNoText], so that encoders of gob and CBOR
// fail too.
func (x Index) MarshalBinary() ([]byte, error) { return nil, ErrNoText }

// UnmarshalBinary always fails with [ErrNoText].
func (x *Index) UnmarshalBinary([]byte) error { return ErrNoText }

// ErrNoIndex reports an attempt to write the zero [Index] as BSON.
var ErrNoIndex = errors.New(`pii: a zero index has no BSON form, for a filter on null finds every document without one: leave the field out, as with bson:",omitempty"`)

// MarshalBSONValue returns the 16 bytes as BSON binary of the generic subtype. It
// implements the ValueMarshaler of MongoDB's driver, version 2. A filter on null
// would find every document without an index. The zero Index is therefore
// [ErrNoIndex], and a poisoned one [ErrPoisoned], so that the query does not run.
func (x Index) MarshalBSONValue() (typ byte, data []byte, err error) {
	if x.IsZero() {
		return 0, nil, ErrNoIndex
	}
	bytes, err := x.bytes()
	if err != nil {
		return 0, nil, err
	}
	return bsonBinary, append([]byte{vault.IndexSize, 0, 0, 0, bsonGeneric}, bytes[:]...), nil
}

// UnmarshalBSONValue reads 16 bytes of the generic subtype. It implements the
// ValueUnmarshaler of MongoDB's driver, version 2. Null is the zero Index. Any
// other element is [vault.ErrCorrupt] and leaves x as it was.
func (x *Index) UnmarshalBSONValue(typ byte, data []byte) error {
	switch {
	case typ == bsonNull && len(data) == 0:
		*x = Index{}
		return nil
	case typ == bsonBinary && len(data) == 5+vault.IndexSize &&
		binary.LittleEndian.Uint32(data) == vault.IndexSize && data[4] == bsonGeneric:
		*x, _ = newIndex([vault.IndexSize]byte(data[5:]), nil)
		return nil
	}
	return fmt.Errorf("pii: decoding index: %w", vault.ErrCorrupt)
}

const indexLabel = "pii.Index"

// GoString returns "pii.Index".
func (x Index) GoString() string { return indexLabel }

// Format prints "pii.Index" for every verb. It implements [fmt.Formatter].
func (x Index) Format(f fmt.State, verb rune) { printLabel(f, verb, indexLabel) }

// LogValue returns "pii.Index". It implements [slog.LogValuer].
func (x Index) LogValue() slog.Value { return slog.StringValue(indexLabel) }

// GormDataType tells GORM to use a column of bytes.
func (Index) GormDataType() string { return "bytes" }
