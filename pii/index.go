package pii

import (
	"crypto/subtle"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/onlyfor/onlyfor/vault"
)

// An Index is an immutable blind index: a keyed token by which a value can be
// looked up under one purpose, and under no other. It is 16 bytes in a column
// of bytes (BYTEA, VARBINARY(16), BLOB), since collations of text columns would
// make two people one.
//
// An Index goes into databases alone. It is the same wherever the address
// occurs, so in JSON or in logs it would let others link people: it refuses to
// be encoded with [ErrNoText], prints as "pii.Index", and keeps its bytes where
// no printer and no test diff reaches them. Compare with [Index.Equal].
//
// The zero Index is the absence of one, and NULL in SQL. The functions that make
// an Index return a poisoned one along with every error: it can't be used as
// a query argument, while a zero one would make some query builders leave out
// the condition and return every row.
type Index struct {
	// A func can't be looked into by reflection, so neither can the bytes.
	open func() ([vault.IndexSize]byte, error)
}

// ErrPoisoned reports the use of an [Index] whose making failed.
var ErrPoisoned = errors.New("pii: index is unusable, for making it failed")

func newIndex(bytes [vault.IndexSize]byte, err error) (Index, error) {
	if err != nil {
		return poisoned, err
	}
	return Index{func() ([vault.IndexSize]byte, error) { return bytes, nil }}, nil
}

var poisoned = Index{func() ([vault.IndexSize]byte, error) { return [vault.IndexSize]byte{}, ErrPoisoned }}

// Equal reports whether both are usable indexes with the same bytes, which are
// compared in constant time. The zero Index and a poisoned one equal nothing,
// not even themselves, as NULL does in SQL. Diff tools that use Equal, such as
// go-cmp, so find two zero ones different.
func (x Index) Equal(other Index) bool {
	if x.open == nil || other.open == nil {
		return false
	}
	a, errA := x.open()
	b, errB := other.open()
	return errA == nil && errB == nil && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// IsZero reports whether x is the absence of an index. A poisoned index is not.
func (x Index) IsZero() bool { return x.open == nil }

// Value implements [driver.Valuer]: 16 bytes, or NULL for the zero Index. For a
// poisoned one it is [ErrPoisoned], so that the query is not run, beside bytes
// that match nobody, for query builders that forget the error.
func (x Index) Value() (driver.Value, error) {
	if x.open == nil {
		return nil, nil
	}
	bytes, err := x.open()
	if err != nil {
		// Not nil: GORM forgets the error when it compares, and takes nil for IS
		// NULL, which is true of everybody without an index.
		return []byte{}, err
	}
	return bytes[:], nil
}

// Scan implements [database/sql.Scanner]. It takes 16 bytes, which it copies;
// NULL is the zero Index. Anything else is [vault.ErrCorrupt] and leaves x as
// it was.
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

// ErrNoText reports an attempt to write an [Index] to anything but a database.
var ErrNoText = errors.New(`pii: an index has no form outside databases, which would let others link people: leave the field out, as with json:"-"`)

// MarshalText always fails with [ErrNoText], and with it encoders of JSON, XML and
// YAML: better than an index that is lost on the way without a word.
func (x Index) MarshalText() ([]byte, error) { return nil, ErrNoText }

// UnmarshalText always fails with [ErrNoText].
func (x *Index) UnmarshalText([]byte) error { return ErrNoText }

// MarshalBinary always fails with [ErrNoText], and with it encoders such as
// those of gob and CBOR.
func (x Index) MarshalBinary() ([]byte, error) { return nil, ErrNoText }

// UnmarshalBinary always fails with [ErrNoText].
func (x *Index) UnmarshalBinary([]byte) error { return ErrNoText }

// ErrNoIndex reports an attempt to write the zero [Index] as BSON.
var ErrNoIndex = errors.New(`pii: a zero index has no BSON form, for a filter on null finds every document without one: leave the field out, as with bson:",omitempty"`)

// MarshalBSONValue implements the ValueMarshaler of MongoDB's driver, version 2:
// 16 bytes as BSON binary of the generic subtype. A filter on null would find
// every document that has no index, so the zero Index is [ErrNoIndex] and a
// poisoned one [ErrPoisoned]: the query is not run.
func (x Index) MarshalBSONValue() (typ byte, data []byte, err error) {
	if x.open == nil {
		return 0, nil, ErrNoIndex
	}
	bytes, err := x.open()
	if err != nil {
		return 0, nil, err
	}
	return bsonBinary, append([]byte{vault.IndexSize, 0, 0, 0, bsonGeneric}, bytes[:]...), nil
}

// UnmarshalBSONValue implements the ValueUnmarshaler of MongoDB's driver,
// version 2. Null is the zero Index; whatever is not 16 bytes of the generic
// subtype is [vault.ErrCorrupt] and leaves x as it was.
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

// String returns "pii.Index".
func (x Index) String() string { return indexLabel }

// GoString returns "pii.Index".
func (x Index) GoString() string { return indexLabel }

// Format implements [fmt.Formatter]: every verb prints "pii.Index".
func (x Index) Format(f fmt.State, verb rune) { printLabel(f, verb, indexLabel) }

// LogValue implements [slog.LogValuer] with "pii.Index".
func (x Index) LogValue() slog.Value { return slog.StringValue(indexLabel) }

// GormDataType tells GORM to use a column of bytes.
func (Index) GormDataType() string { return "bytes" }
