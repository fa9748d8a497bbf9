package below

//piivet:purpose advertising // want `comment binds nothing here: write it above the package clause`

import _ "github.com/onlyfor/onlyfor/purpose"
