package pii_test

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A WrittenEmail is a sealed e-mail address in the spelling of whoever gave it. It is for
// addresses that [pii.SealEmail] refuses and that receive mail nevertheless: dots that a
// carrier allowed, quoted local parts, names beyond ASCII (RFC 6531), hosts without a
// domain. Such an address has many spellings, and each has an index of its own, so a
// person is found by the spelling that is stored.
type WrittenEmail struct{ pii.Sealed[writtenEmail] }

var writtenKind = vault.MustKind("email-as-written", "people.WrittenEmail")

// writtenEmail is the kind of WrittenEmail.
type writtenEmail struct{}

func (writtenEmail) Kind() vault.Kind   { return writtenKind }
func (writtenEmail) Mask(string) string { return "•••@•••" }

// Parse takes one line of text around an at sign, of 320 bytes at most: 64 and 255 are
// the longest local part and domain of RFC 5321.
func (writtenEmail) Parse(text string) (string, bool) {
	if len(text) > 320 || !utf8.ValidString(text) {
		return "", false
	}
	text = strings.Trim(text, " \t\r\n")
	at := strings.LastIndexByte(text, '@')
	if at < 1 || at == len(text)-1 {
		return "", false
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' { // a header could be injected
			return "", false
		}
	}
	return text, true
}

// Canonical folds A to Z alone. Case mapping of Unicode would make two people one.
func (writtenEmail) Canonical(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

func SealWrittenEmail(ctx context.Context, text string, scopes ...vault.Sealer) (WrittenEmail, error) {
	sealed, err := pii.Seal[writtenEmail](ctx, text, scopes...)
	return WrittenEmail{sealed}, err
}

// A second kind for addresses as they are written takes the rows that no e-mail address
// of package pii can hold, so that a column of plaintext can be emptied. Package
// migrate says how. Look up in both columns: a later version of package pii may accept an
// address that an earlier one refused.
func Example_addressAsWritten() {
	for _, address := range []string{"a..b@docomo.example", `"John Doe"@example.com`, "root@localhost", "josé@example.com"} {
		written, err := SealWrittenEmail(ctx, address, security)
		fmt.Println(pii.ValidEmail(address), written, err)
		fmt.Println(written.Reveal(ctx, security))
	}

	written, _ := SealWrittenEmail(ctx, "A..B@Docomo.example", security)
	stored, _ := written.Index(ctx, security)
	index, _ := pii.IndexOf[writtenEmail](ctx, "a..b@docomo.example", security)
	fmt.Println(index.Equal(stored))

	_, err := SealWrittenEmail(ctx, "unknown", security)
	fmt.Println(err)
	// Output:
	// false people.WrittenEmail(security) <nil>
	// a..b@docomo.example <nil>
	// false people.WrittenEmail(security) <nil>
	// "John Doe"@example.com <nil>
	// false people.WrittenEmail(security) <nil>
	// root@localhost <nil>
	// false people.WrittenEmail(security) <nil>
	// josé@example.com <nil>
	// true
	// people: sealing email-as-written: not a valid email-as-written
}
