package pii_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

// A TaxID is a sealed German tax id (IdNr).
type TaxID struct{ pii.Sealed[taxID] }

var taxIDKind = vault.MustKind("tax-id", "people.TaxID")

// taxID is the kind of TaxID. What is sealed is canonical already.
type taxID struct{}

func (taxID) Kind() vault.Kind               { return taxIDKind }
func (taxID) Canonical(digits string) string { return digits }
func (taxID) Mask(digits string) string      { return "•• ••• ••• " + digits[8:] }

// Parse drops blanks and checks 11 digits, the last by ISO 7064, MOD 11,10.
func (taxID) Parse(text string) (string, bool) {
	if len(text) > 32 {
		return "", false
	}
	digits := strings.ReplaceAll(text, " ", "")
	if len(digits) != 11 || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	product := 10
	for _, d := range digits[:10] {
		sum := (int(d-'0') + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = 2 * sum % 11
	}
	return digits, (11-product)%10 == int(digits[10]-'0')
}

func SealTaxID(ctx context.Context, text string, scopes ...vault.Sealer) (TaxID, error) {
	sealed, err := pii.Seal[taxID](ctx, text, scopes...)
	return TaxID{sealed}, err
}

// A third kind of personal data, made outside package pii: validation, one
// spelling, a mask and a constructor are its own, and all else is embedded.
func Example_taxID() {
	id, err := SealTaxID(ctx, "86 095 742 719", billing)
	fmt.Println(id, err)
	fmt.Println(id.Reveal(ctx, billing))
	fmt.Println(id.Hint(ctx, billing))

	_, err = id.Reveal(ctx, advertising)
	fmt.Println(err)
	_, err = SealTaxID(ctx, "86 095 742 718", billing)
	fmt.Println(err, pii.Valid[taxID]("86 095 742 718"))

	column, _ := id.Value()
	var row TaxID
	fmt.Println(row.Scan(column), row == id)
	fmt.Println(row.Scan("86095742719"))
	// Output:
	// people.TaxID(billing) <nil>
	// 86095742719 <nil>
	// •• ••• ••• 719 <nil>
	// people: revealing tax-id: collected for billing, not advertising
	// people: sealing tax-id: not a valid tax-id false
	// <nil> true
	// people: scanning tax-id: not sealed here, or altered since
}
