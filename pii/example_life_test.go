package pii_test

import (
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
)

// Further use takes both scopes, and a basis that refers to the person's
// consent.
func ExampleEmail_Extend() {
	email, err := pii.SealEmail(ctx, "alice@example.com", security)
	must(err)
	_, err = email.Extend(ctx, security, advertising)
	fmt.Println(err, errors.Is(err, purpose.ErrNoConsent))

	consent := purpose.Basis{Legal: purpose.Consent, Notice: "ads-v2", Consent: "consent-81f3"}
	email, err = email.Extend(ctx, security, advertising.Under(consent))
	fmt.Println(email, err)
	p, _ := email.Provenance(advertising.Purpose())
	fmt.Println(p.Consent, "from", p.From)
	// Output:
	// pii: extending email: no consent on record true
	// pii.Email(advertising+security) <nil>
	// consent-81f3 from security
}

// Withdrawing a purpose needs no key.
func ExampleEmail_Without() {
	email, err := pii.SealEmail(ctx, "alice@example.com", security, billing)
	must(err)
	email = email.Without(billing.Purpose())
	fmt.Println(email)
	fmt.Println(email.Without(security.Purpose()).IsZero())
	// Output:
	// pii.Email(security)
	// true
}

// A withdrawal that is recorded: an event says who withdrew which purpose from which value.
func ExampleEmail_Withdraw() {
	email, err := pii.SealEmail(ctx, "alice@example.com", security, billing)
	must(err)
	email, err = email.Withdraw(ctx, billing.Purpose(), security)
	fmt.Println(email, err)
	// Output: pii.Email(security) <nil>
}

// What has expired can be dropped without a key. Nothing has, here.
func ExamplePhone_WithoutExpired() {
	phone, err := pii.SealPhone(ctx, "+1 415 555 2671", security)
	must(err)
	fmt.Println(phone.WithoutExpired())
	// Output: pii.Phone(security)
}

// After a rotation, values that are not on the primary key are sealed anew.
func ExampleEmail_Reseal() {
	email, err := pii.SealEmail(ctx, "alice@example.com", security)
	must(err)
	if !email.OnPrimaryKey(security) {
		email, err = email.Reseal(ctx, security)
		must(err)
	}
	fmt.Println(email.OnPrimaryKey(security))
	// Output: true
}

// While an index column is computed anew, rows are looked for under all keys:
// WHERE email_index IN (…).
func ExampleIndexesEmail() {
	indexes, err := pii.IndexesEmail(ctx, "alice@example.com", security)
	fmt.Println(len(indexes), err)
	// Output: 1 <nil>
}

func ExampleIndexesPhone() {
	indexes, err := pii.IndexesPhone(ctx, "+1 415 555 2671", security)
	fmt.Println(len(indexes), err)
	// Output: 1 <nil>
}

// A list is matched in memory: the indexes of the users are a set, and the index of each
// entry is looked for. An [IndexSet] holds no bytes that anybody could print or join on.
func ExampleIndexSet() {
	var users pii.IndexSet
	for _, address := range []string{"alice@example.com", "bob@example.com"} {
		index, err := pii.IndexEmail(ctx, address, security) // or scanned from a column
		must(err)
		must(users.Add(index))
	}
	wanted, err := pii.IndexesEmail(ctx, "ALICE@example.com", security)
	must(err)
	fmt.Println(users.Len(), users.Has(wanted...), users)
	// Output: 2 true pii.IndexSet
}
