package pii_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

var ctx = context.Background()

// The scopes of the examples. A program gets its own from [vault.Vault.Scope]
// and hands them to the components that need them.
var security, advertising, billing = func() (s, a, b *vault.Scope) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	must(err)
	kek, err := aead.New(handle)
	must(err)
	v, err := vault.OpenAdmin(ctx, vault.Memory(), vault.SharedKEK(kek), nil)
	must(err)
	var scopes [3]*vault.Scope
	for i, name := range []string{"security", "advertising", "billing"} {
		p := purpose.MustParse(name)
		must(v.Generate(ctx, p))
		scopes[i], err = v.Scope(ctx, p)
		must(err)
	}
	return scopes[0], scopes[1], scopes[2]
}()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A User is a model as applications have them, with sealed types in place of
// strings.
type User struct {
	Name  string    `json:"name"`
	Email pii.Email `json:"email,omitzero"`
	Phone pii.Phone `json:"phone,omitzero"`
}

func ExampleSealEmail() {
	email, err := pii.SealEmail(ctx, "alice@example.com", security)
	fmt.Println(email, err)

	_, err = pii.SealEmail(ctx, "alice at example.com", security)
	fmt.Println(err)
	fmt.Println(errors.Is(err, pii.ErrMalformed))
	// Output:
	// pii.Email(security) <nil>
	// pii: sealing email: not a valid email
	// true
}

// A value can be collected for several purposes. Each opens it with keys of
// its own, and no other purpose opens it.
func ExampleSealEmail_severalPurposes() {
	email, err := pii.SealEmail(ctx, "alice@example.com", security, billing)
	fmt.Println(email, err)

	address, err := email.Reveal(ctx, billing)
	fmt.Println(address, err)

	_, err = email.Reveal(ctx, advertising)
	fmt.Println(err)
	// Output:
	// pii.Email(billing+security) <nil>
	// alice@example.com <nil>
	// pii: revealing email: collected for billing+security, not advertising
}

// A form can be checked as a whole before anything is sealed.
func ExampleValidEmail() {
	fmt.Println(pii.ValidEmail("alice@example.com"), pii.ValidEmail("alice at example.com"))
	fmt.Println(pii.ValidPhone("+1 415 555 2671"), pii.ValidPhone("415 555 2671"))
	// Output:
	// true false
	// true false
}

func ExampleSealPhone() {
	phone, err := pii.SealPhone(ctx, "+1 (415) 555-2671", security)
	fmt.Println(phone, err)

	_, err = pii.SealPhone(ctx, "(415) 555-2671", security)
	fmt.Println(err)
	// Output:
	// pii.Phone(security) <nil>
	// pii: sealing phone: not a valid phone
}

// What is revealed is the canonical form: the domain in lower case and ASCII,
// the local part as it was typed.
func ExampleEmail_Reveal() {
	email, _ := pii.SealEmail(ctx, "Alice@bücher.EXAMPLE", security)

	address, err := email.Reveal(ctx, security)
	fmt.Println(address, err)

	_, err = email.Reveal(ctx, advertising)
	fmt.Println(err)
	fmt.Println(errors.Is(err, purpose.ErrMismatch))
	// Output:
	// Alice@xn--bcher-kva.example <nil>
	// pii: revealing email: collected for security, not advertising
	// true
}

func ExamplePhone_Reveal() {
	phone, _ := pii.SealPhone(ctx, "+1 (415) 555-2671", security)

	number, err := phone.Reveal(ctx, security)
	fmt.Println(number, err)

	_, err = phone.Reveal(ctx, advertising)
	fmt.Println(err)

	var refusal *purpose.MismatchError
	if errors.As(err, &refusal) {
		fmt.Println("collected for", refusal.Collected)
		fmt.Println("asked for", refusal.Asked)
	}
	// Output:
	// +14155552671 <nil>
	// pii: revealing phone: collected for security, not advertising
	// collected for security
	// asked for advertising
}

// A hint is for messages such as "we sent a code to …".
func ExampleEmail_Hint() {
	email, _ := pii.SealEmail(ctx, "alice@example.com", security)
	fmt.Println(email.Hint(ctx, security))

	_, err := email.Hint(ctx, advertising)
	fmt.Println(err)
	// Output:
	// a•••@e•••.com <nil>
	// pii: hinting email: collected for security, not advertising
}

func ExamplePhone_Hint() {
	phone, _ := pii.SealPhone(ctx, "+1 415 555 2671", security)
	fmt.Println(phone.Hint(ctx, security))
	// Output: +1 ••• ••• ••71 <nil>
}

// A person who signs in is found by the index of what they typed, in a column
// that was filled with the index of what they typed when they registered.
func ExampleIndexEmail() {
	stored, _ := pii.IndexEmail(ctx, "alice@example.com", security)

	typed, err := pii.IndexEmail(ctx, " Alice@Example.com ", security)
	fmt.Println(typed.Equal(stored), err)

	ads, err := pii.IndexEmail(ctx, "alice@example.com", advertising)
	fmt.Println(ads.Equal(stored), err)
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleIndexPhone() {
	stored, _ := pii.IndexPhone(ctx, "+14155552671", security)

	typed, err := pii.IndexPhone(ctx, "+1 (415) 555-2671", security)
	fmt.Println(typed.Equal(stored), err)

	ads, err := pii.IndexPhone(ctx, "+14155552671", advertising)
	fmt.Println(ads.Equal(stored), err)
	// Output:
	// true <nil>
	// false <nil>
}

// The index of a value that is already sealed needs the right to open it.
func ExampleEmail_Index() {
	email, _ := pii.SealEmail(ctx, "alice@example.com", security)
	typed, _ := pii.IndexEmail(ctx, "alice@example.com", security)

	index, err := email.Index(ctx, security)
	fmt.Println(index.Equal(typed), err)

	_, err = email.Index(ctx, advertising)
	fmt.Println(err)
	// Output:
	// true <nil>
	// pii: indexing email: collected for security, not advertising
}

// Somebody types the address of a record again.
func ExampleSealed_Matches() {
	email, _ := pii.SealEmail(ctx, "alice@example.com", security)
	for _, typed := range []string{" Alice@Example.com ", "bob@example.com", "no address"} {
		fmt.Println(email.Matches(ctx, typed, security))
	}
	// Output:
	// true <nil>
	// false <nil>
	// false <nil>
}

// A field that people may leave empty, which rows are looked up by: both columns are
// NULL then.
func ExampleSealOptionalPhoneIndexed() {
	for _, typed := range []string{"+1 415 555 2671", " "} {
		phone, index, err := pii.SealOptionalPhoneIndexed(ctx, typed, security)
		fmt.Println(phone, phone.IsZero(), index.IsZero(), err)
	}
	// Output:
	// pii.Phone(security) false false <nil>
	// pii.Phone() true true <nil>
}

func ExamplePhone_Index() {
	phone, _ := pii.SealPhone(ctx, "+14155552671", security)
	typed, _ := pii.IndexPhone(ctx, "+1 415 555 2671", security)

	index, err := phone.Index(ctx, security)
	fmt.Println(index.Equal(typed), err)
	// Output: true <nil>
}

// Values of a kind of one's own are sealed by a constructor that checks the
// text first; [TaxID] is made in the package example.
func ExampleSeal() {
	sealed, err := pii.Seal[taxID](ctx, "86095742719", billing)
	fmt.Println(TaxID{sealed}, err)
	// Output: people.TaxID(billing) <nil>
}

func ExampleIndexOf() {
	id, _ := SealTaxID(ctx, "86 095 742 719", billing)
	stored, _ := id.Index(ctx, billing)

	typed, err := pii.IndexOf[taxID](ctx, "86095742719", billing)
	fmt.Println(typed.Equal(stored), err)
	// Output: true <nil>
}

func ExampleEmail_Purposes() {
	email, _ := pii.SealEmail(ctx, "alice@example.com", security, billing)
	fmt.Println(email.Purposes())
	fmt.Println(email.Purposes().Contains(advertising.Purpose()))
	// Output:
	// billing+security
	// false
}

// What the person was told is part of the value, and anybody can read it.
func ExampleEmail_Provenance() {
	prompt := security.Under(purpose.Basis{
		Legal:  purpose.Contract,
		Notice: "2fa-prompt-v3",
		Retain: 2 * 365 * 24 * time.Hour,
	})
	email, _ := pii.SealEmail(ctx, "alice@example.com", prompt)

	p, ok := email.Provenance(security.Purpose())
	fmt.Println(ok, p.Legal, p.Notice)
	fmt.Println(p.Expires.Sub(p.Collected)) // from the day of collection to the end of the last day

	_, ok = email.Provenance(advertising.Purpose())
	fmt.Println(ok)
	// Output:
	// true contract 2fa-prompt-v3
	// 17544h0m0s
	// false
}

// Equal compares sealed values, and two seals of one address differ. Indexes
// tell whether two people are one.
func ExampleEmail_Equal() {
	first, _ := pii.SealEmail(ctx, "alice@example.com", security)
	second, _ := pii.SealEmail(ctx, "alice@example.com", security)
	fmt.Println(first.Equal(first), first.Equal(second))

	a, _ := first.Index(ctx, security)
	b, _ := second.Index(ctx, security)
	fmt.Println(a.Equal(b))
	// Output:
	// true false
	// true
}

func ExamplePhone_Equal() {
	first, _ := pii.SealPhone(ctx, "+14155552671", security)
	second, _ := pii.SealPhone(ctx, "+14155552671", security)
	fmt.Println(first.Equal(first), first.Equal(second))
	// Output: true false
}

func ExampleEmail_IsZero() {
	var user User
	fmt.Println(user.Email.IsZero())

	user.Email, _ = pii.SealEmail(ctx, "alice@example.com", security)
	fmt.Println(user.Email.IsZero())
	// Output:
	// true
	// false
}

// A sealed value is its own driver.Valuer and sql.Scanner: it goes into a
// column of text and comes back as it was.
func ExampleEmail_Scan() {
	alice := User{Name: "Alice"}
	alice.Email, _ = pii.SealEmail(ctx, "alice@example.com", security)

	column, err := alice.Email.Value() // as database/sql does for INSERT
	fmt.Println(column.(string)[:20], err)

	var row User
	fmt.Println(row.Email.Scan(column), row.Email.Equal(alice.Email)) // and for SELECT

	fmt.Println(row.Email.Scan("bob@example.com")) // a column that holds plaintext
	// Output:
	// pii1.email.security. <nil>
	// <nil> true
	// pii: scanning email: not sealed here, or altered since
}

// An absent value is NULL.
func ExampleEmail_Value() {
	var absent pii.Email
	fmt.Println(absent.Value())

	present := pii.Email{}
	fmt.Println(present.Scan(nil), present.IsZero())
	// Output:
	// <nil> <nil>
	// <nil> true
}

func ExampleIndex_Value() {
	index, _ := pii.IndexEmail(ctx, "alice@example.com", security)
	column, err := index.Value()
	fmt.Printf("%T of %d bytes, %v\n", column, len(column.([]byte)), err)

	var row pii.Index
	fmt.Println(row.Scan(column), row.Equal(index))
	// Output:
	// []uint8 of 16 bytes, <nil>
	// <nil> true
}

// An index whose making failed can't become a query argument by accident.
func ExampleIndex_poisoned() {
	index, err := pii.IndexEmail(ctx, "not an address", security)
	fmt.Println(err)

	_, err = index.Value()
	fmt.Println(err, index.IsZero(), index.Equal(index))
	// Output:
	// pii: indexing email: not a valid email
	// pii: index is unusable, for making it failed false false
}

// JSON carries the sealed form, which only a holder of the keys can open.
func ExampleEmail_MarshalText() {
	alice := User{Name: "Alice"}
	alice.Email, _ = pii.SealEmail(ctx, "alice@example.com", security)

	text, err := json.Marshal(alice)
	fmt.Println(string(text[:45]), err)

	var received User
	fmt.Println(json.Unmarshal(text, &received), received == alice)

	text, err = json.Marshal(User{Name: "Bob"})
	fmt.Println(string(text), err)
	// Output:
	// {"name":"Alice","email":"pii1.email.security. <nil>
	// <nil> true
	// {"name":"Bob"} <nil>
}

func ExampleEmail_UnmarshalText() {
	var user User
	err := json.Unmarshal([]byte(`{"email": "alice@example.com"}`), &user)
	fmt.Println(err)
	fmt.Println(errors.Is(err, vault.ErrCorrupt), user.Email.IsZero())
	// Output:
	// pii: decoding email: not sealed here, or altered since
	// true true
}

// Logs and printers show what a value is and what it is for.
func ExampleEmail_LogValue() {
	alice := User{Name: "Alice"}
	alice.Email, _ = pii.SealEmail(ctx, "alice@example.com", security)
	alice.Phone, _ = pii.SealPhone(ctx, "+14155552671", security, billing)

	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	log.Info("signed up", "email", alice.Email, "phone", alice.Phone)
	fmt.Printf("%v\n%+v\n", alice.Email, alice)
	// Output:
	// level=INFO msg="signed up" email=pii.Email(security) phone=pii.Phone(billing+security)
	// pii.Email(security)
	// {Name:Alice Email:pii.Email(security) Phone:pii.Phone(billing+security)}
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}

func ExampleEmail_Format() {
	email, _ := pii.SealEmail(ctx, "alice@example.com", security)
	fmt.Println(email)
	fmt.Printf("%q %#v %x\n", email, email, email)
	// Output:
	// pii.Email(security)
	// "pii.Email(security)" pii.Email(security) pii.Email(security)
}
