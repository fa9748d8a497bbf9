package phonenumber_test

import (
	"errors"
	"fmt"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/phonenumber"
)

func ExampleParse() {
	for _, typed := range []string{"020 7946 0018", "+44 (0)20 7946 0018", "+1 212-555-0123"} {
		number, err := phonenumber.Parse(typed, "GB")
		fmt.Println(number, err)
	}

	// The rest of it would be a switchboard's number.
	_, err := phonenumber.Parse("020 7946 0018 x 456", "GB")
	fmt.Println(err, errors.Is(err, pii.ErrMalformed))
	// Output:
	// +442079460018 <nil>
	// +442079460018 <nil>
	// +12125550123 <nil>
	// phonenumber: not a valid phone number true
}
