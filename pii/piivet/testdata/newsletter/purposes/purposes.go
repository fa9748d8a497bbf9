// Package purposes declares purposes.
package purposes

import "github.com/onlyfor/onlyfor/purpose"

var (
	// Security is for signing in.
	Security = purpose.MustParse("security")
	// Marketing is for letters that people asked for.
	Marketing = purpose.MustParse("marketing")
)
