//piivet:purpose security advertising // want package:"example.com/shop/both is for advertising and security only"

// Package both is bound by its comment and by the file, to what both say.
package both

import "example.com/shop/purposes"

var _ = purposes.Security

var _ = purposes.Advertising // want `package is for security only, and names advertising`

var _ = purposes.Billing // want `package is for security only, and names billing`
