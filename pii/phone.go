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
// between the digits are dropped, and so are blanks and invisible characters around
// the number, as around an address by [SealEmail]. The text
// has 64 bytes at most. Extensions, letters, "00" in place of "+" and parentheses
// that open on a 0, as in +44 (0)20, are [ErrMalformed]: their meaning depends on
// the country.
//
// A digit that is dialled within a country alone is refused behind the country code, as
// in +44 020 and +7 8 912: it would give one person two indexes. A short table has the
// country codes whose numbers may begin with 0, such as 39. It changes when countries
// change their plans, and a value that is sealed stays readable. Nothing else of a
// numbering plan is checked, for instance that a number is assigned.
//
// Numbers that people type go through Parse of package phonenumber, numbers with "+"
// too: it knows the plans, and reads +44 020 as +4420. No text is one number to
// SealPhone and another to phonenumber.Parse.
//
// Other errors are the errors of [vault.Seal].
//
//go:noinline
func SealPhone(ctx context.Context, number string, scopes ...vault.Sealer) (Phone, error) {
	// Not inlined: in the package of a caller the list of scopes would go to the heap.
	sealed, err := Seal[phone](ctx, number, scopes...)
	return Phone{sealed}, err
}

// ValidPhone reports whether [SealPhone] accepts the text as a phone number. It
// needs no scope. A form can call it before anything is sealed, on the result of Parse
// of package phonenumber if people typed the number.
func ValidPhone(number string) bool { return Valid[phone](number) }

// IndexPhone returns the blind index of a phone number under the scope's
// purpose, for the column of a row that is written. Look rows up with [IndexesPhone]:
// it finds people while the index key rotates too. Text that [ValidPhone] refuses is
// [ErrMalformed]; other errors are the errors of [vault.Scope.Index]. With an error,
// the index is poisoned, as [Index] describes.
func IndexPhone(ctx context.Context, number string, scope vault.Indexer) (Index, error) {
	return IndexOf[phone](ctx, number, scope)
}

// IndexesPhone returns the index of a phone number under every index key of the
// purpose that is not retired, the index of the primary key first. Look rows up with
// WHERE phone_index IN (…): there is one index, and a second while the column is computed
// anew after [vault.Admin.Rotate]. [OrNobody] makes a look-up of malformed text find
// nobody. IndexesPhone fails as [IndexPhone] does, and then returns one
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

// Withdraw is [Sealed.Withdraw].
func (p Phone) Withdraw(ctx context.Context, from purpose.Purpose, by vault.Recorder) (Phone, error) {
	sealed, err := p.sealedPhone.Withdraw(ctx, from, by)
	return Phone{sealed}, err
}

// Sweep is [Sealed.Sweep].
func (p Phone) Sweep(ctx context.Context, by vault.Recorder) (Phone, error) {
	sealed, err := p.sealedPhone.Sweep(ctx, by)
	return Phone{sealed}, err
}

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

// ValidPlaintext reports whether plaintext is "+" and the digits, and nothing else.
func (phone) ValidPlaintext(plaintext string) bool {
	if len(plaintext) < 1+minDigits || len(plaintext) > 1+maxDigits || plaintext[0] != '+' || plaintext[1] == '0' {
		return false
	}
	for i := 1; i < len(plaintext); i++ {
		if !isDigit(plaintext[i]) {
			return false
		}
	}
	return true
}

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
	// every digit, and for blanks and marks around the number.
	maxNumber = 64
)

// parsePhone returns the form of number that is sealed.
func parsePhone(number string) (string, bool) {
	if len(number) > maxNumber {
		return "", false
	}
	number = trim(number)
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
	if n != len(number) {
		number = string(out[:n])
	}
	if keepsPrefix(number[1:]) {
		return "", false
	}
	return number, true
}

// keepsPrefix reports whether the digits have a country code and then a digit that is
// dialled within the country alone, as in +44 020 and +7 8 912. With and without that
// digit, they would be one person's number with two indexes.
func keepsPrefix(digits string) bool {
	for i := range keptPrefixes {
		k := &keptPrefixes[i]
		if k.start[0] == digits[0] && k.digits == len(digits) && strings.HasPrefix(digits, k.start) {
			return true
		}
	}
	if digits[1] != '0' && digits[2] != '0' && digits[3] != '0' || digits[countryCodeLen(digits)] != '0' {
		return false // most numbers, at the first condition
	}
	for _, start := range startWithZero {
		if strings.HasPrefix(digits, start) {
			return false
		}
	}
	return true
}

// startWithZero has the country codes whose national numbers may begin with 0, and the
// digits from the first 0 on as far as they tell such a number from one with a trunk
// prefix in front: 0 where there is no trunk prefix, and 00 or 06 where it is 0. The
// numbering plans are those of libphonenumber 9.0.32 of July 2026, with freephone
// numbers and the like. The tests of package phonenumber compare the table with the
// plans. Sealed values are not judged by it: [phone.ValidPlaintext] has no table.
var startWithZero = [...]string{
	"390", "470", "2250", "2260", "2270", "2290", "2410", "2420", "2470", "2670", "2680", "3780", "5010", "5070", "6760",
	"6790", "6870", "8000", "8530", "8810", "8880", "9740", "9920",
	"6200", "6600", "8100", "8200", "9100", "25006", "35900", "59800",
}

// keptPrefixes has the first digits, and the number of all digits, of texts that are a
// number of their plan with one more prefix or without its area code, and are no number
// of the plan as they stand. The plans are those of startWithZero.
var keptPrefixes = [...]struct {
	start  string
	digits int
}{
	{"11", 12}, {"6921", 11}, // North America, Marshall Islands: 1
	{"78", 12}, {"9938", 12}, // Russia and Kazakhstan, Turkmenistan: 8
	{"3708", 12},                                                                                               // Lithuania: 8 of before 2024
	{"375815", 13}, {"375816", 13}, {"375817", 13}, {"37582", 13}, {"37583", 13}, {"37584", 13}, {"37580", 14}, // Belarus: 8, 80
	{"54", 14},                                        // Argentina: 15 behind the area code of a mobile number
	{"2410", 12},                                      // Gabon: 0 of before 2019
	{"3788", 9}, {"3789", 9}, {"261", 10}, {"672", 8}, // San Marino, Madagascar, Norfolk Island: no area code
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
