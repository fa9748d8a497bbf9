package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/fxamacker/cbor/v2"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.yaml.in/yaml/v3"

	"github.com/onlyfor/onlyfor/examples/encodings/dynamo"
	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/examples/encodings/sentinel"
	"github.com/onlyfor/onlyfor/pii"
)

// A struct that embeds an Email gains its methods, and with them is an Email to
// every encoder: all else is lost. Give the field a name.
func TestEmbeddedEmailTakesOver(t *testing.T) {
	type embedding struct {
		pii.Email
		Name string
	}
	row := newRow(t)
	text := string(must(row.Email.MarshalText()))
	v := embedding{row.Email, "Ada"}
	require.Equal(t, `"`+text+`"`, string(must(json.Marshal(v))))
	require.Equal(t, text+"\n", string(must(yaml.Marshal(v))))
	_, err := bson.Marshal(v)
	require.Error(t, err, "which is no document")
	require.Equal(t, "pii.Email(security)", v.String())

	type named struct {
		Email pii.Email
		Name  string
	}
	require.Contains(t, string(must(json.Marshal(named{v.Email, v.Name}))), "Ada")
}

// In encoding/json omitempty does not know structs, in version 2 it does;
// omitzero serves both.
func TestJSONOmits(t *testing.T) {
	var v struct {
		A pii.Email `json:"a,omitempty"`
		B pii.Email `json:"b,omitzero"`
	}
	require.Equal(t, `{}`, string(must(jsonv2.Marshal(v))))
	require.NotContains(t, string(must(json.Marshal(v))), `"b"`)
}

// In encoding/json null leaves a field as it was. A pointer tells null from
// absent in both versions.
func TestJSONNull(t *testing.T) {
	row := newRow(t)
	got := plain[pii.Email]{row.Email}
	require.NoError(t, jsonv2.Unmarshal([]byte(`{"v":null}`), &got))
	require.True(t, got.V.IsZero())
}

// YAML and CBOR pass over a document in place of a value, unless they are told
// to be strict. The field stays as it was.
func TestStrictDecodersRefuseDocuments(t *testing.T) {
	row := newRow(t)
	leaks := sentinel.New(person.Address)
	in := labelled[string]{map[string]string{"Email": person.Address}}

	got := plain[pii.Email]{row.Email}
	d := yaml.NewDecoder(bytes.NewReader(must(yaml.Marshal(in))))
	d.KnownFields(true)
	err := d.Decode(&got)
	require.Error(t, err)
	require.Empty(t, leaks.Find(err.Error()))

	strict := must(cbor.DecOptions{ExtraReturnErrors: cbor.ExtraDecErrorUnknownField}.DecMode())
	err = strict.Unmarshal(must(cbor.Marshal(in)), &got)
	require.Error(t, err)
	require.Empty(t, leaks.Find(err.Error()))
	require.True(t, got.V == row.Email)
}

// An attribute that was lost, as {}, reads as no value and without an error:
// look for such items with attribute_type(email, "M").
func TestDynamoDBReadsALostValueAsNone(t *testing.T) {
	var got plain[pii.Email]
	require.NoError(t, dynamo.UnmarshalMap(parseWireForm([]byte(`{"M":{"V":{"M":{}}}}`)).(*types.AttributeValueMemberM).Value, &got))
	require.True(t, got.V.IsZero())
}

// BSON refuses what was lost with version 1.
func TestBSONRefusesALostValue(t *testing.T) {
	var got plain[pii.Email]
	require.Error(t, bson.Unmarshal(must(bson.Marshal(bson.M{"v": bson.M{}})), &got))
}
