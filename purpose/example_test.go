package purpose_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
)

// The purposes of the examples. A company has one such list.
var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")
	billing     = purpose.MustParse("billing")
)

func ExampleParse() {
	p, err := purpose.Parse("account-recovery")
	fmt.Println(p, err)

	_, err = purpose.Parse("Account Recovery")
	fmt.Println(errors.Is(err, purpose.ErrSyntax))
	// Output:
	// account-recovery <nil>
	// true
}

func ExampleMustParse() {
	security := purpose.MustParse("security")
	fmt.Println(security)
	// Output: security
}

func ExamplePurpose_IsZero() {
	var undecided purpose.Purpose
	fmt.Println(undecided.IsZero(), security.IsZero())
	// Output: true false
}

// A purpose can be read from a configuration file, and a name that is none is
// refused there.
func ExamplePurpose_UnmarshalText() {
	var config struct{ Purpose purpose.Purpose }
	fmt.Println(json.Unmarshal([]byte(`{"Purpose": "billing"}`), &config), config.Purpose)

	err := json.Unmarshal([]byte(`{"Purpose": "Billing"}`), &config)
	fmt.Println(err)
	fmt.Println(config.Purpose)
	// Output:
	// <nil> billing
	// purpose: not a purpose name: want a-z, then up to 62 of a-z, 0-9 and -
	// billing
}

func ExamplePurpose_MarshalText() {
	text, err := json.Marshal(map[purpose.Purpose]int{security: 2, billing: 1})
	fmt.Println(string(text), err)
	// Output: {"billing":1,"security":2} <nil>
}

func ExampleNewSet() {
	set := purpose.NewSet(security, billing, security)
	fmt.Println(set, set.Len())
	fmt.Println(set == purpose.NewSet(billing, security))
	// Output:
	// billing+security 2
	// true
}

func ExampleSet_Contains() {
	collected := purpose.NewSet(security, billing)
	fmt.Println(collected.Contains(security), collected.Contains(advertising))
	// Output: true false
}

func ExampleSet_All() {
	for p := range purpose.NewSet(security, billing).All() {
		fmt.Println(p)
	}
	// Output:
	// billing
	// security
}

func ExampleBasis_Validate() {
	prompt := purpose.Basis{
		Legal:  purpose.Contract,
		Notice: "2fa-prompt-v3",
		Retain: 2 * 365 * 24 * time.Hour,
	}
	fmt.Println(prompt.Validate())

	leak := purpose.Basis{Legal: purpose.Consent, Consent: "alice@example.com"}
	fmt.Println(leak.Validate())
	// Output:
	// <nil>
	// malformed consent reference: not a valid basis
}

func ExampleValidReference() {
	fmt.Println(purpose.ValidReference("consent-2026-81f3"), purpose.ValidReference("+1 415 555 2671"))
	// Output: true false
}

func ExampleLegal() {
	fmt.Println(purpose.Consent, purpose.LegitimateInterests, purpose.Legal(0))

	var ground purpose.Legal
	fmt.Println(ground.UnmarshalText([]byte("contract")), ground == purpose.Contract)
	// Output:
	// consent legitimate-interests unstated
	// <nil> true
}

// A refusal says both sides, and tells them to code as well.
func ExampleMismatchError() {
	var err error = &purpose.MismatchError{Collected: purpose.NewSet(security), Asked: advertising}
	fmt.Println(err)
	fmt.Println(errors.Is(err, purpose.ErrMismatch))
	var refusal *purpose.MismatchError
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Asked)
	}
	// Output:
	// collected for security, not advertising
	// true
	// advertising
}
