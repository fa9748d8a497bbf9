package second // want package:"purposes are declared in example.com/shop/second"

import "github.com/onlyfor/onlyfor/purpose"

var Ads = purpose.MustParse("ads")
