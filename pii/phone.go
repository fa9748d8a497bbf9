package pii

import (
	"context"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// A Phone is an immutable sealed phone number, or the absence of one. It is one
// string wide and holds no plaintext; [Sealed] describes how it is stored,
// encoded and printed.
//
// Reveal returns the number in the canonical form of ITU-T E.164: "+" and the
// digits, such as +14155552671.
type Phone struct{ sealedPhone }

type sealedPhone = Sealed[phone]

// SealPhone seals a phone number for the purposes of the given scopes.
//
// The number is an international one: "+", then 7 to 15 digits, the first of
// them not 0 (ITU-T E.164). Blanks, hyphens, full stops and pairs of parentheses
// between the digits are dropped, and so are blanks around the number. The text
// has 64 bytes at most. Extensions, letters, "00" in place of "+" and parentheses
// that open on a 0, as in +44 (0)20, are [ErrMalformed]: their meaning depends on
// the country. Nothing checks that a number is assigned, since that changes.
//
// Other errors are the errors of [vault.Seal].
func SealPhone(ctx context.Context, number string, scopes ...vault.Sealer) (Phone, error) {
	sealed, err := Seal[phone](ctx, number, scopes...)
	return Phone{sealed}, err
}

// ValidPhone reports whether [SealPhone] accepts the text as a phone number. It
// needs no scope. A form can call it before anything is sealed.
func ValidPhone(number string) bool { return Valid[phone](number) }

// IndexPhone returns the blind index of a phone number under the scope's
// purpose, for WHERE phone_index = $1. Text that [ValidPhone] refuses is
// [ErrMalformed]; other errors are the errors of [vault.Scope.Index]. With an error,
// the index is poisoned, as [Index] describes.
func IndexPhone(ctx context.Context, number string, scope vault.Indexer) (Index, error) {
	return IndexOf[phone](ctx, number, scope)
}

// IndexesPhone returns the index of a phone number under every index key of the
// purpose that is not retired, the index of the primary key first. Use it with
// WHERE phone_index IN (…) while the column is computed anew after
// [vault.Vault.RotateIndex]. It fails as [IndexPhone] does, and then returns one
// poisoned index.
func IndexesPhone(ctx context.Context, number string, scope vault.Indexer) ([]Index, error) {
	return IndexesOf[phone](ctx, number, scope)
}

// Extend returns p extended to the purpose of to, as [Sealed.Extend] describes.
func (p Phone) Extend(ctx context.Context, from, to *vault.Scope) (Phone, error) {
	extended, err := p.sealedPhone.Extend(ctx, from, to)
	return Phone{extended}, err
}

// Without returns p without its slot for a purpose, as [Sealed.Without] describes.
func (p Phone) Without(from purpose.Purpose) Phone { return Phone{p.sealedPhone.Without(from)} }

// WithoutExpired returns p without the purposes whose time of retention is over,
// as [Sealed.WithoutExpired] describes.
func (p Phone) WithoutExpired() Phone { return Phone{p.sealedPhone.WithoutExpired()} }

// Reseal returns p sealed anew, as [Sealed.Reseal] describes.
func (p Phone) Reseal(ctx context.Context, scopes ...*vault.Scope) (Phone, error) {
	resealed, err := p.sealedPhone.Reseal(ctx, scopes...)
	return Phone{resealed}, err
}

// Equal reports whether p and other are the same sealed value. It is false for two
// seals of one number: to compare people, compare indexes.
func (p Phone) Equal(other Phone) bool { return p == other }

var phoneKind = vault.MustKind("phone", "pii.Phone")

// phone is the [Kind] of Phone.
type phone struct{}

func (phone) Kind() vault.Kind                  { return phoneKind }
func (phone) Parse(text string) (string, bool)  { return parsePhone(text) }
func (phone) Canonical(plaintext string) string { return plaintext }

// Mask keeps the country code and two digits: "+1 ••• ••• ••71". Its shape does
// not depend on the length of the number.
func (phone) Mask(plaintext string) string {
	return plaintext[:1+countryCodeLen(plaintext[1:])] + " ••• ••• ••" + plaintext[len(plaintext)-2:]
}

// countryCodeLen returns the number of digits of the country code. A code has
// three digits, except for zones 1 and 7 and twoDigitCodes (ITU-T E.164, Annex to
// Operational Bulletin No. 930).
func countryCodeLen(digits string) int {
	switch {
	case digits[0] == '1' || digits[0] == '7':
		return 1
	case strings.Contains(twoDigitCodes, digits[:2]): // a blank separates the codes
		return 2
	}
	return 3
}

const twoDigitCodes = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 " +
	"51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98"

const (
	minDigits = 7
	maxDigits = 15
	// maxNumber bounds the text that is parsed. It has room for a separator after
	// every digit, and for blanks around the number.
	maxNumber = 64
)

// parsePhone returns the form of number that is sealed.
func parsePhone(number string) (string, bool) {
	if len(number) > maxNumber {
		return "", false
	}
	number = strings.Trim(number, blanks)
	if len(number) < 1+minDigits || number[0] != '+' || number[1] < '1' || number[1] > '9' {
		return "", false
	}
	if last := number[len(number)-1]; last < '0' || last > '9' {
		return "", false
	}
	var out [1 + maxDigits]byte
	out[0] = '+'
	n := 1
	group := false // within parentheses
	for i := 1; i < len(number); i++ {
		c := number[i]
		switch {
		case c >= '0' && c <= '9':
			if n == len(out) {
				return "", false
			}
			out[n] = c
			n++
		case c == '(' && !group && number[i+1] >= '1' && number[i+1] <= '9':
			group = true
		case c == ')' && group && isDigit(number[i-1]):
			group = false
		case c == ' ' || c == '-' || c == '.':
		default:
			return "", false
		}
	}
	if group || n < 1+minDigits {
		return "", false
	}
	if n == len(number) {
		return number, true
	}
	return string(out[:n]), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
