//piivet:purpose // want `comment names no purpose: write //piivet:purpose advertising`
package none

import _ "github.com/onlyfor/onlyfor/purpose"
