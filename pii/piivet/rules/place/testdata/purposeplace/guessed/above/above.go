package above // want package:"purposes are declared in example.com/shop/purposes, example.com/shop/second"

import _ "example.com/shop/both" // where it is reported
