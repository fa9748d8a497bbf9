package purposes // want package:"purposes are declared in example.com/shop/purposes"

import "github.com/onlyfor/onlyfor/purpose"

var Security = purpose.MustParse("security")

func init() {
	purpose.MustParse("billing") // want `purpose declared inside a function`
}
