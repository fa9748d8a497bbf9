package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"
	bsonv1 "go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/bsonrw"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onlyfor/onlyfor/examples/encodings/dynamo"
	"github.com/onlyfor/onlyfor/examples/encodings/mongov1"
	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
)

func TestBSON(t *testing.T) {
	testFormat(t, format{
		marshal: bson.Marshal, unmarshal: bson.Unmarshal,
		null:      string(must(bson.Marshal(bson.M{"v": nil}))),
		indexKept: true,
	})
}

func TestBSONv1(t *testing.T) {
	registry := mongov1.Registry()
	testFormat(t, format{
		marshal: func(v any) ([]byte, error) {
			var doc bytes.Buffer
			w, err := bsonrw.NewBSONValueWriter(&doc)
			require.NoError(t, err)
			e, err := bsonv1.NewEncoder(w)
			require.NoError(t, err)
			require.NoError(t, e.SetRegistry(registry))
			err = e.Encode(v)
			return doc.Bytes(), err
		},
		unmarshal: func(data []byte, v any) error {
			d, err := bsonv1.NewDecoder(bsonrw.NewBSONDocumentReader(data))
			require.NoError(t, err)
			require.NoError(t, d.SetRegistry(registry))
			return d.Decode(v)
		},
		null:      string(must(bson.Marshal(bson.M{"v": nil}))),
		indexLost: true,
	})
}

// Without the registry, version 1 loses the value and says nothing.
func TestBSONv1WithoutRegistryLosesValues(t *testing.T) {
	email := newRow(t).Email
	data, err := bsonv1.Marshal(plain[pii.Email]{email})
	require.NoError(t, err)
	require.Equal(t, `{"v": {}}`, bsonv1.Raw(data).String())
}

// A filter on a sealed value finds at most that very value, and one on an index
// the person.
func TestBSONFilters(t *testing.T) {
	row := newRow(t)
	text, err := row.Email.MarshalText()
	require.NoError(t, err)
	filter, err := bson.Marshal(bson.D{{Key: "email", Value: row.Email}})
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf(`{"email": %q}`, text), bson.Raw(filter).String())

	filter, err = bson.Marshal(bson.D{{Key: "email_index", Value: row.EmailIndex}})
	require.NoError(t, err)
	value := bson.Raw(filter).Lookup("email_index")
	subtype, stored := value.Binary()
	require.Zero(t, subtype)
	var again pii.Index
	require.NoError(t, again.Scan(stored))
	require.True(t, again.Equal(row.EmailIndex))
}

// What is stored without an index has no field, for a unique index of the
// database to be sparse. A filter on the zero Index is refused: on null it would
// find every document without the field.
func TestBSONIndex(t *testing.T) {
	type document struct {
		EmailIndex pii.Index `bson:"email_index,omitempty"`
	}
	row := newRow(t)
	var got document
	require.NoError(t, bson.Unmarshal(must(bson.Marshal(document{row.EmailIndex})), &got))
	require.True(t, got.EmailIndex.Equal(row.EmailIndex))

	none := must(bson.Marshal(document{}))
	require.Equal(t, `{}`, bson.Raw(none).String())
	got = document{}
	require.NoError(t, bson.Unmarshal(none, &got))
	require.True(t, got.EmailIndex.IsZero())
	require.NoError(t, bson.Unmarshal(must(bson.Marshal(bson.M{"email_index": nil})), &got))
	require.True(t, got.EmailIndex.IsZero())

	poisoned, err := pii.IndexEmail(t.Context(), "", nil)
	require.Error(t, err)
	_, err = bson.Marshal(bson.D{{Key: "email_index", Value: pii.Index{}}})
	require.ErrorIs(t, err, pii.ErrNoIndex)
	_, err = bson.Marshal(bson.D{{Key: "email_index", Value: poisoned}})
	require.ErrorIs(t, err, pii.ErrPoisoned)
	_, err = bson.Marshal(document{poisoned})
	require.ErrorIs(t, err, pii.ErrPoisoned)

	other, err := person.New(t.Context(), piitest.New(t, person.Security).Scope(person.Security))
	require.NoError(t, err)
	require.NotEqual(t, must(bson.Marshal(document{row.EmailIndex})), must(bson.Marshal(document{other.EmailIndex})))
}

func TestDynamoDBIndexFailsClosed(t *testing.T) {
	poisoned, err := pii.IndexEmail(t.Context(), "", nil)
	require.Error(t, err)
	_, err = dynamo.Index(pii.Index{})
	require.ErrorIs(t, err, dynamo.ErrNoIndex)
	_, err = dynamo.Index(poisoned)
	require.ErrorIs(t, err, pii.ErrPoisoned)
}

func TestDynamoDB(t *testing.T) {
	testFormat(t, format{
		marshal: func(v any) ([]byte, error) {
			item, err := dynamo.MarshalMap(v)
			if err != nil {
				return nil, err
			}
			return json.Marshal(wireForm(&types.AttributeValueMemberM{Value: item}))
		},
		unmarshal: func(data []byte, v any) error {
			return dynamo.UnmarshalMap(parseWireForm(data).(*types.AttributeValueMemberM).Value, v)
		},
		null:       `{"M":{"V":{"NULL":true}}}`,
		noOmit:     true, // omitempty does not ask structs
		quotesKeys: true, skipsDocuments: true,
	})
}

// As it comes, attributevalue loses the value and says nothing.
func TestDynamoDBWithoutOptionsLosesValues(t *testing.T) {
	row := newRow(t)
	item, err := attributevalue.MarshalMap(struct {
		Email *pii.Email
		Phone pii.Phone
		Index pii.Index
	}{&row.Email, row.Phone, row.EmailIndex})
	require.NoError(t, err)
	empty := &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{}}
	require.Equal(t, map[string]types.AttributeValue{"Email": empty, "Phone": empty, "Index": empty}, item)

	// Reading without the option is refused at least, and not quoted.
	item, err = dynamo.MarshalMap(row)
	require.NoError(t, err)
	var got person.Row
	err = attributevalue.UnmarshalMap(item, &got)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "pii1.")
}

func TestDynamoDBAttribute(t *testing.T) {
	row := newRow(t)
	type model struct {
		Email dynamo.Attribute[pii.Email]
		Phone *dynamo.Attribute[pii.Phone]
		None  dynamo.Attribute[pii.Phone]
	}
	full := model{Email: dynamo.Attribute[pii.Email]{V: row.Email}, Phone: &dynamo.Attribute[pii.Phone]{V: row.Phone}}
	item, err := attributevalue.MarshalMap(full) // without options
	require.NoError(t, err)
	text, err := row.Email.MarshalText()
	require.NoError(t, err)
	require.Equal(t, &types.AttributeValueMemberS{Value: string(text)}, item["Email"])
	require.Equal(t, &types.AttributeValueMemberNULL{Value: true}, item["None"])
	got := model{None: dynamo.Attribute[pii.Phone]{V: row.Phone}}
	require.NoError(t, attributevalue.UnmarshalMap(item, &got))
	require.Equal(t, full, got)

	for name, av := range map[string]types.AttributeValue{
		"plaintext":    &types.AttributeValueMemberS{Value: person.Address},
		"a number":     &types.AttributeValueMemberN{Value: person.Number[1:]},
		"bytes":        &types.AttributeValueMemberB{Value: []byte(person.Address)},
		"another kind": item["Phone"],
		"a lost value": &types.AttributeValueMemberM{},
	} {
		got := full
		err := attributevalue.UnmarshalMap(map[string]types.AttributeValue{"Email": av}, &got)
		require.True(t, errors.Is(err, vault.ErrCorrupt), name)
		require.NotContains(t, err.Error(), "Hxw93Jd")
		require.NotContains(t, err.Error(), "3918462504")
		require.Equal(t, full, got, name)
	}
}

func TestDynamoDBIndex(t *testing.T) {
	row := newRow(t)
	av, err := dynamo.Index(row.EmailIndex)
	require.NoError(t, err)
	var again pii.Index
	require.NoError(t, again.Scan(av.(*types.AttributeValueMemberB).Value))
	require.True(t, again.Equal(row.EmailIndex))
}

func newRow(t *testing.T) person.Row {
	t.Helper()
	row, err := person.New(t.Context(), piitest.New(t, person.Security).Scope(person.Security))
	require.NoError(t, err)
	return row
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// wireForm returns what DynamoDB's protocol makes of an attribute: a JSON object
// with the type as its only name.
func wireForm(av types.AttributeValue) map[string]any {
	switch av := av.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": av.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": av.Value}
	case *types.AttributeValueMemberB:
		return map[string]any{"B": av.Value}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": av.Value}
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": av.Value}
	case *types.AttributeValueMemberL:
		list := []any{}
		for _, v := range av.Value {
			list = append(list, wireForm(v))
		}
		return map[string]any{"L": list}
	case *types.AttributeValueMemberM:
		m := map[string]any{}
		for k, v := range av.Value {
			m[k] = wireForm(v)
		}
		return map[string]any{"M": m}
	}
	panic(fmt.Sprintf("unexpected attribute %T", av))
}

func parseWireForm(data []byte) types.AttributeValue {
	var form map[string]json.RawMessage
	check(json.Unmarshal(data, &form))
	for typ, data := range form {
		switch typ {
		case "S":
			return &types.AttributeValueMemberS{Value: parse[string](data)}
		case "N":
			return &types.AttributeValueMemberN{Value: parse[string](data)}
		case "B":
			return &types.AttributeValueMemberB{Value: parse[[]byte](data)}
		case "BOOL":
			return &types.AttributeValueMemberBOOL{Value: parse[bool](data)}
		case "NULL":
			return &types.AttributeValueMemberNULL{Value: parse[bool](data)}
		case "L":
			var list []types.AttributeValue
			for _, v := range parse[[]json.RawMessage](data) {
				list = append(list, parseWireForm(v))
			}
			return &types.AttributeValueMemberL{Value: list}
		case "M":
			m := map[string]types.AttributeValue{}
			for k, v := range parse[map[string]json.RawMessage](data) {
				m[k] = parseWireForm(v)
			}
			return &types.AttributeValueMemberM{Value: m}
		}
	}
	panic(fmt.Sprintf("unexpected attribute %s", data))
}

func parse[T any](data []byte) (v T) {
	check(json.Unmarshal(data, &v))
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
