package shop

import (
	"database/sql/driver"
	"fmt"

	"github.com/onlyfor/onlyfor/pii"
)

type User struct {
	pii.Email // want `sealed value embedded beside other fields, so JSON, XML and YAML encode Email alone, and the others are lost: give the field a name`
	Name      string
}

type pointer struct {
	*pii.Phone // want `encode Phone alone`
	Name       string
}

type alias = pii.Email

type aliased struct {
	Name  string
	alias // want `encode alias alone`
}

type Own struct{ pii.Email }

type embedsOwn struct {
	Name string
	Own  // want `encode Own alone`
}

type generic[T any] struct {
	pii.Email // want `encode Email alone`
	Value     T
}

func local() any {
	type user struct {
		id        int
		pii.Email // want `encode Email alone`
	}
	return struct {
		pii.Phone // want `encode Phone alone`
		ID        int
	}{}
}

// Its own MarshalText is what JSON calls, but databases know nothing of it.
type text struct {
	pii.Email // want `databases store Email alone`
	Name      string
}

func (text) MarshalText() ([]byte, error) { return nil, nil }

type named struct {
	Email pii.Email
	Phone *pii.Phone
	Name  string
}

// Neither gives the struct its methods, since both have them.
type both struct {
	pii.Email
	pii.Phone
}

type embedsNamed struct {
	named
	ID int
}

type complete struct {
	pii.Email
	Name string
}

func (complete) MarshalText() ([]byte, error)            { return nil, nil }
func (complete) MarshalBinary() ([]byte, error)          { return nil, nil }
func (complete) Value() (driver.Value, error)            { return nil, nil }
func (complete) MarshalBSONValue() (byte, []byte, error) { return 0, nil, nil }
func (complete) Format(f fmt.State, verb rune)           {}

type allowed struct {
	pii.Email //piivet:allow embed only ever read into memory
	Name      string
}
