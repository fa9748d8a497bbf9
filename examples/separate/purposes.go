package main

import (
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// The purposes of this company.
var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")
)

// signUp is the notice that people see when they sign up.
var signUp = purpose.Basis{Legal: purpose.Contract, Notice: "sign-up-v3"}

// adsConsent returns the basis for using one person's address for ads.
func adsConsent(reference string) purpose.Basis {
	return purpose.Basis{
		Legal:   purpose.Consent,
		Notice:  "ads-opt-in-v1",
		Consent: reference,
		Retain:  365 * 24 * time.Hour,
	}
}
