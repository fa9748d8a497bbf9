package shop

import "github.com/onlyfor/onlyfor/pii"

type inTests struct {
	pii.Email
	name string
}
