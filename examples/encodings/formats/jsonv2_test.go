//go:build goexperiment.jsonv2

package main

import (
	"encoding/json/v2"
	"testing"
)

// The standard library's own, which is to be asked for:
//
//	GOEXPERIMENT=jsonv2 go test ./formats
func TestStandardJSONv2(t *testing.T) {
	testFormat(t, format{
		marshal:   func(v any) ([]byte, error) { return json.Marshal(v) },
		unmarshal: func(data []byte, v any) error { return json.Unmarshal(data, v) },
		null:      `{"v":null}`, quotesKeys: true,
	})
}
