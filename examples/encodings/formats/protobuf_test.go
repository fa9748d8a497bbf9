package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/examples/encodings/sentinel"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A string field carries the text form, a bytes field the binary one, which is
// a quarter shorter.
func TestProtobuf(t *testing.T) {
	row := newRow(t)
	leaks := sentinel.New(person.Address, person.Number)
	for _, email := range []pii.Email{row.Email, {}} {
		text, err := email.MarshalText()
		require.NoError(t, err)
		binary, err := email.MarshalBinary()
		require.NoError(t, err)

		wire, err := proto.Marshal(wrapperspb.String(string(text)))
		require.NoError(t, err)
		require.Empty(t, leaks.Find(string(wire)))
		var s wrapperspb.StringValue
		require.NoError(t, proto.Unmarshal(wire, &s))
		var got pii.Email
		require.NoError(t, got.UnmarshalText([]byte(s.GetValue())))
		require.True(t, got == email)

		wire, err = proto.Marshal(wrapperspb.Bytes(binary))
		require.NoError(t, err)
		require.Empty(t, leaks.Find(string(wire)))
		var b wrapperspb.BytesValue
		require.NoError(t, proto.Unmarshal(wire, &b))
		got = row.Email
		require.NoError(t, got.UnmarshalBinary(b.GetValue()))
		require.True(t, got == email)
		if !email.IsZero() {
			require.Less(t, len(binary)*5, len(text)*4)
		}

		fields, err := structpb.NewStruct(map[string]any{"email": string(text)})
		require.NoError(t, err)
		for _, m := range []proto.Message{wrapperspb.String(string(text)), wrapperspb.Bytes(binary), fields} {
			require.Empty(t, leaks.Find(string(must(protojson.Marshal(m)))))
			require.Empty(t, leaks.Find(string(must(prototext.Marshal(m)))))
		}
		wire, err = protojson.Marshal(fields)
		require.NoError(t, err)
		var again structpb.Struct
		require.NoError(t, protojson.Unmarshal(wire, &again))
		got = row.Email
		require.NoError(t, got.UnmarshalText([]byte(again.Fields["email"].GetStringValue())))
		require.True(t, got == email)
	}
}

func TestProtobufRefuses(t *testing.T) {
	row := newRow(t)
	text, binary := must(row.Phone.MarshalText()), must(row.Phone.MarshalBinary())
	for name, value := range map[string]string{
		"plaintext": person.Address, "another kind": string(text), "another kind in bytes": string(binary),
	} {
		got := row.Email
		err := got.UnmarshalText([]byte(wrapperspb.String(value).GetValue()))
		require.ErrorIs(t, err, vault.ErrCorrupt, name)
		require.NotContains(t, err.Error(), "Hxw93Jd")
		err = got.UnmarshalBinary(wrapperspb.Bytes([]byte(value)).GetValue())
		require.ErrorIs(t, err, vault.ErrCorrupt, name)
		require.NotContains(t, err.Error(), "Hxw93Jd")
		require.True(t, got == row.Email)
	}
	// The binary form is no UTF-8, so a string field refuses it.
	_, err := proto.Marshal(wrapperspb.String(string(binary)))
	require.ErrorContains(t, err, "UTF-8")

	// Nor does a Go value get into a Struct by itself.
	_, err = structpb.NewStruct(map[string]any{"email": row.Email})
	require.Error(t, err)
	require.Empty(t, sentinel.New(person.Address).Find(err.Error()))
}
