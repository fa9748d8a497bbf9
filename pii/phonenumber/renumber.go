package phonenumber

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
)

// renumberings has countries that gave all numbers of a kind new digits, as of 30
// November 2026. After the country code and the first skip digits, a number of today
// has the digits now in the place of before.
var renumberings = [...]struct {
	code        string
	digits      int // of national numbers today
	skip        int
	now, before string
}{
	{"+52", 10, 0, "", "1"},   // Mexico, mobile, 3 August 2019
	{"+229", 10, 0, "01", ""}, // Benin, 30 November 2024
	{"+225", 10, 0, "01", ""}, // Ivory Coast, 31 January 2021, by operator
	{"+225", 10, 0, "05", ""},
	{"+225", 10, 0, "07", ""},
	{"+225", 10, 0, "21", ""},
	{"+225", 10, 0, "25", ""},
	{"+225", 10, 0, "27", ""},
	{"+55", 11, 2, "9", ""}, // Brazil, mobile, by area from July 2012 to November 2016
}

// OldForms returns the forms that a number of today had before its country gave all
// numbers new digits: +22997123456 for +2290197123456. The table has Benin, Brazil,
// Ivory Coast and Mexico. For other numbers, and for text that is no result of [Parse],
// OldForms returns nothing. No old form is a number of today's plan.
//
// Use old forms to look up rows that were sealed before, and for nothing else, with
// the index of each in WHERE phone_index IN (…). A match is a row that had this number
// once. The number may belong to somebody else since: send a code before the row gives
// access to anything. Mexico's old form is that of mobile numbers, which the digits
// don't tell from others.
func OldForms(e164 string) []string {
	if !isToday(e164) {
		return nil
	}
	var old []string
	for _, r := range renumberings {
		rest, is := strings.CutPrefix(e164, r.code)
		if !is || len(rest) != r.digits || !strings.HasPrefix(rest[r.skip:], r.now) {
			continue
		}
		form := r.code + rest[:r.skip] + r.before + rest[r.skip+len(r.now):]
		if !isToday(form) {
			old = append(old, form)
		}
	}
	return old
}

// NewForm returns the number of today that had the old form, for which [OldForms]
// returns it: +2290197123456 for +22997123456. It reports false if there is none, and
// if the old form does not tell: the new digits of Ivory Coast depend on the operator.
// A number of today has no new form.
func NewForm(old string) (e164 string, ok bool) {
	if !canonical(old) || isToday(old) {
		return "", false
	}
	for _, r := range renumberings {
		rest, is := strings.CutPrefix(old, r.code)
		if !is || len(rest) != r.digits-len(r.now)+len(r.before) || !strings.HasPrefix(rest[r.skip:], r.before) {
			continue
		}
		form := r.code + rest[:r.skip] + r.now + rest[r.skip+len(r.before):]
		if !isToday(form) {
			continue
		}
		if e164 != "" {
			return "", false
		}
		e164 = form
	}
	return e164, e164 != ""
}

// isToday reports whether number is a number of today's plan, in E.164.
func isToday(number string) bool {
	if !canonical(number) {
		return false
	}
	parsed, ok := readInternational(number)
	return ok && parsed == number
}

// Renumber returns p with its number in the form of today, for a run over a column of
// numbers that were sealed in old forms. It reports false, and returns p, if [NewForm]
// knows no new form. Compute the index column anew in the same update, of the number
// that Reveal returns.
//
// The scopes are those of all purposes that the value was collected for, each narrowed
// to the person if the value is a person's. They open the value, and seal the new one.
// For each purpose it keeps the ground, the notice, the consent, the end of retention
// and the purpose that the value was extended from. It keeps the day of collection too,
// which is a stated one from then on: see [purpose.Provenance.Stated]. First drop expired
// purposes with [pii.Phone.WithoutExpired], and take in collected values with
// [pii.Phone.Reseal].
//
// These are [vault.ErrInvalid]: more or fewer scopes than the value has purposes, a value
// that is still as a collector sealed it, and a value that was extended from a purpose
// that it has no more. Other errors are the errors of [pii.Phone.Reveal], [pii.SealPhone]
// and [pii.Phone.Extend]. With an error, Renumber returns the zero value.
func Renumber(ctx context.Context, p pii.Phone, scopes ...*vault.Scope) (renumbered pii.Phone, changed bool, err error) {
	if len(scopes) == 0 || p.Purposes().Len() != len(scopes) {
		return pii.Phone{}, false, refuse("one scope is needed for each of the value's purposes")
	}
	var number string
	for _, s := range scopes {
		if p.ByCollector(s.Purpose()) {
			return pii.Phone{}, false, refuse("a collector sealed the value")
		}
		// Each scope opens the value, which proves the provenance for its purpose.
		if number, err = p.Reveal(ctx, s); err != nil {
			return pii.Phone{}, false, err
		}
	}
	number, ok := NewForm(number)
	if !ok {
		return p, false, nil
	}
	var first []vault.Sealer
	byPurpose := make(map[purpose.Purpose]*vault.Scope)
	var extended []*vault.Scope
	for _, s := range scopes {
		provenance, _ := p.Provenance(s.Purpose())
		s = s.Under(basisOf(provenance))
		byPurpose[s.Purpose()] = s
		switch from := provenance.From; {
		case from.IsZero():
			first = append(first, s)
		case p.Purposes().Contains(from):
			extended = append(extended, s)
		default:
			return pii.Phone{}, false, refuse("the value was extended from a purpose that it has no more")
		}
	}
	if renumbered, err = pii.SealPhone(ctx, number, first...); err != nil {
		return pii.Phone{}, false, err
	}
	for _, s := range extended {
		provenance, _ := p.Provenance(s.Purpose())
		if renumbered, err = renumbered.Extend(ctx, byPurpose[provenance.From], s); err != nil {
			return pii.Phone{}, false, err
		}
	}
	return renumbered, true, nil
}

// basisOf returns the basis under which a value gets the same provenance again, but for
// From.
func basisOf(p purpose.Provenance) purpose.Basis {
	const day = 24 * time.Hour
	basis := purpose.Basis{Legal: p.Legal, Notice: p.Notice, Consent: p.Consent}
	if p.Collected.Unix() < int64(day/time.Second) {
		return basis // the clock was not set, and so there is no retention
	}
	basis.Collected = p.Collected
	switch {
	case p.Expires.IsZero():
		return basis
	case !p.Collected.Equal(p.Collected.Truncate(day)): // the vault keeps exact times
		basis.Retain = p.Expires.Sub(p.Collected)
	case p.Expires.Equal(p.Expires.Truncate(day)): // a retention ends with its day, so it may not begin the next
		basis.Retain = p.Expires.Sub(p.Collected) - time.Second
	default: // a retention of less than a day, which began later on the day of collection
		if began := p.Expires.Add(time.Second - day); began.After(p.Collected) {
			basis.Collected = began
		}
		basis.Retain = p.Expires.Sub(basis.Collected)
	}
	basis.Retain = min(basis.Retain, purpose.MaxRetain)
	return basis
}

func refuse(fact string) error {
	return fmt.Errorf("phonenumber: renumbering: %s: %w", fact, vault.ErrInvalid)
}
