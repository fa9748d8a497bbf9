package boundarytests

import "github.com/onlyfor/onlyfor/purpose"

// The purposes of the shop.
var (
	Security    = purpose.MustParse("security")
	Billing     = purpose.MustParse("billing")
	Advertising = purpose.MustParse("advertising")
)

// The bases: two notices that everybody sees at sign-up, and the consent of the people
// who tick the box.
var (
	forSignIn   = purpose.Basis{Legal: purpose.Contract, Notice: "sign-up-v1"}
	forInvoices = purpose.Basis{Legal: purpose.LegalObligation, Notice: "sign-up-v1"}
	forAds      = purpose.Basis{Legal: purpose.Consent, Notice: "sign-up-v1", Consent: "ads-box-v1"}
)
