//piivet:purpose advertising security // want package:"example.com/shop/misplaced/two is for advertising and security only"
package two

import _ "github.com/onlyfor/onlyfor/purpose"
