// Command formats writes one user in every format of wires and document databases,
// and reads it back.
//
//	go -C examples/encodings run ./formats
package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"

	"github.com/fxamacker/cbor/v2"
	jsonv2 "github.com/go-json-experiment/json"
	goccy "github.com/goccy/go-yaml"
	"github.com/vmihailenco/msgpack/v5"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/onlyfor/onlyfor/examples/encodings/dynamo"
	"github.com/onlyfor/onlyfor/examples/encodings/person"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "formats:", err)
		os.Exit(1)
	}
}

// A codec has the functions of one format's package.
type codec struct {
	name      string
	marshal   func(any) ([]byte, error)
	unmarshal func([]byte, any) error
}

var codecs = []codec{
	{"encoding/json", json.Marshal, json.Unmarshal},
	{"JSON v2", func(v any) ([]byte, error) { return jsonv2.Marshal(v) },
		func(data []byte, v any) error { return jsonv2.Unmarshal(data, v) }},
	{"encoding/xml", xml.Marshal, xml.Unmarshal},
	{"go.yaml.in/yaml/v3", yaml.Marshal, yaml.Unmarshal},
	{"goccy/go-yaml", goccy.Marshal, goccy.Unmarshal},
	{"encoding/gob", marshalGob, unmarshalGob},
	{"vmihailenco/msgpack", msgpack.Marshal, msgpack.Unmarshal},
	{"fxamacker/cbor", cbor.Marshal, cbor.Unmarshal},
	{"mongo-driver/v2/bson", bson.Marshal, bson.Unmarshal},
}

func marshalGob(v any) ([]byte, error) {
	var wire bytes.Buffer
	err := gob.NewEncoder(&wire).Encode(v)
	return wire.Bytes(), err
}

func unmarshalGob(data []byte, v any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(v) }

func run(ctx context.Context, out io.Writer) error {
	return person.WithScope(ctx, person.Security, func(security *vault.Scope) error {
		row, err := person.New(ctx, security)
		if err != nil {
			return err
		}
		contact := row.Contact
		for _, c := range codecs {
			data, err := c.marshal(contact)
			if err != nil {
				return err
			}
			var back person.Contact
			if err := c.unmarshal(data, &back); err != nil {
				return err
			}
			//piivet:allow compare each codec must give back the very same seal
			fmt.Fprintf(out, "%-22s %3d bytes, the same: %t  %.60q\n", c.name, len(data), back == contact, data)
		}

		item, err := dynamo.MarshalMap(contact)
		if err != nil {
			return err
		}
		var back person.Contact
		if err := dynamo.UnmarshalMap(item, &back); err != nil {
			return err
		}
		//piivet:allow compare it must give back the very same seal
		fmt.Fprintf(out, "%-22s %d attributes, the same: %t\n", "DynamoDB", len(item), back == contact)

		email, wire, err := overProtobuf(contact.Email)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-22s %3d bytes, the same: %t\n", "protobuf bytes field", wire, email.Equal(contact.Email))

		fmt.Fprintln(out, "\nwhat is not sealed is refused, and not repeated:")
		err = json.Unmarshal([]byte(`{"email":"`+person.Address+`"}`), &back)
		fmt.Fprintln(out, " ", err)
		_, err = json.Marshal(row.EmailIndex)
		fmt.Fprintln(out, " ", err)
		return nil
	})
}

// overProtobuf sends a value through a field of type bytes. It returns the value that
// arrives, and the size of the message.
func overProtobuf(email pii.Email) (got pii.Email, size int, err error) {
	binary, err := email.MarshalBinary()
	if err != nil {
		return got, 0, err
	}
	wire, err := proto.Marshal(wrapperspb.Bytes(binary))
	if err != nil {
		return got, 0, err
	}
	var message wrapperspb.BytesValue
	if err := proto.Unmarshal(wire, &message); err != nil {
		return got, 0, err
	}
	return got, len(wire), got.UnmarshalBinary(message.GetValue())
}
