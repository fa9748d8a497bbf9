// Package adlists finds people of an advertiser's list whose contacts an ad platform's
// recipe has normalised: Google Customer Match, UID2 or Meta.
//
// The first two take the dots and the tag off addresses at Gmail, so
// Alice.Smith+shop@gmail.com is alicesmith@gmail.com on their lists, and
// [pii.IndexEmail] finds it nowhere. Meta wants phone numbers as digits without "+".
// [IndexEmail], [IndexStoredEmail] and [IndexPhone] make the indexes of the advertising
// purpose, for the table and for the list alike.
//
// They are for that purpose alone. The index of security must not fold like this: other
// providers deliver a.b and ab to two people, who would be one at sign-in, and a
// provider that folds today can tell them apart tomorrow. An ad that reaches the
// wrong person is a mistake, and an account that opens for one is taken away.
package adlists

import (
	"context"
	"strings"
	"unicode"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// IndexEmail returns the index of an address as somebody typed it or a list has it. It
// is [pii.IndexEmail] of the address at other providers. It fails as pii.IndexEmail does.
func IndexEmail(ctx context.Context, address string, advertising vault.Indexer) (pii.Index, error) {
	if pii.ValidEmail(address) {
		address = fold(strings.TrimFunc(address, isInvisible))
	}
	return pii.IndexEmail(ctx, address, advertising)
}

// isInvisible reports whether r can be around a valid address and is no part of it.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.White_Space, unicode.Cf, unicode.Variation_Selector)
}

// IndexStoredEmail returns the index of a sealed address, equal to the [IndexEmail] of its
// text. The address was collected for advertising, or extended to it. It fails as
// [pii.Sealed.Index] does.
func IndexStoredEmail(ctx context.Context, email pii.Email, advertising *vault.Scope) (pii.Index, error) {
	var folded pii.Sealed[foldedEmail]
	text, err := email.MarshalText()
	if err == nil {
		err = folded.UnmarshalText(text)
	}
	index, indexErr := folded.Index(ctx, advertising) // poisoned if there is no value
	if err != nil {
		return index, err
	}
	return index, indexErr
}

// IndexPhone returns the index of a number on a list whose numbers all begin with a country
// code, with "+" or without. A number without a country code would be a stranger's:
// ask the advertiser for the form of the list, and don't guess. It fails as [pii.IndexPhone]
// does.
func IndexPhone(ctx context.Context, number string, advertising vault.Indexer) (pii.Index, error) {
	if number != "" && number[0] >= '1' && number[0] <= '9' {
		number = "+" + number
	}
	return pii.IndexPhone(ctx, number, advertising)
}

// fold returns the address at gmail.com to which Gmail delivers, and every other address
// as it is, also if it has no name but dots and a tag.
func fold(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	if !strings.EqualFold(domain, "gmail.com") && !strings.EqualFold(domain, "googlemail.com") {
		return address
	}
	local, _, _ = strings.Cut(local, "+")
	if local = strings.ReplaceAll(local, ".", ""); local == "" {
		return address
	}
	return local + "@gmail.com"
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// foldedEmail is the kind of a [pii.Email] whose index is a folded one. It has the name
// of that kind, so that it opens the same values. It is not for sealing.
type foldedEmail struct{}

var emailKind = vault.MustKind("email", "pii.Email")

func (foldedEmail) Kind() vault.Kind                 { return emailKind }
func (foldedEmail) Parse(text string) (string, bool) { return "", false }
func (foldedEmail) Mask(string) string               { return "•••" }

// ValidPlaintext takes any address of ASCII: [pii.Email] has checked it when it was sealed.
func (foldedEmail) ValidPlaintext(plaintext string) bool {
	at := strings.IndexByte(plaintext, '@')
	return at > 0 && at < len(plaintext)-1 && isASCII(plaintext)
}

func (foldedEmail) Canonical(plaintext string) string { return strings.ToLower(fold(plaintext)) }
