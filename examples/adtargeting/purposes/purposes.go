// Package purposes is the list of reasons for which this company uses personal
// data, and of what people are told when it collects some. It is short, and all
// of it is here, so that a privacy officer can read it.
package purposes

import (
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

var (
	// Security is keeping accounts safe: signing in, two-factor codes, recovery.
	Security = purpose.MustParse("security")
	// Advertising is showing people the ads of those who have them as customers.
	Advertising = purpose.MustParse("advertising")
)

// TwoFactorPrompt is what people see while they type their phone number: "We
// use it to secure your account, and for nothing else."
var TwoFactorPrompt = purpose.Basis{
	Legal:  purpose.LegitimateInterests,
	Notice: "2fa-prompt-v3",
	Retain: 2 * 365 * 24 * time.Hour,
}

// AdsConsent is the ground on which the data of one person may be used for
// advertising: the consent that is filed under reference.
func AdsConsent(reference string) purpose.Basis {
	return purpose.Basis{
		Legal:   purpose.Consent,
		Notice:  "ads-opt-in-v1",
		Consent: reference,
		Retain:  365 * 24 * time.Hour,
	}
}
