package us // want package:"purposes are declared in example.com/shop/legal/us"

import "github.com/onlyfor/onlyfor/purpose"

var Sale = purpose.MustParse("sale")
