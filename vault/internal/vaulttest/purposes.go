package vaulttest

import (
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// Purposes are Security and Advertising.
var Purposes = []purpose.Purpose{purpose.MustParse("security"), purpose.MustParse("advertising")}

var (
	// Security, Billing and Advertising are the purposes of most tests.
	Security    = purpose.MustParse("security")
	Billing     = purpose.MustParse("billing")
	Advertising = purpose.MustParse("advertising")

	// Note is the kind of most tests.
	Note = vault.MustKind("note", "vault.Note")
)
