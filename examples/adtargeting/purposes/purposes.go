// Package purposes lists the reasons why this company uses personal data, and the
// notices that people see when it collects some. The whole list is short and in one
// place, so that a privacy officer can read it.
package purposes

import (
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

var (
	// Security is keeping accounts safe: signing in, two-factor codes, recovery.
	Security = purpose.MustParse("security")
	// Advertising is showing people the ads of companies whose customers they are.
	Advertising = purpose.MustParse("advertising")
)

// TwoFactorPrompt is the notice beside the field for the phone number: "We use it to
// secure your account, and for nothing else."
var TwoFactorPrompt = purpose.Basis{
	Legal:  purpose.LegitimateInterests,
	Notice: "2fa-prompt-v3",
	Retain: 2 * 365 * 24 * time.Hour,
}

// AdsConsent returns the basis for using one person's data for advertising: the
// consent that is filed under reference.
func AdsConsent(reference string) purpose.Basis {
	return purpose.Basis{
		Legal:   purpose.Consent,
		Notice:  "ads-opt-in-v1",
		Consent: reference,
		Retain:  365 * 24 * time.Hour,
	}
}
