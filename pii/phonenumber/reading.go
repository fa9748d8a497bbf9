package phonenumber

import (
	"strconv"
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"

	"github.com/onlyfor/onlyfor/pii"
)

// readOnce returns the only number that the dialled characters of input are in a
// region. If there are two, it is [ErrAmbiguous].
//
// With "+", there is one reading. Without, people leave the "+" out, or write 00 for
// it, in regions whose plans give these digits another meaning. Both readings are
// computed only where the first digits allow two.
func readOnce(dialled, input, region string) (string, error) {
	if region == "" || dialled[0] == '+' {
		number, ok := readInternational(dialled)
		// Package pii has no plans, and seals digits that its short table does not
		// refuse. Input that it seals as it stands is no other number here.
		if !ok || number != dialled && pii.ValidPhone(input) {
			return "", errNumber
		}
		return number, nil
	}
	rules := rulesOf()[region]
	var international string // the digits with "+" in place of 00, or in front
	switch {
	case strings.HasPrefix(dialled, "00") && !rules.only00:
		international = "+" + dialled[2:]
	case strings.HasPrefix(dialled, rules.code):
		international = "+" + dialled
	}
	number, ok := read(dialled, region)
	if !ok && international != "" && rules.preferred != "" {
		// The plan's pattern of prefixes may take a longer prefix, of a carrier, for the
		// preferred one and the first digit of a country code.
		if rest, is := strings.CutPrefix(dialled, rules.preferred); is {
			number, ok = readInternational("+" + rest)
		}
	}
	if !ok {
		return "", errNumber
	}
	if international != "" && number != international {
		if other, ok := readInternational(international); ok && other != number {
			return "", ErrAmbiguous
		}
	}
	return number, nil
}

// readInternational reads a number that begins with "+".
func readInternational(dialled string) (string, bool) { return read(dialled, noRegion) }

// read returns the number that the port reads, if it is valid by its plan.
func read(dialled, region string) (string, bool) {
	n, err := phonenumbers.Parse(dialled, region)
	// The port's errors are dropped: a future version may quote the input.
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", false
	}
	number := phonenumbers.Format(n, phonenumbers.E164)
	return number, canonical(number) && sameEnd(number, dialled)
}

// rules are the digits of a region's plan that give text without "+" two meanings.
type rules struct {
	code string // the country code
	// only00 is set if 00 is the plan's only prefix for calls abroad, and thus the same
	// as "+".
	only00 bool
	// preferred is the prefix that the plan prefers to others for calls abroad, or "".
	preferred string
}

var rulesOf = sync.OnceValue(func() map[string]rules {
	metadata, err := phonenumbers.MetadataCollection()
	if err != nil {
		return nil // the port has panicked on its own metadata by now
	}
	all := make(map[string]rules, len(metadata.GetMetadata()))
	for _, m := range metadata.GetMetadata() {
		all[m.GetId()] = rules{
			code:      strconv.Itoa(int(m.GetCountryCode())),
			only00:    m.GetInternationalPrefix() == "00",
			preferred: strings.ReplaceAll(m.GetPreferredInternationalPrefix(), "~", ""), // a tilde says to wait for a tone
		}
	}
	return all
})
