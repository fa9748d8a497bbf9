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

// signUp is what everybody sees who signs up.
var signUp = purpose.Basis{Legal: purpose.Contract, Notice: "sign-up-v3"}

// adsConsent is the ground on which one person's address may be used for ads.
func adsConsent(reference string) purpose.Basis {
	return purpose.Basis{
		Legal:   purpose.Consent,
		Notice:  "ads-opt-in-v1",
		Consent: reference,
		Retain:  365 * 24 * time.Hour,
	}
}
