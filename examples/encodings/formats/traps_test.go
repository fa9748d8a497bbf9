package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/fxamacker/cbor/v2"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-viper/mapstructure/v2"
	"github.com/google/go-querystring/query"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.yaml.in/yaml/v3"

	"github.com/onlyfor/onlyfor/examples/encodings/dynamo"
	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/examples/encodings/queries"
	"github.com/onlyfor/onlyfor/examples/encodings/sentinel"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/piitest"
	"github.com/onlyfor/onlyfor/vault"
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
	require.Equal(t, "pii.Email(security)", v.GoString())

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

// null and an absent field leave a variable of encoding/json as it was. In a PATCH, the
// address that a person removed stays. In a variable that is used again, the next person
// gets the address of the one before.
func TestJSONIntoAVariableThatHoldsAValue(t *testing.T) {
	row := newRow(t)
	for _, document := range []string{`{"email": null}`, `{}`} {
		user := person.Contact{Email: row.Email, Phone: row.Phone}
		require.NoError(t, json.Unmarshal([]byte(document), &user))
		require.True(t, user.Email.Equal(row.Email), document)
	}

	text := string(must(row.Email.MarshalText()))
	people := json.NewDecoder(strings.NewReader(`{"email": "` + text + `"} {"email": null}`))
	var again struct{ Email pii.Email }
	require.NoError(t, people.Decode(&again))
	require.NoError(t, people.Decode(&again))
	require.True(t, again.Email.Equal(row.Email), "the second person has no address")

	// Elements of a slice are used again as well.
	var all []person.Contact
	require.NoError(t, json.Unmarshal([]byte(`[{"email": "`+text+`"}]`), &all))
	require.NoError(t, json.Unmarshal([]byte(`[{"email": null}]`), &all))
	require.True(t, all[0].Email.Equal(row.Email))

	// A variable of its own for each document holds nothing to leave.
	people = json.NewDecoder(strings.NewReader(`{"email": "` + text + `"} {"email": null}`))
	for _, want := range []pii.Email{row.Email, {}} {
		var fresh struct{ Email pii.Email }
		require.NoError(t, people.Decode(&fresh))
		require.Equal(t, want, fresh.Email)
	}
}

func TestPatch(t *testing.T) {
	row := newRow(t)
	contact := Contact{Email: row.Email, Phone: row.Phone}
	other := newRow(t)
	for document, want := range map[string]Contact{
		`{}`:                             contact,
		`{"email": null}`:                {Phone: row.Phone},
		`{"email": null, "phone": null}`: {},
		`{"email": ""}`:                  {Phone: row.Phone},
		`{"email": "` + string(must(other.Email.MarshalText())) + `"}`: {Email: other.Email, Phone: row.Phone},
	} {
		var patch Patch
		require.NoError(t, json.Unmarshal([]byte(document), &patch))
		got, err := patch.Apply(contact)
		require.NoError(t, err, document)
		require.Equal(t, want, got, document)
	}
	for _, document := range []string{
		`{"email": null, "phone": "` + person.Number + `"}`, `{"email": "` + person.Address + `"}`, `{"email": {}}`, `{"phone": 1}`,
	} {
		var patch Patch
		require.NoError(t, json.Unmarshal([]byte(document), &patch))
		got, err := patch.Apply(contact)
		require.Error(t, err, document)
		require.Empty(t, sentinel.New(person.Address, person.Number).Find(err.Error()))
		require.Equal(t, contact, got, "one change of two is none")
	}
}

// mapstructure looks at exported fields, and a sealed value has none: the map holds an
// empty map in its place, which is read back as no value. Neither returns an error.
func TestMapstructureLosesValues(t *testing.T) {
	row := newRow(t)
	var m map[string]any
	require.NoError(t, mapstructure.Decode(row.Contact, &m))
	require.Equal(t, map[string]any{"Email": map[string]any{}, "Phone": map[string]any{}}, m)
	var back person.Contact
	require.NoError(t, mapstructure.Decode(m, &back))
	require.Equal(t, person.Contact{}, back)

	// By way of JSON the map has the sealed text, and a hook reads it.
	m = nil
	require.NoError(t, json.Unmarshal(must(json.Marshal(row.Contact)), &m))
	require.Equal(t, string(must(row.Email.MarshalText())), m["email"])
	require.Error(t, mapstructure.Decode(m, &back), "without the hook it is an error")
	decode := func(in map[string]any) error {
		d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{DecodeHook: mapstructure.TextUnmarshallerHookFunc(), Result: &back})
		require.NoError(t, err)
		return d.Decode(in)
	}
	require.NoError(t, decode(m))
	require.Equal(t, row.Contact, back)
	err := decode(map[string]any{"email": person.Address})
	require.ErrorIs(t, err, vault.ErrCorrupt)
	require.Empty(t, sentinel.New(person.Address).Find(err.Error()))
}

// go-querystring writes no parameter for a sealed value, and returns no error.
func TestQueryStringLosesValues(t *testing.T) {
	row := newRow(t)
	v, err := query.Values(struct {
		Email pii.Email  `url:"email"`
		Phone *pii.Phone `url:"phone"`
		Index pii.Index  `url:"index"`
		Tag   string     `url:"tag"`
	}{row.Email, &row.Phone, row.EmailIndex, "x"})
	require.NoError(t, err)
	require.Equal(t, "tag=x", v.Encode())

	v, err = query.Values(struct {
		Email queries.Text[pii.Email]  `url:"email"`
		None  queries.Text[pii.Phone]  `url:"none"`
		Phone *queries.Text[pii.Phone] `url:"phone,omitempty"`
	}{Email: queries.Text[pii.Email]{V: row.Email}})
	require.NoError(t, err)
	require.Equal(t, url.Values{"email": {string(must(row.Email.MarshalText()))}}, v)

	_, err = query.Values(struct{ Index queries.Text[pii.Index] }{queries.Text[pii.Index]{V: row.EmailIndex}})
	require.ErrorIs(t, err, pii.ErrNoText)
}

// A key that is printed from a sealed value or an index is one key for all people. Keys
// outside the process are made from the user's id. In the process, an index is a key.
func TestPrintedKeysAreOneKey(t *testing.T) {
	kit := piitest.New(t, person.Security)
	scope := kit.Scope(person.Security)
	alice, err := pii.SealEmail(t.Context(), "alice@example.com", scope)
	require.NoError(t, err)
	bob, err := pii.SealEmail(t.Context(), "bob@example.com", scope)
	require.NoError(t, err)
	ofAlice, err := alice.Index(t.Context(), scope)
	require.NoError(t, err)
	ofBob, err := bob.Index(t.Context(), scope)
	require.NoError(t, err)
	for _, format := range []string{"reset:%s", "reset:%v", "reset:%+v", "reset:%q", "reset:%x", "reset:%d"} {
		require.Equal(t, fmt.Sprintf(format, alice), fmt.Sprintf(format, bob))
		require.Equal(t, fmt.Sprintf(format, ofAlice), fmt.Sprintf(format, ofBob))
	}
	require.Equal(t, fmt.Sprint("login:", alice), fmt.Sprint("login:", bob))
	require.Equal(t, alice.GoString(), bob.GoString())

	attempts := map[pii.Index]int{ofAlice: 3}
	again, err := pii.IndexEmail(t.Context(), " Alice@EXAMPLE.com", scope)
	require.NoError(t, err)
	require.Equal(t, 3, attempts[again])
	require.Zero(t, attempts[ofBob])
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
