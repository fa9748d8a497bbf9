package boundarytests

import "github.com/onlyfor/onlyfor/purpose"

// What the shop uses personal data for.
var (
	Security    = purpose.MustParse("security")
	Billing     = purpose.MustParse("billing")
	Advertising = purpose.MustParse("advertising")
)

// What people were told when they signed up, and what those agreed to who
// ticked the box.
var (
	forSignIn   = purpose.Basis{Legal: purpose.Contract, Notice: "sign-up-v1"}
	forInvoices = purpose.Basis{Legal: purpose.LegalObligation, Notice: "sign-up-v1"}
	forAds      = purpose.Basis{Legal: purpose.Consent, Notice: "sign-up-v1", Consent: "ads-box-v1"}
)
