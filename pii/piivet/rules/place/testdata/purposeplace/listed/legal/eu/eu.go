package eu // want package:"purposes are declared in example.com/shop/legal/eu, example.com/shop/purposes"

import (
	"github.com/onlyfor/onlyfor/purpose"

	_ "example.com/shop/purposes"
)

var Consent = purpose.MustParse("consent")
