//piivet:purpose Advertising, security // want `not the names of purposes: want a-z, then up to 62 of a-z, 0-9 and -, with blanks in between`
package wrong

import _ "github.com/onlyfor/onlyfor/purpose"
