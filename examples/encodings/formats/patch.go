package main

import (
	"encoding/json"

	"github.com/onlyfor/onlyfor/pii"
)

// A Patch is the body of a PATCH between two services that hold sealed values. Fields of
// json.RawMessage tell a field that is absent, which stays as it is, from null, which
// removes a value. A field of pii.Email could not: encoding/json leaves it alone for both.
type Patch struct {
	Email, Phone json.RawMessage
}

// Apply returns the contact c with the changes of p. If a field has no sealed value of its
// kind, Apply returns c unchanged and an error.
func (p Patch) Apply(c Contact) (Contact, error) {
	changed := c
	if err := apply(p.Email, &changed.Email); err != nil {
		return c, err
	}
	if err := apply(p.Phone, &changed.Phone); err != nil {
		return c, err
	}
	return changed, nil
}

// A Contact is the part of a person that a Patch changes.
type Contact struct {
	Email pii.Email
	Phone pii.Phone
}

// apply decodes field into a variable that holds nothing yet.
func apply[T any](field json.RawMessage, v *T) error {
	if field == nil {
		return nil
	}
	var fresh T
	err := json.Unmarshal(field, &fresh) // null leaves it the zero value
	if err == nil {
		*v = fresh
	}
	return err
}
