// Package keys declares purposes.
package keys

import "github.com/onlyfor/onlyfor/purpose"

var (
	Security    = purpose.MustParse("security")
	Advertising = purpose.MustParse("advertising")
)
