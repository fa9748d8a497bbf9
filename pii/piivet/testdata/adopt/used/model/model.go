// Package model has fields whose names say nothing.
package model

// A Token belongs to a person.
type Token struct {
	ID        string `db:"id"`
	RelatesTo string `db:"relates_to"`
	Hash      string `db:"hash"`
	Note      string
}
