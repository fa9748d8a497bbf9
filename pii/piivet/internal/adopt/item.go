package adopt

import (
	"encoding/json"
	"errors"
)

// An Item is one diagnostic of the analyzer. Exactly one of its fields is not nil. It is
// made for JSON.
type Item struct {
	Field     *Field     `json:"field,omitempty"`
	Key       *Key       `json:"key,omitempty"`
	Lookup    *Lookup    `json:"lookup,omitempty"`
	Generated *Generated `json:"generated,omitempty"`
}

// Parse reads the message of a diagnostic.
func Parse(message string) (Item, error) {
	var i Item
	if json.Unmarshal([]byte(message), &i) != nil || i == (Item{}) {
		return Item{}, errors.New("not a finding of adopt")
	}
	return i, nil
}

// Places returns pointers to the positions of the item, so that the caller can rewrite
// them.
func (i Item) Places() []*string {
	switch {
	case i.Field != nil:
		return []*string{&i.Field.At}
	case i.Key != nil:
		return []*string{&i.Key.At}
	case i.Lookup != nil:
		return []*string{&i.Lookup.At}
	case i.Generated != nil:
		return []*string{&i.Generated.At}
	}
	return nil
}

// A Key is a key of a map or record that has personal data in plain text as its value.
// There is no type to change.
type Key struct {
	Package string `json:"package"`
	// Holder is the type of the map or record, such as "*core.Record".
	Holder string `json:"holder"`
	Name   string `json:"name"`
	Kind   Kind   `json:"kind"`
	// Stored says that the map or record is passed to a database library.
	Stored bool `json:"stored"`
	// Set says that the key is set here, and not only read.
	Set bool `json:"set"`
	// Looked says that a query looks people up by a column with the name of the key.
	Looked bool   `json:"looked_up,omitempty"`
	At     string `json:"at"`
	// Places is the number of places with this key, including At.
	Places int `json:"places"`
}

// A Lookup is a query, or an index of the database, by a column that looks like
// personal data.
type Lookup struct {
	Package string `json:"package,omitempty"`
	// Tables are the tables that the query names. It is empty for a fragment of a query.
	Tables []string `json:"tables,omitempty"`
	Column string   `json:"column"`
	At     string   `json:"at"`
}

// A Generated is a column that the database computes from personal data in plain text.
type Generated struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	// From is the expression.
	From string `json:"from"`
	At   string `json:"at"`
}
