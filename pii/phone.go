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
// What it reveals is the number in the canonical form of ITU-T E.164: "+" and
// the digits, such as +14155552671.
type Phone struct{ sealedPhone }

type sealedPhone = Sealed[phone]

// SealPhone seals a phone number for the purposes of the given scopes.
//
// The number is an international one: "+", then 7 to 15 digits of which the
// first is not 0 (ITU-T E.164). Blanks, hyphens, full stops and pairs of
// parentheses between the digits are dropped, and so are blanks around the
// number; 64 bytes in all. Extensions, letters, "00" in place of "+" and parentheses that open on
// a 0, as in +44 (0)20, are [ErrMalformed]: what they mean depends on the country.
// Whether a number is assigned is not checked, for that changes.
//
// Other errors are those of [vault.Seal].
func SealPhone(ctx context.Context, number string, scopes ...vault.Sealer) (Phone, error) {
	sealed, err := Seal[phone](ctx, number, scopes...)
	return Phone{sealed}, err
}

// ValidPhone reports whether [SealPhone] takes the text for a phone number. It needs no
// scope: for forms, before anything is sealed.
func ValidPhone(number string) bool { return Valid[phone](number) }

// IndexPhone returns the blind index of a phone number under the scope's
// purpose, for WHERE phone_index = $1. Text that [SealPhone] would refuse is
// [ErrMalformed]; other errors are those of [vault.Scope.Index]. The index that
// comes with an error is poisoned, as [Index] describes.
func IndexPhone(ctx context.Context, number string, scope vault.Indexer) (Index, error) {
	return IndexOf[phone](ctx, number, scope)
}

// IndexesPhone is [IndexPhone] under every index key of the purpose that is not
// retired, the primary one's first: what to look for, with WHERE phone_index IN
// (…), while the column is computed anew after [vault.Vault.RotateIndex]. With
// an error there is one index, and it is poisoned.
func IndexesPhone(ctx context.Context, number string, scope vault.Indexer) ([]Index, error) {
	return IndexesOf[phone](ctx, number, scope)
}

// Extend returns p extended to the purpose of to, as [Sealed.Extend] does.
func (p Phone) Extend(ctx context.Context, from, to *vault.Scope) (Phone, error) {
	extended, err := p.sealedPhone.Extend(ctx, from, to)
	return Phone{extended}, err
}

// Without returns p without what it holds for a purpose, as [Sealed.Without] does.
func (p Phone) Without(from purpose.Purpose) Phone { return Phone{p.sealedPhone.Without(from)} }

// WithoutExpired returns p without the purposes whose time of retention is
// over, as [Sealed.WithoutExpired] does.
func (p Phone) WithoutExpired() Phone { return Phone{p.sealedPhone.WithoutExpired()} }

// Reseal returns p sealed anew, as [Sealed.Reseal] does.
func (p Phone) Reseal(ctx context.Context, scopes ...*vault.Scope) (Phone, error) {
	resealed, err := p.sealedPhone.Reseal(ctx, scopes...)
	return Phone{resealed}, err
}

// Equal reports whether both are the same sealed value. It is false for two
// seals of one number: to compare people, compare indexes.
func (p Phone) Equal(other Phone) bool { return p == other }

var phoneKind = vault.MustKind("phone", "pii.Phone")

// phone is the [Kind] of Phone.
type phone struct{}

func (phone) Kind() vault.Kind                  { return phoneKind }
func (phone) Parse(text string) (string, bool)  { return parsePhone(text) }
func (phone) Canonical(plaintext string) string { return plaintext }

// Mask keeps the country code and two digits, and the shape tells nothing of
// the length: "+1 ••• ••• ••71".
func (phone) Mask(plaintext string) string {
	return plaintext[:1+countryCodeLen(plaintext[1:])] + " ••• ••• ••" + plaintext[len(plaintext)-2:]
}

// countryCodeLen returns how many digits the country code has. All codes
// have three, except those of two zones and the ones below (ITU-T E.164,
// Annex to Operational Bulletin No. 930).
func countryCodeLen(digits string) int {
	switch {
	case digits[0] == '1' || digits[0] == '7':
		return 1
	case strings.Contains(twoDigitCodes, digits[:2]): // which has a blank between any two
		return 2
	}
	return 3
}

const twoDigitCodes = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 " +
	"51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98"

const (
	minDigits = 7
	maxDigits = 15
	// maxNumber bounds what is looked at: a separator after every digit, and
	// blanks around them.
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
