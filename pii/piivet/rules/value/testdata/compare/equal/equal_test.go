package equal

import "github.com/onlyfor/onlyfor/pii"

func sameInTests(a, b pii.Email) bool { return a == b }
