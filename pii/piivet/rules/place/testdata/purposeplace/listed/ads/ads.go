package ads // want package:"purposes are declared in example.com/shop/ads, example.com/shop/legal/eu, example.com/shop/purposes"

import (
	"example.com/shop/legal/eu"

	"github.com/onlyfor/onlyfor/purpose"
)

var Ads = purpose.MustParse("ads") // want `purpose declared outside the packages that .piivet.json lists under "purposes" \(example.com/shop/purposes, example.com/shop/legal/...\): declare it there, with the others`

func init() {
	_ = eu.Consent
	purpose.MustParse("consent") // want `purpose "consent" is declared already: use eu.Consent`
}
