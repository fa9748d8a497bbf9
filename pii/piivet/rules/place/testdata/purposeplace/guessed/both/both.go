package both // want package:"purposes are declared in example.com/shop/purposes, example.com/shop/second"

import (
	"example.com/shop/purposes"
	"example.com/shop/second" // want `example.com/shop/purposes and example.com/shop/second each declare purposes, and meet here: keep one list, or name the packages in .piivet.json under "purposes"`
)

var _, _ = purposes.Security, second.Ads
