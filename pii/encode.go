package pii

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/onlyfor/onlyfor/vault"
)

// Encoders carry the sealed form. Decoders accept the sealed form of their own kind
// and nothing else. They copy their input, and leave the value as it was if they
// fail.

// Value returns the sealed text, or NULL for the zero value. It implements
// [driver.Valuer]. The text suits a TEXT or VARCHAR column, and a database can
// check it: CHECK (email LIKE 'pii1.email.%').
func (s Sealed[K]) Value() (driver.Value, error) {
	if s.IsZero() {
		return nil, nil
	}
	var buf [256]byte // for a value of one purpose
	text, err := s.value.AppendText(buf[:0])
	return string(text), err
}

// Scan reads sealed text from a string or []byte. It implements
// [database/sql.Scanner]. NULL and empty text are the zero value. Anything else,
// plaintext included, is [vault.ErrCorrupt].
func (s *Sealed[K]) Scan(src any) error {
	var v vault.Sealed
	var err error
	switch src := src.(type) {
	case nil:
	case string:
		v, err = vault.ParseSealed(src)
	case []byte:
		err = v.UnmarshalText(src)
	default:
		err = vault.ErrCorrupt
	}
	return s.set("scanning", v, err)
}

// set replaces the value by v, unless parsing v failed or v is not of kind K.
func (s *Sealed[K]) set(doing string, v vault.Sealed, err error) error {
	k := kindOf[K]()
	if err != nil || !v.IsZero() && v.Kind() != k.String() {
		return fmt.Errorf("%s: %s %s: %w", k.Package(), doing, k, vault.ErrCorrupt)
	}
	s.value = v
	return nil
}

// MarshalText returns the sealed text, for JSON, XML, YAML and others. The zero
// value is the empty text. It implements [encoding.TextMarshaler].
func (s Sealed[K]) MarshalText() ([]byte, error) { return s.value.MarshalText() }

// AppendText appends the sealed text to b. It implements [encoding.TextAppender].
func (s Sealed[K]) AppendText(b []byte) ([]byte, error) { return s.value.AppendText(b) }

// UnmarshalText reads sealed text. The empty text is the zero value. Any text that
// is not a sealed value of this kind is [vault.ErrCorrupt]. It implements
// [encoding.TextUnmarshaler].
func (s *Sealed[K]) UnmarshalText(text []byte) error {
	var v vault.Sealed
	err := v.UnmarshalText(text)
	return s.set("decoding", v, err)
}

// MarshalBinary returns the sealed form as bytes, for gob and for columns and
// fields of bytes. The zero value is empty. It implements
// [encoding.BinaryMarshaler].
func (s Sealed[K]) MarshalBinary() ([]byte, error) { return s.value.MarshalBinary() }

// AppendBinary appends the sealed form as bytes to b. It implements
// [encoding.BinaryAppender].
func (s Sealed[K]) AppendBinary(b []byte) ([]byte, error) { return s.value.AppendBinary(b) }

// UnmarshalBinary reads the sealed form as bytes. Empty data is the zero value.
// Any data that is not a sealed value of this kind is [vault.ErrCorrupt]. It
// implements [encoding.BinaryUnmarshaler].
func (s *Sealed[K]) UnmarshalBinary(data []byte) error {
	var v vault.Sealed
	err := v.UnmarshalBinary(data)
	return s.set("decoding", v, err)
}

// The types of BSON elements in use here, https://bsonspec.org/spec.html.
const (
	bsonString  = 0x02
	bsonBinary  = 0x05
	bsonGeneric = 0x00 // subtype of binary
	bsonNull    = 0x0a
)

// MarshalBSONValue returns the sealed text as a BSON string, or null for the zero
// value. It implements the ValueMarshaler of MongoDB's driver, version 2.
func (s Sealed[K]) MarshalBSONValue() (typ byte, data []byte, err error) {
	if s.IsZero() {
		return bsonNull, nil, nil
	}
	data, err = s.value.AppendText(make([]byte, 4, 256))
	if err != nil {
		return 0, nil, err
	}
	data = append(data, 0)
	binary.LittleEndian.PutUint32(data, uint32(len(data)-4))
	return bsonString, data, nil
}

// UnmarshalBSONValue reads sealed text from a BSON string. Null is the zero value.
// Any element that is not a sealed value of this kind is [vault.ErrCorrupt]. It
// implements the ValueUnmarshaler of MongoDB's driver, version 2.
func (s *Sealed[K]) UnmarshalBSONValue(typ byte, data []byte) error {
	var v vault.Sealed
	err := vault.ErrCorrupt
	switch {
	case typ == bsonNull && len(data) == 0:
		err = nil
	case typ == bsonString && len(data) > 4 && data[len(data)-1] == 0 &&
		uint64(binary.LittleEndian.Uint32(data)) == uint64(len(data)-4):
		err = v.UnmarshalText(data[4 : len(data)-1])
	}
	return s.set("decoding", v, err)
}

// label returns a label such as "pii.Email(security)", without the sealed content. There
// is no exported method of this kind: code that takes the text of an address from a
// method String must not compile once the field is sealed.
func (s Sealed[K]) label() string { return kindOf[K]().Label(s.Purposes()) }

// GoString returns a label such as "pii.Email(security)", without the sealed content. It
// implements [fmt.GoStringer].
func (s Sealed[K]) GoString() string { return s.label() }

// Format prints the label of GoString for every verb, and quotes it for %q. It
// implements [fmt.Formatter]. There is no String method.
func (s Sealed[K]) Format(f fmt.State, verb rune) { printLabel(f, verb, s.label()) }

// LogValue returns the label of GoString. It implements [slog.LogValuer].
func (s Sealed[K]) LogValue() slog.Value { return slog.StringValue(s.label()) }

// GormDataType tells GORM to use a column of text.
func (Sealed[K]) GormDataType() string { return "text" }

// printLabel writes a label as fmt writes a string, with the width, precision
// and flags of the verb. Verbs other than %q count as %s: the hex digits of a
// label would look like bytes of the value.
func printLabel(f fmt.State, verb rune, label string) {
	if verb != 'q' {
		verb = 's'
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), label)
}
