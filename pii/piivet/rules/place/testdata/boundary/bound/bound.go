package bound

import (
	"example.com/shop/purposes"

	"github.com/onlyfor/onlyfor/vault"
)

var _ = purposes.Security // want `package is for advertising only, and names security`

var _ = purposes.Advertising

func Use(s *vault.Scope) {}
