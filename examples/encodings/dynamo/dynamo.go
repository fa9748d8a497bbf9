// Package dynamo stores sealed values as DynamoDB attributes. Copy it into a service,
// beside its client.
//
// attributevalue.MarshalMap with its defaults does not know sealed values. It writes
// an empty map in the place of one and reports no error, so the value is lost. Use
// [MarshalMap], which turns on the encoders of text, or fields of type [Attribute]
// where a library calls attributevalue by itself.
package dynamo

import (
	"encoding"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// MarshalMap returns the item of a struct or map. A sealed value is its sealed
// text (S), empty for the zero value; a nil pointer is NULL. A [pii.Index] fails
// with [pii.ErrNoText]: tag it dynamodbav:"-" and set it with [Index].
func MarshalMap(in any) (map[string]types.AttributeValue, error) {
	return attributevalue.MarshalMapWithOptions(in, func(o *attributevalue.EncoderOptions) {
		o.UseEncodingMarshalers = true
	})
}

// UnmarshalMap is the inverse of [MarshalMap].
func UnmarshalMap(item map[string]types.AttributeValue, out any) error {
	return attributevalue.UnmarshalMapWithOptions(item, out, func(o *attributevalue.DecoderOptions) {
		o.UseEncodingUnmarshalers = true
	})
}

// An Attribute holds a sealed value in a model that is marshaled without
// options, by a library or by old code.
type Attribute[T Sealed] struct{ V T }

// Sealed is implemented by [pii.Email], [pii.Phone] and kinds of your own.
type Sealed interface {
	comparable
	encoding.TextMarshaler
	IsZero() bool
}

// MarshalDynamoDBAttributeValue returns the sealed text, or NULL for the zero
// value.
func (a Attribute[T]) MarshalDynamoDBAttributeValue() (types.AttributeValue, error) {
	if a.V.IsZero() {
		return &types.AttributeValueMemberNULL{Value: true}, nil
	}
	text, err := a.V.MarshalText()
	return &types.AttributeValueMemberS{Value: string(text)}, err
}

// UnmarshalDynamoDBAttributeValue is the inverse of MarshalDynamoDBAttributeValue. Any
// other attribute is [vault.ErrCorrupt].
func (a *Attribute[T]) UnmarshalDynamoDBAttributeValue(av types.AttributeValue) error {
	switch av := av.(type) {
	case *types.AttributeValueMemberNULL:
		a.V = *new(T)
		return nil
	case *types.AttributeValueMemberS:
		if u, ok := any(&a.V).(encoding.TextUnmarshaler); ok {
			return u.UnmarshalText([]byte(av.Value))
		}
	}
	return fmt.Errorf("dynamo: decoding attribute: %w", vault.ErrCorrupt)
}

// ErrNoIndex reports the use of a zero index, which can't be looked up.
var ErrNoIndex = errors.New("dynamo: no index")

// Index returns the bytes of x (B), for a key of a global secondary index and for
// expressions. The zero index is [ErrNoIndex]: leave the attribute out. The index of a
// failed call is [pii.ErrPoisoned].
func Index(x pii.Index) (types.AttributeValue, error) {
	column, err := x.Value()
	if err != nil {
		return nil, err
	}
	bytes, ok := column.([]byte)
	if !ok {
		return nil, ErrNoIndex
	}
	return &types.AttributeValueMemberB{Value: bytes}, nil
}
