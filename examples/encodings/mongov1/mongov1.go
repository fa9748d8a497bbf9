// Package mongov1 stores sealed values with version 1 of MongoDB's driver, which is no
// longer developed. Copy it, or move to version 2, which needs no such code.
//
// Version 1 with its defaults writes an empty document in the place of a sealed value
// and reports no error, so the value is lost.
package mongov1

import (
	"encoding"
	"fmt"
	"reflect"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/bsoncodec"
	"go.mongodb.org/mongo-driver/bson/bsonrw"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// Registry returns a registry that knows sealed values, for
// options.Client().SetRegistry.
func Registry() *bsoncodec.Registry {
	r := bson.NewRegistry()
	Register[pii.Email](r)
	Register[pii.Phone](r)
	return r
}

// Register registers a kind of your own with r.
func Register[T Value, P Pointer[T]](r *bsoncodec.Registry) {
	t := reflect.TypeFor[T]()
	r.RegisterTypeEncoder(t, bsoncodec.ValueEncoderFunc(encode[T]))
	r.RegisterTypeDecoder(t, bsoncodec.ValueDecoderFunc(decode[T, P]))
}

// A Value is a sealed value.
type Value interface {
	encoding.TextMarshaler
	IsZero() bool
}

// A Pointer is a pointer to a sealed value.
type Pointer[T any] interface {
	*T
	encoding.TextUnmarshaler
}

func encode[T Value](_ bsoncodec.EncodeContext, w bsonrw.ValueWriter, v reflect.Value) error {
	value := v.Interface().(T)
	if value.IsZero() {
		return w.WriteNull()
	}
	text, err := value.MarshalText()
	if err != nil {
		return err
	}
	return w.WriteString(string(text))
}

func decode[T any, P Pointer[T]](_ bsoncodec.DecodeContext, r bsonrw.ValueReader, v reflect.Value) error {
	switch r.Type() {
	case bson.TypeNull:
		v.SetZero()
		return r.ReadNull()
	case bson.TypeString:
		text, err := r.ReadString()
		if err != nil {
			return err
		}
		return v.Addr().Interface().(P).UnmarshalText([]byte(text))
	}
	return fmt.Errorf("mongov1: decoding a sealed value: %w", vault.ErrCorrupt)
}
