package main

import (
	"encoding/json"
	"encoding/xml"
	"testing"

	"github.com/fxamacker/cbor/v2"
	jsonv2 "github.com/go-json-experiment/json"
	goccy "github.com/goccy/go-yaml"
	"github.com/vmihailenco/msgpack/v5"
	"go.yaml.in/yaml/v3"
)

func TestJSON(t *testing.T) {
	testFormat(t, format{
		marshal: json.Marshal, unmarshal: json.Unmarshal, null: `{"v":null}`, nullKeeps: true,
	})
}

func TestJSONv2(t *testing.T) {
	testFormat(t, format{
		marshal:   func(v any) ([]byte, error) { return jsonv2.Marshal(v) },
		unmarshal: func(data []byte, v any) error { return jsonv2.Unmarshal(data, v) },
		null:      `{"v":null}`, quotesKeys: true,
	})
}

func TestXML(t *testing.T) {
	testFormat(t, format{
		marshal: xml.Marshal, unmarshal: xml.Unmarshal, noMaps: true, noOmit: true,
	})
}

func TestYAML(t *testing.T) {
	testFormat(t, format{
		marshal: yaml.Marshal, unmarshal: yaml.Unmarshal, null: "v: null", nullKeeps: true, skipsDocuments: true,
	})
}

func TestGoccyYAML(t *testing.T) {
	testFormat(t, format{
		marshal: goccy.Marshal, unmarshal: goccy.Unmarshal, null: "v: null", nullKeeps: true,
	})
}

func TestGob(t *testing.T) {
	testFormat(t, format{
		marshal: marshalGob, unmarshal: unmarshalGob,
		noTags: true, hidesCause: true, zeroIndexLeftOut: true,
	})
}

func TestMsgpack(t *testing.T) {
	testFormat(t, format{
		marshal: msgpack.Marshal, unmarshal: msgpack.Unmarshal, null: "\x81\xa1V\xc0",
	})
}

func TestCBOR(t *testing.T) {
	testFormat(t, format{
		marshal: cbor.Marshal, unmarshal: cbor.Unmarshal, null: "\xa1\x61v\xf6", nullKeeps: true,
		skipsDocuments: true, hidesCause: true,
	})
}
