// Package phonenumber turns phone numbers that people type into a form into the
// international numbers that [pii.SealPhone] seals.
//
//	number, err := phonenumber.Parse(form.Phone, "GB") // 020 7946 0018
//	user.Phone, err = pii.SealPhone(ctx, number, security) // +442079460018
//
// It uses github.com/nyaruka/phonenumbers, the Go port of Google's libphonenumber. It
// is a module of its own because the port brings the numbering plans of all countries
// into the binary.
//
// # Limits
//
// A number that is valid by its country's plan may belong to nobody, or to somebody
// else: send it a code. Plans change, so an update of the port may refuse or accept
// other numbers than before. Sealed numbers do not change: the canonical form of
// package pii does not depend on plans.
package phonenumber

import (
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Parse returns the phone number in input, in the form of ITU-T E.164: "+" and 7 to 15
// digits. [pii.SealPhone] and [pii.IndexPhone] accept that form and do not change it.
// Parse(Parse(x, a), b) equals Parse(x, a) for any region b.
//
// Region is the country that the person dials in, as two capital letters (ISO
// 3166-1 alpha-2), such as the country chosen in the form. It gives numbers without a
// country code their meaning, and has the prefix for dialling abroad, such as 00 or
// 011. A number that begins with "+" has one meaning in every region. With region ""
// only such numbers are accepted, and with a country of ISO 3166-1 that has no numbering
// plan: AQ, BV, GS, HM, PN, TF and UM. An unknown region, such as UK, is
// [pii.ErrMalformed].
//
// Any input but one number that is valid by its country's plan is [pii.ErrMalformed]. No
// error ever quotes the input. Text that is two such numbers is [ErrAmbiguous]:
//
//   - Text that begins with 00, where the region dials abroad with 00 and more digits:
//     one number by the region's plan, and another with "+" in place of 00. Where 00 is
//     the only or the preferred prefix, and the plan has no other reading, it is "+".
//   - Text that begins with the region's own country code: one number by the region's
//     plan, and another with "+" in front. In Germany, 49 is an area code too. With its
//     trunk prefix, as in 0491 51234567, a national number has one reading.
//
// A foreign number without "+" or a prefix can't be told from a national one. A list of
// digits that all begin with a country code needs "+" in front of each, and no region.
//
// In detail:
//
//   - Blanks around the number, and the invisible marks that come with pasted text,
//     are dropped. Between the digits may be blanks, hyphens and dashes, full stops, and
//     digits in parentheses. A slash may follow an area code, as in 030/901820. Behind
//     more digits, a slash begins a second number or an extension, which is refused.
//   - A trunk prefix behind the country code is dropped where the country's plan
//     has one, and kept where it is a digit of the number: +44 (0)20 7946 0018 and
//     +44 020 7946 0018 are +442079460018, +39 (0)6 6982 is +39066982, and +1 (0)212
//     555 0123 is refused.
//   - Input that [pii.SealPhone] seals as it stands is that number or is refused.
//   - "+" in front of 0, as in +0044, is refused: no country code begins with 0.
//   - Digits that begin with the region's own country code, without "+", are an
//     international number if they are no national number of the plan.
//   - Extensions are refused: without it, the number is the number of a switchboard
//     that many people share. Letters, lists of numbers and the parameters of RFC
//     3966 are refused too.
//   - Digits may be ASCII, full-width, Arabic-Indic or Persian, but not mixed in one
//     number. Others are refused.
//   - Input of more than 64 bytes is refused unread.
func Parse(input, region string) (e164 string, err error) {
	if len(input) > maxInput {
		return "", errNumber
	}
	if region != "" && !phonenumbers.GetSupportedRegions()[region] {
		if !slices.Contains(withoutPlan[:], region) {
			return "", errRegion
		}
		region = ""
	}
	dialled, ok := clean(input)
	if !ok {
		return "", errNumber
	}
	return readOnce(dialled, input, region)
}

// withoutPlan has the countries of ISO 3166-1 that have no numbering plan.
var withoutPlan = [...]string{"AQ", "BV", "GS", "HM", "PN", "TF", "UM"}

// noRegion is libphonenumber's own name for an unknown region, in which only
// numbers that begin with "+" have a meaning.
const noRegion = "ZZ"

// canonical reports whether number is in the canonical form of package pii. Some
// plans have shorter or longer numbers than E.164.
func canonical(number string) bool {
	return len(number) >= 1+7 && len(number) <= 1+15 && number[0] == '+' && number[1] != '0' &&
		strings.Trim(number[1:], "0123456789") == ""
}

// sameEnd reports whether number ends in the last dialled digits. Countries drop and
// insert digits in front of them only. If the ends differ, the port took a part of the
// number for something else.
func sameEnd(number, dialled string) bool {
	return strings.HasSuffix(number, dialled[len(dialled)-minDialled:])
}
