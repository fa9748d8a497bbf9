package purposes // want package:"purposes are declared in example.com/shop/purposes"

import "github.com/onlyfor/onlyfor/purpose"

var (
	Security    = purpose.MustParse("security")
	Advertising = purpose.MustParse("advertising")
	internal    = purpose.MustParse("internal")
)

var All = []purpose.Purpose{Security, purpose.MustParse("billing")}

const name = "orders"

var Orders = purpose.MustParse(name)

var Upper = purpose.MustParse("Upper") // want `not the name of a purpose, so MustParse refuses it: want a-z, then up to 62 of a-z, 0-9 and -`

func parse(s string) purpose.Purpose {
	return purpose.MustParse(s) // want `purpose made from text that is not constant, so it is in no list that can be read: choose among those that the package of purposes declares`
}
