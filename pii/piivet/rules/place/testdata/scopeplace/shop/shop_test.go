package shop

import "github.com/onlyfor/onlyfor/vault"

var forTests *vault.Scope
