package purposes

import "github.com/onlyfor/onlyfor/purpose"

var (
	Security    = purpose.MustParse("security")
	Advertising = purpose.MustParse("advertising")
	Billing     = purpose.MustParse("billing")

	All = []purpose.Purpose{Security, Advertising, Billing}
)
