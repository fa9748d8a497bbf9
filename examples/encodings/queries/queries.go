// Package queries puts sealed values into the query strings that google/go-querystring
// writes. By itself that library writes no parameter for a sealed value, and returns no
// error.
package queries

import (
	"encoding"
	"net/url"
)

// A Text is a field with the text of V, such as the sealed text of a pii.Email:
//
//	type search struct {
//		Email queries.Text[pii.Email] `url:"email"`
//	}
//
// No text is no parameter. A pii.Index has no text, and so makes query.Values fail.
type Text[T encoding.TextMarshaler] struct{ V T }

// EncodeValues implements query.Encoder.
func (t Text[T]) EncodeValues(key string, v *url.Values) error {
	text, err := t.V.MarshalText()
	if err == nil && len(text) > 0 {
		v.Set(key, string(text))
	}
	return err
}
