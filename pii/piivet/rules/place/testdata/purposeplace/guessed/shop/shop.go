package shop // want package:"purposes are declared in example.com/shop/purposes"

import (
	"os"

	"example.com/shop/purposes"

	"github.com/onlyfor/onlyfor/purpose"
)

var mine = purpose.MustParse("newsletter") // want `purpose declared outside example.com/shop/purposes, which declares purposes: declare it there, with the others`

var again = purpose.MustParse("security") // want `purpose "security" is declared already: use purposes.Security`

var internal = purpose.MustParse("internal") // want `purpose declared outside example.com/shop/purposes, which declares purposes`

func find(name string, text []byte) (p purpose.Purpose, err error) {
	p, err = purpose.Parse(name)                // want `purpose made from text that is not constant`
	p = purpose.MustParse(os.Getenv("PURPOSE")) // want `purpose made from text that is not constant`
	err = p.UnmarshalText(text)                 // want `purpose made from text that is not constant`
	parse := purpose.MustParse                  // want `purpose made from text that is not constant`
	p = parse("security")                       //
	p = (purpose.MustParse)("advertising")      // want `purpose "advertising" is declared already: use purposes.Advertising`
	p, err = purpose.Parse("two words")         // want `not the name of a purpose, so Parse refuses it`
	func() {
		p = purpose.MustParse("orders") // want `purpose "orders" is declared already: use purposes.Orders`
	}()

	//piivet:allow purposeplace an operator's command takes the purpose as an argument
	p, err = purpose.Parse(name)
	p = purposes.Security
	return p, err
}

func shadowed(purposes []string) purpose.Purpose {
	return purpose.MustParse("security") // want `purpose "security" is declared already: use purposes.Security`
}
